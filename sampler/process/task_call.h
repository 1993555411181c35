/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * What /proc/self/task/TID tells about one thread without touching it: the
 * system call it waits in, its name, since when it waits.
 *
 * Parsers are pure and take any bytes; they are fuzzed by their unit test.
 *
 * Context: listener.
 */
#ifndef SAMPLER_PROCESS_TASK_CALL_H
#define SAMPLER_PROCESS_TASK_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum task_state {
	TASK_RUNNING,  /* on a processor, or waiting for one */
	TASK_IN_CALL,  /* blocked in system call `nr` */
	TASK_STOPPED,  /* blocked without one: a page fault, a debugger */
	TASK_NO_STACK, /* a worker of the kernel, or a thread that is ending */
	TASK_REFUSED,  /* the kernel does not tell */
	TASK_GONE,
};

struct task_call {
	enum task_state state;
	int64_t nr; /* system call number */
	uint64_t arg[6];
	uint64_t sp, pc; /* of the user's code: IN_CALL and STOPPED */
};

/* Bytes of a line of /proc/.../syscall: nine numbers and the NUL. */
#define TASK_CALL_TEXT 192

/* The syscall file's text.  Anything unexpected is TASK_REFUSED. */
struct task_call task_call_parse(const char *text);

/* The same call with the same arguments from the same place. */
bool task_call_is_same(const struct task_call *a, const struct task_call *b);

/* "se.exec_start" of a sched file: ms and six decimals, in ns; -1 if it is not there. */
int64_t task_exec_start_parse(const char *text);

/* How long a thread has waited for a processor, in ns: the second number of a schedstat
 * file; -1 if it is not there. */
int64_t task_queued_parse(const char *text);

#define TASK_NAME_BYTES 16
#define TASK_OUR_NAME	"pprofshim" /* of our own thread, in every process */

/* Without the line's end, cut to TASK_NAME_BYTES - 1. */
void task_name_parse(const char *text, char name[TASK_NAME_BYTES]);

/*
 * Reading one thread's files; `dir` is /proc/self/task, opened.  The reader stays
 * open between the two looks at the same thread.
 */
struct task_reader {
	int fd;
	char text[TASK_CALL_TEXT];
};

/* First look.  Without the file: TASK_GONE or TASK_REFUSED, and the reader is closed. */
struct task_call task_reader_open(struct task_reader *r, int dir, int tid);

/* Whether a second look finds the thread in the very same place. */
bool task_reader_unmoved(const struct task_reader *r);

void task_reader_close(struct task_reader *r);

/* First look alone: whether it is on a processor, or waits for one. */
bool task_is_running(int dir, int tid);

void task_name_read(int dir, int tid, char name[TASK_NAME_BYTES]);

/*
 * When the thread was last charged CPU time, in ns of the scheduler's clock; -1 when
 * the kernel does not tell.  For the calling thread that is a moment ago.
 */
int64_t task_exec_start(int dir, int tid);

/*
 * For how long it has waited for a processor since it began, in ns; -1 when the kernel
 * does not tell.  A wait that is not over yet is not in it.
 */
int64_t task_queued_ns(int dir, int tid);

/* Name of the kernel function it sleeps in (wchan); "" if that is not told. */
void task_wchan_read(int dir, int tid, char *name, size_t size);

#endif
