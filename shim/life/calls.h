/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * Every system call that we make, or that libc makes for our thread, and what is
 * lost without it.  A filter that kills for one of them ends the program at its
 * first use, so each filter is judged by this list: the one that the program was
 * started under (probe.h), and those that it installs (filter.h).  A test compares
 * the list with the sources.
 */
#ifndef SHIM_LIFE_CALLS_H
#define SHIM_LIFE_CALLS_H

#include <stdbool.h>
#include <stddef.h>

enum need {
	NEEDED,		   /* nothing works without it; an error is borne */
	MUST_WORK,	   /* nor with an error */
	AT_START,	   /* as NEEDED, and never made later */
	FOR_TIMERS,	   /* CPU profiles */
	FOR_FOREIGN_READS, /* stacks that are not known to be a thread's own */
	FOR_NICETIES,	   /* how our thread is called and scheduled */
	INSTEAD_OF_CLONE3, /* where clone3 is refused */
	FOR_FILES,	   /* what settings ask that name files: never made without one */
};

struct own_call {
	const char *name;
	long number;
	enum need need;
};

extern const struct own_call own_calls[];
extern const size_t own_call_count;

/* A setting names a file: the calls FOR_FILES are made too.  Context: init. */
void calls_expect_files(void);

/* Whether this one may be made from now on.  Context: hook. */
bool call_is_expected(const struct own_call *c);

#endif
