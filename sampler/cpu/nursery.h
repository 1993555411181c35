/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * Where processes leave their ticks that are forked while a profile of the tree runs.
 *
 * Such a child has no listener, and may not live as long as it takes to start one.  Its
 * thread gives itself a timer in the fork's return (roster.h), and its ticks are captured
 * into memory that it shares with the process that takes the profile.  That one walks
 * them with its own rows: in a child that has executed nothing all code lies where it
 * lay.  So the child pays for a timer, has nothing to hand over at its end, and may end
 * in whatever way.
 *
 * Who has the memory may write there what it likes: captures are copied before they are
 * looked at, places are fixed, lengths are bounded, and what is nonsense is counted.
 */
#ifndef SAMPLER_CPU_NURSERY_H
#define SAMPLER_CPU_NURSERY_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#include "sampler/unwind/capture.h"

#define NURSERY_NAME_BYTES 16

/* ---- the process that takes the profile */

/* Children that are forked until then tick, and no longer.  Without memory they do not.
 * Context: listener. */
void nursery_open(int64_t until_ns);

/* From now on none does.  Context: listener. */
void nursery_close(void);

/* Gives the memory back, once closed; children that have it still keep theirs.  Context: listener.
 */
void nursery_release(void);

struct nursery_tick {
	int pid; /* as it says */
	char name[NURSERY_NAME_BYTES];
	int64_t weight_ns;
	const struct capture *capture; /* without a thread */
};

/* Hands over what is there, and makes room.  Context: listener. */
void nursery_drain(void (*take)(const struct nursery_tick *tick));

/* Since the memory was made; as children say. */
struct nursery_counts {
	int64_t born, ended; /* processes that joined; of those, who said that they would end */
	int64_t ended_ns;    /* CPU time that these had used by then */
	int64_t tails_ns;    /* what those that exit may have used after that, at most */
};
struct nursery_counts nursery_count(void);

/* ---- its children */

/* This process, forked just now, is to tick.  Context: child. */
bool nursery_is_open(void);

/* From now on it does, and is asked for nothing more.  Context: child. */
void nursery_join(void);

/* It has a profile of its own now.  Context: listener. */
void nursery_leave(void);

/* It ticks no more; what it uses from now on is nobody's.  Context: hook. */
void nursery_quit(void);

/*
 * It is about to exit, or to execute another program, which uses time that is not its own;
 * more than once, if it did not.  Context: hook.
 */
void nursery_note_exit(void);
void nursery_note_exec(void);

/* Its ticks go there.  Context: hook, handler. */
bool nursery_is_joined(void);

/* A tick of this process.  False: no more of them are wanted.  Context: handler. */
bool nursery_take(struct thread *t, const ucontext_t *uc, int64_t weight_ns);

/* This process has not joined, and what its parent opened is its parent's.  Context: child. */
void nursery_after_fork(void);

#endif
