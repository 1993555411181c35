/* http: the server and its pages.  May include proto and below. */
/*
 * From bytes to an answer: heads, bodies, who may ask, what a slow client is
 * told.  Everything between conn.c, which moves bytes, and the service.
 *
 * Context: listener, all of it.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "http/conn.h"

/*
 * Takes what it can from the bytes received: at most one request, so that a
 * client that sends many at once takes its turn like all others.
 */
void request_advance(struct http_exchange *x);

/* Makes a pending answer whose time has come. */
void request_due(struct http_exchange *x);

/* Ends a connection whose time is up, with a 408 where one is expected. */
void request_expired(struct http_exchange *x);

/* Answers `status` and closes; for what is wrong with the connection, not with a question. */
void request_refuse(struct http_exchange *x, int status, const char *message);

#endif
