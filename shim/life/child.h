/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * What becomes of us in a forked child, and of a child that outlives its parent.
 *
 *   WIPED -> YOUNG      the first hook that needs to know puts our state in order: what
 *                       only the listener had is forgotten, the tables that hooks share
 *                       are whole at every instruction and stay
 *   YOUNG -> WORKER     its parent is still there after some seconds: a worker; nothing
 *                       is recorded any more
 *   YOUNG, WORKER -> WHOLE   its parent is gone and the port is free: its own listener
 *                       has the port and serves
 *   WHOLE -> PARKED     the listener had to go, see child_park()
 *   PARKED -> WHOLE     it is back
 *
 * Nothing of this happens in the fork itself, nor in a child that only executes
 * another program.  A listener is started at a safe point alone: in a call that
 * may block (waits.c), never inside malloc.
 */
#ifndef SHIM_LIFE_CHILD_H
#define SHIM_LIFE_CHILD_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Children of this process may take over from now on.  `on_whole` is called each
 * time that this process has become whole (again), by the listener.  Context: init.
 */
void child_init(void (*on_whole)(void));

/* May the heap hooks record here?  True outside of children.  Context: hook. */
bool child_records(void);

/* At every sampled allocation of a child: looks whether it has become a worker.  Context: hook. */
void child_settle(void);

/*
 * Whether this wait is one of those at which a child looks after its parent; most
 * of a busy child's are not.  Context: hook.
 */
bool child_is_to_look(void);

/*
 * A safe point: starts a listener if it is this process's turn.  `blocked` is the
 * thread's signal mask, NULL: to be looked up.  Most of these calls may be made by a
 * signal handler, which may have interrupted malloc: so nothing is started while
 * a signal is blocked that has a handler, or on an alternate stack.  A call that no
 * handler makes passes child_no_handler.
 * Context: hook.
 */
void child_chance(const uint64_t *blocked);
extern const uint64_t child_no_handler;

/* The same for a child whose parent ends by itself, in this moment.  Context: hook. */
void child_succeed(void);

/* True while this child is to look after its parent now and then.  Context: hook. */
bool child_keeps_watch(void);

/*
 * Ends the listener until the next safe point, because the calling thread is
 * about to do what the kernel refuses to processes with several threads (enter a
 * user namespace), or what it does to one thread only (give up capabilities): the
 * next listener, made by that thread, is as confined as it is.  Otherwise it
 * would stay behind with all privileges, and the next set*id, which libc makes on
 * every thread, would abort the process because its results differ.
 * Context: hook.
 */
void child_park(void);

/* The listener that was parked is started again now.  Context: hook, not in a signal handler. */
void child_unpark(void);

/* Before fork(): its child will know whose it is.  Context: hook. */
void child_before_fork(void);

/* The pid of the process that served before this one, 0 if none did.  Context: listener. */
int child_predecessor(void);

#endif
