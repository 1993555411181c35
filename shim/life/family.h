/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * A page that this process shares with all that it forks and that they fork: what
 * cannot be told by memory that a fork copies.  A process says that it is about to
 * exit, which a child in the middle of a daemon's start wants to know; and each child
 * says why it has no endpoint, which the one that has it shows on its shim page.
 *
 * The page has a name, which /proc shows in the maps of each of them.  By that a program
 * that one of them executes knows whose helper it is (ancestor.h), whatever the file is
 * called that we were loaded from.
 *
 * A slot is found by process id; two ids that meet in one lose what the first said.
 * What any of them writes here can make another only wait for its parent, or show a
 * wrong reason.
 */
#ifndef SHIM_LIFE_FAMILY_H
#define SHIM_LIFE_FAMILY_H

#include <stdbool.h>

/* What /proc/PID/maps shows of it; another name where the program's limits forbid it. */
#define FAMILY_MAPPING "/memfd:pprofshim"

/* Without memory nothing is told.  Context: init. */
void family_init(void);

/* Process `pid`, the calling one, is about to exit.  Context: hook. */
void family_note_leaving(int pid);

/* Context: hook, listener. */
bool family_is_leaving(int pid);

/* Why `pid`, the calling process, has no endpoint: a takeover_reason.  Context: hook, listener. */
void family_note_reason(int pid, int reason);

/* Calls fn for each process that said so and is still there.  Context: listener. */
void family_each_reason(void (*fn)(int reason, void *arg), void *arg);

#endif
