/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Names for people out of linkage names: C++ and Rust, by libiberty's callback
 * interfaces, which allocate nothing, and D, with an arena.
 *
 * libiberty keeps its parts on the stack, about 72 bytes for each byte of the
 * name, and recurses while it prints, about 360 bytes a level, at most 1024
 * levels.  A name whose length and nesting could need more than 480 KiB is
 * left as it is; a forged one can mislead that estimate up to 680 KiB, which
 * still fits the listener's 1 MiB.  Output is bounded by leaving the library
 * through a jump once there is enough of it: names may expand exponentially.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DEMANGLE_H
#define SAMPLER_SYMBOLS_DEMANGLE_H

#include <stddef.h>

#define MANGLED_MAX    4096 /* longer names are not demangled */
#define NAME_MAX_BYTES 1024 /* of a name shown; longer ones have "..." in the middle */

/*
 * Puts the name for users of linkage name `mangled` into `to`: without
 * parameters, return type, hash or clone suffix; as valid UTF-8 without
 * control characters.  A name that is not mangled is copied.  Of one that is too
 * long, beginning and end are kept and between them a number made of all of
 * `mangled`, so that different functions never get one name.  Returns the length.
 */
size_t demangle(const char *mangled, char to[NAME_MAX_BYTES + 1]);

#endif
