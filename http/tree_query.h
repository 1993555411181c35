/* http: the server and its pages.  May include proto and below. */
/*
 * Which processes of the tree a request is about, by its parameters:
 *
 *   nothing             all
 *   pid=self            the one with the endpoint alone, as if there were no tree
 *   pid=N or pid=N,M    these; also the one with the endpoint, by its number
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
	bool says_self;		       /* and not its number */
	char name[TREE_PATTERN_BYTES]; /* "": not asked for by name */
};

/* NULL, or a sentence that says what is wrong with the question. */
const char *tree_query_read(const struct http_request *r, struct tree_query *q);

/* Whether this process is asked for. */
bool tree_query_has(const struct tree_query *q, int pid);

/* The same where its name is known. */
bool tree_query_has_named(const struct tree_query *q, int pid, const char *name);

/* It is the one with the endpoint and nobody else. */
bool tree_query_is_own(const struct tree_query *q);

/* The same, asked for as self: then samples do not say whose they are. */
bool tree_query_is_self(const struct tree_query *q);

#endif
