/* http: the server and its pages.  May include proto and below. */
/*
 * A profile from one moment to another, of which files are written now and then: windows,
 * one after the other, each of which adds to a sum.  The next one begins before the last
 * one ends, so that no time is in neither.
 *
 * Context: listener.
 */
#ifndef HTTP_OUT_WINDOWS_H
#define HTTP_OUT_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "http/timed_profile.h"

#define OUT_NOTES_MAX  4
#define OUT_NOTE_BYTES 300

/* Zero-initialised: nothing was taken so far.  In a forked child it is made so again. */
struct out_windows {
	const struct timed_page *page;
	struct params query;
	void *window; /* under way; NULL: nothing is sampled */
	int64_t window_ns;

	struct arena memory; /* of the owners */
	struct owner_table owners;
	struct stack_table sum; /* label: the number of an owner */
	bool has_sum;
	int64_t start_ns, start_epoch_ns, period_ns; /* of the first window */
	unsigned count;				     /* of windows in the sum */
	int64_t last_ns;			     /* how long the last one was */
	/* What the last one with anything to say said about itself. */
	char note[OUT_NOTES_MAX][OUT_NOTE_BYTES];
	size_t notes;
};

/*
 * Samples from now on; `hz` as in the page's query, 0 for its default.  False: that cannot
 * be, and why is in *why.
 */
bool out_windows_begin(struct out_windows *w, const struct timed_page *page, int hz,
		       const char **why);

/* Nothing is sampled any more; what was stays in the sum. */
void out_windows_end(struct out_windows *w);

/* Gives everything back. */
void out_windows_release(struct out_windows *w);

/* Works.  Returns when it is to be called again (CLOCK_MONOTONIC). */
int64_t out_windows_step(struct out_windows *w);

/*
 * The message of all so far, in `a`; sampling goes on.  Returns the sum of its last value,
 * in ns: below `least_ns` there is no message.  -1 without memory.
 */
int64_t out_windows_message(struct out_windows *w, struct arena *a, int64_t least_ns,
			    struct message *out);

#endif
