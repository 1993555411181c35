/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * Pages that this process shares with all that it forks and that they fork: what
 * cannot be told by memory that a fork copies.  A process says that it is about to
 * exit, which a child in the middle of a daemon's start wants to know; each child
 * says why it has no endpoint, which the one that has it shows on its shim page; and
 * that one says when a profile of all of them is wanted.
 *
 * The pages have a name, which /proc shows in the maps of each of them.  By that a program
 * that one of them executes knows whose helper it is (ancestor.h), whatever the file is
 * called that we were loaded from.
 *
 * A slot is found by process id; two ids that meet in one lose what the first said.
 * What any of them writes here can make another only wait for its parent, start a
 * listener that nobody asks, or show a wrong reason.
 */
#ifndef SHIM_LIFE_FAMILY_H
#define SHIM_LIFE_FAMILY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/sys.h"

/* What /proc/PID/maps shows of it; another name where the program's limits forbid it. */
#define FAMILY_MAPPING "/memfd:pprofshim"

/* Without memory nothing is told.  Context: init. */
void family_init(void);

/*
 * For a program that is attached to, in which no hook is in force: its children have nothing
 * to do with us, so they do not inherit the pages; and at the end they are gone, name and all.
 * In a child that is attached to, family_init() makes its own.  Context: init; listener.
 */
void family_keep_from_children(void);
void family_leave(void);

/* ---- who is wanted */

/* How long members stay after they were asked for the last time. */
#define FAMILY_ASKED_NS (60 * NS_PER_SECOND)

/* A number that moves with each call of family_ask(); NULL before family_init(). */
extern const atomic_uint *family_calls;

/*
 * All members are wanted from now on, for FAMILY_ASKED_NS: those that are not there see
 * it at their next wait or sample.  Context: listener.
 */
void family_ask(void);

/* Somebody called since this process looked last, or since it was forked.  Context: hook. */
static inline bool family_has_called(unsigned seen)
{
	return family_calls && atomic_load_explicit(family_calls, memory_order_relaxed) != seen;
}

/*
 * The same for process `pid` and all that share its pages, which are others than ours: it
 * was forked before its parent executed a program anew.  Needs the right to write to its
 * memory.  Context: listener.
 */
void family_ask_other(int pid);

/* Members are wanted now.  Context: hook. */
bool family_is_asked(void);

/* ---- what its processes say */

/* Process `pid`, the calling one, is about to exit.  Context: hook. */
void family_note_leaving(int pid);

/* Context: hook, listener. */
bool family_is_leaving(int pid);

/*
 * The calling process ends, and nobody ever asked it what it allocated and waited for.
 * Context: hook.
 */
void family_note_unasked(uint64_t allocated);

/*
 * How many said so, and what they had allocated in all; `as_member`: 0 in a forked process, as
 * another one has the same pages.  Context: listener.
 */
uint64_t family_unasked(bool as_member, uint64_t *allocated);

/* Why `pid`, the calling process, has no endpoint: a takeover_reason.  Context: hook, listener. */
void family_note_reason(int pid, int reason);

/* What `pid` said last, or -1: nothing.  Context: listener. */
int family_reason_of(int pid);

/* Calls fn for each process that said so and is still there.  Context: listener. */
void family_each_reason(void (*fn)(int reason, void *arg), void *arg);

#endif
