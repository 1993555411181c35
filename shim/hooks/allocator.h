/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/*
 * Which allocator the program has, as far as its symbols tell.
 *
 * Context: init.
 */
#ifndef SHIM_HOOKS_ALLOCATOR_H
#define SHIM_HOOKS_ALLOCATOR_H

#include <stddef.h>

#include "shim/real/slots.h"

/* What does not come to the hooks: HEAP_UNSEEN_*. */
unsigned allocator_unseen(void);

/*
 * Operator new and what else an allocator may have besides malloc: hooks that count
 * nothing are taken out of the loader's sight, so that what is loaded later finds what
 * it would find without us.
 */
void allocator_hide_idle(void);

/*
 * The hooks that count, and know by now what they go on to: malloc and its family, and those
 * of the others that do anything.  At most ALLOCATOR_FUNCTIONS_MAX together; returns how many.
 */
#define ALLOCATOR_FUNCTIONS_MAX 128
size_t allocator_list_family(struct slots_function *out);
size_t allocator_list_counted(struct slots_function *out);

#endif
