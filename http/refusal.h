/* http: the server and its pages.  May include proto and below. */
/*
 * Whether the kernel refuses us a system call as such: by a filter or a security
 * module that came after the start.  One such answer may be about one connection;
 * REFUSED_IN_A_ROW in a row are about us, and the server gives up instead of asking again
 * for ever.
 *
 * Context: listener.
 */
#ifndef HTTP_REFUSAL_H
#define HTTP_REFUSAL_H

#include <errno.h>

#define REFUSED_IN_A_ROW 3

struct refusal {
	const char *call; /* the one that was refused last */
	int count;
};

/* `result` is the kernel's, -errno on failure; `call` is one and the same text at each place. */
static inline void refusal_note(struct refusal *r, const char *call, long result)
{
	if (result == -ENOSYS || result == -EPERM || result == -EACCES) {
		r->count = r->call == call ? r->count + 1 : 1;
		r->call = call;
	} else if (r->call == call) {
		r->count = 0;
	}
}

/* The name of the call that is refused to us; NULL: none is. */
static inline const char *refusal_of(const struct refusal *r)
{
	return r->count >= REFUSED_IN_A_ROW ? r->call : NULL;
}

#endif
