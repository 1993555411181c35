/* base: memory, system calls, text, counters.  May include arch. */
/*
 * What this process is to us.  The state lies in a page that the kernel wipes in a
 * forked child: so a child knows itself by reading one word, whatever made it (fork,
 * clone, a raw system call).  A vfork child, which runs on our memory, rightly reads
 * it intact.  Process ids tell nothing: a vfork child has one of its own.
 *
 *   FORKED    nobody has looked yet, all of our state is the parent's
 *   ENTERING  one thread is putting our state in order
 *   YOUNG     a child that may yet outlive its parent: the heap is recorded
 *   WORKER    a child beside its parent, or a process in which our thread cannot be (a filter,
 *             a call refused): nothing is recorded
 *   PAUSED    ours, but its listener is away and has to be started again
 *   OURS      with all that we do
 *
 * Who moves between them is in the table of process_state.c, and drawn in
 * docs/PROTOCOLS.md, "Life after fork".
 */
#ifndef SAMPLER_BASE_PROCESS_STATE_H
#define SAMPLER_BASE_PROCESS_STATE_H

#include <stdatomic.h>
#include <stdbool.h>

enum process_state {
	PROCESS_FORKED, /* what a wiped page reads as */
	PROCESS_ENTERING,
	PROCESS_YOUNG,
	PROCESS_WORKER,
	PROCESS_PAUSED,
	PROCESS_OURS,
};

enum process_event {
	PROCESS_FIRST_HOOK,	/* a hook ran that needs to know */
	PROCESS_IN_ORDER,	/* it has put our state in order */
	PROCESS_TEN_SECONDS,	/* and the parent is still there */
	PROCESS_PORT_WON,	/* its own listener serves */
	PROCESS_LISTENER_ENDED, /* for a moment, see listener_pause_begin() in takeover.h */
	PROCESS_LISTENER_BACK,
	PROCESS_FILTERED, /* it never comes back: the program's filter or the kernel is in its way
			   */
	PROCESS_EVENTS
};

/* Returns 0, or -1 when the kernel has no such pages; then nothing may be started.  Context: init.
 */
int process_state_init(void);

/* For process_state() only; NULL before process_state_init(). */
extern atomic_int *process_state_page;

/* PROCESS_OURS before process_state_init().  Context: any role. */
static inline enum process_state process_state(void)
{
	return process_state_page ? (enum process_state)atomic_load_explicit(process_state_page,
									     memory_order_acquire)
				  : PROCESS_OURS;
}

/* True when this thread made a change that the event stands for.  Context: hook, listener. */
bool process_moves(enum process_event event);

/*
 * Hooks and handler may do all that they do.  In any other process, and for as long
 * as the listener is away, they leave our state alone.  Context: any role.
 */
static inline bool process_is_ours(void)
{
	return process_state() == PROCESS_OURS;
}

/* Our state is that of this process, so it may be used.  Context: hook. */
static inline bool process_is_in_order(void)
{
	return process_state() > PROCESS_ENTERING;
}

/* The heap is recorded here.  Context: hook. */
static inline bool process_records_heap(void)
{
	enum process_state now = process_state();

	return now == PROCESS_YOUNG || now == PROCESS_PAUSED || now == PROCESS_OURS;
}

/*
 * True when a vfork child runs on our memory: process-wide state is not its own.  Where
 * hooks are to make no system call it is not known, and false.  Context: hook.
 */
bool process_is_borrowed(void);

/* The calling process is no vfork child: it is the one whose memory this is.  Context: child. */
void process_state_after_fork(void);

#endif
