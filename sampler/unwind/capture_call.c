/* A thread captures itself, from a hook. */
#include "sampler/base/cc.h"
#include "sampler/process/label_set.h"
#include "sampler/process/own_stack.h"
#include "sampler/unwind/capture.h"

struct capture *capture_call(struct ring *r, uint64_t pc, uint64_t sp, uint64_t bp)
{
	struct own_stack own = own_stack();
	bool is_known = sp % 8 == 0 && sp >= own.lo && sp < own.hi;
	uint64_t above = is_known ? own.hi - sp : capture_guess_above(sp, thread_pointer());
	/* as much as a hook may copy: allocations are not sampled that often */
	uint32_t len = is_known ? (uint32_t)MIN(above, (uint64_t)SLICE_BYTES) & ~7U
				: capture_foreign_wanted(above);
	struct capture *c = ring_reserve(r, sizeof(*c) + capture_room(len, above));

	if (!c)
		return NULL;
	c->stamp = code_stamp_in_ring();
	c->labels = (uint16_t)label_set_mine;
	c->slice_at = sp;
	c->on_known_stack = is_known;
	CAPTURE_PC(c) = pc;
	CAPTURE_SP(c) = sp;
	CAPTURE_BP(c) = bp;
	return capture_copy(c, len, above);
}
