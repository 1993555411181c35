#include "shim/hooks/allocator.h"

#include <stddef.h>

#include "sampler/base/cc.h"
#include "sampler/heap/heap.h"
#include "shim/real/lookup.h"

/* By one of the functions that only they have and that have no hook: tcmalloc, mimalloc. */
static bool has_own_calls(void)
{
	static const char *const names[] = { "tc_malloc", "mi_malloc", "je_malloc" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (lookup_next(names[i]) || lookup_comes_earlier(names[i]))
			return true;
	return false;
}

unsigned allocator_unseen(void)
{
	return (lookup_comes_earlier("malloc") ? HEAP_UNSEEN_MALLOC : 0) |
	       (lookup_comes_earlier("_Znwm") ? HEAP_UNSEEN_NEW : 0) |
	       (has_own_calls() ? HEAP_UNSEEN_OWN_CALLS : 0);
}
