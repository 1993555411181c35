/* symbols: names and lines of addresses.  May include process and below. */
/*
 * For how long names and lines may be looked for, where somebody waits: a process that
 * is about to end.  What is not found by then is shown as [module] or without a line, and
 * counted; readers that have the files find it by address.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_PATIENCE_H
#define SAMPLER_SYMBOLS_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* CLOCK_MONOTONIC; 0: as long as it takes. */
void patience_set(int64_t names_until_ns, int64_t lines_until_ns);

/* No more names are to be looked for; once a question, the first time is counted. */
bool patience_is_over(void);

/* The earlier of this end of looking for lines, and ours. */
int64_t patience_for_lines(int64_t until_ns);

/* Whether names were left out since patience_set(). */
bool patience_was_over(void);

#endif
