/*
 * A place in the library's own zeroed data (.bss) for what forked children keep.
 * A fork copies each area of memory on its own, 2 to 3 us each; this one it copies
 * anyway.
 */
#ifndef SAMPLER_SHELF_H
#define SAMPLER_SHELF_H

#include <stdbool.h>
#include <stddef.h>

/* The ring and the sites of what is always on, and what a profile of some fifty modules takes. */
#define SHELF_BYTES (3UL << 20)

/* Zeroed and page aligned; NULL when there is no room.  Context: any role. */
void *shelf_take(size_t bytes);

/* False: it was not of the shelf.  Only the last piece makes room again.  Context: any role. */
bool shelf_give_back(void *p, size_t bytes);

#endif
