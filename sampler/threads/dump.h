/* threads: what each thread does, and who created it.  May include wall and below. */
/*
 * A dump of all threads: who is there, what each is doing, its stack.  Waiting
 * threads are read from outside, running ones by their next CPU tick; no thread
 * is stopped and none is woken.  The dump is made in slices of a few
 * milliseconds, so that ten thousand threads do not keep the listener from others.
 *
 * Our own thread is not in it.
 *
 * The threads of another process are looked at once, and only those that wait have a
 * stack (process/other_process.h).
 *
 * Context: listener.
 */
#ifndef SAMPLER_THREADS_DUMP_H
#define SAMPLER_THREADS_DUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/process/task_call.h"
#include "sampler/unwind/stacks.h"

#define DUMP_THREADS_MAX 65536
#define DUMP_NO_STACK	 UINT32_MAX

/* Where a thread's stack is from, or why there is none. */
enum dump_how {
	DUMP_PENDING,	 /* not captured yet */
	DUMP_WAITING,	 /* read while it waited in `call` */
	DUMP_RAN,	 /* captured by a tick */
	DUMP_NO_TICK,	 /* it ran, or moved on whenever we looked, and no tick came in time */
	DUMP_REFUSED,	 /* the kernel does not say where it waits, and it did not run */
	DUMP_UNREADABLE, /* its stack is not there to be read */
	DUMP_KERNEL,	 /* a worker of the kernel, or a thread that has ended */
	DUMP_GONE,	 /* it ended meanwhile: not in the result */
};

struct dump_thread {
	int tid;
	enum dump_how how;
	bool tick_asked;       /* a tick was asked for */
	uint32_t stack;	       /* index in dump.stacks.list; DUMP_NO_STACK while pending, or gone */
	struct task_call call; /* WAITING */
	uint32_t creator; /* the call that created it, like `stack`, one frame; with_times only */
	uint32_t creator_order;
	int64_t clock_ns; /* WAITING: its CPU clock before the look, by which another dump knows
			   * that it has not run since */
	int64_t idle_ns;  /* has not run for so long; -1: not known, or not asked */
	char name[TASK_NAME_BYTES];
	char wchan[32]; /* where the kernel says it sleeps; REFUSED only */
};

struct dump {
	struct stack_table stacks;
	struct dump_thread *thread; /* in order of tid */
	uint32_t count;
	uint32_t unlisted; /* threads beyond DUMP_THREADS_MAX or without memory */
	bool no_proc;	   /* /proc does not list the threads */
	int64_t start_epoch_ns;
};

/*
 * Starts a dump; with_times: also who created each thread, and how long it has
 * waited, which costs a file more for each.  NULL without memory.
 */
struct dump *dump_start(bool with_times);

/*
 * The same of another process: idle_ns is known of all, creators of none.  NULL: the kernel does
 * not let us look at it, or it is gone, or there is no memory.  Between dump_of_others_begin(),
 * which is false when nothing can be looked at, and dump_of_others_end(); several may have begun.
 */
bool dump_of_others_begin(void);
struct dump *dump_of_other(int pid);

/* Looks at some of its threads.  True: there are more. */
bool dump_of_other_step(struct dump *d);

/* Those that were not looked at yet are not seen. */
void dump_of_other_stop(struct dump *d);

void dump_of_others_end(void);

/*
 * Works for some milliseconds.  Returns when to call it again (CLOCK_MONOTONIC
 * ns), 0 when the dump is complete.
 */
int64_t dump_step(struct dump *d);

/*
 * Gives everything back, complete or not.  A complete one is kept for a minute, for the
 * next dump: a thread that has not run since is where it was, and is not read again.
 */
void dump_free(struct dump *d);

/* Gives back what is kept when its minute is over.  Returns when to call again, INT64_MAX: not. */
int64_t dump_do_due(int64_t now_ns);

/* What is kept is not there.  Context: child. */
void dump_after_fork(void);

#endif
