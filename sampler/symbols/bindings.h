/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Which loaded objects call another definition of a function than ours: they were loaded
 * with RTLD_DEEPBIND, or into a namespace of their own (dlmopen), and what they do does
 * not come to our hooks.  Read from the slots that the loader filled in, so it is known
 * by what is, however it came to be.
 *
 * A slot that points into its own object is not bound yet (nothing was called through
 * it), or the object has a definition of its own.  One that points into the executable
 * is taken for bound to us: programs at fixed addresses lend their stubs to all others.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_BINDINGS_H
#define SAMPLER_SYMBOLS_BINDINGS_H

#include <stddef.h>

#include "sampler/process/module.h"

#define BINDINGS_NAME_MAX                                                                          \
	24 /* bytes of a function's name, with the NUL; longer ones match nothing */

/*
 * Finds objects that are bound past us for one of `names`, after modules_refresh().
 * Writes up to `max` of them to `out` and returns how many there are.
 */
size_t bindings_past_us(const char *const *names, size_t name_count, const struct module **out,
			size_t max);

#endif
