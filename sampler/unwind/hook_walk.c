#include "sampler/unwind/hook_walk.h"

#include "sampler/base/cc.h"
#include "sampler/process/label_set.h"
#include "sampler/process/modules.h"
#include "sampler/process/own_stack.h"
#include "sampler/unwind/code_stamp.h"
#include "sampler/unwind/rows.h"
#include "sampler/unwind/stacks.h"
#include "sampler/unwind/walk.h"

enum step { STEP_ON, STEP_END, STEP_CUT, STEP_UNKNOWN };

/* Inside the stack in use, from the first frame's SP up: always there to be read. */
static bool load_live(const struct own_stack *own, uint64_t addr, uint64_t *out)
{
	if (addr < own->lo || addr + sizeof(*out) > own->hi || addr % 8)
		return false;
	*out = *(const uint64_t *)addr;
	return true;
}

static enum step step_row(const struct own_stack *own, struct row row, struct frame_regs *r)
{
	uint64_t base = row.kind == ROW_SP ? r->sp : r->bp;
	uint64_t cfa = base + (uint64_t)row.cfa_offset;
	struct frame_regs caller = { .sp = cfa, .bp = r->bp };

	if (cfa <= r->sp || !load_live(own, arch_return_slot(cfa), &caller.pc))
		return STEP_CUT;
	if (row.bp_saved && !load_live(own, cfa + (uint64_t)row.bp_offset, &caller.bp))
		return STEP_CUT;
	*r = caller;
	return caller.pc ? STEP_ON : STEP_END;
}

static bool is_code(uint64_t return_address)
{
	struct row row = rows_find(return_address - 1);

	return row.kind != ROW_UNKNOWN && row.kind != ROW_NONE;
}

/* Code without unwind data: follow BP as long as it leads up the stack, and to code that is known.
 */
static enum step step_frame_pointer(const struct own_stack *own, struct frame_regs *r)
{
	struct frame_regs caller = { .sp = r->bp + ARCH_RECORD_BYTES };

	if (r->bp < r->sp || !load_live(own, r->bp, &caller.bp) ||
	    !load_live(own, r->bp + ARCH_RECORD_RETURN, &caller.pc))
		return STEP_CUT;
	if (!is_code(caller.pc))
		return STEP_CUT;
	*r = caller;
	return STEP_ON;
}

/*
 * What needs all registers (ROW_COMPLEX, ROW_SIGNAL) is cut: to copy the stack
 * for the listener at every such allocation would cost more than the few frames
 * beyond are worth.
 */
static enum step step_by_row(const struct own_stack *own, struct row row, struct frame_regs *r)
{
	switch ((enum row_kind)row.kind) {
	case ROW_SP:
	case ROW_BP:
		return step_row(own, row, r);
	case ROW_END:
		return STEP_END;
	case ROW_NONE:
		return step_frame_pointer(own, r);
	case ROW_UNKNOWN:
		return STEP_UNKNOWN;
	case ROW_COMPLEX:
	case ROW_SIGNAL:
		break;
	}
	return STEP_CUT;
}

static void note(struct hook_walk *w, uint64_t frame)
{
	if (!walk_is_our_frame(frame))
		w->frame[w->depth++] = frame;
}

/*
 * Notes the frame and steps over it.  While something may have been unloaded that the
 * listener has not seen to be gone, the row of a module that may go can be of what was
 * there before.
 */
static enum step step(struct hook_walk *w, const struct own_stack *own, struct frame_regs *r)
{
	uint64_t pc = r->pc - 1;
	struct row_found found = rows_find_in(pc);

	if (UNLIKELY(found.number)) {
		if (!code_is_fresh())
			return STEP_UNKNOWN;
		pc = modules_frame_here((uint32_t)found.number, pc);
	}
	note(w, pc);
	return step_by_row(own, found.row, r);
}

/* Room for the mark of a cut stack is always left. */
bool hook_walk(uint64_t leaf, const struct frame_regs *caller, struct hook_walk *w)
{
	struct own_stack own = own_stack();
	struct frame_regs at = *caller;
	enum step s = STEP_ON;

	w->depth = 0;
	if (at.sp < own.lo || at.sp >= own.hi)
		return false;
	own.lo = at.sp;
	if (leaf)
		w->frame[w->depth++] = leaf;
	while (s == STEP_ON && w->depth + 1 < SITE_DEPTH_MAX)
		s = step(w, &own, &at);
	if (s != STEP_END && s != STEP_UNKNOWN)
		w->frame[w->depth++] = PSEUDO_TRUNCATED;
	if (UNLIKELY(label_set_mine))
		w->frame[w->depth++] = label_set_mine;
	return s != STEP_UNKNOWN;
}
