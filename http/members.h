/* http: the server and its pages.  May include proto and below. */
/*
 * The members of the tree: processes whose endpoint is ours (shim/life/member.h).  Who
 * is there is told by the names of their sockets, /proc/net/unix; a profile of all is
 * asked from each as a client would, over a connection that lasts for one answer.
 *
 * A member may be another user's, and under an attacker: what it says is only bytes, of
 * which so many are taken, and who it is says the kernel.
 *
 * Nothing here waits.  Who asks comes back when members_look() says, from its due().
 *
 * Context: listener.
 */
#ifndef HTTP_MEMBERS_H
#define HTTP_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/peer.h"
#include "sampler/base/arena.h"
#include "sampler/base/text.h"
#include "sampler/process/descendants.h"

#define MEMBERS_MAX	   1000
#define MEMBER_BUCKETS	   512
#define MEMBER_ANSWER_MAX  (8UL << 20)	 /* bytes of one */
#define MEMBERS_ANSWER_MAX (128UL << 20) /* bytes of all to one request */

enum member_state {
	MEMBER_ASKED,	 /* its answer is on its way */
	MEMBER_ANSWERED, /* all of it is there */
	MEMBER_BROKE,	 /* it ended, or did not make sense */
	MEMBER_LATE,	 /* given up */
};

struct member {
	struct member *next, *next_in_bucket;
	char socket[PEER_NAME_MAX];
	int fd; /* -1 once it has ended */
	int pid;
	uint64_t start; /* as in struct process: with the pid an identity; 0: not known */
	char process[PROCESS_NAME_BYTES]; /* its name when it was asked */
	enum member_state state;
	bool has_ended;	       /* ANSWERED, but not to its end: with what it had sent by then */
	const char *refusal;   /* of one that answered with an error: its sentence; else NULL */
	const uint8_t *answer; /* ANSWERED: the body */
	size_t answer_len;
	char *bytes; /* as they come: head and chunks */
	size_t len, room;
};

struct members_request {
	/* Writes path and query for a member that is asked now. */
	void (*write_target)(struct text *t, void *arg);
	/* Whether this process is one of those that are asked. */
	bool (*is_wanted)(int pid, void *arg);
	void *arg;
};

struct members {
	struct members_request request;
	struct arena arena;
	struct member *first;		       /* the latest */
	struct member *bucket[MEMBER_BUCKETS]; /* by the names of their sockets */
	size_t count, answered, waiting;
	int64_t next_scan_ns, scanned_ns;
	int64_t scan_again_ns; /* after it: those that were called come soon, others seldom */
};

/* Asks all that are there.  Zero-initialised or ended before. */
void members_ask(struct members *m, const struct members_request *r);

/*
 * Takes what has come; with `newcomers` asks members that have joined since.  Returns
 * when to look again.
 */
int64_t members_look(struct members *m, bool newcomers);

/* Asks those that have not answered to end the profile with this id now. */
void members_hasten(struct members *m, const char *id);

/* Those that have not answered are late from now on. */
void members_give_up(struct members *m);

/* Closes what is open and gives all memory back. */
void members_end(struct members *m);

/* Opens what /proc may refuse later; where there are no members to be found says so. */
/*
 * Whether this process has answered within the last minute, as long as its listener stays
 * at least: one that was executed says so nowhere else.
 */
bool members_has_answered(int pid);

void members_open(void);
void members_close(void);
bool members_can_be_found(void);

#endif
