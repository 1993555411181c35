/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * A child that outlives its parent takes its endpoint over: the same port, with the
 * heap's history.  Binding the port is the election.
 *
 * A child looks after its parent before a call in which it may wait (waits.c), and
 * nowhere else.  When the parent is gone it starts its listener there.  One that comes
 * to a long wait a moment before its parent is gone would not look again: if its parent
 * is about to end, it starts the listener all the same, which waits for that end, ten
 * seconds at most.  The same goes for the ancestor that has the port.  That one of them
 * will end is believed when
 *
 *   - it has called exit (family.h), or
 *   - the child is in another session, as daemons are, and none of its ancestors had
 *     waited as servers do before it forked.  (Backends of postgres have sessions of
 *     their own too; their parent is a server.)
 *
 * A worker whose parent lives has no thread of ours, unless it is asked: then it becomes
 * a member, whose listener is on a socket for the one that has the port (member.h), until
 * nobody has asked for a minute.  One that forbids itself threads is a member from then on.
 */
#ifndef SHIM_LIFE_TAKEOVER_H
#define SHIM_LIFE_TAKEOVER_H

#include <stdbool.h>

#include "sampler/base/text.h"

/* What a process found when it looked last: X(name, what it means to a user). */
#define TAKEOVER_REASONS(X)                                                                        \
	X(NOT_ASKED, "they have made no call yet in which they wait")                              \
	X(FILTERED, "they installed a system-call filter")                                         \
	X(REFUSED, "the kernel refuses them a system call")                                        \
	X(BORROWED, "they share their parent's memory")                                            \
	X(SERVES, "they have one, or are about to")                                                \
	X(RECORDS, "they record into files, and nobody can ask")                                   \
	X(JOINS, "they answer through this process: profiles of the tree have them")               \
	X(RESTS, "they answered before, and will when a profile is asked for")                     \
	X(PARENT_LIVES, "they will answer through this process when a profile is asked for")       \
	X(PARENT_ENDS, "their parent is there, and about to end")                                  \
	X(HOLDER_ENDS, "their parent is gone, and who has the endpoint is about to end")           \
	X(PORT_TAKEN, "the port was taken; it is tried again")                                     \
	X(NO_THREAD, "no thread could be started; it is tried again")                              \
	X(TAKES_OVER, "their parent is gone, they take over")

enum takeover_reason {
#define X(name, meaning) TAKEOVER_##name,
	TAKEOVER_REASONS(X)
#undef X
		TAKEOVER_REASON_COUNT
};

/*
 * `on_ours` is called by the listener each time that it has the port, of a child whose
 * parent had it, or again after a pause.  Context: init.
 */
void takeover_init(void (*on_ours)(void));

/* Children become members when they are asked.  Context: init, before takeover_init(). */
void takeover_enable_members(void);

/* Each child has a listener from its start, to record.  Context: init, before takeover_init(). */
void takeover_keep_recording(void);

/* A child begins to, if it is to.  Context: child. */
void takeover_record(void);

/* The process was forked by the one that entered last.  Context: child. */
void takeover_after_fork(void);

/*
 * Whether this wait is one of those at which a child, whose state is in order, looks;
 * most of a busy child's are not.  Context: hook.
 */
bool takeover_is_to_look(void);

/*
 * Starts a listener if it is this process's turn.  `is_long`: the wait that comes may
 * last for a second or for ever.  Context: hook, also in a signal handler.
 */
void takeover_look(bool is_long);

/*
 * From its next look on this child is a member, asked or not, and stays one: it is about to
 * forbid itself threads.  Context: hook.
 */
void takeover_join_early(void);

/* The parent of this child ends by itself in this moment (daemon).  Context: hook. */
void takeover_expect_end(void);

/*
 * Starts the listener of a child that was asked and has not looked since.  Context: hook,
 * also in a signal handler.
 */
void takeover_heed_call(void);

/* A child that was young for ten seconds beside its parent is a worker.  Context: hook. */
void takeover_settle(void);

/* This process is about to fork, or has forked at any time.  Context: hook; any role. */
void takeover_note_fork(void);
bool takeover_has_forked(void);

/* This process is about to exit.  Context: hook. */
void takeover_note_exit(void);

/* The same: answers under way are made now.  Context: hook. */
void takeover_finish(void);

/* This process waits as servers do: what it forks from now on are its workers.  Context: hook. */
extern bool takeover_has_served;
static inline void takeover_note_server(void)
{
	if (!takeover_has_served)
		takeover_has_served = true;
}

/* ---- the listener out of the way for a moment */

/*
 * Ends the listener, a second at most, because the calling thread is about to do what
 * the kernel refuses to processes with several threads (enter a user namespace), or
 * what changes the privileges of one thread only.
 * Context: hook.
 */
void listener_pause_begin(void);

/*
 * Starts one that is as confined as the calling thread, if the last was ended so.  A
 * kernel that refuses is asked again at the process's next waits, ever less often.
 * Context: hook, also in a signal handler.
 */
void listener_pause_end(void);

/* ---- */

/* Who had the port before, and why children have none; for the shim page.  Context: listener. */
void takeover_write(struct text *t);

#endif
