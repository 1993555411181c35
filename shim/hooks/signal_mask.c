/*
 * The functions that change the calling thread's signal mask.
 *
 * While a profile runs, a thread that blocks the signal of the ticks has its timer
 * stopped first, so that no tick of ours is ever pending where sigpending, sigwait or
 * a signalfd of the program would meet it.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/cpu/carrier_belief.h"
#include "sampler/cpu/kernel_action.h"
#include "sampler/cpu/roster.h"
#include "shim/hooks/signal_syscall.h"
#include "shim/hooks/user_memory.h"
#include "shim/real/real.h"

/* What a call does to the carrier in the mask, if it succeeds. */
enum change { KEEPS, BLOCKS, FREES };

static enum change change_by(int how, uint64_t mask)
{
	int sig = carrier_signal();
	bool has_carrier = sig && mask & SIGNAL_BIT(sig);

	if (how == SIG_SETMASK)
		return has_carrier ? BLOCKS : FREES;
	if (!has_carrier)
		return KEEPS;
	return how == SIG_BLOCK ? BLOCKS : how == SIG_UNBLOCK ? FREES : KEEPS;
}

static bool is_sampled(void)
{
	return UNLIKELY(roster_may_tick()) && process_is_ours() && !process_is_borrowed();
}

/*
 * Around the real call.  The timer stops before the mask changes; but the listener
 * may have been about to start one, or sampling has begun since, so the hook looks
 * once more behind the call.
 */
static inline bool mask_begin(enum change change)
{
	bool was_sampled = is_sampled();

	if (was_sampled && change == BLOCKS)
		roster_thread_blocks();
	return was_sampled;
}

static inline void mask_end(enum change change, bool was_sampled, bool failed)
{
	if (LIKELY(!was_sampled && !is_sampled()))
		return;
	if (change == BLOCKS && !failed)
		roster_thread_blocked();
	else if (change == BLOCKS ? was_sampled : change == FREES && !failed)
		roster_thread_unblocks();
}

typedef int (*mask_function)(int how, const sigset_t *set, sigset_t *old);

static inline int change_mask(mask_function fn, int how, const sigset_t *set, sigset_t *old)
{
	uint64_t mask = set ? set->__val[0] : 0; /* `old` may be the same */
	bool was_sampled = mask_begin(set ? change_by(how, mask) : KEEPS);
	int err = fn(how, set, old);

	/* the carrier may have been chosen since */
	mask_end(set ? change_by(how, mask) : KEEPS, was_sampled, err != 0);
	return err;
}

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return change_mask(real()->pthread_sigmask, how, set, old);
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return change_mask(real()->sigprocmask, how, set, old);
}

/* ---- the older ways */

static enum change change_of(int sig, enum change change)
{
	return sig && sig == carrier_signal() ? change : KEEPS;
}

EXPORT int sighold(int sig)
{
	enum change change = change_of(sig, BLOCKS);
	bool was_sampled = mask_begin(change);
	int err = real()->sighold(sig);

	mask_end(change, was_sampled, err != 0);
	return err;
}

EXPORT int sigrelse(int sig)
{
	enum change change = change_of(sig, FREES);
	bool was_sampled = mask_begin(change);
	int err = real()->sigrelse(sig);

	mask_end(change, was_sampled, err != 0);
	return err;
}

/* These two have a mask of the first 32 signals. */
EXPORT int sigblock(int mask)
{
	enum change change = change_by(SIG_BLOCK, (uint32_t)mask);
	bool was_sampled = mask_begin(change);
	int old = real()->sigblock(mask);

	mask_end(change, was_sampled, false);
	return old;
}

EXPORT int sigsetmask(int mask)
{
	enum change change = change_by(SIG_SETMASK, (uint32_t)mask);
	bool was_sampled = mask_begin(change);
	int old = real()->sigsetmask(mask);

	mask_end(change, was_sampled, false);
	return old;
}

/* ---- by syscall() */

long signal_syscall_mask(long how, const uint64_t *set, uint64_t *old, long size)
{
	enum change change = KEEPS;
	bool was_sampled;
	uint64_t mask;
	long err;

	if (roster_may_tick() && !sandbox_is_noted() && set && user_copy(&mask, set, sizeof(mask)))
		change = change_by((int)how, mask);
	was_sampled = mask_begin(change);
	err = real()->syscall(SYS_rt_sigprocmask, how, set, old, size);
	mask_end(change, was_sampled, err != 0);
	return err;
}
