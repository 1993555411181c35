#include "shim/real/loader_lock.h"

#include <link.h>
#include <stddef.h>

#include "sampler/base/cc.h"
#include "shim/real/lookup.h"

/* What this thread wants done; NULL when it is. */
static __thread void (*wanted)(void);

static void nothing(void)
{
}

static __attribute__((used)) void (*do_wanted(void))(void)
{
	void (*work)(void) = wanted;

	wanted = NULL;
	if (work)
		work();
	return nothing;
}

/* Never called: to ask for it is enough. */
EXPORT void pprofshim_locked(void) __attribute__((ifunc("do_wanted")));

bool loader_lock_hold(void (*work)(void))
{
	static void *(*next_dlsym)(void *, const char *);
	const struct link_map *us = lookup_own_entry();

	if (!next_dlsym)
		next_dlsym = lookup_next("dlsym");
	if (!next_dlsym || !us)
		return false;
	wanted = work;
	next_dlsym((void *)(uintptr_t)us, "pprofshim_locked");
	work = wanted;
	wanted = NULL;
	return !work;
}
