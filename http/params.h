/* http: the server and its pages.  May include proto and below. */
/*
 * What a profile is asked with.  A value that makes no sense is refused with a
 * sentence that says what would, and so is a name that one of ours was meant by:
 * half a minute later nobody would know that "second=3" was not heard.
 *
 * Where Go takes anything and clients rely on it, so do we: an empty value is no
 * value, of a name that occurs twice the first counts, seconds=0 of a CPU profile is
 * its default, debug=1 of one is ?format=text, gc is heard, and does nothing.  Names that
 * nobody here knows are ignored, since scrapers send all that they were configured
 * with to every page.
 *
 * Context: listener.
 */
#ifndef HTTP_PARAMS_H
#define HTTP_PARAMS_H

#include "http/server.h"
#include "http/tree_query.h"
#include "proto/format.h"
#include "sampler/symbols/symbols.h"

#define PARAMS_SECONDS_MAX 3600

struct params {
	int64_t seconds; /* 0: not asked for */
	int64_t debug;
	int hz;		 /* 0: not asked for */
	bool labels;	 /* of threads, in a CPU profile */
	bool share;	 /* asked by the process that has the port: an answer as in proto/share.h */
	bool peak;	 /* of a heap profile: when most was in use */
	bool ages;	 /* of a heap profile: blocks labelled with how long they are in use */
	int64_t older_s; /* of a heap profile: blocks in use for so long; 0: all */
	int64_t window_ms; /* of such a question about CPU, in place of seconds */
	struct tree_query tree;
	enum symbols_detail detail;
	enum format format;
	char state[12];	 /* of threads, in a wall-clock profile; "" for all */
	char thread[64]; /* the pattern of their names; "" for all */
	char value[24];	 /* the sample type that texts are about; "" for the usual one */
	const char
		*id; /* by which it can be ended early; NULL: it cannot; in the exchange's arena */
};

enum params_of {
	PARAMS_OF_CPU,
	PARAMS_OF_WALL,
	PARAMS_OF_SNAPSHOT, /* with seconds=N: of a difference */
};

/* How long it is to take; 0: not asked for. */
int64_t params_window_ns(const struct params *p);

/* False: the question made no sense, and was answered. */
bool params_read(struct http_exchange *x, const struct http_request *r, enum params_of what,
		 struct params *p);

/* The number of the value that was asked for; false: there is none, and that was answered. */
bool params_value(struct http_exchange *x, const struct params *p, const struct profile_head *head,
		  int *value);

#endif
