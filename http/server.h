/* http: the server and its pages.  May include proto and below. */
/*
 * The listener's loop: one thread, one poll(), many connections, HTTP/1.1 with
 * keep-alive.  Knows nothing of profiles; routes.c answers through the calls
 * of exchange.h.  With nobody connected and no work due it sleeps without a timeout.
 *
 * Context: listener, all of it.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdint.h>

#include "http/exchange.h"

/*
 * Opens the listening socket on 127.0.0.1:port.  Returns the descriptor or
 * -errno.
 */
int http_listen(uint16_t port);

/*
 * Serves connections of `fd` until `*stop` becomes non-zero, which is looked at
 * after every poll: shutdown(fd, SHUT_RDWR) ends a sleeping one.  Waiters are then told that
 * their clients are gone; `fd` stays open.  `key` is the bearer token.
 *
 * Returns NULL, or the name of the system call that the kernel refuses to us, without
 * which there is no serving.  What it lacks (descriptors, memory) is waited for instead.
 */
const char *http_serve(int fd, const char *key, const struct http_service *service,
		       const volatile int *stop);

#endif
