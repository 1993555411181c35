#include "sampler/unwind/blocked.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/process/label_place.h"
#include "sampler/process/other_process.h"
#include "sampler/process/peek.h"
#include "sampler/unwind/find_bp.h"
#include "sampler/unwind/handler_frame.h"
#include "sampler/unwind/retrace.h"

#define LOOKS_MAX 4

/* Most threads that wait are not deep; a copy that turns out too short is made again, larger. */
static const uint32_t slice_sizes[] = { 8192, 65536, SLICE_BYTES_MAX };

/*
 * Copied where a frame that is larger than all of that leads to, and what lies below it, where
 * the frame has what it saved; farther away is no stack.
 */
#define PIECE_BYTES 65536UL
#define BELOW_BYTES 1024UL
#define FRAME_MAX   (64UL << 20)

#define CAPTURE_BYTES (sizeof(struct capture) + SLICE_BYTES_MAX + CAPTURE_MORE * PIECE_BYTES)

bool blocked_init(struct blocked *b)
{
	b->capture = sys_map(CAPTURE_BYTES);
	return b->capture != NULL;
}

void blocked_release(struct blocked *b)
{
	if (b->capture)
		sys_unmap(b->capture, CAPTURE_BYTES);
	b->capture = NULL;
}

static void set_registers(const struct blocked *b)
{
	struct capture *c = b->capture;

	memset(c, 0, sizeof(*c));
	c->stamp = code_stamp();
	CAPTURE_PC(c) = b->is_other ? other_here(b->call.pc) : b->call.pc;
	CAPTURE_SP(c) = b->call.sp;
	if (b->frame)
		memcpy(c->reg, b->frame->reg, sizeof(c->reg));
	c->slice_at = ALIGN_DOWN(CAPTURE_SP(c), 8) - RED_ZONE_BYTES;
}

static bool is_unmoved(const struct blocked *b)
{
	return b->frame ? handler_frame_is_same(b->frame) : task_reader_unmoved(&b->reader);
}

static size_t copy_some(const struct blocked *b, uint64_t at, void *to, size_t len)
{
	return b->is_other ? other_copy_stack(at, to, len) : peek_some(at, to, len);
}

/* False when the memory ended before the copy was full: there is no more of the stack. */
static bool copy(const struct blocked *b, uint32_t len)
{
	struct capture *c = b->capture;

	c->slice_len = (uint32_t)ALIGN_DOWN(copy_some(b, c->slice_at, c->slice, len), 8);
	return c->slice_len == len;
}

static bool walk(struct blocked *b)
{
	if (!b->frame) {
		CAPTURE_BP(b->capture) = 0;
		b->capture->bp_unknown = true;
	}
	walk_try(b->capture, &b->walk);
	if (b->walk.end == WALK_NEEDS_BP)
		find_bp(b->capture, &b->walk);
	return b->walk.end == WALK_COMPLETE;
}

/* The same copy may be walked again once the module table is up to date. */
static bool walk_fresh(struct blocked *b)
{
	return walk(b) || (retrace_is_due(&b->walk) && walk(b));
}

static bool larger_helps(const struct blocked *b)
{
	return b->walk.end == WALK_SLICE || b->walk.end == WALK_NEEDS_BP;
}

/* Adds the piece that a walk missed.  False when there is none, or no memory. */
static bool copy_missing(struct blocked *b, size_t i)
{
	struct capture *c = b->capture;
	uint64_t at = ALIGN_DOWN(b->walk.missing, 8) - BELOW_BYTES, used = c->slice_len;

	if (!b->walk.missing || at - CAPTURE_SP(c) > FRAME_MAX)
		return false;
	for (size_t k = 0; k < i; k++)
		used += c->more[k].len;
	c->more[i].at = at;
	c->more[i].len = ALIGN_DOWN(copy_some(b, at, c->slice + used, PIECE_BYTES), 8);
	return c->more[i].len;
}

/* Frames that are larger than a copy: their ends are copied, one after the other. */
static enum blocked_result step_over_large_frames(struct blocked *b)
{
	for (size_t i = 0; i < CAPTURE_MORE && copy_missing(b, i); i++) {
		if (!is_unmoved(b))
			return BLOCKED_MOVED;
		if (walk_fresh(b))
			break;
	}
	return BLOCKED_TAKEN;
}

/* Copies and walks; the second look comes right after the copy that is used. */
static enum blocked_result take_stack(struct blocked *b)
{
	bool more = true;

	set_registers(b);
	for (size_t i = 0; more && i < ARRAY_SIZE(slice_sizes); i++) {
		more = copy(b, slice_sizes[i]);
		if (b->capture->slice_len <= RED_ZONE_BYTES)
			return BLOCKED_UNREADABLE;
		if (!is_unmoved(b))
			return BLOCKED_MOVED;
		if (walk_fresh(b) || !larger_helps(b))
			break;
	}
	return b->walk.end == WALK_COMPLETE ? BLOCKED_TAKEN : step_over_large_frames(b);
}

static enum blocked_result look_at_thread(struct blocked *b, int dir, int tid)
{
	enum blocked_result result = BLOCKED_NOT;

	b->frame = NULL;
	b->call = task_reader_open(&b->reader, dir, tid);
	b->labels = b->is_other ? 0 : label_place_of(tid); /* who is unmoved has not changed it */
	if (b->call.state == TASK_IN_CALL || b->call.state == TASK_STOPPED)
		result = take_stack(b);
	task_reader_close(&b->reader);
	return result;
}

enum blocked_result blocked_take_interrupted(struct blocked *b, const struct handler_frame *frame,
					     int tid)
{
	enum blocked_result result;

	b->frame = frame;
	b->labels = label_place_of(tid);
	result = take_stack(b);
	if (result == BLOCKED_TAKEN && b->walk.end != WALK_COMPLETE)
		walk_mark_cut(&b->walk);
	return result;
}

static enum blocked_result take(struct blocked *b, int dir, int tid, int looks)
{
	enum blocked_result result = BLOCKED_MOVED;

	for (int i = 0; result == BLOCKED_MOVED && i < looks; i++)
		result = look_at_thread(b, dir, tid);
	if (result == BLOCKED_TAKEN && b->walk.end != WALK_COMPLETE)
		walk_mark_cut(&b->walk);
	return result;
}

enum blocked_result blocked_take(struct blocked *b, int dir, int tid)
{
	return take(b, dir, tid, LOOKS_MAX);
}

enum blocked_result blocked_take_once(struct blocked *b, int dir, int tid)
{
	return take(b, dir, tid, 1);
}
