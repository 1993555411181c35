#include "shim/attach/target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/status.h"
#include "shim/attach/arch/registers.h"
#include "shim/attach/proc.h"
#include "shim/attach/refuse.h"
#include "shim/attach/right.h"

#define STATUS_BYTES	  8192
#define CAP_SYS_PTRACE_AT 19 /* its bit */
#define SIGSEGV_BIT	  (1ULL << 10)

const char *target_name(int pid)
{
	static char name[64];

	proc_read(pid, "comm", name, sizeof(name));
	name[strcspn(name, "\n")] = '\0';
	return name;
}

/* ---- the right to do so */

static uint64_t own_status(const char *name, int base)
{
	static char status[STATUS_BYTES];

	proc_read(getpid(), "status", status, sizeof(status));
	return status_number(status, name, base);
}

static bool has_ptrace_capability(void)
{
	return own_status("CapEff", 16) & (1ULL << CAP_SYS_PTRACE_AT);
}

/* 0: anybody may trace what is theirs; also where the module is not there. */
static int yama_scope(void)
{
	char text[16] = "";
	int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 ? atoi(text) : 0;
}

const char *target_refusal(const struct target *t, int error)
{
	const struct right right = { .scope = yama_scope(),
				     .may_trace = has_ptrace_capability(),
				     .is_own = t->uid == (uint64_t)geteuid() };

	return right_sentence(&right, t->pid, t->uid, error);
}

/* ---- what kind of program it is */

static bool has_interpreter(int fd, const Elf64_Ehdr *e)
{
	Elf64_Phdr p;

	for (unsigned i = 0; i < e->e_phnum; i++) {
		if (pread(fd, &p, sizeof(p), (off_t)(e->e_phoff + i * sizeof(p))) == sizeof(p) &&
		    p.p_type == PT_INTERP)
			return true;
	}
	return false;
}

static const char *check_elf(int pid, int fd)
{
	Elf64_Ehdr e;

	if (pread(fd, &e, sizeof(e), 0) != sizeof(e) || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0)
		return say("process %d runs no ELF file; there is nothing to attach to", pid);
	if (e.e_ident[EI_CLASS] != ELFCLASS64)
		return say("process %d (%s) is a 32-bit program, and libpprofshim.so is not; use a "
			   "64-bit build of it",
			   pid, target_name(pid));
	if (e.e_machine != registers_machine)
		return say(
			"process %d (%s) is built for another processor; run the pprof-attach that "
			"is built for it",
			pid, target_name(pid));
	if (!has_interpreter(fd, &e) && e.e_type == ET_EXEC)
		return say(
			"process %d (%s) is a static executable, into which nothing can be loaded; "
			"link it dynamically (a Go program has net/http/pprof of its own)",
			pid, target_name(pid));
	return NULL;
}

static const char *check_executable(const struct target *t)
{
	char path[PROC_PATH_MAX];
	const char *why;
	int fd;

	proc_path(path, t->pid, "exe");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return say("process %d (%s) is a thread of the kernel, or has just ended", t->pid,
			   target_name(t->pid));
	if (fd < 0)
		return target_refusal(t, errno);
	why = check_elf(t->pid, fd);
	close(fd);
	return why;
}

static bool names_musl(const struct mapping *m, void *found)
{
	const char *slash = strrchr(m->path, '/');

	*(bool *)found |= slash && strncmp(slash, "/ld-musl", 8) == 0;
	return !*(bool *)found;
}

static const char *check_libc(struct target *t)
{
	bool is_musl = false;
	char byte;

	if (image_find_loaded(&t->libc, t->pid, "libc.so.6") ||
	    image_find_loaded(&t->libc, t->pid, "libc-2"))
		return NULL;
	proc_each_mapping(t->pid, names_musl, &is_musl);
	if (is_musl)
		return say("process %d (%s) runs on musl, and libpprofshim.so is for glibc; use a "
			   "glibc "
			   "build of it",
			   t->pid, target_name(t->pid));
	errno = 0;
	if (!memory_read(t->pid, 0, &byte, 1) && errno == EPERM)
		return target_refusal(t, errno);
	if (errno == ESRCH)
		return say("process %d has just ended", t->pid);
	return say(
		"process %d (%s) has no glibc loaded (a static executable?), and nothing can be "
		"loaded into it; link it dynamically (a Go program has net/http/pprof of its own)",
		t->pid, target_name(t->pid));
}

/* ---- what state it is in */

/* A child of vfork runs on its parent's memory, and would start our thread there. */
static bool shares_memory_with(int pid, int parent)
{
	return parent > 1 && syscall(SYS_kcmp, pid, parent, KCMP_VM, 0, 0) == 0;
}

/* Filters of its own are those beyond what a process above it, or this tool, has as well. */
static bool filters_are_inherited(uint64_t count, int parent)
{
	char status[STATUS_BYTES];

	if (own_status("Seccomp_filters", 10) == count)
		return true;
	return parent > 0 && proc_read(parent, "status", status, sizeof(status)) > 0 &&
	       status_number(status, "Seccomp_filters", 10) == count;
}

static const char *check_filter(const struct target *t, const char *status)
{
	uint64_t count = status_line(status, "Seccomp_filters")
				 ? status_number(status, "Seccomp_filters", 10)
				 : 1;
	int parent = (int)status_number(status, "PPid", 10);

	if (status_number(status, "Seccomp", 10) == 0 || filters_are_inherited(count, parent))
		return NULL;
	return say(
		"process %d (%s) has put itself under a system-call filter, which may kill it for "
		"what loading a library needs; start it with pprof-inject instead. If the filter "
		"is "
		"its container's, run pprof-attach inside of the container",
		t->pid, target_name(t->pid));
}

static const char *check_tracer(const struct target *t, const char *status)
{
	int tracer = (int)status_number(status, "TracerPid", 10);
	char name[64];

	if (!tracer)
		return NULL;
	snprintf(name, sizeof(name), "%s", target_name(tracer));
	return say(
		"process %d is being traced by process %d (%s), and only one can; end that first",
		t->pid, tracer, name);
}

bool target_is_stopped(int pid)
{
	char status[STATUS_BYTES];

	return proc_read(pid, "status", status, sizeof(status)) > 0 &&
	       strchr("Tt", *status_field(status, "State"));
}

static const char *check_state(const struct target *t, const char *status)
{
	char state = *status_field(status, "State");
	int parent = (int)status_number(status, "PPid", 10);

	if ((int)status_number(status, "Tgid", 10) != t->pid)
		return say("%d is a thread of process %d; attach to that", t->pid,
			   (int)status_number(status, "Tgid", 10));
	if (state == 'Z' || state == 'X')
		return say("process %d has ended", t->pid);
	if (state == 'T')
		return say("process %d (%s) is stopped; let it go on (kill -CONT %d), then attach",
			   t->pid, target_name(t->pid), t->pid);
	if (shares_memory_with(t->pid, parent))
		return say("process %d is a child of vfork that runs on the memory of process %d; "
			   "attach to that one",
			   t->pid, parent);
	return NULL;
}

/* What the processor or the kernel would not survive with a call that the program did not make. */
static const char *check_protection(const struct target *t, const char *status)
{
	if (registers_are_guarded(status))
		return say("process %d (%s) has a shadow stack, which forbids calls from outside; "
			   "start "
			   "it with pprof-inject instead",
			   t->pid, target_name(t->pid));
	if (status_number(status, "SigIgn", 16) & SIGSEGV_BIT)
		return say("process %d (%s) ignores SIGSEGV, which pprof-attach needs for a "
			   "moment; start "
			   "it with pprof-inject instead",
			   t->pid, target_name(t->pid));
	return NULL;
}

static const char *look_at_status(const struct target *t, const char *status)
{
	const char *why = check_tracer(t, status);

	if (!why)
		why = check_filter(t, status);
	return why ? why : check_protection(t, status);
}

const char *target_look(struct target *t, int pid)
{
	static char status[STATUS_BYTES];
	const char *why;

	*t = (struct target){ .pid = pid };
	if (pid == getpid())
		return say("%d is pprof-attach itself", pid);
	if (proc_read(pid, "status", status, sizeof(status)) <= 0)
		return say("there is no process %d", pid);
	t->inner_pid = proc_inner_number(t->pid, t->pid);
	sscanf(status_field(status, "Uid"), "%*s %lu", &t->uid);
	if ((why = check_state(t, status)) || (why = check_executable(t)) ||
	    (why = look_at_status(t, status)) || (why = check_libc(t)))
		return why;
	t->has_library = image_find_loaded(&t->library, pid, "libpprofshim");
	return NULL;
}

/* ---- its descendants */

struct children {
	int parent;
	struct process_list *out;
};

/* Those that this thread forked. */
static bool note_children(int tid, void *arg)
{
	struct children *c = arg;
	char text[65536], *end;

	proc_read_task(c->parent, tid, "children", text, sizeof(text));
	for (char *at = text; c->out->count < PROCESSES_MAX; at = end) {
		int child = (int)strtol(at, &end, 10);

		if (end == at)
			break;
		c->out->pid[c->out->count++] = child;
	}
	return true;
}

void target_list_below(int pid, struct process_list *out)
{
	struct children c = { pid, out };

	out->count = 0;
	proc_each_thread(pid, note_children, &c);
	for (size_t i = 0; i < out->count; i++) {
		c.parent = out->pid[i];
		proc_each_thread(c.parent, note_children, &c);
	}
}

/* ---- its network */

/* A listener on 127.0.0.1, or on every address of either protocol, is in the way. */
static bool is_in_the_way(const char *line, unsigned port)
{
	char address[64], wanted[5];
	unsigned state;
	char *colon;

	if (sscanf(line, "%*s %63s %*s %x", address, &state) != 2 || state != 0x0a)
		return false;
	colon = strchr(address, ':');
	snprintf(wanted, sizeof(wanted), "%04X", port);
	if (!colon || strcmp(colon + 1, wanted) != 0)
		return false;
	*colon = '\0';
	return strspn(address, "0") == strlen(address) || strcmp(address, "0100007F") == 0 ||
	       strcmp(address, "0000000000000000FFFF00000100007F") == 0;
}

bool target_port_is_taken(int pid, unsigned port)
{
	static const char *const tables[] = { "net/tcp", "net/tcp6" };
	char path[PROC_PATH_MAX], line[512];
	bool taken = false;

	for (size_t i = 0; i < ARRAY_SIZE(tables) && !taken; i++) {
		FILE *table;

		proc_path(path, pid, tables[i]);
		table = fopen(path, "re");
		while (table && !taken && fgets(line, sizeof(line), table))
			taken = is_in_the_way(line, port);
		if (table)
			fclose(table);
	}
	return taken;
}

bool target_has_our_network(int pid)
{
	struct stat ours, its;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	if (stat(path, &its) != 0 || stat("/proc/self/ns/net", &ours) != 0)
		return true;
	return its.st_dev == ours.st_dev && its.st_ino == ours.st_ino;
}
