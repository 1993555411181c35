/* wall: the wall-clock profile.  May include cpu, heap, locks and below. */
/*
 * The threads of one wall-clock profile, each as long as it lives in the window: what its
 * clocks say, and where looks found it.
 *
 * A thread that is over after a few looks has too few of them to be judged by; so it
 * becomes part of a crowd, all those of its name, and its place is free for another.
 *
 * Context: listener.
 */
#ifndef SAMPLER_WALL_LIVES_H
#define SAMPLER_WALL_LIVES_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/process/task_call.h"
#include "sampler/process/threads.h"
#include "sampler/wall/visits.h"

#define LIVES_MAX  THREADS_MAX
#define CROWDS_MAX 256
/* Looks that found a thread blocked; with less it is weighed with others. */
#define LOOKS_OWN 4

/* The first part is all that a sweep touches of a thread that sleeps: one line of the cache. */
struct life {
	int tid;	/* 0: the place is free */
	uint32_t visit; /* where it was at the last look; 0: it ran, or has run since */
	int64_t clock;	/* its CPU clock then */
	int64_t end_ns; /* CLOCK_MONOTONIC when it was there last */
	/* Of looks since then that found it there still: see lives_leave(). */
	int64_t still_ns;
	uint32_t still_looks;
	bool is_queuer;	  /* of late it waited for a processor: see wall.c */
	bool is_weighted; /* some looks since `known_ns` stand for others */
	bool is_over;	  /* the thread has ended: end_ns, clock and queued are final */
	bool has_run;	  /* its CPU clock has moved in the window */
	bool is_refused;  /* the kernel does not tell where it waits */
	bool is_named;
	char name[TASK_NAME_BYTES];

	int64_t begin_ns;
	int64_t clock_begin;
	int64_t queued_begin, queued; /* waited for a processor; -1: not read */
	int64_t known_ns;	      /* when clock and queued were read for the last look */
	int64_t blocked_ns;	      /* what looks that found it blocked stand for, */
	int64_t lost_ns;	      /* of that, in no visit: there was no room */
	uint32_t looks, blocked_looks;
	uint32_t visits; /* the first of them */
	uint32_t next_free;
} __attribute__((aligned(64)));

/* Threads of one name that are no more, or had too few looks. */
struct crowd {
	char name[TASK_NAME_BYTES];
	uint32_t visits;
	int64_t blocked_ns; /* by their clocks */
	int64_t seen_ns;    /* what looks that found them blocked stand for, */
	int64_t lost_ns;    /* of that, in no visit */
};

struct life_table {
	struct visit_table visits;
	struct life *list;   /* LIVES_MAX */
	uint32_t *of_record; /* by thread_index(): number in the list and 1 */
	uint32_t count, unused;
	struct crowd *crowd; /* CROWDS_MAX; [0] is of those whose name has none, or is not known */
	uint32_t crowds;
	int64_t crowd_life_ns, crowd_queued_ns; /* of those that are in a crowd */
	uint64_t unlisted;			/* threads for which there was no place */
};

/* False without memory. */
bool lives_init(struct life_table *t, struct arena *a);

/* Of this record; NULL: it has none yet. */
struct life *lives_find(const struct life_table *t, const struct thread *of);

/* A new one for a record without one; NULL: there is no place, counted. */
struct life *lives_add(struct life_table *t, const struct thread *of);

/* The owner's number of its visits. */
uint32_t lives_owner(const struct life_table *t, const struct life *l);

/* It is not at its `visit` any more, or its life is over: what was put off is booked there. */
void lives_leave(const struct life_table *t, struct life *l);

/* Its record is another's from now on; what is known of it stays, here or in a crowd. */
void lives_end(struct life_table *t, const struct thread *of);

static inline int64_t life_cpu_ns(const struct life *l)
{
	return l->clock > l->clock_begin ? l->clock - l->clock_begin : 0;
}

/* Within what is left of its life beside its CPU time; 0 where it is not known. */
int64_t life_queued_ns(const struct life *l);

/* What is left: it was blocked. */
int64_t life_blocked_ns(const struct life *l);

#endif
