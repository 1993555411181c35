#include "sampler/cpu/carrier_choice.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include "sampler/cpu/carrier_belief.h"
#include "sampler/cpu/kernel_action.h"

static int preferred;
static atomic_uint_fast64_t used; /* a bit for each signal that hooks saw the program use */

static bool is_used(int sig)
{
	return atomic_load_explicit(&used, memory_order_relaxed) & SIGNAL_BIT(sig);
}

void carrier_note_use(int sig, bool is_used_now)
{
	if (is_used_now)
		atomic_fetch_or_explicit(&used, SIGNAL_BIT(sig), memory_order_relaxed);
	else
		atomic_fetch_and_explicit(&used, ~SIGNAL_BIT(sig), memory_order_relaxed);
}

bool carrier_is_free(int sig)
{
	struct kernel_action now;

	return kernel_action(sig, NULL, &now) == 0 && now.handler == SIG_DFL;
}

/* Standard signals first: they do not queue. */
static int next_known(int sig)
{
	switch (sig) {
	case SIGPROF:
		return SIGVTALRM;
	case SIGVTALRM:
		return SIGSTKFLT;
	case SIGSTKFLT:
		return 64; /* SIGRTMAX, downwards: programs take theirs from SIGRTMIN up */
	default:
		return sig > 35 && sig <= 64 ? sig - 1 : 0;
	}
}

int carrier_next_choice(int sig)
{
	return sig ? next_known(sig) : SIGPROF;
}

/* What was inherited from who started the program no hook has seen. */
void carrier_choice_init(int sig)
{
	preferred = sig;
	carrier_note_use(sig, !carrier_is_free(sig));
	for (sig = SIGPROF; sig < 64; sig = next_known(sig))
		carrier_note_use(sig, !carrier_is_free(sig));
}

int carrier_first_choice(void)
{
	int sig = preferred;

	if (!sig || !is_used(sig))
		return sig;
	for (sig = SIGPROF; sig && is_used(sig); sig = next_known(sig))
		;
	return sig;
}

int carrier_expected(void)
{
	int sig = carrier_signal();

	return sig ? sig : carrier_first_choice();
}
