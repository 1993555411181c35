/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/*
 * Whether we are called before the loader has relocated us: then neither pointers in tables
 * nor functions of others can be used.
 */
#ifndef SHIM_HOOKS_EARLY_H
#define SHIM_HOOKS_EARLY_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/heap/heap.h"
#include "shim/real/lookup.h"

/* Where thread-local words are then is a spare one of libc's (.ci/early.sh).  Context: hook. */
static inline bool hooks_are_early(void)
{
	return (uint64_t)&heap_left - (uint64_t)__builtin_thread_pointer() == ARCH_SPARE_TLS;
}

/*
 * The same at the price of a comparison, for a table whose entries are relocated: what they
 * hold before is where the linker would have put us, nothing or less than any address that a
 * library has.  Then EARLY() calls the next definition of the name; or the one in the table, as a
 * program that was linked to a fixed address has less, too, where it has its own definition.
 * Valgrind puts libraries at 64 MiB.
 */
#define LEAST_ADDRESS (1UL << 24)

#define CALL_BOUND(table, name, arguments)                                                         \
	(LIKELY((uint64_t)(table).name >= LEAST_ADDRESS) ? (table).name arguments                  \
							 : early_##name arguments)

/* Apart, so that the way past it is a jump. */
#define EARLY(table, name, type, parameters, arguments)                                            \
	static COLD NOINLINE type early_##name parameters                                          \
	{                                                                                          \
		if (!hooks_are_early())                                                            \
			return (table).name arguments;                                             \
		return ((type(*) parameters)lookup_next_early(#name))arguments;                    \
	}

#endif
