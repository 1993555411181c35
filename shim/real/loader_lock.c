#include "shim/real/loader_lock.h"

#include <dlfcn.h>
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

	if (!next_dlsym)
		next_dlsym = lookup_next("dlsym");
	if (!next_dlsym)
		return false;
	wanted = work;
	/*
	 * As who calls sees it: that is us, however we came here.  Our record in the loader's list
	 * is a handle only if dlopen() made it: of a preloaded library it has no scope.
	 */
	next_dlsym(RTLD_DEFAULT, "pprofshim_locked");
	work = wanted;
	wanted = NULL;
	return !work;
}
