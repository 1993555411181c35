#include "sampler/cpu/unload.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/wake.h"
#include "sampler/cpu/tick.h"
#include "sampler/unwind/site_at.h"

#define PATIENCE_NS (2 * NS_PER_MS)

static atomic_uint begun;	 /* passes */
static uint32_t ended;		 /* passes; futex word */
static atomic_int waiting;	 /* hooks */
static _Atomic int64_t asked_ns; /* by the last of them */

static uint32_t passes_ended(void)
{
	return __atomic_load_n(&ended, __ATOMIC_SEQ_CST);
}

/* False when the time is over before this pass is. */
static bool wait_for(uint32_t pass, int64_t until_ns)
{
	uint32_t now = passes_ended();

	for (; (int32_t)(now - pass) < 0; now = passes_ended()) {
		int64_t left = until_ns - sys_now_ns();
		struct timespec ts = { 0, left };

		if (left <= 0)
			return false;
		sys_futex(&ended, FUTEX_WAIT_PRIVATE, now, &ts);
	}
	return true;
}

/* The running pass may already be past our stack; wait for the one after it. */
static void wait_for_a_pass(void)
{
	int64_t now = sys_now_ns();
	uint32_t pass = atomic_load(&begun) + 1;

	atomic_store(&asked_ns, now);
	atomic_fetch_add(&waiting, 1);
	if (wake() && !wait_for(pass, now + PATIENCE_NS))
		counter_add(COUNTER_DLCLOSE_WAITS_TIMED_OUT, 1);
	atomic_fetch_sub(&waiting, 1);
}

void unload_wait(void)
{
	if (site_at_has_pending() || tick_has_pending())
		wait_for_a_pass();
}

void unload_pass_begin(void)
{
	atomic_fetch_add(&begun, 1);
}

void unload_pass_end(void)
{
	__atomic_store_n(&ended, atomic_load(&begun), __ATOMIC_SEQ_CST);
	if (atomic_load(&waiting))
		sys_futex(&ended, FUTEX_WAKE_PRIVATE, INT_MAX, NULL);
}

int64_t unload_asked_ns(void)
{
	return atomic_load(&asked_ns);
}

void unload_after_fork(void)
{
	atomic_store(&waiting, 0);
	atomic_store(&asked_ns, 0);
}
