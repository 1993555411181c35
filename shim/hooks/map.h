/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/*
 * Memory that the program has from the kernel and not from malloc: mmap, munmap, mremap,
 * sbrk, brk.  In the heap profile when it is asked for; else these hooks are out of the
 * loader's sight, and one jump where somebody is bound to them already.
 *
 * Counted is what is anonymous and can be used: files are the page cache's, and what is
 * mapped without access is but addresses.  What the allocator asks for is counted where
 * the program allocates, and libc's own calls do not come here.
 *
 * Context: init.
 */
#ifndef SHIM_HOOKS_MAP_H
#define SHIM_HOOKS_MAP_H

#include <stdbool.h>

/* They count from now on. */
void map_turn_on(void);

bool map_is_on(void);

/* They are to count nothing. */
void map_hide(void);

#endif
