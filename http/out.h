/* http: the server and its pages.  May include proto and below. */
/*
 * Profiles as files, of programs that end: from the first instruction, written now and
 * then and at the end, for who has no port and no key.
 *
 * Context: listener, but where it says otherwise.
 */
#ifndef HTTP_OUT_H
#define HTTP_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "http/out_kinds.h"

struct out_config {
	/*
	 * From the root.  What has a % in its last part is what names of files begin with
	 * (name_pattern.h), anything else a directory, whose files are %n.%p.
	 */
	const char *pattern;
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

/* Writes the files every half minute.  Returns when it is to be called again. */
int64_t out_do_due(int64_t now_ns);

/*
 * Writes the files now, for a process that waits with its end until `until_ns` (CLOCK_MONOTONIC)
 * at most.
 */
void out_write(int64_t until_ns);

/* Why the last file could not be written, the first time that one could not: a sentence; or
 * NULL.  Context: hook, after out_write() or out_end(). */
const char *out_complaint(void);

/* Whether files can be written there, as out_complaint().  Context: init. */
const char *out_check(void);

/* Context: child. */
void out_after_fork(void);

#endif
