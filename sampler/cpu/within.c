#include "sampler/cpu/within.h"

#include "sampler/base/text.h"
#include "sampler/cpu/action_masks.h"
#include "sampler/cpu/alternate_stacks.h"
#include "sampler/process/task_call.h"
#include "sampler/process/tasks.h"
#include "sampler/unwind/handler_frame.h"

/* A handler that may be interrupted by itself has room for a few frames there. */
#define AMPLE_BYTES 32768

/* Where it sleeps; false: it runs, or that is not told. */
static bool sleeps_at(int tid, uint64_t *sp)
{
	struct task_reader reader;
	struct task_call call = task_reader_open(&reader, tasks_dir(), tid);

	task_reader_close(&reader);
	*sp = call.sp;
	return call.state == TASK_IN_CALL || call.state == TASK_STOPPED;
}

/* Never 0. */
static uint64_t name_of(const struct handler_frame *f)
{
	return text_hash_more(TEXT_HASH_INIT, (const char *)f->reg, sizeof(f->reg)) | 1;
}

/* The first frame that is seen may be of such a handler; one that lies in its place is not. */
static bool is_first(struct thread *t, const struct handler_frame *f)
{
	uint64_t name = name_of(f), first = atomic_load(&t->open_frame);

	if (!first)
		atomic_store(&t->open_frame, name);
	return !first || first == name;
}

bool within_open_handler(struct thread *t, uint64_t blocked)
{
	struct handler_frame frame = { 0 };
	uint64_t lo, hi, sp;

	if (!action_masks_are_in() || tasks_dir() < 0 || !alternate_stack_of(t->tid, &lo, &hi) ||
	    !handler_frame_find(lo, hi, &frame) || !is_first(t, &frame))
		return false;
	if (sleeps_at(t->tid, &sp))
		return sp - lo <= hi - lo;
	return action_masks_may_be_open(blocked, frame.mask, hi - lo < AMPLE_BYTES);
}
