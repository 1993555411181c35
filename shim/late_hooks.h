/* shim: the constructor and the settings.  May include shim/arch and below. */
/*
 * Hooks in a program that was attached to: those of allocations and of waits, and those that
 * follow what is loaded, unloaded and confined.  They come into force by import tables (slots.h).
 */
#ifndef SHIM_LATE_HOOKS_H
#define SHIM_LATE_HOOKS_H

/*
 * Into force, by the settings, and out of it again.  Context: init, with the loader's lock
 * (loader_lock.h).
 */
void late_hooks_begin(void);
void late_hooks_end(void);

#endif
