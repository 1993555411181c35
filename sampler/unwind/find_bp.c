#include "sampler/unwind/find_bp.h"

#include "sampler/process/modules.h"
#include "sampler/unwind/call_site.h"
#include "sampler/unwind/learn.h"

/* Stacks that were walked on trial for one thread, at most. */
#define TRIALS_MAX 64

struct search {
	struct capture *capture;
	struct walk *walk;
	uint64_t sp, pc, start; /* of the function whose BP is wanted */
	int64_t return_offset;	/* of the return address from BP */
	uint64_t guess;		/* BP by the prologue; 0: none */
	uint64_t missing;	/* what the likeliest walk misses; 0: nothing */
	enum call_fit missing_fit;
	unsigned trials;
};

/* What was found, by how well it fits. */
struct found {
	uint64_t bp[CALL_EXACT + 1];
	unsigned count[CALL_EXACT + 1];
	enum call_fit guess_fit; /* CALL_NONE: the guess leads nowhere */
};

static void note_missing(struct search *s, enum call_fit fit)
{
	if (s->walk->missing && fit > s->missing_fit) {
		s->missing = s->walk->missing;
		s->missing_fit = fit;
	}
}

static bool walk_with_bp(struct search *s, uint64_t bp, enum call_fit fit)
{
	s->trials++;
	CAPTURE_BP(s->capture) = bp;
	s->capture->bp_unknown = false;
	walk_try(s->capture, s->walk);
	note_missing(s, fit);
	return s->walk->end == WALK_COMPLETE && s->walk->rooted;
}

/* CALL_NONE when no frame can be at `bp`. */
static enum call_fit fit_at(const struct search *s, uint64_t bp)
{
	uint64_t return_address;

	if (!capture_load(s->capture, bp + (uint64_t)s->return_offset, &return_address) ||
	    !module_find(return_address - 1))
		return CALL_NONE;
	return call_site_fit(return_address, s->start);
}

static void try_place(struct search *s, uint64_t bp, struct found *f)
{
	enum call_fit fit = fit_at(s, bp);

	if (fit == CALL_NONE || !walk_with_bp(s, bp, fit))
		return;
	f->count[fit]++;
	f->bp[fit] = bp;
	if (bp == s->guess)
		f->guess_fit = fit;
}

/*
 * One exact call decides; of several, the one where the prologue puts BP.  Code
 * that was jumped to, or called through a pointer, has no exact one: then there
 * must be nothing else.
 */
static uint64_t choose(const struct search *s, const struct found *f)
{
	unsigned others = f->count[CALL_OPEN] + f->count[CALL_OTHER];

	if (f->count[CALL_EXACT] == 1)
		return f->bp[CALL_EXACT];
	if (f->guess_fit == CALL_EXACT || (f->guess_fit != CALL_NONE && !f->count[CALL_EXACT]))
		return s->guess;
	if (f->count[CALL_EXACT] || others != 1)
		return 0;
	return f->count[CALL_OPEN] ? f->bp[CALL_OPEN] : f->bp[CALL_OTHER];
}

static bool search_slice(struct search *s)
{
	uint64_t limit = s->capture->slice_at + s->capture->slice_len;
	struct found f = { .guess_fit = CALL_NONE };
	uint64_t bp;

	for (bp = s->sp; bp < limit && s->trials < TRIALS_MAX; bp += 8)
		try_place(s, bp, &f);
	bp = s->trials < TRIALS_MAX ? choose(s, &f) : 0;
	return bp && walk_with_bp(s, bp, CALL_NONE);
}

/* A call that can be right, where the prologue says: no need to look further. */
static bool try_guess(struct search *s)
{
	bool is_call = s->pc != CAPTURE_PC(s->capture); /* look-up addresses are one before */
	enum call_fit fit;
	int64_t depth = s->start ? frame_depth_at(s->start, s->pc + is_call, is_call) : -1;

	if (depth < 0)
		return false;
	s->guess = s->sp + (uint64_t)depth;
	fit = fit_at(s, s->guess);
	return fit >= CALL_OPEN && walk_with_bp(s, s->guess, fit);
}

bool find_bp(struct capture *c, struct walk *w)
{
	struct row row = learn_row(w->stuck_pc);
	struct search s = { .capture = c, .walk = w, .sp = w->stuck_sp, .pc = w->stuck_pc };

	/* a realigned frame has a copy of its return address where others have theirs */
	s.return_offset = row.kind == ROW_BP ? (int64_t)arch_return_slot((uint64_t)row.cfa_offset)
					     : ARCH_RECORD_RETURN;
	s.start = learn_function_start(w->stuck_pc);
	if (s.sp % 8 == 0 && (try_guess(&s) || search_slice(&s)))
		return true;
	c->bp_unknown = true;
	walk_try(c, w);
	w->missing = s.missing;
	return false;
}
