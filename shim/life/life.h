/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * Is this still the process that we were started in?  A page that the kernel
 * wipes in a forked child tells, and a vfork child (which shares our memory)
 * rightly reads it intact.  Pids tell nothing: a vfork child has its own.
 *
 * The page holds what this process is to us.  The states and who moves between
 * them are in child.h.
 */
#ifndef SHIM_LIFE_LIFE_H
#define SHIM_LIFE_LIFE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum life {
	LIFE_WIPED,    /* forked, and nobody has looked yet */
	LIFE_ENTERING, /* somebody is putting our state in order */
	LIFE_YOUNG,    /* a child that may yet outlive its parent: the heap is recorded */
	LIFE_WORKER,   /* a child beside its parent: dormant */
	LIFE_PARKED,   /* ours, but its listener has to be started again */
	LIFE_WHOLE,    /* ours, with all that we do */
};

/* Returns 0, or -1 when the kernel has no such pages; then nothing may be started.  Context: init.
 */
int life_init(void);

/* For life_now() only; NULL before life_init(). */
extern atomic_int *life_page;

/* Context: hook, handler.  LIFE_WHOLE before life_init(). */
static inline enum life life_now(void)
{
	return life_page ? (enum life)atomic_load_explicit(life_page, memory_order_acquire)
			 : LIFE_WHOLE;
}

/* True when this thread made the change.  Context: hook, listener. */
bool life_move(enum life from, enum life to);

/*
 * True when this process is not, or not now, the one that is profiled: in a
 * forked child everything of ours but what child.h allows is to be left alone.
 * Context: hook, handler.
 */
static inline bool life_is_child(void)
{
	return life_now() != LIFE_WHOLE;
}

/* True when a vfork child runs on our memory: process-wide state is not its own.  Context: hook. */
bool life_is_borrowed(void);

/* The calling process is no vfork child: it is the one whose memory this is.  Context: child. */
void life_note_pid(void);

#endif
