/* http: the server and its pages.  May include proto and below. */
/*
 * One request to the whole tree: members are called, asked, waited for a little, and the
 * profile says who is in it and who is not.
 *
 *   tree_begin()    calls those that are not there, asks those that are
 *   tree_look()     from the answer's due(), until it says that all is there
 *   members.first   the answers
 *   tree_comments() who is in the profile and who is not, and why
 *   tree_end()
 *
 * Context: listener.
 */
#ifndef HTTP_TREE_H
#define HTTP_TREE_H

#include "http/exchange.h"
#include "http/members.h"
#include "http/tree_query.h"
#include "sampler/process/descendants.h"

/* How it went to look at a process that did not answer from outside; see sleepers.h. */
enum outside {
	OUTSIDE_NOT,
	OUTSIDE_READ,
	OUTSIDE_REFUSED, /* by the kernel */
	OUTSIDE_LATE,	 /* there was no time */
	OUTSIDE_MOVED,	 /* it went on meanwhile */
	OUTSIDE_NO_ROOM, /* for what was read */
};

struct tree_request {
	struct tree_query query;
	void (*write_target)(struct text *t, void *arg);
	void *arg;
	struct members members;
	struct arena arena;	       /* of the lists of processes */
	struct process_list processes; /* when it began */
	enum outside *outside;	       /* of each of them; NULL: not looked at */
	int64_t open_until_ns;	       /* who joins before is asked as well */
	int64_t least_ns;	       /* the same, as it was before tree_keep_open() */
	int64_t patience_ns;	       /* how long it may take to answer; 0: as a snapshot takes */
	bool is_closed;		       /* nobody is asked any more */
	int64_t late_ns;	       /* who answers later is left out */
	bool tells_memory;	       /* who is not in it is named with how much it has */
	bool includes_self, is_hastened;
	int64_t born; /* in the profile without being members; see tree_newborns.h */
};

/*
 * Whether a request of this connection is about more than this process: it has the port,
 * there are other processes, and they are asked for.
 */
bool tree_is_asked(const struct http_exchange *x, const struct tree_query *q);

/*
 * Whether any process that is asked for by its number is in the tree, or was when it answered
 * last; true without such a question.
 */
bool tree_has_asked(const struct http_exchange *x, const struct tree_query *q);
#define TREE_HAS_NOT                                                                               \
	"no process of the tree has this pid; /debug/pprof/sd lists those that are there"

/* The same as tree_is_asked() for a profile that may have members only by and by: this process has
 * forked. */
bool tree_may_come(const struct http_exchange *x, const struct tree_query *q);

/*
 * t->query, write_target and arg are filled in, the rest is zero.  With open_until_ns 0 who
 * is called for the first time in a while gets a quarter of a second.
 */
void tree_begin(struct tree_request *t, int64_t open_until_ns);

/* Whether those of the tree were called so lately that who heard it has not left again. */
bool tree_was_called(void);

/* Who joins is asked until tree_close(), which leaves those that joined just now a moment. */
void tree_keep_open(struct tree_request *t);
void tree_close(struct tree_request *t);

/* All are to end what they were asked for with this id, and nobody is asked any more. */
void tree_hasten(struct tree_request *t, const char *id);

/* When to look again; 0: all that will come is there. */
int64_t tree_look(struct tree_request *t);

void tree_end(struct tree_request *t);

#endif
