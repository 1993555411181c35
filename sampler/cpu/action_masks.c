#include "sampler/cpu/action_masks.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/sandbox.h"
#include "sampler/cpu/carrier_choice.h"
#include "sampler/cpu/kernel_action.h"

#define SIGNALS 65
/* Whoever is going over the signals may have lost its processor. */
#define TRIES 1000

static struct {
	atomic_uint_fast64_t on_stack; /* a bit for each signal with such a handler */
	atomic_uchar added[SIGNALS];   /* the carrier that is in its mask for us, 0: none */
	atomic_uint turn[SIGNALS];     /* odd while its action is read and written anew */
} masks;

static bool is_known(int sig)
{
	return sig > 0 && sig < SIGNALS;
}

static bool has_handler(const struct sigaction *act)
{
	return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN;
}

static void set_on_stack(int sig, bool on)
{
	if (on)
		atomic_fetch_or(&masks.on_stack, SIGNAL_BIT(sig));
	else
		atomic_fetch_and(&masks.on_stack, ~SIGNAL_BIT(sig));
}

static bool is_on_stack(const struct sigaction *act)
{
	return act->sa_flags & SA_ONSTACK && has_handler(act);
}

/* The carrier that has to be added to the mask; 0: none, or the program blocks it by itself. */
static int missing_in(const struct sigaction *act)
{
	int carrier = is_on_stack(act) ? carrier_expected() : 0;

	return carrier && sigismember(&act->sa_mask, carrier) != 1 ? carrier : 0;
}

static void add(struct action_change *c)
{
	c->act = c->wanted;
	c->added = c->wanted ? missing_in(c->wanted) : 0;
	if (!c->added)
		return;
	c->changed = *c->wanted;
	sigaddset(&c->changed.sa_mask, c->added);
	c->act = &c->changed;
}

void action_mask_begin(struct action_change *c, int sig, const struct sigaction *act)
{
	*c = (struct action_change){ .sig = sig, .wanted = act };
	if (is_known(sig)) {
		c->turn = atomic_load(&masks.turn[sig]);
		c->hidden = atomic_load(&masks.added[sig]);
	}
	add(c);
}

/*
 * Either action_masks_revisit() saw what we say here, or we see its turn, or that
 * it wants another signal added.
 */
bool action_mask_end(struct action_change *c)
{
	unsigned turn = c->turn;
	int carrier = carrier_expected();

	if (!c->wanted || !is_known(c->sig))
		return false;
	atomic_store(&masks.added[c->sig], (unsigned char)c->added);
	set_on_stack(c->sig, is_on_stack(c->wanted));
	carrier_note_use(c->sig, c->wanted->sa_handler != SIG_DFL);
	if (carrier != carrier_expected())
		action_masks_revisit();
	c->turn = atomic_load(&masks.turn[c->sig]);
	if ((turn == c->turn && turn % 2 == 0 && c->added == missing_in(c->wanted)) ||
	    ++c->tries > TRIES)
		return false;
	if (c->turn % 2)
		sys_call3(SYS_sched_yield, 0, 0, 0);
	add(c);
	return true;
}

void action_mask_hide(const struct action_change *c, struct sigaction *old)
{
	if (c->hidden)
		sigdelset(&old->sa_mask, c->hidden);
}

/* Out with what was added for another carrier, in with this one. */
static void revisit(int sig, int carrier)
{
	int before = atomic_load(&masks.added[sig]);
	struct kernel_action act;

	if (before == carrier || kernel_action(sig, NULL, &act) != 0 ||
	    act.handler == (void *)SIG_DFL || act.handler == (void *)SIG_IGN)
		return;
	if (before)
		act.mask &= ~SIGNAL_BIT(before);
	if (carrier && act.mask & SIGNAL_BIT(carrier))
		carrier = 0; /* the program blocks it by itself */
	act.mask |= carrier ? SIGNAL_BIT(carrier) : 0;
	kernel_action(sig, &act, NULL);
	atomic_store(&masks.added[sig], (unsigned char)carrier);
}

/* One at a time for each signal; whoever comes second finds it done, or does it again. */
static void take_turn(int sig, int carrier)
{
	unsigned turn = atomic_load(&masks.turn[sig]);

	for (int i = 0; turn % 2 && i < TRIES; i++) {
		sys_call3(SYS_sched_yield, 0, 0, 0);
		turn = atomic_load(&masks.turn[sig]);
	}
	if (turn % 2 || !atomic_compare_exchange_strong(&masks.turn[sig], &turn, turn + 1))
		return;
	revisit(sig, carrier);
	atomic_fetch_add(&masks.turn[sig], 1);
}

/* No handler of the program may find its own thread between reading and writing. */
void action_masks_revisit(void)
{
	uint64_t signals = atomic_load(&masks.on_stack), before;

	if (!signals || sandbox_is_noted())
		return;
	before = sys_block_signals();
	for (; signals; signals &= signals - 1)
		take_turn(__builtin_ctzll(signals) + 1, carrier_expected());
	sys_restore_signals(before);
}
