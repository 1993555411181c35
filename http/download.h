/* http: the server and its pages.  May include proto and below. */
/*
 * What a profile is called where it is saved: redis-server-1234-cpu-20261129T0710Z.pb.gz.
 *
 * Context: listener.
 */
#ifndef HTTP_DOWNLOAD_H
#define HTTP_DOWNLOAD_H

#include "http/exchange.h"

/* The head of an answer that is a file; `kind` is "cpu", "heap" and so on. */
struct http_response download_of(struct http_exchange *x, const char *kind);

#endif
