/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * What the process takes of its machine now, as /proc and its clocks tell.
 *
 * Context: listener.
 */
#ifndef SAMPLER_PROCESS_USAGE_H
#define SAMPLER_PROCESS_USAGE_H

#include <stdint.h>

/* What could not be found out is 0. */
struct usage {
	uint64_t rss, rss_anon;	  /* bytes; of anonymous memory before Linux 4.5: 0 */
	uint64_t descriptors;	  /* open ones; ours are in a table of their own */
	uint64_t descriptors_max; /* RLIMIT_NOFILE */
	int64_t age_ns;		  /* since the program was started */
	int64_t cpu_ns;		  /* used by its threads so far; ours is not among them */
};

void usage_read(struct usage *u);

/* usage.rss_anon alone. */
uint64_t usage_rss_anon(void);

/* The same of another process, with what it shares with its parent still. */
uint64_t usage_rss_anon_of(int pid);

#endif
