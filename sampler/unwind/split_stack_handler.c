#include "sampler/unwind/split_stack.h"

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/unwind/kernel_copy.h"

/* What libgcc notes of a piece; more follows. */
struct segment {
	uint64_t prev; /* the piece that was in use before; 0: the thread's own stack */
	uint64_t next;
	uint64_t bytes;	    /* behind all that is noted */
	uint64_t old_stack; /* SP where the other one was left */
};

#define SEGMENT_BYTES 56UL	  /* of all that is noted */
#define PIECE_MAX     (1UL << 40) /* a larger one is none */

/* Between SP as noted and the return address of whoever needed more, and BP: less than this. */
#define BELOW_OLD_STACK 128UL

/* Whether `at` is in the piece; and its notes. */
static bool read_segment(struct segment *s, uint64_t piece, uint64_t at)
{
	return piece && at > piece && kernel_copy(s, piece, sizeof(*s)) == sizeof(*s) &&
	       s->bytes < PIECE_MAX && at < piece + SEGMENT_BYTES + s->bytes && s->old_stack;
}

bool split_stack_begin(struct split_stack *s, uint64_t tp, uint64_t at)
{
	uint64_t guard = 0;
	struct segment notes;

	if (!ARCH_SPLIT_GUARD || sandbox_is_noted() ||
	    kernel_copy(&guard, tp + ARCH_SPLIT_GUARD, sizeof(guard)) != sizeof(guard))
		return false;
	*s = (struct split_stack){ ALIGN_DOWN(guard, PAGE_BYTES), ALIGN_DOWN(at, 8), false };
	return read_segment(&notes, s->piece, s->at);
}

bool split_stack_next(struct split_stack *s, uint64_t *at, uint64_t *len)
{
	struct segment notes;

	if (s->ends)
		return false;
	*at = s->at;
	*len = SPLIT_BYTES;
	s->ends = !read_segment(&notes, s->piece, s->at);
	if (!s->ends) {
		*len = s->piece + SEGMENT_BYTES + notes.bytes - s->at;
		s->at = ALIGN_DOWN(notes.old_stack, 8) - BELOW_OLD_STACK;
		s->piece = notes.prev;
	}
	return true;
}
