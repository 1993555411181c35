/* http: the server and its pages.  May include proto and below. */
/*
 * Which processes of the tree a request is about, by its parameters:
 *
 *   nothing             all
 *   pid=self            the one with the endpoint alone
 *   pid=N or pid=N,M    these
 *   process=PATTERN     those whose name matches (sampler/base/pattern.h)
 *
 * Context: listener.
 */
#ifndef HTTP_TREE_QUERY_H
#define HTTP_TREE_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "http/parse.h"

#define TREE_PIDS_MAX	   64
#define TREE_PATTERN_BYTES 64

struct tree_query {
	int pid[TREE_PIDS_MAX];
	size_t pid_count;	       /* 0: not asked for by pid */
	char name[TREE_PATTERN_BYTES]; /* "": not asked for by name */
};

/* NULL, or a sentence that says what is wrong with the question. */
const char *tree_query_read(const struct http_request *r, struct tree_query *q);

/* Whether this process is asked for. */
bool tree_query_has(const struct tree_query *q, int pid);

/* The same where its name is known. */
bool tree_query_has_named(const struct tree_query *q, int pid, const char *name);

/* It is the one with the endpoint and nobody else. */
bool tree_query_is_self(const struct tree_query *q);

#endif
