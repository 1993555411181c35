#include "shim/attach/choose.h"

#include <inttypes.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "sampler/base/cc.h"
#include "sampler/base/status.h"
#include "shim/attach/arch/registers.h"
#include "shim/attach/proc.h"

/* How well a thread is suited; 0: not at all. */
enum rank { NEVER, SLEEPS, WAITS_ANEW, WAITS_FOR_THREAD, WAITS_FOR_EVENT };

/* A thread that sleeps is looked at twice, so far apart. */
#define SLEEP_LOOK_NS 30000000L

#define STACK_LOOK_BYTES (4UL << 20)

/*
 * A poll, a sleep or a futex with a timeout has another number once it was interrupted (by a
 * stop, a debugger, us), until it ends; which of them it was is not told, so it is a sleep.
 */
static bool is_sleep(long number)
{
	return number == SYS_nanosleep || number == SYS_clock_nanosleep ||
	       number == SYS_restart_syscall;
}

static enum rank rank_of_call(long number, const uint64_t arg[6])
{
	if (registers_waits_for_event(number))
		return registers_timeout_begins_anew(number, arg) ? WAITS_ANEW : WAITS_FOR_EVENT;
	if (number == SYS_futex && (arg[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET)
		return WAITS_FOR_THREAD;
	return is_sleep(number) ? SLEEPS : NEVER;
}

/* "running", or the call's number, six arguments, the stack pointer and the pc. */
static bool read_call(int pid, int tid, struct waiting *w, uint64_t arg[6])
{
	char text[256];

	if (proc_read_task(pid, tid, "syscall", text, sizeof(text)) <= 0 ||
	    sscanf(text,
		   "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
		   " %" SCNx64 " %" SCNx64,
		   &w->number, &arg[0], &arg[1], &arg[2], &arg[3], &arg[4], &arg[5], &w->sp,
		   &w->pc) != 9)
		return false;
	w->tid = tid;
	return w->number >= 0;
}

bool choose_is_still(int pid, const struct waiting *w)
{
	struct waiting now;
	uint64_t arg[6];

	return read_call(pid, w->tid, &now, arg) && now.number == w->number && now.pc == w->pc &&
	       now.sp == w->sp;
}

/* ---- where the call is made */

/* Before glibc 2.34 threads were a library of their own, with calls of its own. */
static bool is_old_part_of_libc(const struct mapping *m)
{
	const char *slash = strrchr(m->path, '/');

	return slash && strncmp(slash, "/libpthread", 11) == 0;
}

/*
 * In libc's text, behind an instruction that makes a call: the loader makes some of its own,
 * with its lock held, and runtimes theirs, on stacks of any kind.  Not in syscall(), by which
 * allocators wait for locks of their own.
 */
static bool is_called_by_libc(const struct image *libc, uint64_t pc)
{
	uint8_t code[SYSTEM_CALL_BYTES];
	uint64_t size = 0, by_number = image_find(libc, "syscall", &size);
	struct mapping m, first;

	return proc_mapping_at(libc->pid, pc, &m) &&
	       proc_mapping_at(libc->pid, libc->start, &first) && m.is_executable &&
	       (strcmp(m.path, first.path) == 0 || is_old_part_of_libc(&m)) &&
	       pc - by_number > size &&
	       memory_read(libc->pid, pc - sizeof(code), code, sizeof(code)) &&
	       code_is_system_call(code);
}

/* ---- what is on its stack */

struct range {
	uint64_t start, limit;
};

#define RANGES_MAX 1024

struct code {
	struct range range[RANGES_MAX];
	size_t count;
};

static bool note_code(const struct mapping *m, void *arg)
{
	struct code *c = arg;

	if (m->is_executable && c->count < RANGES_MAX)
		c->range[c->count++] = (struct range){ m->start, m->limit };
	return true;
}

static bool is_code(const struct code *c, uint64_t at)
{
	for (size_t i = 0; i < c->count; i++) {
		if (at >= c->range[i].start && at < c->range[i].limit)
			return true;
	}
	return false;
}

static bool leads_to_signal_return(int pid, uint64_t at)
{
	uint8_t code[SIGNAL_RETURN_BYTES];

	return memory_read(pid, at, code, sizeof(code)) && code_is_signal_return(code);
}

/* The address to return to alone may be left over from an earlier handler. */
static bool is_handler_frame(int pid, const struct code *c, uint64_t at)
{
	uint64_t word[HANDLER_FRAME_WORDS], pc;

	return memory_read(pid, at, word, sizeof(word)) && frame_is_of_handler(word, &pc) &&
	       is_code(c, pc);
}

static bool piece_has_handler(int pid, const struct code *c, uint64_t at, const uint64_t *word,
			      size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (is_code(c, word[i]) && leads_to_signal_return(pid, word[i]) &&
		    is_handler_frame(pid, c, at + i * sizeof(*word)))
			return true;
	}
	return false;
}

static bool runs_handler(int pid, uint64_t sp)
{
	static struct code code;
	uint64_t word[512], limit;
	struct mapping stack;

	code.count = 0;
	if (!proc_mapping_at(pid, sp, &stack) || !proc_each_mapping(pid, note_code, &code))
		return true;
	limit = MIN(stack.limit, sp + STACK_LOOK_BYTES);
	for (uint64_t at = ALIGN_DOWN(sp, 8UL); at < limit; at += sizeof(word)) {
		size_t bytes = MIN(sizeof(word), limit - at);

		if (!memory_read(pid, at, word, bytes) ||
		    piece_has_handler(pid, &code, at, word, bytes / sizeof(*word)))
			return true;
	}
	return false;
}

/* ---- each of them */

static bool is_ours(int pid, int tid)
{
	char name[32];

	proc_read_task(pid, tid, "comm", name, sizeof(name));
	return strncmp(name, "pprofshim", 9) == 0;
}

/* It waits, blocks no signal that faults are, is traced by nobody, and has no protection. */
static bool is_untouched(int pid, int tid)
{
	char status[8192];

	return proc_read_task(pid, tid, "status", status, sizeof(status)) > 0 &&
	       *status_field(status, "State") == 'S' &&
	       status_number(status, "TracerPid", 10) == 0 &&
	       status_number(status, "SigPnd", 16) == 0 && !registers_are_guarded(status);
}

static bool sleeps_on(int pid, const struct waiting *w)
{
	const struct timespec while_ns = { 0, SLEEP_LOOK_NS };

	nanosleep(&while_ns, NULL);
	return choose_is_still(pid, w);
}

/* NEVER also for one that is no better than `best`: to look at its stack takes a while. */
static enum rank rank_of_thread(const struct image *libc, int tid, enum rank best,
				struct waiting *w)
{
	int pid = libc->pid;
	uint64_t arg[6];
	enum rank rank;

	if (is_ours(pid, tid) || !read_call(pid, tid, w, arg))
		return NEVER;
	rank = rank_of_call(w->number, arg);
	if (rank <= best || !is_called_by_libc(libc, w->pc) || !is_untouched(pid, tid) ||
	    runs_handler(pid, w->sp) || !choose_is_still(pid, w))
		return NEVER;
	return rank;
}

struct search {
	const struct image *libc;
	enum rank best;
	struct waiting *out;
};

static bool consider(int tid, void *arg)
{
	struct search *s = arg;
	struct waiting w;
	enum rank rank = rank_of_thread(s->libc, tid, s->best, &w);

	if (rank > s->best) {
		s->best = rank;
		*s->out = w;
	}
	return s->best != WAITS_FOR_EVENT;
}

bool choose_thread(const struct image *libc, struct waiting *out)
{
	struct search s = { libc, NEVER, out };

	proc_each_thread(libc->pid, consider, &s);
	return s.best > SLEEPS || (s.best == SLEEPS && sleeps_on(libc->pid, out));
}
