/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/*
 * Which allocator the program has, as far as its symbols tell.
 *
 * Context: init.
 */
#ifndef SHIM_HOOKS_ALLOCATOR_H
#define SHIM_HOOKS_ALLOCATOR_H

/* What does not come to the hooks: HEAP_UNSEEN_*. */
unsigned allocator_unseen(void);

/*
 * Operator new and what else an allocator may have besides malloc: hooks that count
 * nothing are taken out of the loader's sight, so that what is loaded later finds what
 * it would find without us.
 */
void allocator_hide_idle(void);

#endif
