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
#ifndef SHIM_CHILD_H
#define SHIM_CHILD_H

#include <stdbool.h>

/* Children of this process may take over from now on.  Context: init. */
void child_init(void);

/* A filter forbids to ask for the parent: children stay dormant.  Context: init. */
void child_disable(void);

/* May the heap hooks record here?  True outside of children.  Context: hook. */
bool child_records(void);

/* At every sampled allocation of a child: looks whether it has become a worker.  Context: hook. */
void child_settle(void);

/* A safe point: starts a listener if it is this process's turn.  Context: hook. */
void child_chance(void);

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

/* The listener that was parked is started again now.  Context: hook, at a safe point. */
void child_unpark(void);

/* Around fork().  Context: hook. */
void child_before_fork(void);
void child_after_fork(bool is_child);

/* The pid of the process that served before this one, 0 if none did.  Context: listener. */
int child_predecessor(void);

#endif
