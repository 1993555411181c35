/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * Sites: one record per distinct stack with the totals of what happened there.
 * Each profile that is always on has a table of them.  Records are added by
 * hooks, never removed, and their totals only grow, as delta scrapers demand
 * (docs/PROTOCOLS.md, "Sites").
 *
 * It is not stacks.h, because any number of hooks add at the same time and remember
 * where a record is (a block has its site): no lock, no record that moves or goes.  A
 * stack table has one writer, grows and ends with its profile; reports copy sites into one.
 */
#ifndef SAMPLER_UNWIND_SITES_H
#define SAMPLER_UNWIND_SITES_H

#include <stdatomic.h>
#include <stdint.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/permanent.h"

#define SITE_DEPTH_MAX	128 /* frames, and behind them labels (process/label_set.h) */
#define SITE_TOTALS_MAX 4

struct site {
	struct site *_Atomic next; /* in its bucket, or among the unresolved */
	/*
	 * What happened at a stack that a hook could not follow has a record of its own,
	 * until the listener knows the stack; then all that it counts belongs to this one.
	 */
	struct site *_Atomic resolved;
	struct site *older; /* the record of a stack that was made before this one */
	uint64_t hash;
	uint32_t epoch; /* of the table, when it was made */
	uint32_t depth;
	atomic_uint state; /* SITE_LISTED; and who has an unresolved one, see sites.c */
	atomic_uint_fast64_t total[SITE_TOTALS_MAX]; /* their meaning is the profile's */
	uint64_t frame[];			     /* process/frame.h; leaf first */
};

#define SITE_BUCKETS 16384
/* Records of stacks with labels: fewer than STACK_TABLE_LABELLED, so that a snapshot has room. */
#define SITES_LABELLED_MAX 6000
#define SITE_LISTED	   4U /* in the report that is being made */

struct site_table {
	struct permanent memory;
	enum counter full;    /* moves when the record [other stacks] stands in */
	enum counter unknown; /* moves when a stack could not be kept for later */

	/*
	 * Moves in a forked child that needs to tell what it counted from what its parent had
	 * counted before: a stack then gets a new record.
	 */
	uint32_t epoch;
	struct site *_Atomic *bucket; /* SITE_BUCKETS of them */
	struct site
		*_Atomic newest; /* of the records of stacks: those of an epoch follow each other */
	struct site *_Atomic unresolved; /* newest first; hooks add, the listener takes out */
	struct site *held,
		*held_last; /* resolved, and still somebody's: the listener's, oldest first */
	uint32_t held_count;
	atomic_uint_fast64_t spare; /* those that it took out, for the next */
	atomic_uint unresolved_made;
	atomic_uint labelled;	   /* records of stacks with labels */
	struct site *_Atomic rest; /* the record [other stacks] */
	_Alignas(struct site) char rest_room[sizeof(struct site) + sizeof(uint64_t)];
};

/*
 * Defines the table `name` of a file.  `bytes` bounds its records' memory; 32 MiB
 * is about 100,000 stacks of 30 frames.
 */
#define SITE_TABLE(name, bytes, full_counter, unknown_counter)                                     \
	static struct site *_Atomic name##_bucket[SITE_BUCKETS];                                   \
	static struct site_table name = { .memory = { .limit = (bytes) },                          \
					  .full = (full_counter),                                  \
					  .unknown = (unknown_counter),                            \
					  .bucket = name##_bucket }

/*
 * What was counted before is the parent's: stacks get new records from now on.  Context: child,
 * before anything is counted.
 */
void sites_begin_epoch(struct site_table *t);

/*
 * Finds or adds the record of a stack.  At the limit of memory the one record
 * [other stacks] stands in; before that, where many have labels, a new one goes without.
 * Never NULL.  Context: hook, listener.
 */
struct site *site_of(struct site_table *t, const uint64_t *frame, uint32_t depth);

/*
 * A record for something whose stack is not known yet, or NULL.  It is the caller's until
 * site_release(), and the listener's until it is resolved; then it is another's.  Context:
 * hook.
 */
struct site *site_unresolved(struct site_table *t);

/* Says which stack it was.  Context: listener. */
void site_resolve(struct site *unresolved, struct site *site);

/*
 * Nothing more will be counted at `s` by who has it, or taken off.  Of a record that is a
 * stack it means nothing.  Context: hook.
 */
void site_unhold(struct site *s);

static inline void site_release(struct site *s)
{
	if (UNLIKELY(s->depth == 0))
		site_unhold(s);
}

/*
 * Moves what was counted in unresolved records that nobody has any more to their stacks,
 * and takes them out.  Context: listener.
 */
void sites_settle(struct site_table *t);

/*
 * The same for those that were resolved since the last time, and for some of those that somebody
 * had then, in turn: about twice as many, so that the cost follows what is new, and those
 * that are free find their way back.  Returns how many it looked at.  Context: listener.
 */
uint32_t sites_settle_some(struct site_table *t);

/* Calls fn for every record, resolved ones not; unresolved ones have depth 0.  Context: listener.
 */
void sites_each(struct site_table *t, void (*fn)(struct site *s, void *arg), void *arg);

/*
 * All totals are 0 again, for a profile that begins anew after nobody counted anything.
 * Context: init.
 */
void sites_begin_anew(struct site_table *t);

/* Context: hook. */
static inline void site_add(struct site *s, int which, uint64_t n)
{
	atomic_fetch_add_explicit(&s->total[which], n, memory_order_relaxed);
}

/* Context: any role. */
static inline uint64_t site_get(const struct site *s, int which)
{
	return atomic_load_explicit(&s->total[which], memory_order_relaxed);
}

#endif
