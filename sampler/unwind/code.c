/*
 * Who calls this: the dlclose hook announces an unload (code_unload_begin, _end);
 * the listener refreshes before it walks; every hook that walks asks code_is_fresh() before
 * it uses a row of a module that may go.
 *
 * The one structure is `code_shared`.  The one order that matters: `closes` is raised before
 * an unload and after it, and the listener stores into `caught_up` the value that it had
 * before the look at the loader's list, if no unload was under way then.
 * docs/PROTOCOLS.md, "Loaded code", has the states.
 */
#include "sampler/unwind/code.h"

#include <stddef.h>
#include <time.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/process/modules.h"
#include "sampler/unwind/learn.h"

#define ONE_BEGUN 1UL
#define ONE_ENDED (1UL << 32)

static uint32_t begun(uint64_t closes)
{
	return (uint32_t)closes;
}

static uint32_t ended(uint64_t closes)
{
	return (uint32_t)(closes >> 32);
}

static bool is_none_under_way(uint64_t closes)
{
	return begun(closes) == ended(closes);
}

/* The listener's own. */
static struct {
	uint64_t closes; /* before the last look that was believed */
	uint32_t look;	 /* `looks` when that began */
	bool was_quiet;	 /* and it is what it was when that ended: the table is of this moment */
} seen;

/* Of what was there before, and of what is there now. */
static void forget_rows(const struct module *m)
{
	for (uint32_t i = 0; i < m->range_count; i++)
		learn_forget(m->range[i].start, m->range[i].limit);
}

/* How often, and how long after each other, a list is read that is being changed. */
#define LOOKS_MAX     8
#define LOOK_PAUSE_NS 100000

/* seq_cst: who takes a stamp from now on may be too late for this look. */
static enum modules_look look(uint64_t *closes, uint32_t *number)
{
	enum modules_look found;

	*closes = atomic_load(&code_shared.closes);
	*number = atomic_fetch_add(&code_shared.looks, 1) + 1;
	found = modules_refresh(*number + 1, forget_rows);
	atomic_fetch_add(&code_shared.looks, 1);
	return found;
}

bool code_refresh(void)
{
	static const struct timespec pause = { .tv_nsec = LOOK_PAUSE_NS };
	uint64_t closes;
	uint32_t number;
	enum modules_look found = look(&closes, &number);

	for (int i = 1; i < LOOKS_MAX && found == MODULES_NOT_AT_REST; i++) {
		sys_call4(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&pause, 0);
		found = look(&closes, &number);
	}
	if (found == MODULES_NOT_AT_REST)
		return false;
	seen.closes = closes;
	seen.was_quiet = atomic_load(&code_shared.closes) == closes;
	seen.look = number;
	/* release: who sees that we caught up does not see the old rows */
	if (is_none_under_way(closes))
		atomic_store_explicit(&code_shared.caught_up, closes, memory_order_release);
	return found == MODULES_CHANGED;
}

static bool nothing_went_since(void)
{
	return is_none_under_way(seen.closes) && atomic_load(&code_shared.closes) == seen.closes;
}

void code_catch_up(void)
{
	if (!nothing_went_since())
		code_refresh();
}

bool code_has_looked_since(const struct code_stamp *s)
{
	return nothing_went_since() || (int32_t)(seen.look - s->looks) > 0;
}

/*
 * Whoever began to unload after the stamp was taken has waited until it was followed, and it
 * was not yet: all that was there is still there.
 */
static bool is_awaited(const struct code_stamp *s)
{
	return s->is_awaited && is_none_under_way(s->closes) &&
	       s->unsure == (uint16_t)atomic_load(&code_shared.unsure);
}

static bool came_after(const struct module *m, const struct code_stamp *s)
{
	return (int32_t)(m->came - s->looks) > 0;
}

/*
 * A module that the table had when it was fresh was there when the stamp was taken.  One
 * that came later, or was there when the table was behind, may stand where another one
 * was that no look has met.
 */
bool code_may_have_gone(const struct code_stamp *s, uint64_t frame)
{
	bool is_same = s->closes == seen.closes && seen.was_quiet;
	const struct module *m;

	if (frame < FRAME_PSEUDO_LIMIT || (is_same && is_none_under_way(s->closes)) ||
	    is_awaited(s))
		return false;
	m = frame_module(frame);
	if (!m)
		return !is_same;
	if (m->is_fixed || ((is_same || s->was_fresh) && !came_after(m, s)))
		return false;
	return true;
}

void code_after_fork(void)
{
	uint64_t closes = atomic_load_explicit(&code_shared.closes, memory_order_relaxed);

	modules_after_fork();
	seen.closes = UINT64_MAX;					 /* to be looked at again */
	atomic_store(&code_shared.looks, (code_shared.looks + 1) & ~1U); /* none is under way */
	if (!is_none_under_way(closes))
		atomic_store_explicit(&code_shared.closes,
				      begun(closes) * ONE_ENDED | begun(closes),
				      memory_order_relaxed);
}

void code_unload_begin(void)
{
	atomic_fetch_add_explicit(&code_shared.closes, ONE_BEGUN, memory_order_seq_cst);
}

/* In this order: a stamp with the new count has an unload under way, or is of after it. */
void code_unload_begin_unsure(void)
{
	code_unload_begin();
	atomic_fetch_add(&code_shared.unsure, 1);
}

void code_unload_end(void)
{
	atomic_fetch_add_explicit(&code_shared.closes, ONE_ENDED, memory_order_seq_cst);
}
