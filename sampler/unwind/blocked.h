/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * The stack of a thread that waits, without touching it: SP and PC from
 * /proc/self/task/TID/syscall, a copy of its stack, and a second look that finds
 * it in the same place.  No signal, no wake-up, no system call of its returns
 * early (H05, H28).
 *
 * Context: listener.
 */
#ifndef SAMPLER_UNWIND_BLOCKED_H
#define SAMPLER_UNWIND_BLOCKED_H

#include "sampler/process/task_call.h"
#include "sampler/unwind/walk.h"

enum blocked_result {
	BLOCKED_TAKEN,	    /* the walk is its stack; cut ones are marked as always */
	BLOCKED_MOVED,	    /* it went on while we looked, each time */
	BLOCKED_UNREADABLE, /* its stack is not there to be read */
	BLOCKED_NOT,	    /* it runs, is gone, or cannot be looked at: see call.state */
};

struct handler_frame;

struct blocked {
	struct capture *capture; /* with room for SLICE_BYTES_MAX */
	struct walk walk;
	struct task_call call;
	struct task_reader reader;	   /* while it is looked at: what must not move, */
	const struct handler_frame *frame; /* or this, if not NULL */
	uint32_t labels;		   /* the thread's at that place: walk_add_labels() */
	bool is_other;			   /* of the process that is open, see other_process.h */
};

/* Memory for the copy; false without it. */
bool blocked_init(struct blocked *b);
void blocked_release(struct blocked *b);

/* `dir` is /proc/self/task, or that of the other process, opened. */
enum blocked_result blocked_take(struct blocked *b, int dir, int tid);

/*
 * The stack of what a handler interrupted that still runs, from the registers in its frame.
 * BLOCKED_MOVED: the handler has returned meanwhile.
 */
enum blocked_result blocked_take_interrupted(struct blocked *b, const struct handler_frame *frame,
					     int tid);

/*
 * One look and no more, for who samples: a thread that goes on is not looked at again,
 * since that would favour those that wait.
 */
enum blocked_result blocked_take_once(struct blocked *b, int dir, int tid);

#endif
