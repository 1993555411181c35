/* threads: what each thread does, and who created it.  May include wall and below. */
/*
 * Which call created each thread that is alive: what the threadcreate profile
 * shows.  The creator's stack is taken in the pthread_create hook, and noted
 * under the thread's id by the thread itself.
 *
 * Threads that end without telling (cancelled, or by a raw system call) are found
 * out when the list is read.  docs/PROTOCOLS.md, "Births".
 */
#ifndef SAMPLER_THREADS_BIRTHS_H
#define SAMPLER_THREADS_BIRTHS_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/unwind/learn.h"
#include "sampler/unwind/stacks.h"

struct site;

/*
 * Nothing is recorded before.  `own_tid` tells a thread its id without a system call, 0
 * if it cannot; it is asked where hooks are to make none.  Context: init.
 */
void births_turn_on(int (*own_tid)(void));

/* Context: hook. */
bool births_are_on(void);

/* The stack of a call of pthread_create from `caller` (pc is a return address).  Context: hook. */
struct site *birth_site(struct frame_regs caller);

/* First and last act of a thread that was created there.  Context: hook. */
void birth_begin(struct site *site);
void birth_end(void);

/* The parent's threads are not here.  Context: child. */
void births_after_fork(void);

/* Calls fn for every thread that is noted, also some that may have ended.  Context: listener. */
void births_each(void (*fn)(int tid, void *arg), void *arg);

/*
 * The same with the site that created the thread; of two calls with one tid, the one
 * with the later order is right.  Context: listener.
 */
void births_each_site(void (*fn)(int tid, uint32_t order, const struct site *s, void *arg),
		      void *arg);

/* Adds every thread but ours to its creator's stack, in value[0].  Context: listener. */
void births_snapshot(struct stack_table *t);

#endif
