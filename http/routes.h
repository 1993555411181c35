/* http: the server and its pages.  May include proto and below. */
/*
 * What is served under /debug/pprof/: from a path to the function that answers.
 *
 * Context: listener.
 */
#ifndef HTTP_ROUTES_H
#define HTTP_ROUTES_H

#include "http/exchange.h"
#include "http/routes_config.h"

/* http_service.serve and http_service.body_limit */
void routes_serve(struct http_exchange *x, const struct http_request *r);
size_t routes_body_limit(const struct http_request *r);

#endif
