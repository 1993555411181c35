/* http: the server and its pages.  May include proto and below. */
/*
 * The lobby: newcomers that have said nothing yet.  Each is a descriptor and no more, so
 * that there is room for many: who has the key may take a while from the connection to
 * the request, and a crowd does not push it out meanwhile.
 *
 * In order of arrival: who came first is at 0.
 *
 * Context: listener, all of it.
 */
#ifndef HTTP_LOBBY_H
#define HTTP_LOBBY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOBBY_PLACES 1024

struct newcomer {
	int fd;
	bool by_socket;	  /* it came by a unix socket */
	int64_t since_ns; /* when it was taken from the queue */
};

struct lobby {
	size_t count;
	struct newcomer at[LOBBY_PLACES];
};

/* There is room. */
void lobby_add(struct lobby *l, struct newcomer n);

/* Takes the `i`th out. */
struct newcomer lobby_take(struct lobby *l, size_t i);

/* Fills in one of `to` for each, in their order. */
void lobby_poll(const struct lobby *l, struct pollfd *to);

/* When the first has been here for `ns`; INT64_MAX: there is none. */
int64_t lobby_wake_ns(const struct lobby *l, int64_t ns);

/* Resets the connection: nothing is on its way there. */
void newcomer_reset(struct newcomer n);

void lobby_reset_all(struct lobby *l);

/* Whether no byte of it, nor its end, has come. */
bool newcomer_is_silent(struct newcomer n);

#endif
