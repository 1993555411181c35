#include "sampler/unwind/walk.h"

#include <string.h>

#include "sampler/arch/decode.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/process/modules.h"
#include "sampler/process/other_code.h"
#include "sampler/process/other_process.h"
#include "sampler/process/peek.h"
#include "sampler/unwind/call_site.h"
#include "sampler/unwind/learn.h"

struct walker {
	const struct capture *capture;
	struct walk *out;
	struct frame_regs regs; /* of the frame to be left */
	bool bp_known;
	bool followed_bp;  /* BP is out of a frame record that code without a row had */
	bool interrupted;  /* its pc is exact: the leaf, or beyond a signal frame */
	enum walk_end end; /* valid once step_by_row() says no */
};

static bool stop(struct walker *k, enum walk_end end)
{
	k->end = end;
	return false;
}

/* Which piece of the copy has the word below `sp`; -1: none. */
static int piece_below(const struct capture *c, uint64_t sp)
{
	uint64_t at = sp - sizeof(uint64_t);

	if (at - c->slice_at < c->slice_len)
		return 0;
	for (int i = 0; i < CAPTURE_MORE; i++)
		if (at - c->more[i].at < c->more[i].len)
			return i + 1;
	return -1;
}

/* Whether a caller may have its frame there: above, or in an older piece of the stack. */
static bool leads_on(const struct walker *k, uint64_t cfa)
{
	const struct capture *c = k->capture;

	return cfa > k->regs.sp ||
	       (c->is_split && piece_below(c, cfa) > piece_below(c, k->regs.sp));
}

/* Above the copy, or between its pieces, but plausible: the stack was deeper than what was copied.
 */
static bool stop_missing(struct walker *k, uint64_t addr)
{
	const struct capture *c = k->capture;
	uint64_t reach = c->more[0].len ? c->more[0].at - c->slice_at : SLICE_BYTES_MAX;
	uint64_t at = addr - c->slice_at;

	k->out->missing = addr;
	if (c->is_split)
		return stop(k, WALK_SLICE);
	if (at >= c->slice_len && at < reach && c->more[0].len)
		capture_note_missed(c->more[0].at + c->more[0].len - ALIGN_DOWN(addr, 8) +
				    WINDOW_BYTES / 4);
	return stop(k, at >= c->slice_len && at < reach ? WALK_SLICE : WALK_BAD_FRAME);
}

/* The caller's registers are known; a return address of 0 is the end that some runtimes write. */
static bool enter_caller(struct walker *k, struct frame_regs caller)
{
	if (caller.pc == 0)
		return stop(k, WALK_COMPLETE);
	if (caller.pc < PSEUDO_LIMIT)
		return stop(k, WALK_BAD_FRAME);
	k->regs = caller;
	k->interrupted = false;
	return true;
}

static bool stop_without_bp(struct walker *k, uint64_t lookup)
{
	k->out->stuck_pc = lookup;
	k->out->stuck_sp = k->regs.sp;
	return stop(k, WALK_NEEDS_BP);
}

static bool step_row(struct walker *k, struct row row)
{
	uint64_t base = row.kind == ROW_SP ? k->regs.sp : k->regs.bp;
	uint64_t cfa = base + (uint64_t)row.cfa_offset;
	struct frame_regs caller = { .sp = cfa, .bp = k->regs.bp };

	if (!leads_on(k, cfa) || cfa % 8)
		return stop(k, WALK_BAD_FRAME);
	if (!capture_load(k->capture, arch_return_slot(cfa), &caller.pc))
		return stop_missing(k, arch_return_slot(cfa));
	if (row.bp_saved && !capture_load(k->capture, cfa + (uint64_t)row.bp_offset, &caller.bp))
		return stop_missing(k, cfa);
	k->bp_known |= row.bp_saved;
	k->followed_bp &= !row.bp_saved;
	return enter_caller(k, caller);
}

/* Where the kernel put them, for handlers that return to code without unwind data. */
static bool load_interrupted(const struct walker *k, struct frame_regs *r)
{
	uint64_t sp = k->regs.sp;

	return capture_load(k->capture, sp + ARCH_SIGNAL_PC, &r->pc) &&
	       capture_load(k->capture, sp + ARCH_SIGNAL_SP, &r->sp) &&
	       capture_load(k->capture, sp + ARCH_SIGNAL_BP, &r->bp) && module_find(r->pc);
}

/* With all registers, from the leaf or from where that was last done: rare. */
static bool step_complex(struct walker *k, bool is_signal)
{
	struct frame_regs caller;

	if (!learn_step_captured(k->out->depth, &caller) &&
	    !(is_signal && load_interrupted(k, &caller)))
		return stop(k, k->capture->slice_len < SLICE_BYTES && !k->capture->more[0].len
				       ? WALK_BAD_FRAME
				       : WALK_SLICE);
	if (!is_signal && caller.sp < k->regs.sp) /* equal: the return address is in a register */
		return stop(k, WALK_BAD_FRAME);
	if (!enter_caller(k, caller))
		return false;
	k->interrupted = is_signal;
	k->bp_known |= is_signal;
	return true;
}

static bool is_code(uint64_t return_address)
{
	return module_find(return_address - 1) != NULL;
}

/* A call from a loaded object without unwind data, such as a JIT's own assembly, in made code. */
static bool is_other_code(uint64_t return_address)
{
	uint64_t original;

	return return_address >= PSEUDO_LIMIT && other_code_at(return_address - 1, &original);
}

/*
 * Code without unwind data (a JIT, assembly): follow BP while it stays inside
 * the copy and leads to code, or from JIT code to JIT code.
 */
static bool step_frame_pointer(struct walker *k, uint64_t lookup)
{
	uint64_t bp = k->regs.bp;
	struct frame_regs caller = { .sp = bp + ARCH_RECORD_BYTES };

	if (k->followed_bp && bp == 0) /* as the ABI marks the outermost frame record */
		return stop(k, WALK_COMPLETE);
	k->followed_bp = true;
	if (!k->bp_known || bp < k->regs.sp || bp % 8)
		return stop(k, WALK_NO_RULE);
	if (!capture_load(k->capture, bp, &caller.bp) ||
	    !capture_load(k->capture, bp + ARCH_RECORD_RETURN, &caller.pc))
		return stop(k, WALK_NO_RULE);
	if (!is_code(caller.pc) && (is_code(lookup + 1) || caller.pc < PSEUDO_LIMIT) &&
	    !is_other_code(caller.pc))
		return stop(k, WALK_NO_RULE);
	return enter_caller(k, caller);
}

static bool needs_bp(struct row row)
{
	return row.kind == ROW_BP || row.kind == ROW_COMPLEX;
}

/* The caller's registers, with what arch_epilogue() and its like say of the frame. */
static bool load_caller(const struct walker *k, int64_t frame, int64_t bp_at,
			struct frame_regs *caller)
{
	*caller = (struct frame_regs){ .sp = k->regs.sp + (uint64_t)frame, .bp = k->regs.bp };
	return capture_load(k->capture, arch_return_slot(caller->sp), &caller->pc) &&
	       (bp_at < 0 || capture_load(k->capture, k->regs.sp + (uint64_t)bp_at, &caller->bp)) &&
	       (is_code(caller->pc) || is_other_code(caller->pc));
}

/* By what the code at its pc does with its stack, if that is all it does until it returns. */
static bool read_epilogue(const struct walker *k, struct frame_regs *caller)
{
	uint8_t code[ARCH_EPILOGUE_BYTES];
	int64_t frame, bp_at;

	return arch_epilogue(code, peek_some(k->regs.pc, code, sizeof(code)), &frame, &bp_at) &&
	       load_caller(k, frame, bp_at, caller);
}

/*
 * A function that was interrupted before it has made itself a frame: those that gcc puts into
 * each object (crtbegin.o), which are where the pages of an object are touched first and
 * last, and what JIT compilers make.
 */
static bool read_prologue(const struct walker *k, struct frame_regs *caller)
{
	uint8_t code[ARCH_FRAME_AHEAD_BYTES];
	int64_t frame, bp_at;

	return k->interrupted &&
	       arch_frame_ahead(code, peek_some(k->regs.pc, code, sizeof(code)), &frame, &bp_at) &&
	       load_caller(k, frame, bp_at, caller) && call_site_fit(caller->pc, 0) != CALL_NONE;
}

/*
 * makecontext() has the first function of a stack return to a function that takes another
 * stack.  It is at its first instruction, and nobody called it: that is the end.
 */
static bool is_end_of_context(const struct walker *k)
{
	uint8_t code[ARCH_CONTEXT_END_BYTES];

	return !k->interrupted && learn_function_start(k->regs.pc) == k->regs.pc &&
	       peek_cached(k->regs.pc, code, sizeof(code)) && arch_is_context_end(code);
}

/*
 * lld and mold give the stubs of .plt no unwind data.  What jumps through a slot without
 * touching the stack has its return address where SP is.
 */
static bool read_stub(const struct walker *k, struct frame_regs *caller)
{
	uint64_t at = k->regs.sp, cfa = at + (at - arch_return_slot(at));
	uint8_t code[ARCH_STUB_BYTES];

	if (!k->interrupted || peek_some(k->regs.pc, code, sizeof(code)) != sizeof(code) ||
	    arch_stub_target(code, k->regs.pc).kind != ARCH_TARGET_SLOT)
		return false;
	*caller = (struct frame_regs){ .sp = cfa, .bp = k->regs.bp };
	return capture_load(k->capture, at, &caller->pc) && is_code(caller->pc) &&
	       call_site_fit(caller->pc, 0) != CALL_NONE;
}

/* A trampoline without unwind data between functions that have it (Python's -X perf). */
static bool step_without_row(struct walker *k, uint64_t lookup)
{
	struct frame_regs caller;

	if (is_end_of_context(k)) {
		k->out->pc[k->out->depth - 1] = k->regs.pc;
		return stop(k, WALK_COMPLETE);
	}
	if (read_epilogue(k, &caller) || read_prologue(k, &caller) || read_stub(k, &caller))
		return enter_caller(k, caller);
	return step_frame_pointer(k, lookup);
}

static bool step_by_row(struct walker *k, uint64_t lookup)
{
	struct row row = learn_row(lookup);

	if (UNLIKELY(!k->bp_known) && needs_bp(row))
		return stop_without_bp(k, lookup);
	switch ((enum row_kind)row.kind) {
	case ROW_SP:
	case ROW_BP:
		return step_row(k, row);
	case ROW_END:
		k->out->rooted = true;
		return stop(k, WALK_COMPLETE);
	case ROW_SIGNAL:
		k->out->pc[k->out->depth - 1] = PSEUDO_SIGNAL;
		return step_complex(k, true);
	case ROW_COMPLEX:
		return step_complex(k, false);
	case ROW_NONE:
	case ROW_UNKNOWN:
		break;
	}
	return step_without_row(k, lookup);
}

/*
 * From addresses to frames.  A user looks for the program's, not for those that we put
 * between them.
 */
static void make_frames(struct walk *w)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < w->depth; i++) {
		if (w->pc[i] == PSEUDO_SIGNAL)
			w->pc[kept++] = PSEUDO_SIGNAL;
		else if (!walk_is_our_frame(w->pc[i]))
			w->pc[kept++] = modules_frame(w->pc[i]);
	}
	w->depth = kept;
}

void walk_mark_cut(struct walk *w)
{
	static const enum counter counter_of[] = {
		[WALK_NO_RULE] = COUNTER_STACKS_CUT_NO_RULE,
		[WALK_SLICE] = COUNTER_STACKS_CUT_SLICE,
		[WALK_BAD_FRAME] = COUNTER_STACKS_CUT_BAD_FRAME,
		[WALK_DEPTH] = COUNTER_STACKS_CUT_DEPTH,
		[WALK_NEEDS_BP] = COUNTER_STACKS_CUT_NEEDS_BP,
	};

	counter_add(counter_of[w->end], 1);
	if (w->depth == STACK_DEPTH_MAX)
		w->depth--;
	w->pc[w->depth++] = PSEUDO_TRUNCATED;
}

void walk_try(const struct capture *c, struct walk *w)
{
	struct walker k = { .capture = c,
			    .out = w,
			    .regs = { CAPTURE_PC(c), CAPTURE_SP(c), CAPTURE_BP(c) },
			    .bp_known = !c->bp_unknown,
			    .interrupted = true };
	uint64_t lookup;

	learn_start_capture(c);
	w->depth = 0;
	w->rooted = false;
	w->missing = 0;
	do {
		lookup = k.interrupted ? k.regs.pc : k.regs.pc - 1;
		w->pc[w->depth++] = MAX(lookup, (uint64_t)PSEUDO_LIMIT);
		k.end = WALK_DEPTH;
	} while (w->depth < STACK_DEPTH_MAX && step_by_row(&k, lookup));
	w->end = k.end;
	make_frames(w);
}

void walk_capture(const struct capture *c, struct walk *w)
{
	walk_try(c, w);
	if (w->end != WALK_COMPLETE)
		walk_mark_cut(w);
}

void walk_cut_at_nowhere(struct walk *w)
{
	for (uint32_t i = 0; i < w->depth; i++) {
		if (w->pc[i] != OTHER_NOWHERE && w->pc[i] != OTHER_NOWHERE - 1)
			continue;
		w->pc[i] = i ? PSEUDO_TRUNCATED : PSEUDO_UNSEEN;
		w->depth = i + 1;
	}
}

void walk_add_labels(struct walk *w, uint32_t labels)
{
	if (!labels)
		return;
	if (w->depth == STACK_DEPTH_MAX) {
		w->depth--;
		w->pc[w->depth - 1] = PSEUDO_TRUNCATED;
	}
	w->pc[w->depth++] = labels;
}
