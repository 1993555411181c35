/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * Which system calls does the filter that we were started under forbid?  A
 * filter may kill for one it does not know, so each is tried in a throw-away
 * child, with arguments that do nothing.  Without a filter nothing is tried.
 *
 * Context: init.
 */
#ifndef SHIM_LIFE_PROBE_H
#define SHIM_LIFE_PROBE_H

#include <stdbool.h>

struct probe_result {
	const char *forbidden; /* a call that the listener cannot do without, NULL: none */
	bool no_write;	       /* not even a sentence can be said */
	bool no_timers;	       /* CPU profiles cannot be taken */
	bool no_foreign_reads; /* process_vm_readv */
	bool no_niceties;      /* or no sched_setscheduler: only niceties */
	const char *no_files;  /* a call that only settings need that name files, NULL: none */
};

/* Tried once, when it is asked for first. */
const struct probe_result *probe_filter(void);

/* Whether there may be a filter; nothing is tried.  Context: init, hook before that. */
bool probe_sees_filter(void);

#endif
