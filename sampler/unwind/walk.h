/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * From a captured copy to a stack of look-up addresses, by rows.
 *
 * Context: listener.
 */
#ifndef SAMPLER_UNWIND_WALK_H
#define SAMPLER_UNWIND_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/unwind/capture.h"
#include "sampler/unwind/stacks.h"

/* How a walk ended. */
enum walk_end {
	WALK_COMPLETE,
	WALK_NO_RULE,	/* code without unwind data, and no frame pointer to follow */
	WALK_SLICE,	/* the copy ends before the stack does */
	WALK_BAD_FRAME, /* a frame that cannot be: CFA not above SP, memory missing */
	WALK_DEPTH,	/* STACK_DEPTH_MAX frames and no end */
	WALK_NEEDS_BP,	/* a frame that is found from BP, which is not known */
};

struct walk {
	uint64_t pc[STACK_DEPTH_MAX]; /* frames, leaf first; see stacks.h */
	uint32_t depth;		      /* at least 1 */
	enum walk_end end;
	uint64_t missing;  /* the address in the stack that was not copied; 0: none */
	bool rooted;	   /* it ended at code that says of itself that nobody called it */
	uint64_t stuck_pc; /* WALK_NEEDS_BP: look-up address of that frame, */
	uint64_t stuck_sp; /* and its SP */
};

/*
 * Walks `c` into `w`.  A stack that could not be followed to its root ends in
 * PSEUDO_TRUNCATED and moves the counter of its reason.
 */
void walk_capture(const struct capture *c, struct walk *w);

/* walk_capture() in two halves, for who tries more than once: the walk alone, and marking a cut. */
void walk_try(const struct capture *c, struct walk *w);
void walk_mark_cut(struct walk *w);

/* Of another process (process/other_process.h): cut where code of it comes that is nowhere here. */
void walk_cut_at_nowhere(struct walk *w);

/* Puts the thread's labels (label_set.h; 0: none) behind the root. */
void walk_add_labels(struct walk *w, uint32_t labels);

/* Where the linker put the functions of ours that lie on the target's stacks (OUR_FRAME). */
extern const char __start_pprofshim_frames[] __attribute__((weak, visibility("hidden")));
extern const char __stop_pprofshim_frames[] __attribute__((weak, visibility("hidden")));

/* A frame that we put on the target's stack: walks leave it out.  Context: any role. */
static inline bool walk_is_our_frame(uint64_t pc)
{
	return pc - (uint64_t)__start_pprofshim_frames <
	       (uint64_t)__stop_pprofshim_frames - (uint64_t)__start_pprofshim_frames;
}

#endif
