/* http: the server and its pages.  May include proto and below. */
/*
 * What members have answered before, for profiles whose sums must not fall: of one that
 * ended, or executed another program, its sums stay, of one that is not awake what it said
 * last is shown.
 *
 * Each answer is kept as it came.  Beyond a limit the sums of those that ended longest
 * ago are added up without their process's number, and beyond another one they are lost,
 * which is counted.
 *
 * Context: listener.
 */
#ifndef HTTP_TREE_PAST_H
#define HTTP_TREE_PAST_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/encode.h"
#include "proto/owners.h"
#include "sampler/unwind/stacks.h"

/*
 * Keeps what process `pid` of this name has answered to page `page`, a text that lives for ever.
 * False: there is no room.
 */
bool tree_past_keep(const char *page, int pid, const char *process, struct bytes answer);

/* Whether something of this process is kept, for any page. */
bool tree_past_has(int pid);

/* Which of them are wanted, and what to do with each. */
struct tree_past_visit {
	const char *page;
	unsigned growing_values; /* of one that ended, only so many first values count */
	bool (*is_wanted)(int pid, const char *process, void *arg);
	void *arg;
	struct stack_table *into;
	struct owner_table *owners;
};

/* Adds what is kept of those that have not answered since tree_past_begin(). */
void tree_past_begin(void);
void tree_past_add(const struct tree_past_visit *v);

#endif
