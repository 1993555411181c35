#include "proto/made_code.h"

#include "sampler/base/sort.h"
#include "sampler/process/modules.h"
#include "sampler/process/other_code.h"
#include "sampler/symbols/jit_names.h"

static bool is_made(uint64_t frame)
{
	return frame >= FRAME_PSEUDO_LIMIT && !frame_module(frame);
}

static size_t count_frames(const struct stack_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->count; i++)
		for (uint32_t k = 0; k < t->list[i]->depth; k++)
			n += is_made(t->list[i]->frame[k]);
	return n;
}

/* Each once, in order. */
static size_t gather(struct sort_pair *pair, const struct stack_table *t)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < t->count; i++)
		for (uint32_t k = 0; k < t->list[i]->depth; k++)
			if (is_made(t->list[i]->frame[k]))
				pair[n++].key = frame_address(t->list[i]->frame[k]);
	sort_pairs(pair, n);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || pair[i].key != pair[i - 1].key)
			pair[kept++] = pair[i];
	return kept;
}

void made_code_find(struct arena *a, const struct stack_table *stacks, struct made_code *m)
{
	size_t n = count_frames(stacks);
	struct sort_pair *pair = n ? arena_array(a, n, sizeof(*pair)) : NULL;

	*m = (struct made_code){ 0 };
	if (!pair)
		return;
	n = gather(pair, stacks);
	m->pc = arena_array(a, n, sizeof(*m->pc));
	m->told = arena_array(a, n, sizeof(*m->told));
	if (!m->pc || !m->told)
		return;
	for (size_t i = 0; i < n; i++)
		m->pc[i] = pair[i].key;
	m->count = n;
	jit_names_find(a, m->pc, n, m->told);
}

long made_code_index(const struct made_code *m, uint64_t frame)
{
	uint64_t pc = frame_address(frame);
	size_t i = m->count ? sort_lower_bound(m->pc, m->count, pc) : 0;

	return i < m->count && m->pc[i] == pc && m->told[i].name ? (long)i : -1;
}

uint64_t made_code_original(uint64_t frame)
{
	uint64_t original;

	return is_made(frame) && other_code_at(frame_address(frame), &original) && original
		       ? modules_frame(original)
		       : frame;
}
