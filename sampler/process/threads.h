/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * The threads that a CPU profile samples: one record and one kernel timer each,
 * only while a profile is running.
 *
 * Records live in one region that stays mapped for ever once it was made (its
 * pages are given back), because the kernel hands a record's address back to us
 * with every tick: a late tick must find memory there and see that it is stale.
 */
#ifndef SAMPLER_PROCESS_THREADS_H
#define SAMPLER_PROCESS_THREADS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define THREADS_MAX 32768 /* records; kernel.pid_max's default */

enum thread_state {
	THREAD_FREE,	/* the record belongs to nobody */
	THREAD_ARMED,	/* its timer runs */
	THREAD_BUSY,	/* a timer system call is under way; whoever set this owns the timer */
	THREAD_PAUSED,	/* it blocked the signal through us: its timer, if any, is stopped */
	THREAD_UNARMED, /* known, but without a timer: signal blocked, or refused */
	THREAD_ENDED,	/* its last tick is past; the listener takes the record back */
};

struct thread {
	atomic_int state; /* enum thread_state; docs/PROTOCOLS.md says who moves it */
	int tid;
	int timer;	   /* kernel timer id, -1: none */
	uint32_t dump_id;  /* not 0: of a thread dump, for one tick that stands for no time */
	bool newborn;	   /* the thread claimed it itself, with its first instructions */
	bool late;	   /* a scan found the thread while sampling ran: no hook saw it start */
	int64_t period_ns; /* CPU time one tick stands for */
	int64_t first_weight_ns; /* the same for the first tick; 0 once it came.  See timers.c */

	/*
	 * Known stack: [stack_lo, stack_hi) is readable for as long as the thread runs on
	 * it.  stack_hi 0: not known yet.  Written by the listener (lo first), read by the
	 * handler of this thread (hi first).
	 */
	atomic_uint_fast64_t stack_lo, stack_hi;
	atomic_uint
		slice_limit; /* bytes of stack to copy; the listener raises it for deep stacks */

	_Atomic uint64_t open_frame; /* cpu/within.c; 0: no frame was seen yet */
	_Atomic int64_t lost_ns;     /* CPU time of its ticks that the ring had no room for */
	int64_t final_ns;	     /* its CPU clock at its end, as far as known; before ENDED */
	int64_t born_at_ns;  /* CLOCK_MONOTONIC when it told us of its start; 0: it did not */
	int64_t ended_at_ns; /* and of its end, before ENDED */
	bool gone;	     /* it ended without a word: final_ns is of the last scan */

	/* Listener only. */
	uint64_t tp;	     /* thread pointer seen in a sample; 0: none yet */
	int64_t cpu_seen_ns; /* its CPU clock at the last scan */
	int64_t met_ns;	     /* its CPU clock when a tick met it, or a look from outside found it */
	bool ended_seen;     /* ENDED, and its last tick is in the ring or was taken from it */
	bool accounted;	     /* every profile knows what it used: the record may be recycled */
	uint32_t ticks_seen; /* samples walked since the last scan */
	bool found;	     /* by the scan under way */

	/* Who owns the timer: the listener or the thread itself, see arm.c. */
	bool counted;		/* its being unarmed is in a counter already */
	int64_t paused_left_ns; /* CPU time to the next tick when its timer was paused */
};

/* Makes the region.  Returns 0, or -1 without memory.  Context: listener. */
int threads_open(void);

/* Gives the pages back; no timer may be armed.  Context: listener. */
void threads_close(void);

/* The kernel has wiped the records; none is taken.  Context: child. */
void threads_after_fork(void);

/*
 * The record that a tick's si_value points to, or NULL if it is none of ours.
 * Context: handler.
 */
struct thread *thread_from_cookie(const void *cookie);

/* The calling thread's record, or NULL.  Context: hook. */
struct thread *thread_self(void);

/*
 * Remembers it, so that the next thread_self() is one load.  Not in the handler: what it
 * interrupted may have put other memory where thread-local variables are.  Context: hook.
 */
void thread_remember_self(struct thread *t);

/* A free record, marked UNARMED and owned by the caller; NULL when all are taken.  Context: hook,
 * listener. */
struct thread *thread_claim(int tid);

/* As thread_claim(), for a thread dump (thread.dump_id); hooks never take it for their own.
 * Context: listener.
 */
struct thread *thread_claim_once(int tid, uint32_t dump_id);

/*
 * Another live record of the same thread, or NULL.  A thread that starts and the
 * listener may both claim one: of two who ask after they claimed, one at least sees
 * the other's.  Context: hook, listener.
 */
struct thread *thread_twin(const struct thread *t);

/* Calls fn for every record that is not FREE.  Context: listener. */
void threads_each(void (*fn)(struct thread *t, void *arg), void *arg);

/* Below THREADS_MAX. */
uint32_t thread_index(const struct thread *t);

/* Makes an ENDED record FREE again.  Context: listener. */
void thread_recycle(struct thread *t);

/*
 * NULL, or which record breaks docs/PROTOCOLS.md, in words.  While nobody starts or stops
 * a timer.  Context: tests.
 */
const char *threads_check(void);

#endif
