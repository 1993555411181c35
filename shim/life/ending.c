#include "shim/life/ending.h"

#include <stddef.h>

#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "shim/real/lookup.h"

static void (*last_words)(void);

void ending_now(void)
{
	if (last_words && !sandbox_is_noted() && !process_is_borrowed())
		last_words();
}

static void at_exit(void *unused)
{
	(void)unused;
	ending_now();
}

/*
 * Registered by a preloaded library's constructor it comes before all others, those of the
 * loader included, so it is called last.
 */
void ending_expect(void (*fn)(void))
{
	int (*cxa_atexit)(void (*)(void *), void *, void *) = lookup_next("__cxa_atexit");

	last_words = fn;
	if (cxa_atexit)
		cxa_atexit(at_exit, NULL, NULL);
}
