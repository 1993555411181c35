/* A thread captures itself, from a hook. */
#include "sampler/base/cc.h"
#include "sampler/process/own_stack.h"
#include "sampler/unwind/capture.h"

/* As much of the own stack as a hook may copy: allocations are not sampled that often. */
static uint32_t own_slice_wanted(const struct own_stack *own, uint64_t at)
{
	if (at % 8 || at < own->lo || at >= own->hi)
		return FOREIGN_SLICE_BYTES;
	return (uint32_t)MIN(own->hi - at, (uint64_t)SLICE_BYTES) & ~7U;
}

struct capture *capture_call(struct ring *r, uint64_t pc, uint64_t sp, uint64_t bp)
{
	struct own_stack own = own_stack();
	uint32_t len = own_slice_wanted(&own, sp);
	struct capture *c = ring_reserve(r, sizeof(*c) + len);

	if (!c)
		return NULL;
	c->slice_at = sp;
	c->on_known_stack = sp % 8 == 0 && sp >= own.lo && sp < own.hi;
	CAPTURE_PC(c) = pc;
	CAPTURE_SP(c) = sp;
	CAPTURE_BP(c) = bp;
	capture_copy(c, len);
	return c;
}
