#include "sampler/code.h"

#include <stdatomic.h>
#include <stddef.h>

#include "sampler/learn.h"
#include "sampler/modules.h"
#include "sampler/sys.h"

static struct {
	atomic_uint unloads;   /* hooks */
	atomic_uint caught_up; /* value of `unloads` before the last refresh */
	size_t modules_known;  /* entries of the module table whose addresses are fresh */
	uint32_t generation;
	int64_t refreshed_ns;
} code;

static void forget_ranges(const struct module *m)
{
	for (uint32_t i = 0; i < m->range_count; i++)
		learn_forget(m->range[i].start, m->range[i].limit);
}

/* Rows learned at addresses that a module came to or went from are of something else. */
static void forget_changes(void)
{
	bool went = code.generation != modules_generation();

	for (size_t i = 0; i < modules_count(); i++) {
		const struct module *m = module_at(i);

		if (i >= code.modules_known ||
		    (went && m->died > code.generation && m->died != UINT32_MAX))
			forget_ranges(m);
	}
	code.modules_known = modules_count();
	code.generation = modules_generation();
}

bool code_refresh(void)
{
	unsigned unloads = atomic_load_explicit(&code.unloads, memory_order_acquire);
	bool changed = modules_refresh();

	code.refreshed_ns = sys_now_ns();
	if (changed)
		forget_changes();
	/* release: who sees that we caught up does not see the old rows */
	atomic_store_explicit(&code.caught_up, unloads, memory_order_release);
	return changed;
}

int64_t code_refreshed_ns(void)
{
	return code.refreshed_ns;
}

void code_release(void)
{
	learn_release();
	modules_release();
	code.modules_known = 0;
	code.generation = modules_generation();
}

void code_note_unload(void)
{
	atomic_fetch_add_explicit(&code.unloads, 1, memory_order_release);
}

unsigned code_unloads(void)
{
	return atomic_load_explicit(&code.unloads, memory_order_acquire);
}

bool code_is_fresh(void)
{
	return atomic_load_explicit(&code.caught_up, memory_order_acquire) ==
	       atomic_load_explicit(&code.unloads, memory_order_relaxed);
}
