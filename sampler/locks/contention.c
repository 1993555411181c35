#include "sampler/locks/contention.h"

#include <stdatomic.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/monotonic.h"
#include "sampler/base/sys.h"
#include "sampler/locks/chance.h"
#include "sampler/locks/readers.h"
#include "sampler/locks/relocks.h"
#include "sampler/locks/waiters.h"
#include "sampler/locks/wakes.h"
#include "sampler/unwind/site_at.h"
#include "sampler/unwind/tail_call.h"
#include "sampler/unwind/weight.h"

#define SITES_BYTES (16UL << 20)

/* As long a delay as this is recorded whatever the fraction is. */
#define MUTEX_CERTAIN_NS (10 * NS_PER_MS)

/* site.total[]: contentions in 1/WEIGHT_ONE, delay in ns. */
enum contention_total { COUNT, DELAY };

SITE_TABLE(block_sites, SITES_BYTES, COUNTER_BLOCK_STACK_TABLE_FULL, COUNTER_BLOCK_STACKS_UNKNOWN);
SITE_TABLE(mutex_sites, SITES_BYTES, COUNTER_MUTEX_STACK_TABLE_FULL, COUNTER_MUTEX_STACKS_UNKNOWN);

static struct profile {
	struct site_table *sites;
	struct chance chance;
	enum counter samples;
} block = { .sites = &block_sites,
	    .chance = { .coarsened = COUNTER_BLOCK_COARSENED },
	    .samples = COUNTER_BLOCK_SAMPLES },
  mutex = { .sites = &mutex_sites,
	    .chance = { .coarsened = COUNTER_MUTEX_COARSENED },
	    .samples = COUNTER_MUTEX_SAMPLES };

/* ---- recording */

static IN_LINE void record_at_site(struct profile *p, uint64_t waits, int64_t delay_ns,
				   struct odds odds, uint64_t leaf, const struct frame_regs *caller)
{
	uint64_t count = odds_weigh(odds, waits * WEIGHT_ONE);
	uint64_t delay = odds_weigh(odds, (uint64_t)delay_ns);
	struct site *s = site_at(p->sites, leaf, caller);

	site_add(s, COUNT, count);
	site_add(s, DELAY, delay);
	site_release(s);
	counter_add(p->samples, 1);
}

void wait_block_begin(struct lock_wait *w, const void *lock)
{
	w->lock = lock;
	w->slot = lock && w->start_ns && mutex_fraction() ? waiters_add(lock, w->start_ns) : NULL;
}

void wait_begin(struct lock_wait *w, const void *lock)
{
	w->start_ns = monotonic_ns();
	wait_block_begin(w, lock);
}

static void record_wait(int64_t start_ns, int64_t now_ns, uint64_t leaf,
			const struct frame_regs *caller)
{
	int64_t waited_ns = MAX(now_ns - start_ns, 1);
	struct odds odds = { (uint64_t)waited_ns, block_rate() };

	if (chance_take(&block.chance, &odds, now_ns))
		record_at_site(&block, 1, waited_ns, odds, leaf, caller);
}

static IN_LINE void end_at(int64_t now_ns, int64_t start_ns, enum wait_outcome outcome,
			   uint64_t leaf, const struct frame_regs *caller)
{
	if (!start_ns || !now_ns)
		counter_add(COUNTER_WAITS_WITHOUT_CLOCK, 1);
	else if (outcome != WAIT_NONE && block_rate())
		record_wait(start_ns, now_ns, leaf, caller);
}

/*
 * Who has the lock from a thread of another process, or from one that died with it, is
 * not to be blamed for what the others have waited until now.
 */
static void leave_waiters(const struct lock_wait *w, enum wait_outcome outcome, int64_t now_ns)
{
	if (outcome == WAIT_GAVE_UP && now_ns)
		waiters_give_up(w->slot, w->lock, w->start_ns, now_ns);
	else
		waiters_remove(w->slot, w->lock, w->start_ns);
	if (outcome == WAIT_UNSEEN) {
		waiters_charge(w->lock, now_ns);
		counter_add(COUNTER_MUTEX_WAITS_UNSEEN, 1);
	}
}

void wait_end(const struct lock_wait *w, enum wait_outcome outcome, uint64_t leaf,
	      const struct frame_regs *caller)
{
	int64_t now_ns = monotonic_ns();

	if (w->slot)
		leave_waiters(w, outcome, now_ns);
	end_at(now_ns, w->start_ns, outcome, leaf, caller);
}

/* ---- brief waits */

/* A futex call that need not sleep takes as long. */
#define BRIEF_NS 300

/* On, and everything is recorded. */
static bool is_exact(struct profile *p)
{
	return atomic_load_explicit(&p->chance.rate, memory_order_relaxed) &&
	       chance_is_certain(&p->chance);
}

static void draw_early(struct lock_spin *s)
{
	struct odds odds = { 0, block_rate() ? block_rate() : BLOCK_RATE_DEFAULT };

	s->coin = chance_draw(&block.chance, &odds);
	s->coin_sides = odds.of;
}

void wait_spin_begin(struct lock_spin *s)
{
	s->wait.start_ns = monotonic_ns();
	s->now_ns = s->wait.start_ns;
	if (is_exact(&block) || is_exact(&mutex))
		s->now_ns += BRIEF_NS; /* no spin */
	else
		draw_early(s);
}

bool wait_spin(struct lock_spin *s)
{
	if (!s->wait.start_ns || s->now_ns - s->wait.start_ns >= BRIEF_NS)
		return false;
	arch_spin_hint();
	s->now_ns = monotonic_ns();
	return true;
}

void wait_spin_won(const struct lock_spin *s, uint64_t leaf, const struct frame_regs *caller)
{
	int64_t now_ns = monotonic_ns();
	struct odds odds = { (uint64_t)MAX(now_ns - s->wait.start_ns, 1), s->coin_sides };

	if (LIKELY(s->coin >= odds.hits))
		return;
	if (block_rate()) {
		chance_recorded(&block.chance, now_ns);
		record_at_site(&block, 1, (int64_t)odds.hits, odds, leaf, caller);
	}
	if (mutex_fraction())
		counter_add(COUNTER_MUTEX_WAITS_BRIEF, odds_weigh(odds, 1));
}

/* ---- unlocks */

/* Notes for those who come back from a condition: one in this time is enough. */
#define NOTE_CYCLES (40 * ARCH_CYCLES_25_US) /* 1 ms */

static bool wants_note(const struct relock *r)
{
	return r && (chance_is_certain(&mutex.chance) ||
		     relock_is_due(r, NOTE_CYCLES * chance_coarser(&mutex.chance)));
}

/* Everything counts, or this is worth a look. */
static bool wants_charge(const void *lock)
{
	return waiters_maybe(lock) &&
	       (chance_is_certain(&mutex.chance) || waiters_worth_charging(lock));
}

struct unlock unlock_begin(const void *lock, struct relock *r)
{
	bool is_on = mutex_fraction() != 0, charge = is_on && wants_charge(lock);
	struct unlock u = { 0 };

	if (!is_on || (!charge && !wants_note(r)))
		return u;
	u.now_ns = monotonic_ns();
	if (charge && u.now_ns)
		u.due = waiters_charge(lock, u.now_ns);
	if (u.now_ns && wants_note(r))
		u.hold = relock_hold_ends(r, u.now_ns);
	return u;
}

/* The better of two chances: one in `fraction`, or by length. */
static struct odds mutex_odds(int64_t delay_ns)
{
	struct odds one_in = { 1, MAX(mutex_fraction(), 1) };
	struct odds by_length = { (uint64_t)delay_ns, MUTEX_CERTAIN_NS };

	return by_length.of / one_in.of < by_length.hits ? by_length : one_in;
}

static void charge_relock(struct site *s, uint64_t ns, uint64_t weight)
{
	site_add(s, COUNT, weight);
	site_add(s, DELAY, ns);
	counter_add(mutex.samples, 1);
}

static void tell_relocks(const struct unlock *u, uint64_t leaf, const struct frame_regs *caller)
{
	chance_recorded(&mutex.chance, u->now_ns);
	relock_hold_was(u->hold, u->now_ns, site_at(mutex.sites, leaf, caller), charge_relock);
}

void unlock_end(const struct unlock *u, uint64_t leaf, const struct frame_regs *caller)
{
	struct odds odds = mutex_odds(u->due.delay_ns);

	if (u->hold)
		tell_relocks(u, leaf, caller);
	if (u->due.delay_ns && chance_take(&mutex.chance, &odds, u->now_ns))
		record_at_site(&mutex, u->due.waits, u->due.delay_ns, odds, leaf, caller);
}

/* ---- conditions */

void wait_condition_begin(struct condition_wait *w, const void *mutex_at)
{
	w->start_ns = monotonic_ns();
	w->relock = w->start_ns && mutex_fraction() ? relock_note(mutex_at, w->start_ns) : NULL;
}

void wait_condition_charge(const struct condition_wait *w, const void *condition,
			   const void *mutex_at, int64_t late_ns)
{
	int64_t now_ns = w->relock ? monotonic_ns() : 0, from_ns;

	if (!now_ns)
		return;
	from_ns = late_ns >= 0 ? now_ns - late_ns : wakes_since(condition, w->start_ns);
	if (from_ns > 0 && now_ns > from_ns)
		relock_done(w->relock, mutex_at, MAX(from_ns, w->start_ns), now_ns, charge_relock);
}

void wait_condition_end(const struct condition_wait *w, enum wait_outcome outcome, uint64_t leaf,
			const struct frame_regs *caller)
{
	end_at(monotonic_ns(), w->start_ns, outcome, leaf, caller);
}

void condition_wakes(const void *condition, bool all)
{
	int64_t now_ns = mutex_fraction() ? monotonic_ns() : 0;

	if (now_ns)
		wakes_note(condition, all, now_ns);
}

/* ---- rates */

static void set_rate(struct profile *p, uint64_t rate)
{
	atomic_store_explicit(&p->chance.rate, rate, memory_order_relaxed);
	if (rate == 1)
		site_at_expect_many();
}

void contention_begin_anew(void)
{
	sites_begin_anew(&block_sites);
	sites_begin_anew(&mutex_sites);
}

void block_set_rate(uint64_t ns)
{
	set_rate(&block, ns);
}

void mutex_set_fraction(uint64_t one_in)
{
	set_rate(&mutex, one_in);
}

uint64_t block_rate(void)
{
	return atomic_load_explicit(&block.chance.rate, memory_order_relaxed);
}

uint64_t mutex_fraction(void)
{
	return atomic_load_explicit(&mutex.chance.rate, memory_order_relaxed);
}

uint64_t block_coarser(void)
{
	return chance_coarser(&block.chance);
}

uint64_t mutex_coarser(void)
{
	return chance_coarser(&mutex.chance);
}

static void everything(struct profile *p, int by)
{
	site_at_expect_many();
	atomic_fetch_add_explicit(&p->chance.everything, by, memory_order_relaxed);
}

void block_everything_begin(void)
{
	everything(&block, 1);
}

void block_everything_end(void)
{
	everything(&block, -1);
}

void mutex_everything_begin(void)
{
	everything(&mutex, 1);
}

void mutex_everything_end(void)
{
	everything(&mutex, -1);
}

void contention_after_fork(void)
{
	waiters_after_fork();
	relocks_after_fork();
	wakes_after_fork();
	readers_after_fork();
	sites_begin_epoch(&block_sites);
	sites_begin_epoch(&mutex_sites);
	atomic_store(&block.chance.everything, 0);
	atomic_store(&mutex.chance.everything, 0);
}

/* ---- reports */

static void add_values(const struct site *s, int64_t *value)
{
	value[CONTENTION_VALUE_COUNT] += (int64_t)site_get(s, COUNT);
	value[CONTENTION_VALUE_NS] += (int64_t)site_get(s, DELAY);
}

#define RAW_BYTES (24UL << 20)

/*
 * The leaf is what was called, as the program wrote it, and the next frame whom it returns
 * to.  A function in between, which called it last, is put there.
 */
static uint32_t with_last_caller(const struct stack *s, uint64_t *frame)
{
	uint64_t between = 0;
	uint32_t n = 0;

	if (s->depth > 1 && s->frame[0] < PSEUDO_LIMIT && s->frame[1] >= PSEUDO_LIMIT)
		between = tail_call_callee(s->frame[1]);
	for (uint32_t i = 0; i < s->depth; i++) {
		frame[n++] = s->frame[i];
		if (i == 0 && between)
			frame[n++] = between;
	}
	return n;
}

static void add_stack(struct stack_table *t, const struct stack *s)
{
	static uint64_t frame[STACK_DEPTH_MAX + 1]; /* too large for the stack; listener only */
	uint32_t depth = with_last_caller(s, frame);

	stack_add_values(stack_table_add(t, frame, depth), s);
}

static void finish(const struct stack_table *raw, struct stack_table *t)
{
	for (size_t i = 0; i < raw->count; i++)
		add_stack(t, raw->list[i]);
	for (size_t i = 0; i < t->count; i++) {
		int64_t *count = &t->list[i]->value[CONTENTION_VALUE_COUNT];

		*count = weight_round(*count);
	}
}

static void snapshot(struct profile *p, struct stack_table *t, bool own)
{
	struct stack_table raw;

	stack_table_init(&raw, RAW_BYTES);
	sites_snapshot(p->sites, &raw, own ? p->sites->epoch : 0, add_values, NULL);
	finish(&raw, t);
	stack_table_release(&raw);
}

void block_snapshot(struct stack_table *t, bool own)
{
	snapshot(&block, t, own);
}

void mutex_snapshot(struct stack_table *t, bool own)
{
	snapshot(&mutex, t, own);
}

#define OF_OTHER(sites)                                                                            \
	{                                                                                          \
		.table = &(sites), .with_listener_only = true, .values = add_values,               \
		.finish = finish                                                                   \
	}

const struct other_sites_kind block_of_other = OF_OTHER(block_sites);
const struct other_sites_kind mutex_of_other = OF_OTHER(mutex_sites);
