/* http: the server and its pages.  May include proto and below. */
/*
 * What the server and who answers its requests know of each other: the service
 * that main hands to the server, and the calls by which a request is answered.
 * The answering side is respond.c.
 *
 * Context: listener, all of it.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/parse.h"
#include "sampler/base/arena.h"

struct http_exchange; /* one request being answered */

struct http_response {
	int status;
	const char *content_type; /* NULL: text/plain; charset=utf-8 */
	const char *filename;	  /* NULL, or a Content-Disposition attachment's name */
	const char *extra;	  /* NULL, or complete header lines, each with CRLF */
	const void *body;
	size_t body_len;
};

/* An answer that is made later (a profile being collected). */
struct http_pending {
	int64_t due_ns; /* CLOCK_MONOTONIC */
	void *arg;
	/* At due_ns: must call http_finish(), http_abort() or http_again(). */
	void (*due)(struct http_exchange *x, void *arg);
	/* Instead of due: the client went away; give everything back. */
	void (*gone)(void *arg);
	bool heeds_bell; /* it is due, too, when somebody rings (bell.h) */
	const char
		*id; /* for http_hasten(), in the exchange's arena; NULL: it cannot be hastened */
};

/* What one connection may take. */
struct http_limits {
	size_t connections; /* at most HTTP_CONNECTIONS_MAX */
	size_t strangers;   /* of them, those that have not shown the key */
	size_t lobby;	    /* beside them, 1 to LOBBY_PLACES that have said nothing yet */
	int64_t head_ns;    /* from a request's first byte, or the connection, to its empty line */
	int64_t idle_ns;    /* between two requests */
	int64_t stall_ns;   /* a body or an answer without any progress */
	int64_t client_first_ns; /* after the last answer, until we close before the client */
	int64_t linger_ns;	 /* after the last answer, until the client closes too */
};

#define HTTP_CONNECTIONS_MAX 512

extern const struct http_limits http_limits_default;

struct http_service {
	/*
	 * Answers one complete, authorized request: http_respond(), http_error() or http_begin().
	 * `r` is valid until it returns, the bytes that `r` points to until the answer is sent.
	 */
	void (*serve)(struct http_exchange *x, const struct http_request *r);
	/*
	 * Periodic work.  Called before every poll with the current time; returns when it wants to
	 * be called again (CLOCK_MONOTONIC ns), INT64_MAX for never.  NULL: there is none.
	 */
	int64_t (*do_due)(int64_t now_ns);
	/*
	 * How many bytes of body this request may bring; 0 for one that needs none (a small body
	 * is then read and dropped).  NULL: no request needs one.
	 */
	size_t (*body_limit)(const struct http_request *r);
	/*
	 * Called before every poll, ahead of do_due().  It may put another socket into the
	 * place of the listening one, and reset all connections by reset_all(arg).  NULL: it
	 * need not be called.
	 */
	void (*before_poll)(void (*reset_all)(void *arg), void *arg);
	const struct http_limits *limits; /* NULL: http_limits_default */
	/* It is a member's: clients come by a unix socket, and only processes of ours may. */
	bool by_peer;
	/*
	 * Another socket that listens, a unix one, or where none is open -1; it may change
	 * before each poll.  Who comes by it, or by `fd` if that is a unix socket, and is our
	 * user, or root, needs no key.  NULL: there is none.
	 */
	const int *socket_fd;
	/* Answers under way are to be made at once when this is not 0.  NULL: never. */
	const volatile int *hurry;
	/* How many answers are being made or sent, told before every poll; NULL: nobody asks. */
	volatile uint32_t *under_way;
	/*
	 * A descriptor that ends the sleep when it becomes readable; do_due() is to empty it.
	 * 0: none (the listening socket, which is older, has a lower number).
	 */
	int wake_fd;
};

/* Who asks is a process of ours, which the kernel says (http_service.by_peer). */
bool http_is_trusted(const struct http_exchange *x);

/* By http_hasten(), or the process is about to end: the answer is to be made of what there is. */
bool http_is_hurried(const struct http_exchange *x);

/* Memory for this exchange: released after the last byte is sent. */
struct arena *http_arena(struct http_exchange *x);

/* Sends a whole answer.  Copies nothing: body and extra must be static or in http_arena(). */
void http_respond(struct http_exchange *x, const struct http_response *r);

/*
 * Go's error form: text/plain, X-Go-Pprof: 1, message and newline.  The message
 * is static or in http_arena().
 */
void http_error(struct http_exchange *x, int status, const char *message);

/* As http_error(), with more header lines, as in http_response.extra. */
void http_error_extra(struct http_exchange *x, int status, const char *message, const char *extra);

/*
 * Sends the head of a 200 now (chunked for HTTP/1.1, until close for 1.0) and
 * waits for `w`.  The body fields of `r` are ignored.
 *
 * The answer to HEAD ends with the head: pass NULL for `w`, so that nothing is
 * started for it.  (A pending answer passed all the same is told that the client is gone.)
 */
void http_begin(struct http_exchange *x, const struct http_response *r,
		const struct http_pending *w);

/* Sends the body of an answer begun by http_begin(); body as in http_respond(). */
void http_finish(struct http_exchange *x, const void *body, size_t len);

/*
 * From within due(), to who asked in HTTP/1.1: sends bytes of the body ahead of the rest.  They
 * stay as they are until the next call that is true.  False: what was sent before is still on its
 * way, or they cannot be sent ahead.
 */
bool http_part(struct http_exchange *x, const void *body, size_t len);

/*
 * From within due(): the answer needs more time, and due() is to be called again at `due_ns`.
 * Work that takes long is done in slices this way, so that other connections are served in between.
 */
void http_again(struct http_exchange *x, int64_t due_ns);

/*
 * Makes the pending answers with this id due now, of all connections of the server.  Returns how
 * many there are.
 */
size_t http_hasten(struct http_exchange *x, const char *id);

/* Ends an answer begun by http_begin() so that the client sees that it is broken. */
void http_abort(struct http_exchange *x);

#endif
