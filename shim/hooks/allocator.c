#include "shim/hooks/allocator.h"

#include <stddef.h>

#include "sampler/base/cc.h"
#include "sampler/heap/heap.h"
#include "shim/real/lookup.h"

/* By one of the functions that only they have: those in front of ours are not hooked. */
static unsigned own_calls(void)
{
	static const char *const names[] = { "tc_malloc", "mi_malloc" };
	unsigned found = lookup_next("je_malloc") || lookup_comes_earlier("je_malloc")
				 ? HEAP_UNSEEN_OWN_CALLS
				 : 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		found |= lookup_next(names[i]) ? HEAP_UNSEEN_SOME_CALLS : 0;
		found |= lookup_comes_earlier(names[i]) ? HEAP_UNSEEN_OWN_CALLS : 0;
	}
	return found;
}

/* By an object in front of ours, or, where none is in front, by the program itself. */
static bool is_hidden(const char *name)
{
	return lookup_comes_earlier(name) || lookup_program_defines(name);
}

unsigned allocator_unseen(void)
{
	return (is_hidden("malloc") ? HEAP_UNSEEN_MALLOC : 0) |
	       (is_hidden("_Znwm") ? HEAP_UNSEEN_NEW : 0) | own_calls();
}
