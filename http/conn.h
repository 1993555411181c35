/* http: the server and its pages.  May include proto and below. */
/*
 * One connection and the request it is answering now: bytes in, bytes out, the
 * time limit, and nothing of HTTP but the states between them.
 *
 *   HEAD -> BODY -> SERVING -> SENDING -> HEAD ...      (keep-alive)
 *                      |          ^  \-> LINGERING -> CLOSED
 *                      \-> WAITING
 *
 * A connection is one private mapping of three pages, made when the client comes
 * and given back when it goes.  CLOSED ones are collected by the loop, so nobody
 * holds a pointer to memory that is gone.
 *
 * Context: listener, all of it.
 */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include <sys/uio.h>

#include "http/body.h"
#include "http/exchange.h"
#include "http/guard.h"
#include "http/refusal.h"

#define CONN_HEAD_MAX  8192		     /* bytes of a request's head */
#define CONN_IN_BYTES  (CONN_HEAD_MAX + 512) /* room for a body's bytes behind a full head */
#define CONN_PARTS_MAX 10		     /* pieces of output: two heads, a body and its frame */
#define CONN_ARENA_MAX (64UL << 20)	     /* memory of one exchange */

/* What all connections of a server share. */
struct http_shared {
	const struct http_service *service;
	const struct http_limits *limits;
	struct guard guard;
	uint64_t newcomers;
	bool is_crowded; /* strangers have all the places that are theirs */
	int64_t now_ns;	 /* CLOCK_MONOTONIC when the last poll returned */
	struct refusal receiving, sending;
};

enum conn_state {
	CONN_HEAD,	/* reading a request's head, or idle without a byte of one */
	CONN_BODY,	/* reading its body */
	CONN_SERVING,	/* inside service->serve() or a pending answer's due() */
	CONN_WAITING,	/* begun; the rest comes when the pending answer is due */
	CONN_SENDING,	/* the answer is complete and on its way */
	CONN_LINGERING, /* has its last answer; reads until the client closes */
	CONN_CLOSED,
};

struct http_exchange {
	struct http_shared *shared;
	int fd;
	enum conn_state state;
	int64_t deadline_ns; /* of what is awaited from the client */
	int64_t since_ns;    /* when it came, or last became idle */
	uint64_t number;     /* of its coming: the older, the lower */
	bool trusted;	     /* a process of ours: nothing is asked of it */
	bool needs_no_key;   /* by who it is; a browser may still be led by a foreign page */
	bool known;	     /* its last request had the key */
	unsigned refusals;   /* requests without it, one after the other */
	bool keep;	     /* another request may follow this one */
	bool ended;	     /* the client has sent its last byte */
	bool used;	     /* has had an answer */
	bool ready;	     /* `in` holds bytes that were not looked at */
	bool head_only;	     /* the request is a HEAD */
	bool shut;	     /* our side, while lingering */
	bool hurried;	     /* its pending answer is to be made now */
	bool reset;	     /* closes by RST: the answer is broken, or there is none on its way */
	int minor_version;   /* of the request */
	struct arena arena;
	struct body body;
	struct http_pending pending;

	struct iovec part[CONN_PARTS_MAX]; /* output; sent ones are taken off the front */
	size_t part_count;
	char chunk_line[24];
	char head[512];

	size_t head_bytes; /* of `in`: the request being answered */
	size_t in_len;
	char in[CONN_IN_BYTES];
};

/* Takes over `fd`, in the memory of a closed one if there is one; NULL (and `fd` closed) without.
 */
struct http_exchange *conn_open(struct http_shared *s, int fd, struct http_exchange *used);

/* Closes and, if an answer is pending, tells its maker.  The memory stays until conn_free(). */
void conn_close(struct http_exchange *x);

/* Gives a closed one's memory back. */
void conn_free(struct http_exchange *x);

/* Appends to the output; nothing is copied. */
void conn_queue(struct http_exchange *x, const void *bytes, size_t len);

/* Sends what it can; at the end of an answer goes on to the next request or to the end. */
void conn_flush(struct http_exchange *x);

/*
 * Reads once into the free part of `in`.  False when nothing changed: no bytes
 * yet, no room, or the connection broke and is closed now.
 */
bool conn_read(struct http_exchange *x);

/* The time is over that an idle or lingering one had: goes on to close it. */
void conn_expired(struct http_exchange *x);

/* Reads and drops what a client still sends after its last answer. */
void conn_drain(struct http_exchange *x);

void conn_set_state(struct http_exchange *x, enum conn_state state);

/* Gives the client `ns` from now. */
void conn_allow(struct http_exchange *x, int64_t ns);

/* The events it wants to be polled for. */
short conn_events(const struct http_exchange *x);

/* When it needs to be looked at without an event; INT64_MAX for never. */
int64_t conn_wake_ns(const struct http_exchange *x);

/* Whether it may be closed for a newcomer: between two requests, nothing under way. */
bool conn_is_idle(const struct http_exchange *x);

#endif
