/*
 * Who calls this: the dlclose hook announces an unload (code_unload_begin, _end);
 * the listener refreshes before it walks; every hook that walks asks code_is_fresh().
 *
 * The one structure is `code`: three numbers that hooks and listener share.  The one
 * order that matters: an unload raises `unloading`, then `unloads`, and the listener
 * stores into `caught_up` the value that `unloads` had before it read the loader's
 * list.  docs/PROTOCOLS.md, "Loaded code", has the states.
 */
#include "sampler/unwind/code.h"

#include <link.h>
#include <stdatomic.h>
#include <stddef.h>

#include "sampler/base/sys.h"
#include "sampler/process/modules.h"
#include "sampler/unwind/learn.h"

static struct {
	atomic_uint unloading; /* hooks: threads that are at it */
	atomic_uint unloads;   /* hooks */
	atomic_uint caught_up; /* value of `unloads` before the last refresh */
	size_t modules_known;  /* entries of the module table whose addresses are fresh */
	uint32_t generation;
	int64_t refreshed_ns;
} code;

/* Whether rows had been learned there. */
static bool forget_ranges(const struct module *m)
{
	bool any = false;

	for (uint32_t i = 0; i < m->range_count; i++)
		any |= learn_forget(m->range[i].start, m->range[i].limit);
	return any;
}

/* Drops the unwind rows in the address ranges of modules that were loaded or unloaded. */
static void forget_changes(void)
{
	bool went = code.generation != modules_generation(), was_met = false;

	for (size_t i = 0; i < modules_count(); i++) {
		const struct module *m = module_at(i);

		if (went && m->died > code.generation && m->died != UINT32_MAX)
			forget_ranges(m);
		else if (i >= code.modules_known)
			was_met |= forget_ranges(m);
	}
	if (was_met)
		modules_renew(code.modules_known);
	code.modules_known = modules_count();
	code.generation = modules_generation();
}

/* While the loader is at work its list may still show an object that is being unloaded. */
static bool loader_is_at_rest(void)
{
	return __atomic_load_n(&_r_debug.r_state, __ATOMIC_ACQUIRE) == RT_CONSISTENT;
}

bool code_refresh(void)
{
	unsigned unloads = atomic_load_explicit(&code.unloads, memory_order_acquire);
	bool at_rest = loader_is_at_rest();
	bool changed = modules_refresh();

	code.refreshed_ns = sys_now_ns();
	if (changed)
		forget_changes();
	/* release: who sees that we caught up does not see the old rows */
	if (at_rest && modules_are_current() && loader_is_at_rest())
		atomic_store_explicit(&code.caught_up, unloads, memory_order_release);
	return changed;
}

int64_t code_refreshed_ns(void)
{
	return code.refreshed_ns;
}

void code_after_fork(void)
{
	if (!modules_after_fork())
		code.modules_known = 0;
	if (atomic_exchange(&code.unloading, 0))
		atomic_fetch_add(&code.unloads, 1);
}

void code_unload_begin(void)
{
	atomic_fetch_add_explicit(&code.unloading, 1, memory_order_seq_cst);
}

/*
 * Raise `unloads` before lowering `unloading`: code_is_fresh() must be false at every
 * moment until the listener has caught up.
 */
void code_unload_end(void)
{
	atomic_fetch_add_explicit(&code.unloads, 1, memory_order_seq_cst);
	atomic_fetch_sub_explicit(&code.unloading, 1, memory_order_seq_cst);
}

unsigned code_unloads(void)
{
	return atomic_load_explicit(&code.unloads, memory_order_acquire);
}

bool code_is_fresh(void)
{
	return atomic_load_explicit(&code.unloading, memory_order_acquire) == 0 &&
	       atomic_load_explicit(&code.caught_up, memory_order_acquire) ==
		       atomic_load_explicit(&code.unloads, memory_order_acquire);
}

void code_catch_up(void)
{
	if (!code_is_fresh())
		code_refresh();
}
