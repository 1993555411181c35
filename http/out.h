/* http: the server and its pages.  May include proto and below. */
/*
 * Profiles as files, of programs that end: from the first instruction, written now and
 * then and at the end, for who has no port and no key; and of the time between two signals.
 *
 * Context: listener, but where it says otherwise.
 */
#ifndef HTTP_OUT_H
#define HTTP_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "http/out_kinds.h"

struct out_config {
	const char *pattern; /* from the root, see out_place.h */
	const char *program; /* its path */
	unsigned kinds;	     /* OUT_KIND_BIT of each */
	int hz;
};

/* Pointers are borrowed for ever.  Context: init. */
void out_init(const struct out_config *config);

/* There are to be files.  Context: any role. */
bool out_is_wanted(void);

/* Sampling begins, or begins again. */
void out_begin(void);

/* It ends, and the files are written: the listener goes away. */
void out_end(void);

/* Works, and writes the files every half minute.  Returns when it is to be called again. */
int64_t out_do_due(int64_t now_ns);

/*
 * Writes the files now, for a process that waits with its end until `until_ns` (CLOCK_MONOTONIC)
 * at most.
 */
void out_write(int64_t until_ns);

/* A CPU profile with a file of its own begins, or the one that has begun ends. */
void out_toggle(void);

/* Such a profile is under way. */
bool out_is_toggled(void);

/* Context: child. */
void out_after_fork(void);

#endif
