/* base: memory, system calls, text, counters.  May include arch. */
/*
 * A place in the library's own zeroed data (.bss, see reserve.h) for what forked
 * children keep.  A fork copies each area of memory on its own, 2 to 3 us each; this
 * one it copies anyway.
 */
#ifndef SAMPLER_BASE_SHELF_H
#define SAMPLER_BASE_SHELF_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed and page aligned; NULL when there is no room.  Context: any role. */
void *shelf_take(size_t bytes);

/*
 * Gives back what is resident behind the last piece: of a huge page that lies over
 * it and smaller data, which was written to before anybody asked for none.
 * Context: init.
 */
void shelf_trim(void);

/* Whether it lies there.  Context: any role. */
bool shelf_has(const void *p);

/* What lies there; only the last piece makes room again.  Context: any role. */
void shelf_give_back(void *p, size_t bytes);

#endif
