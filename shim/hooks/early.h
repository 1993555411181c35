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
#include "sampler/heap/heap.h"

/* Where thread-local words are then is a spare one of libc's (.ci/early.sh).  Context: hook. */
static inline bool hooks_are_early(void)
{
	return (uint64_t)&heap_left - (uint64_t)__builtin_thread_pointer() == ARCH_SPARE_TLS;
}

#endif
