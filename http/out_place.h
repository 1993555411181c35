/* http: the server and its pages.  May include proto and below. */
/*
 * Where the files of programs that end go: a directory, which is opened once, so that a
 * program that changes its root still writes where it was told to, and what names begin
 * with.  And the one sentence about a place where nothing can be written.
 *
 * Context: listener, but where it says otherwise.
 */
#ifndef HTTP_OUT_PLACE_H
#define HTTP_OUT_PLACE_H

#include "http/out_file.h"

/*
 * `pattern` has a slash.  What has a % in its last part is what names of files begin with
 * (name_pattern.h), anything else a directory, whose files are %n.%p.  `program` is a path.
 * Both are borrowed for ever.  Context: init.
 */
void out_place_init(const char *pattern, const char *program);

/* Opens and closes the directory, of this process now. */
void out_place_open(void);
void out_place_close(void);

/* Writes a file of this kind; what fails becomes a complaint. */
void out_place_write(struct out_file *f, const char *kind, struct bytes content);

/* Why the last file could not be written, the first time that one could not: a sentence; or
 * NULL.  Context: hook. */
const char *out_place_complaint(void);

/* Whether files can be written there, as out_place_complaint().  Context: init. */
const char *out_place_check(void);

/* Context: child. */
void out_place_after_fork(void);

#endif
