/* base: memory, system calls, text, counters.  May include arch. */
/*
 * The two large reserves in the library's zeroed data (.bss), of which most is never
 * touched.  They lie behind all else: a fork copies a table for each 2 MiB in which
 * anything was touched, and a huge page that lies over smaller data reaches into the
 * shelf, which can give it back (shelf_trim).
 */
#ifndef SAMPLER_BASE_RESERVE_H
#define SAMPLER_BASE_RESERVE_H

#include <stdint.h>

#include "sampler/base/cc.h"

/* See shelf.h.  The ring and the sites of what is always on, and what a profile of some fifty
 * modules takes. */
#define SHELF_BYTES (3UL << 20)

/* See live.h. */
#define LIVE_FILTER_BYTES (1UL << 22)

struct reserve {
	uint8_t shelf[SHELF_BYTES];
	uint8_t live_filter[LIVE_FILTER_BYTES];
};

extern struct reserve reserve __attribute__((visibility("hidden")));

#endif
