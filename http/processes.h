/* http: the server and its pages.  May include proto and below. */
/*
 * The processes of the tree as a table on the index, and as targets for scrapers that find
 * theirs by HTTP (Prometheus's http_sd, which Alloy and others read).
 *
 * Context: listener.
 */
#ifndef HTTP_PROCESSES_H
#define HTTP_PROCESSES_H

#include "http/exchange.h"
#include "sampler/base/text.h"

/* Appends the table, or nothing if this process is alone.  `write_plain` escapes for HTML. */
void processes_write_table(struct text *t,
			   void (*write_plain)(struct text *t, const char *bytes, size_t len));

/* /debug/pprof/sd: one target for each process. */
void sd_route(struct http_exchange *x, const struct http_request *r);

#endif
