#include "shim/life/family.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"

struct relative {
	atomic_int pid; /* who has a reason, 0: nobody */
	atomic_int reason;
	atomic_int leaving; /* the pid of who is about to exit */
};

#define RELATIVES (PAGE_BYTES / sizeof(struct relative))

static struct relative *family;

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

/* A file beyond the program's limit on its files would be a signal. */
static bool may_be_file(void)
{
	struct rlimit limit;

	return !sandbox_is_possible() &&
	       sys_call4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit) == 0 &&
	       limit.rlim_cur >= PAGE_BYTES;
}

/* The page in memory that has a name; -1: it has none. */
static int open_named(void)
{
	const char *name = strrchr(FAMILY_MAPPING, ':') + 1;
	long fd = -1;

	if (!may_be_file())
		return -1;
	fd = sys_call3(SYS_memfd_create, (long)name, MFD_CLOEXEC | MFD_NOEXEC_SEAL, 0);
	if (fd == -EINVAL) /* before Linux 6.3 */
		fd = sys_call3(SYS_memfd_create, (long)name, MFD_CLOEXEC, 0);
	if (fd >= 0 && sys_call3(SYS_ftruncate, fd, PAGE_BYTES, 0) != 0) {
		sys_close((int)fd);
		return -1;
	}
	return (int)fd;
}

/* Not sys_map(): this page must be inherited, and shared. */
void family_init(void)
{
	int fd = open_named();
	int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	long p = sys_call6(SYS_mmap, 0, PAGE_BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (fd >= 0)
		sys_close(fd);
	if (!sys_failed(p))
		family = (struct relative *)p;
}

static struct relative *relative_of(int pid)
{
	return &family[(unsigned)pid % RELATIVES];
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

void family_each_reason(void (*fn)(int reason, void *arg), void *arg)
{
	for (size_t i = 0; family && i < RELATIVES; i++) {
		int pid = atomic_load(&family[i].pid), reason = atomic_load(&family[i].reason);

		if (pid && sys_call3(SYS_kill, pid, 0, 0) != -ESRCH)
			fn(reason, arg);
	}
}
