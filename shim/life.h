/*
 * Is this still the process that we were started in?  A page that the kernel
 * wipes in a forked child tells, and a vfork child (which shares our memory)
 * rightly reads it intact.  Pids tell nothing: a vfork child has its own.
 */
#ifndef SHIM_LIFE_H
#define SHIM_LIFE_H

#include <stdbool.h>

/* Returns 0, or -1 when the kernel has no such pages; then nothing may be started.  Context: init.
 */
int life_init(void);

/* True in a forked child: everything of ours is to be left alone.  Context: hook, handler. */
bool life_is_child(void);

/* True when a vfork child runs on our memory: process-wide state is not its own.  Context: hook. */
bool life_is_borrowed(void);

#endif
