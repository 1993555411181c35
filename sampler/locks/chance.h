/* locks: the block and mutex profiles.  May include unwind, symbols and below. */
/*
 * Which of many events are recorded: each with a probability of its own, and
 * then it counts as 1/probability of its kind.  At most CHANCE_PER_SECOND a
 * second are: beyond that the odds are halved, and halved again, until the
 * storm is over.  What is recorded is weighed by the odds it had, so sums stay
 * unbiased whatever happens.  Two threads that move `halvings` at once may lose one
 * halving, or one undo; the next second makes up for it.
 *
 * Context: hook.
 */
#ifndef SAMPLER_LOCKS_CHANCE_H
#define SAMPLER_LOCKS_CHANCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/counters.h"

#define CHANCE_PER_SECOND 1000

/* The probability hits / of, 1 if hits is not less. */
struct odds {
	uint64_t hits, of;
};

struct chance {
	atomic_uint_fast64_t rate; /* the profile's own; 1: everything is recorded */
	atomic_int everything;	   /* how many want everything recorded now */
	enum counter coarsened;	   /* moves when the odds are halved */

	atomic_uint halvings; /* of the odds, at present */
	atomic_uint recorded; /* in this second */
	atomic_int_fast64_t second;
};

/*
 * Whether this event is recorded; `odds` becomes what its chance really was.
 * `now_ns` tells seconds apart.
 */
bool chance_take(struct chance *c, struct odds *odds, int64_t now_ns);

/*
 * As chance_take(), for an event whose hits are not known yet, to be drawn where there is
 * time for it: what it has to exceed to be recorded; odds->of becomes what it was.
 */
uint64_t chance_draw(struct chance *c, struct odds *odds);

/* An event was recorded without chance_take().  `now_ns` tells seconds apart. */
void chance_recorded(struct chance *c, int64_t now_ns);

/* Everything is recorded at present. */
bool chance_is_certain(struct chance *c);

/* By what factor the odds are reduced at present. */
uint64_t chance_coarser(struct chance *c);

/* What an event of `n` that was recorded at these odds stands for, rounded. */
uint64_t odds_weigh(struct odds odds, uint64_t n);

#endif
