/*
 * Read by our signal handler while other threads write: so an action is written into
 * a slot that is not the current one, and a slot is used again only 64 changes later.
 * For a torn copy the program would have to make 64 changes while one handler copies
 * 152 bytes.
 */
#include "sampler/cpu/carrier_belief.h"

#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/kernel_action.h"

#define SLOTS 64
/* A call whose signal handler jumped away never ends. */
#define ACTIONS_WAIT_NS (100 * NS_PER_MS)

static struct {
	atomic_int signal;	      /* 0, or the carrier */
	atomic_int actions_under_way; /* calls that may be asking the kernel */
	struct sigaction wanted[SLOTS];
	atomic_uint current; /* index of the action in force, counts on for ever */
	atomic_uint next;
} belief;

int carrier_signal(void)
{
	return atomic_load_explicit(&belief.signal, memory_order_acquire);
}

/* seq_cst: either the call sees the carrier, or carrier_wait_for_actions() sees the call. */
bool carrier_begin_action(int sig)
{
	atomic_fetch_add(&belief.actions_under_way, 1);
	if (LIKELY(!sig || sig != atomic_load(&belief.signal)))
		return false;
	carrier_end_action();
	return true;
}

void carrier_end_action(void)
{
	atomic_fetch_sub(&belief.actions_under_way, 1);
}

void carrier_wait_for_actions(void)
{
	const struct timespec moment = { 0, 20000 };
	int64_t until = sys_now_ns() + ACTIONS_WAIT_NS;

	while (atomic_load(&belief.actions_under_way) && sys_now_ns() < until)
		sys_call4(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&moment, 0);
	if (atomic_load(&belief.actions_under_way))
		counter_add(COUNTER_SIGACTION_WAITS_TIMED_OUT, 1);
}

static unsigned wanted_count(void)
{
	return atomic_load_explicit(&belief.current, memory_order_acquire);
}

struct sigaction carrier_wanted(void)
{
	return belief.wanted[wanted_count() % SLOTS];
}

/* As the kernel makes it: read back, it never blocks the two that cannot be blocked. */
static void write_down(struct sigaction *to, const struct sigaction *act)
{
	*to = *act;
	to->sa_mask.__val[0] &= ~(SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP));
}

/* In this order, since `act` and `old` may be one. */
void carrier_set_wanted(const struct sigaction *act, struct sigaction *old)
{
	unsigned i = 0;

	if (act) {
		i = atomic_fetch_add_explicit(&belief.next, 1, memory_order_relaxed) + 1;
		write_down(&belief.wanted[i % SLOTS], act);
	}
	if (old)
		*old = carrier_wanted();
	/* release: pairs with the acquire in wanted_count() */
	if (act)
		atomic_store_explicit(&belief.current, i, memory_order_release);
}

void carrier_believe_in(int sig)
{
	atomic_store(&belief.signal, sig);
}
