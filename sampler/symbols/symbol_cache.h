/* symbols: names and lines of addresses.  May include process and below. */
/*
 * What debug information said about addresses, for the next profile.  A scraper
 * asks about the same code every few seconds, and to unpack the debug file of
 * libc alone takes 40 ms.
 *
 * Only modules with a build id are remembered.  What was found with the debug
 * information at hand and whole is for everybody: no other file can say otherwise
 * later.  What was found in .gnu_debugdata, which has to be unpacked as a whole, is for who
 * has seen that there is nothing better; so a debug package that is installed during an
 * incident is seen at once.
 *
 * Holds SYMBOL_CACHE_BYTES at most and begins anew when they are full; gives all
 * back SYMBOL_CACHE_NS after it was last asked.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_SYMBOL_CACHE_H
#define SAMPLER_SYMBOLS_SYMBOL_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/base/intern.h"
#include "sampler/process/modules.h"
#include "sampler/symbols/symbol.h"

#define SYMBOL_CACHE_BYTES (4UL << 20)	       /* some 10,000 addresses of C++ */
#define SYMBOL_CACHE_NS	   (60LL * 1000000000) /* scrapers come every 10 to 30 s */

enum symbol_source {
	SYMBOL_OF_DEBUG_FILE,
	SYMBOL_OF_MINI, /* .gnu_debugdata */
};

/*
 * Fills `out` with a copy in `a`, its strings in `strings` (whose arena is `a`).
 * False when `addr`, as in the file, is not known, or `a` is exhausted.
 */
bool symbol_cache_find(const struct module *m, uint64_t addr, enum symbol_source source,
		       struct arena *a, struct intern *strings, struct symbol *out);

/* Copies what was found. */
void symbol_cache_add(const struct module *m, uint64_t addr, enum symbol_source source,
		      const struct symbol *s);

/*
 * Called after each piece of the listener's work.  Gives back what is due; returns
 * when to be called again at the latest, CLOCK_MONOTONIC ns, or INT64_MAX.
 */
int64_t symbol_cache_do_due(int64_t now_ns);

/* What it held is not there.  Context: child. */
void symbol_cache_after_fork(void);

#endif
