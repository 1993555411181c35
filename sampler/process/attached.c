#include "sampler/process/attached.h"

#include <stdint.h>
#include <time.h>

#include "sampler/base/sys.h"
#include "sampler/base/text.h"

static bool is_attached, is_hooked;
static char since[32], comment[320], refusal[320];

/* Where the program is, in time zones, only its libc could tell. */
static void write_since(void)
{
	struct text t = TEXT_INIT(since);

	text_time_of_day(&t, (uint64_t)(sys_clock_ns(CLOCK_REALTIME) / NS_PER_SECOND));
}

static void write_comment(void)
{
	struct text t = TEXT_INIT(comment);

	text_str(&t, "Attached to the running program: since ");
	text_str(&t, since);
	text_str(&t, is_hooked ? ". Allocations, waits and creators of threads are recorded since "
				 "then, where they come through import tables"
			       : ". What it calls is not hooked: allocations and waits are not "
				 "recorded, creators of threads are not known");
	text_str(&t, ", and of forked children only those are in it that "
		     "were attached to as well.");
}

static void write_refusal(void)
{
	struct text t = TEXT_INIT(refusal);

	text_str(&t, "attached to the running program at ");
	text_str(&t, since);
	text_str(&t,
		 ", whose allocations and waits are not hooked; attach with --hooks, or start it "
		 "with pprof-inject, to have this profile");
}

void attached_note(bool has_hooks)
{
	is_hooked = has_hooks;
	write_since();
	write_comment();
	write_refusal();
	is_attached = true;
}

void attached_note_woken(void)
{
	struct text t = TEXT_INIT(comment);

	write_since();
	text_str(&t, "The library was dormant from the program's start, and was woken: "
		     "allocations, waits and creators of threads are recorded since ");
	text_str(&t, since);
	text_str(&t, ", and of forked children only those are in it that were forked since then.");
}

bool attached_is(void)
{
	return is_attached;
}

bool attached_is_late(void)
{
	return *since;
}

const char *attached_since(void)
{
	return since;
}

const char *attached_comment(void)
{
	return attached_is_late() ? comment : NULL;
}

const char *attached_refusal(void)
{
	return is_attached && !is_hooked ? refusal : NULL;
}
