/* http: the server and its pages.  May include proto and below. */
/*
 * The functions that answer the single paths, for the table in routes.c.
 * Each gets a GET or a HEAD (and symbol_route() a POST).
 *
 * Context: listener, all of it.
 */
#ifndef HTTP_HANDLERS_H
#define HTTP_HANDLERS_H

#include "http/exchange.h"
#include "http/routes_config.h"

/* One row of the table: a path below /debug/pprof/. */
struct route {
	const char *name;
	const char *description; /* HTML, one or two sentences for the index */
	void (*serve)(struct http_exchange *x, const struct http_request *r);
	const char *link;	 /* where the index leads; NULL: it is not on the index */
	uint64_t (*count)(void); /* of what it has collected; NULL: nothing to count */

	/* Of a profile, which the index offers in several ways: */
	bool is_profile;
	int seconds;		      /* how long to take it; 0: it is there */
	const char *text;	      /* the query of its best text; NULL: ?format=text */
	const char *(*refusal)(void); /* why it is dormant, NULL: it is not; NULL: it never is */
};

/* index_page.c; the index shows these rows in their order */
void index_page(struct http_exchange *x, const struct http_request *r, const struct route *route,
		size_t count);

/* pages.c */
void cmdline_route(struct http_exchange *x, const struct http_request *r);
void shim_route(struct http_exchange *x, const struct http_request *r);
void trace_route(struct http_exchange *x, const struct http_request *r);

/* other_shim.c: answers if the request is about another process; false: it is about this one */
bool other_shim(struct http_exchange *x, const struct http_request *r);

/* cpu_route.c */
void cpu_route(struct http_exchange *x, const struct http_request *r);

/* wall_route.c */
void wall_route(struct http_exchange *x, const struct http_request *r);

/* heap_route.c */
void heap_route(struct http_exchange *x, const struct http_request *r);
void allocs_route(struct http_exchange *x, const struct http_request *r);
uint64_t heap_stack_count(void);
int64_t heap_inuse_bytes(void); /* of the last snapshot of either */
/* What to do about a profile that a setting of 0 has off. */
#define SWITCH_ON "; it is on in a program that is started without that setting"

const char *heap_refusal(void); /* why there is none; NULL: there is one */

/* goroutine_route.c */
void goroutine_route(struct http_exchange *x, const struct http_request *r);

/* threadcreate_route.c */
void threadcreate_route(struct http_exchange *x, const struct http_request *r);

/* contention_route.c */
void block_route(struct http_exchange *x, const struct http_request *r);
void mutex_route(struct http_exchange *x, const struct http_request *r);
uint64_t block_stack_count(void);
uint64_t mutex_stack_count(void);
const char *block_refusal(void); /* as heap_refusal() */
const char *mutex_refusal(void);

/* stop_route.c; for POST only */
void stop_route(struct http_exchange *x, const struct http_request *r);

/* view_route.c */
void view_route(struct http_exchange *x, const struct http_request *r);

/* symbol_route.c */
void symbol_route(struct http_exchange *x, const struct http_request *r);

#endif
