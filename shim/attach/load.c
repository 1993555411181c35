#include "shim/attach/load.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "shim/attach/choose.h"
#include "shim/attach/proc.h"
#include "shim/attach/refuse.h"
#include "shim/attach/stacks.h"
#include "shim/attach/stopped.h"

#define PATIENCE_NS    (5 * NS_PER_SECOND)
#define TRY_AGAIN_NS   10000000L
#define WAKES_LISTENER 32 /* see sampler/base/wake.h */

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

/* ---- the library's file */

/* Beside this tool, or where make and make install put it. */
static bool find_library(char path[PATH_MAX])
{
	static const char *const places[] = { "libpprofshim.so", "build/libpprofshim.so",
					      "../lib/pprofshim/libpprofshim.so",
					      "../lib/libpprofshim.so" };
	char self[PATH_MAX], place[2 * PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[MAX(n, 0)] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(place, sizeof(place), "%s/%s", self, places[i]);
		if (realpath(place, path) && access(path, R_OK) == 0)
			return true;
	}
	return false;
}

static bool is_seen_by(int pid, const char *path)
{
	char there[PROC_PATH_MAX + PATH_MAX];
	struct stat here_st, there_st;

	snprintf(there, sizeof(there), "/proc/%d/root%s", pid, path);
	return stat(path, &here_st) == 0 && stat(there, &there_st) == 0 &&
	       here_st.st_dev == there_st.st_dev && here_st.st_ino == there_st.st_ino;
}

/* With the mark by which the library's constructor knows us. */
static void mark_name(char marked[PATH_MAX + 2], const char *path)
{
	const char *slash = strrchr(path, '/');

	snprintf(marked, PATH_MAX + 2, "%.*s" ATTACH_NAME_MARK "%s", (int)(slash - path), path,
		 slash + 1);
}

/* ---- by a file without a name */

static int open_theirs(int pid, long fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%ld", pid, fd);
	return open(path, O_WRONLY | O_CLOEXEC);
}

static bool copy_file(const char *path, int to)
{
	int from = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool done = from >= 0 && fstat(from, &st) == 0;

	for (off_t left = done ? st.st_size : 0; done && left > 0;) {
		ssize_t n = sendfile(to, from, NULL, (size_t)left);

		done = n > 0;
		left -= n;
	}
	if (from >= 0)
		close(from);
	return done;
}

/* Kernels before 6.3 do not know that such a file may be said to be code. */
static long create_theirs(struct stopped *s)
{
	static const char name[] = "libpprofshim.so";
	uint64_t at = stopped_put(s, name, sizeof(name));
	const uint64_t marked[6] = { at, MFD_CLOEXEC | MFD_EXEC };
	const uint64_t plain[6] = { at, MFD_CLOEXEC };
	long fd = stopped_system_call(s, SYS_memfd_create, marked);

	return fd == -EINVAL ? stopped_system_call(s, SYS_memfd_create, plain) : fd;
}

/* A file in the program's memory that has the library; its descriptor there, or -errno. */
static long hand_over(struct stopped *s, const char *path)
{
	long fd = create_theirs(s);
	int here = sys_failed(fd) ? -1 : open_theirs(s->pid, fd);
	bool done = here >= 0 && copy_file(path, here);

	if (here >= 0)
		close(here);
	return sys_failed(fd) ? fd : done ? fd : -EIO;
}

/* ---- dlopen */

static uint64_t find_dlopen(const struct image *libc)
{
	struct image old; /* before glibc 2.34 it was in a library of its own, if in any */
	uint64_t at = image_find(libc, "dlopen", NULL);

	if (!at && image_find_loaded(&old, libc->pid, "libdl"))
		at = image_find(&old, "dlopen", NULL);
	return at ? at : image_find(libc, "__libc_dlopen_mode", NULL);
}

static const char *failed_call(const struct stopped *s, enum call_result result)
{
	if (result == CALL_TAKEN_BACK)
		return say("the loader of process %d is busy with another library; nothing was "
			   "changed, "
			   "try again",
			   s->pid);
	if (result == CALL_ENDED)
		return say("process %d ended", s->pid);
	return say(
		"loading failed with a fault inside of process %d, which goes on without it; start "
		"it with pprof-inject instead",
		s->pid);
}

/* What dlopen has to say; it is of the thread that called it. */
static void read_error(struct stopped *s, char *text, size_t size)
{
	uint64_t dlerror_at = image_find(s->libc, "dlerror", NULL), at = 0;

	snprintf(text, size, "no reason given");
	if (dlerror_at && stopped_call(s, dlerror_at, 0, 0, &at) == CALL_DONE && at)
		memory_read_string(s->pid, at, text, size);
	text[size - 1] = '\0';
}

/* NULL, or why not; the bias of what was loaded goes to *bias. */
static const char *open_in(struct stopped *s, const char *name, uint64_t *bias)
{
	uint64_t function = find_dlopen(s->libc), handle = 0;
	uint64_t at = stopped_put(s, name, strlen(name) + 1);
	enum call_result result;
	char why[1024];

	if (!function || !at)
		return say("process %d has no dlopen; start it with pprof-inject instead", s->pid);
	result = stopped_call(s, function, at, RTLD_NOW, &handle);
	if (result != CALL_DONE)
		return failed_call(s, result);
	if (handle &&
	    memory_read(s->pid, handle + offsetof(struct link_map, l_addr), bias, sizeof(*bias)))
		return NULL;
	read_error(s, why, sizeof(why));
	return say("the loader of process %d refuses: %s", s->pid, why);
}

static const char *open_without_name(struct stopped *s, const char *path, uint64_t *bias)
{
	char name[64];
	long fd = hand_over(s, path);
	const uint64_t arg[6] = { (uint64_t)fd };
	const char *why;

	if (sys_failed(fd))
		return say(
			"process %d sees no file %s, and the library cannot be handed over without "
			"one (%s); copy it to that place in the program's root directory",
			s->pid, path, strerror((int)-fd));
	snprintf(name, sizeof(name), "/proc/self/fd" ATTACH_NAME_MARK "%ld", fd);
	why = open_in(s, name, bias);
	stopped_system_call(s, SYS_close, arg);
	return why;
}

static const char *open_library(struct stopped *s, const char *path, uint64_t *bias)
{
	char name[PATH_MAX + 2];

	if (is_seen_by(s->pid, path)) {
		mark_name(name, path);
		if (!open_in(s, name, bias))
			return NULL; /* its user may not read it: then without a name */
	}
	return open_without_name(s, path, bias);
}

/* ---- its own function */

static bool write_request(const struct stopped *s, uint64_t block, const struct request *r,
			  const char *settings, size_t bytes)
{
	uint32_t hooks = r->hooks;

	return memory_write(s->pid, block + offsetof(struct attach_block, settings), settings,
			    bytes) &&
	       memory_write(s->pid, block + offsetof(struct attach_block, wants_hooks), &hooks,
			    sizeof(hooks));
}

/* Of another version of us the block may be laid out otherwise. */
static bool has_our_block(const struct stopped *s, uint64_t block)
{
	uint32_t version;

	return memory_read(s->pid, block, &version, sizeof(version)) && version == ATTACH_VERSION;
}

static const char *start(struct stopped *s, const struct image *library, const struct request *r,
			 const char *settings, size_t bytes)
{
	uint64_t block = image_find(library, ATTACH_BLOCK, NULL);
	uint64_t function = image_find(library, ATTACH_FUNCTION, NULL), failed = 0;
	static char why[ATTACH_SENTENCE_BYTES];
	enum call_result result;

	if (!block || !function || !has_our_block(s, block))
		return say("process %d has an older libpprofshim.so, which cannot be attached to; "
			   "start "
			   "it with pprof-inject instead",
			   s->pid);
	if (!write_request(s, block, r, settings, bytes))
		return say("the memory of process %d cannot be written to", s->pid);
	result = stopped_call(s, function, 0, 0, &failed);
	if (result != CALL_DONE)
		return failed_call(s, result);
	if (!(uint32_t)failed)
		return NULL;
	memory_read(s->pid, block + offsetof(struct attach_block, sentence), why, sizeof(why));
	why[sizeof(why) - 1] = '\0';
	return say("process %d (%s): %s", s->pid, target_name(s->pid), why);
}

static const char *prepare(struct stopped *s)
{
	enum call_result result;

	if (!stopped_get_scratch(s))
		return say(
			"process %d gets no memory from the kernel (a limit on its address space?)",
			s->pid);
	result = stopped_keep_errno(s);
	return result == CALL_DONE ? NULL : failed_call(s, result);
}

static const char *work(struct target *t, struct stopped *s, const char *path,
			const struct request *r, const char *settings, size_t bytes)
{
	const char *why = prepare(s);
	uint64_t bias = 0;

	if (why)
		return why;
	if (!t->has_library) {
		why = open_library(s, path, &bias);
		if (why)
			return why;
		if (!image_open(&t->library, t->pid, bias))
			return say("what was loaded into process %d is not libpprofshim.so",
				   t->pid);
		t->has_library = true;
	}
	return start(s, &t->library, r, settings, bytes);
}

/* ---- a thread for it */

static void wait_a_moment(void)
{
	const struct timespec moment = { 0, TRY_AGAIN_NS };

	nanosleep(&moment, NULL);
}

static const char *no_thread(const struct target *t)
{
	return say(
		"no thread of process %d (%s) waits in a call where a library may be loaded, for "
		"5 s: all of them compute, or wait for locks; try again, or start it with "
		"pprof-inject",
		t->pid, target_name(t->pid));
}

/* NULL when one is stopped. */
static const char *stop_one(struct target *t, struct stopped *s)
{
	int64_t until_ns = sys_now_ns() + PATIENCE_NS;
	struct waiting w;

	do {
		if (choose_thread(&t->libc, &w)) {
			enum stopped_result result = stopped_begin(s, &t->libc, &w);

			if (result == STOPPED_OK)
				return NULL;
			if (result == STOPPED_REFUSED)
				return target_refusal(t, errno);
		}
		wait_a_moment();
	} while (sys_now_ns() < until_ns && kill(t->pid, 0) == 0);
	return kill(t->pid, 0) == 0 ? no_thread(t) : say("process %d ended", t->pid);
}

/* Where it matters (carrier.h).  Should the tool end before it has written, no tick comes. */
static void look_at_stacks(const struct target *t)
{
	uint64_t at = image_find(&t->library, ATTACH_BLOCK, NULL);
	struct attach_block b;
	uint32_t seen;

	if (!load_read_block(t, &b) || !b.wants_stacks)
		return;
	seen = stacks_ask(t, b.thread, at + offsetof(struct attach_block, stack));
	memory_write(t->pid, at + offsetof(struct attach_block, stacks), &seen, sizeof(seen));
}

const char *load_library(struct target *t, const struct request *r, unsigned port,
			 int64_t *stopped_ns)
{
	static struct stopped s; /* large */
	char path[PATH_MAX], settings[ATTACH_SETTINGS_BYTES];
	size_t bytes = request_settings(r, port, settings);
	const char *why;

	if (!find_library(path))
		return say("libpprofshim.so is not to be found; run make, or make install");
	why = stop_one(t, &s);
	if (why)
		return why;
	why = work(t, &s, path, r, settings, bytes);
	explicit_bzero(settings, sizeof(settings));
	stopped_end(&s);
	*stopped_ns = sys_now_ns() - s.since_ns;
	if (!why)
		look_at_stacks(t);
	return why;
}

static const char *unhook(struct target *t, struct stopped *s)
{
	uint64_t function = image_find(&t->library, ATTACH_UNHOOK, NULL), failed = 0;
	const char *why = prepare(s);
	enum call_result result;

	if (why || !function)
		return why;
	result = stopped_call(s, function, 0, 0, &failed);
	if (result != CALL_DONE)
		return failed_call(s, result);
	return (uint32_t)failed ? "some pages could not be opened" : NULL;
}

const char *load_unhook(struct target *t)
{
	static struct stopped s;
	const char *why = stop_one(t, &s);

	if (why)
		return why;
	why = unhook(t, &s);
	stopped_end(&s);
	return why;
}

/* ---- the library that is there */

bool load_read_block(const struct target *t, struct attach_block *out)
{
	uint64_t at = image_find(&t->library, ATTACH_BLOCK, NULL);

	return at && memory_read(t->pid, at, out, sizeof(*out)) && out->version == ATTACH_VERSION;
}

/* The library knows its thread by the number that it has in there. */
struct thread_search {
	int pid, inner, found;
};

static bool is_listener(int tid, void *arg)
{
	struct thread_search *s = arg;

	if (proc_inner_number(s->pid, tid) == s->inner)
		s->found = tid;
	return !s->found;
}

bool load_ask_to_leave(const struct target *t, const struct attach_block *b)
{
	uint64_t at = image_find(&t->library, ATTACH_BLOCK, NULL);
	struct thread_search s = { t->pid, b->thread, 0 };
	uint32_t yes = 1;

	proc_each_thread(t->pid, is_listener, &s);
	return s.found &&
	       memory_write(t->pid, at + offsetof(struct attach_block, wants_leave), &yes,
			    sizeof(yes)) &&
	       syscall(SYS_tgkill, t->pid, s.found, WAKES_LISTENER) == 0;
}
