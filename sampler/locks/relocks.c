/*
 * Notes are made and read by the threads that have the mutex, so one after the other;
 * only the site is known later, after the unlock, when its stack is walked.  What others
 * add before that lies in the note, and whoever sees both site and sum takes the sum: who
 * adds looks for the site after it added, who brings the site looks for the sum
 * after that.
 *
 * A record that was not used for a second may be given to another mutex.  A thread that
 * is stopped for that long in here charges what it has to the wrong note, or to none; it
 * breaks nothing.
 */
#include "sampler/locks/relocks.h"

#include <stdatomic.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/monotonic.h"
#include "sampler/base/sys.h"
#include "sampler/unwind/sites.h"
#include "sampler/unwind/weight.h"

#define RECORDS 256
#define WINDOW	4  /* records that a mutex may be in */
#define HOLDS	32 /* the last notes of each; a power of two */

/* struct relock_hold.site, until it is known: a number that is no address, one for each. */
#define PENDING (1ULL << 63)

struct relock_hold {
	atomic_int_fast64_t begin_ns, end_ns;
	atomic_uint_fast64_t site; /* struct site *, or PENDING and end_ns, or 0 */
	atomic_uint_fast64_t owed_ns, owed_weight;
};

struct relock {
	const void *_Atomic mutex;
	atomic_int_fast64_t used_ns;
	atomic_uint_fast64_t noted_cycles;
	atomic_uint next; /* notes so far */
	struct relock_hold hold[HOLDS];
};

static struct relock records[RECORDS];
static atomic_bool are_used;

static struct relock *record_at(const void *mutex, unsigned k)
{
	return &records[(((uint64_t)mutex * 0x9e3779b97f4a7c15ULL >> 40) + k) % RECORDS];
}

struct relock *relock_find(const void *mutex)
{
	if (!atomic_load_explicit(&are_used, memory_order_relaxed))
		return NULL;
	for (unsigned k = 0; k < WINDOW; k++) {
		struct relock *r = record_at(mutex, k);

		if (atomic_load_explicit(&r->mutex, memory_order_acquire) == mutex)
			return r;
	}
	return NULL;
}

/* Nothing more is charged to the site that it had, but by who is stopped meanwhile. */
static void set_site(struct relock_hold *h, uint64_t site)
{
	uint64_t old = atomic_exchange(&h->site, site);

	if (old && !(old & PENDING))
		site_release((struct site *)old);
}

static void forget_notes(struct relock *r)
{
	for (int i = 0; i < HOLDS; i++) {
		atomic_store(&r->hold[i].end_ns, 0);
		set_site(&r->hold[i], 0);
	}
}

/* Two threads may claim one at once: the mutex of one is in there then. */
static bool claim(struct relock *r, const void *mutex, int64_t now_ns)
{
	const void *old = atomic_load(&r->mutex);

	if (old && now_ns - atomic_load(&r->used_ns) < NS_PER_SECOND)
		return false;
	atomic_store(&r->used_ns, now_ns);
	if (!atomic_compare_exchange_strong(&r->mutex, &old, mutex))
		return false;
	forget_notes(r);
	atomic_store_explicit(&are_used, true, memory_order_relaxed);
	return true;
}

struct relock *relock_note(const void *mutex, int64_t now_ns)
{
	struct relock *r = relock_find(mutex);

	for (unsigned k = 0; !r && k < WINDOW; k++) {
		if (claim(record_at(mutex, k), mutex, now_ns))
			r = record_at(mutex, k);
	}
	if (r)
		atomic_store_explicit(&r->used_ns, now_ns, memory_order_relaxed);
	else
		counter_add(COUNTER_MUTEX_RELOCKS_UNSEEN, 1);
	return r;
}

/* ---- notes */

bool relock_is_due(const struct relock *r, uint64_t cycles)
{
	return monotonic_cycles() - atomic_load_explicit(&r->noted_cycles, memory_order_relaxed) >=
	       cycles;
}

struct relock_hold *relock_hold_ends(struct relock *r, int64_t now_ns)
{
	unsigned n = atomic_fetch_add(&r->next, 1);
	struct relock_hold *h = &r->hold[n % HOLDS];
	int64_t before = atomic_load(&r->hold[(n + HOLDS - 1) % HOLDS].end_ns);

	atomic_store_explicit(&r->noted_cycles, monotonic_cycles(), memory_order_relaxed);
	atomic_store_explicit(&r->used_ns, now_ns, memory_order_relaxed);
	set_site(h, PENDING | (uint64_t)now_ns);
	counter_add(COUNTER_MUTEX_RELOCKS_UNSEEN,
		    (uint64_t)weight_round((int64_t)atomic_exchange(&h->owed_weight, 0)));
	atomic_store(&h->owed_ns, 0);
	atomic_store(&h->begin_ns, before);
	atomic_store(&h->end_ns, now_ns);
	return h;
}

static void pay(struct relock_hold *h, struct site *site, relock_charge charge)
{
	uint64_t ns = atomic_exchange(&h->owed_ns, 0);

	if (ns)
		charge(site, ns, atomic_exchange(&h->owed_weight, 0));
}

void relock_hold_was(struct relock_hold *h, int64_t now_ns, struct site *site, relock_charge charge)
{
	uint_fast64_t mine = PENDING | (uint64_t)now_ns;

	if (atomic_compare_exchange_strong(&h->site, &mine, (uint64_t)site))
		pay(h, site, charge);
	else
		site_release(site);
}

static void owe(struct relock_hold *h, uint64_t ns, uint64_t weight, relock_charge charge)
{
	uint64_t site;

	atomic_fetch_add(&h->owed_weight, weight);
	atomic_fetch_add(&h->owed_ns, ns);
	site = atomic_load(&h->site);
	if (site && !(site & PENDING))
		pay(h, (struct site *)site, charge);
}

/* Youngest first, as long as they ended after the thread began to wait. */
void relock_done(struct relock *r, const void *mutex, int64_t from_ns, int64_t to_ns,
		 relock_charge charge)
{
	unsigned n = atomic_load(&r->next);

	if (atomic_load(&r->mutex) != mutex)
		return;
	for (unsigned k = 1; k <= HOLDS; k++) {
		struct relock_hold *h = &r->hold[(n - k) % HOLDS];
		int64_t begin = MAX(atomic_load(&h->begin_ns), from_ns);
		int64_t end = MIN(atomic_load(&h->end_ns), to_ns);

		if (end <= from_ns)
			return;
		if (end > begin)
			owe(h, (uint64_t)(end - begin),
			    (uint64_t)((__int128)(end - begin) * WEIGHT_ONE / (to_ns - from_ns)),
			    charge);
	}
	counter_add(COUNTER_MUTEX_RELOCKS_UNSEEN, 1);
}

void relocks_after_fork(void)
{
	for (size_t i = 0; are_used && i < RECORDS; i++)
		forget_notes(&records[i]);
	if (are_used)
		memset(records, 0, sizeof(records));
	are_used = false;
}
