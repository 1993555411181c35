/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * What a CPU profile's stacks stand for: each thread's clock says what it used in the
 * window, and that is what its stacks have at the end.
 *
 *   a thread that used enough for several ticks     by itself
 *   all that used less                              together: each tick is a draw from them
 *   threads that no hook saw start                  together, with what unknown ones used
 *
 * What a group's ticks stand for is scaled to what it used, or, when ticks cannot have
 * met it by chance alone, completed by stacks under [between ticks] (balance.h).  The
 * frames [lost samples] and [unsampled] have the rest: so the total is what the kernel's
 * clocks say.
 *
 * Context: listener.
 */
#ifndef SAMPLER_CPU_ACCOUNT_H
#define SAMPLER_CPU_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/cpu/balance.h"
#include "sampler/cpu/born.h"
#include "sampler/cpu/labels.h"
#include "sampler/unwind/capture.h"
#include "sampler/unwind/stacks.h"
#include "sampler/unwind/walk.h"

/* value[] of the stacks of a CPU profile. */
enum cpu_value {
	CPU_VALUE_SAMPLES,
	CPU_VALUE_NS,	     /* while the window is open: of ticks */
	CPU_VALUE_LOOKED_NS, /* of looks from outside; not shown */
};

/* One thread in one profile. */
struct thread_use {
	int64_t base_ns, base_lost_ns; /* its clock and its lost ticks when the window began */
	int64_t sampled_ns;	       /* its ticks, at stacks with its label */
	int64_t unlabelled_ns;	       /* and at those without */
	uint32_t label;
};

/* Large, and hardly touched. */
struct account_book {
	struct thread_use use[THREADS_MAX];	    /* by thread_index() */
	struct cpu_group group[CPU_LABELS_MAX + 1]; /* by label; 0: all without one */
};

struct cpu_profile {
	struct stack_table stacks; /* label: a number of `labels` */
	struct cpu_labels labels;
	int hz;
	int64_t period_ns;
	int64_t draw_ns;  /* CPU time from tick to tick: the kernel gives none between its own */
	int64_t start_ns; /* CLOCK_MONOTONIC */
	int64_t start_epoch_ns;
	int64_t duration_ns; /* filled in by cpu_profile_stop(), see account.c */
	struct cpu_profile *next;
	/* For who looks at threads meanwhile: a thread has ended, its record will be another's.
	 * NULL: nobody does. */
	void (*thread_ended)(void *arg, const struct thread *t);
	void *arg;
	/* Process and listener CPU clocks when it began. */
	int64_t process_cpu_ns, listener_cpu_ns;
	struct account_book *book;
	/* Of processes that were forked meanwhile: until when they tick, 0: they do not. */
	int64_t children_until_ns;
	struct nursery_counts children; /* when it began */
	struct born *born;		/* what they did, NULL: nothing yet */
	struct stack_table merged;	/* for who shows it: of both */
	int64_t unmet_ns; /* used by threads that no tick met and nobody could look at */
	int64_t late_ns;  /* of those, by threads that no hook saw start */
	int64_t tails_ns; /* what ended threads may have used after their clocks were read */
};

/* The window begins: notes all clocks. */
void account_begin(struct cpu_profile *p);

/* A tick, at its stack. */
void account_tick(struct cpu_profile *p, const struct capture *c, const struct walk *w);

/* `ns` of CPU time that a thread used before it was looked at (look.h). */
void account_look(struct cpu_profile *p, const struct thread *t, const struct walk *w, int64_t ns);

/* A thread has ended, and its last tick was taken: its record is about to be another's. */
void account_thread_end(struct cpu_profile *p, const struct thread *t);

/* The window is over, and all ticks are taken: weighs the stacks, adds what is missing, and
 * counts samples.  Sets p->duration_ns. */
void account_end(struct cpu_profile *p);

#endif
