#include "sampler/cpu/unload.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/wake.h"
#include "sampler/cpu/tick.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/site_at.h"

#define PATIENCE_NS (2 * NS_PER_MS)
#define ATTEMPTS    4 /* other threads go on leaving stacks */

static uint32_t passes;	   /* one up when one begins, and when it ends; futex word */
static atomic_int waiting; /* hooks */

static uint32_t passes_now(void)
{
	return __atomic_load_n(&passes, __ATOMIC_SEQ_CST);
}

/* False when the time is over before so many have begun and ended. */
static bool wait_for(uint32_t wanted, int64_t until_ns)
{
	uint32_t now = passes_now();

	for (; (int32_t)(now - wanted) < 0; now = passes_now()) {
		int64_t left = until_ns - sys_now_ns();
		struct timespec ts = { 0, left };

		if (left <= 0)
			return false;
		sys_futex(&passes, FUTEX_WAIT_PRIVATE, now, &ts);
	}
	return true;
}

/*
 * The running pass may already be past our stack; wait for the one after it.  *until_ns is
 * the end of all patience, 0 before anything was waited for.
 */
static bool wait_for_a_pass(int64_t *until_ns)
{
	uint32_t now = passes_now();
	uint32_t wanted = now + 2 + now % 2; /* odd: one is running */
	bool is_followed;

	atomic_fetch_add(&waiting, 1);
	is_followed = wake();
	if (is_followed && !*until_ns)
		*until_ns = sys_now_ns() + PATIENCE_NS;
	is_followed = is_followed && wait_for(wanted, *until_ns);
	atomic_fetch_sub(&waiting, 1);
	return is_followed;
}

static bool has_pending(void)
{
	return site_at_has_pending() || tick_has_pending();
}

/* Whatever has a stamp from before this lies in a ring by now. */
static bool begin_if_none_is_pending(void)
{
	code_unload_begin();
	if (!has_pending())
		return true;
	code_unload_end();
	return false;
}

void unload_begin(void)
{
	int64_t until_ns = 0;

	for (int i = 0; i < ATTEMPTS; i++) {
		if (has_pending() && !wait_for_a_pass(&until_ns))
			break;
		if (begin_if_none_is_pending())
			return;
	}
	counter_add(COUNTER_DLCLOSE_WAITS_TIMED_OUT, until_ns != 0);
	code_unload_begin_unsure();
}

void unload_end(void)
{
	code_unload_end();
}

void unload_pass_begin(void)
{
	__atomic_fetch_add(&passes, 1, __ATOMIC_SEQ_CST);
}

void unload_pass_end(void)
{
	__atomic_fetch_add(&passes, 1, __ATOMIC_SEQ_CST);
	if (atomic_load(&waiting))
		sys_futex(&passes, FUTEX_WAKE_PRIVATE, INT_MAX, NULL);
}

void unload_after_fork(void)
{
	atomic_store(&waiting, 0);
	passes += passes % 2; /* none is running */
}
