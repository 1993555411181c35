/*
 * The constructor, for a program that starts with us.  Whatever goes wrong leaves a pure
 * pass-through behind and, where a user would wonder, one sentence on stderr.
 */
#include <stdbool.h>
#include <sys/auxv.h>

#include "sampler/base/cc.h"
#include "sampler/heap/heap.h"
#include "shim/hooks/allocator.h"
#include "shim/hooks/map.h"
#include "shim/late.h"
#include "shim/life/ending.h"
#include "shim/life/listener.h"
#include "shim/life/takeover.h"
#include "shim/life/tell.h"
#include "shim/profiler.h"
#include "shim/real/lookup.h"

/* By this a second copy of us, under another name in LD_PRELOAD, knows the first. */
EXPORT const char pprofshim_marker[] = PPROFSHIM_VERSION;

/* False: this copy is one that cannot work. */
static bool check_preloaded(void)
{
	if (getauxval(AT_SECURE) || lookup_comes_earlier("pprofshim_marker"))
		return false;
	/* loaded by dlopen we come after libc in search order, so lookup_next() finds nothing */
	if (lookup_next("malloc"))
		return true;
	tell_user("libpprofshim.so was loaded by the running program; it works by LD_PRELOAD only");
	return false;
}

/* What keeps it dormant then is heard, and it can be woken. */
static bool is_one_that_works(int argc, char **argv)
{
	if (!check_preloaded())
		return false;
	late_expect_tool(argc, argv);
	return true;
}

static void start(int argc, char **argv)
{
	const struct settings *s = profiler_settings();
	enum listener_outcome outcome;

	profiler_start(argc, argv);
	outcome = listener_start(s->port, s->key, late_service_of_preloaded());
	late_note_outcome(outcome);
	profiler_tell_outcome(outcome);
	if (listener_was_called())
		ending_expect(takeover_finish);
}

/* glibc hands a constructor main's three arguments. */
static __attribute__((constructor)) void init(int argc, char **argv, char **environment)
{
	if (late_is_handed_over(argc, argv))
		return;
	allocator_hide_idle();
	if (is_one_that_works(argc, argv) && profiler_check(environment))
		start(argc, argv);
	else
		heap_turn_off();
	if (!map_is_on())
		map_hide();
}
