#include "shim/life/family.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/process/maps_reader.h"

struct relative {
	atomic_int pid; /* who has a reason, 0: nobody */
	atomic_int reason;
	atomic_int leaving; /* the pid of who is about to exit */
};

/* For a thousand processes in most of their ids. */
#define FAMILY_BYTES (4 * PAGE_BYTES)
#define RELATIVES                                                                                  \
	((FAMILY_BYTES - sizeof(struct call) - sizeof(struct unasked)) / sizeof(struct relative))

/* Alone in its cache line: hooks of children read `number` at each wait. */
struct call {
	_Alignas(64) atomic_uint number;
	_Atomic int64_t until_ns;
};

/* Of processes that ended. */
struct unasked {
	_Alignas(64) _Atomic uint64_t count;
	_Atomic uint64_t allocated;
};

static struct {
	struct call call;
	struct unasked unasked;
	struct relative relative[RELATIVES];
} * family;

const atomic_uint *family_calls;
static int made_by; /* a process id */

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

/* A file beyond the program's limit on its files would be a signal. */
static bool may_be_file(void)
{
	struct rlimit limit;

	return !sandbox_is_possible() &&
	       sys_call4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit) == 0 &&
	       limit.rlim_cur >= FAMILY_BYTES;
}

/* Memory that has a name; -1: it has none. */
static int open_named(void)
{
	const char *name = strrchr(FAMILY_MAPPING, ':') + 1;
	long fd = -1;

	if (!may_be_file())
		return -1;
	fd = sys_call3(SYS_memfd_create, (long)name, MFD_CLOEXEC | MFD_NOEXEC_SEAL, 0);
	if (fd == -EINVAL) /* before Linux 6.3 */
		fd = sys_call3(SYS_memfd_create, (long)name, MFD_CLOEXEC, 0);
	if (fd >= 0 && sys_call3(SYS_ftruncate, fd, FAMILY_BYTES, 0) != 0) {
		sys_close((int)fd);
		return -1;
	}
	return (int)fd;
}

/* Not sys_map(): these pages must be inherited, and shared. */
void family_init(void)
{
	int fd = open_named();
	int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	long p = sys_call6(SYS_mmap, 0, FAMILY_BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (fd >= 0)
		sys_close(fd);
	family = sys_failed(p) ? NULL : (void *)p;
	family_calls = family ? &family->call.number : NULL;
	made_by = sys_getpid();
}

void family_keep_from_children(void)
{
	if (family)
		sys_call3(SYS_madvise, (long)family, FAMILY_BYTES, MADV_DONTFORK);
}

void family_leave(void)
{
	void *pages = family;

	family_calls = NULL;
	family = NULL;
	if (pages)
		sys_call3(SYS_munmap, (long)pages, FAMILY_BYTES, 0);
}

void family_ask(void)
{
	if (!family)
		return;
	atomic_store(&family->call.until_ns, sys_now_ns() + FAMILY_ASKED_NS);
	atomic_fetch_add(&family->call.number, 1);
}

/* 0: none, or we may not look. */
static uint64_t find_pages_of(int pid)
{
	static struct maps_reader r;
	struct maps_line m;
	uint64_t found = 0;

	if (!maps_open_of(&r, pid))
		return 0;
	while (!found && maps_next(&r, &m))
		if (m.writable && m.offset == 0 &&
		    strncmp(m.path, FAMILY_MAPPING, sizeof(FAMILY_MAPPING) - 1) == 0)
			found = m.start;
	maps_close(&r);
	return found;
}

static bool copy_from_or_to(long nr, int pid, uint64_t at, struct call *call)
{
	struct iovec ours = { call, sizeof(*call) }, theirs = { (void *)at, sizeof(*call) };

	return sys_call6(nr, pid, (long)&ours, 1, (long)&theirs, 1, 0) == (long)sizeof(*call);
}

void family_ask_other(int pid)
{
	uint64_t at = find_pages_of(pid);
	struct call call;

	if (!at || !copy_from_or_to(SYS_process_vm_readv, pid, at, &call))
		return;
	atomic_store(&call.until_ns, sys_now_ns() + FAMILY_ASKED_NS);
	atomic_fetch_add(&call.number, 1);
	copy_from_or_to(SYS_process_vm_writev, pid, at, &call);
}

bool family_is_asked(void)
{
	return family && sys_now_ns() < atomic_load(&family->call.until_ns);
}

static struct relative *relative_of(int pid)
{
	return &family->relative[(unsigned)pid % RELATIVES];
}

void family_note_leaving(int pid)
{
	if (family)
		atomic_store(&relative_of(pid)->leaving, pid);
}

bool family_is_leaving(int pid)
{
	return family && atomic_load(&relative_of(pid)->leaving) == pid;
}

void family_note_unasked(uint64_t allocated)
{
	if (!family)
		return;
	atomic_fetch_add(&family->unasked.allocated, allocated);
	atomic_fetch_add(&family->unasked.count, 1);
}

uint64_t family_unasked(bool as_member, uint64_t *allocated)
{
	bool tells = family && (!as_member || made_by == sys_getpid());

	*allocated = tells ? atomic_load(&family->unasked.allocated) : 0;
	return tells ? atomic_load(&family->unasked.count) : 0;
}

void family_note_reason(int pid, int reason)
{
	struct relative *r;

	if (!family)
		return;
	r = relative_of(pid);
	if (atomic_load(&r->pid) == pid && atomic_load(&r->reason) == reason)
		return; /* most often; the page stays in everybody's cache */
	atomic_store(&r->reason, reason);
	atomic_store(&r->pid, pid);
}

int family_reason_of(int pid)
{
	const struct relative *r = family ? relative_of(pid) : NULL;

	return r && atomic_load(&r->pid) == pid ? atomic_load(&r->reason) : -1;
}

void family_each_reason(void (*fn)(int reason, void *arg), void *arg)
{
	for (size_t i = 0; family && i < RELATIVES; i++) {
		int pid = atomic_load(&family->relative[i].pid);
		int reason = atomic_load(&family->relative[i].reason);

		if (pid && sys_call3(SYS_kill, pid, 0, 0) != -ESRCH)
			fn(reason, arg);
	}
}
