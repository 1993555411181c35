#include "proto/name_sums.h"

static void add_sample(struct name_sums *s, size_t i, int64_t value)
{
	const struct name_stacks *n = &s->stacks;

	for (uint32_t k = n->start[i]; k < n->start[i + 1]; k++) {
		struct name_sum *sum = &s->sum[n->frame[k]];

		if (sum->last != i + 1)
			sum->cum += value;
		sum->last = (uint32_t)i + 1;
		if (k + 1 == n->start[i + 1])
			sum->flat += value;
	}
}

int name_sums_of(struct arena *a, const struct message *m, size_t value, struct name_sums *out)
{
	if (name_stacks_of(a, m, &out->stacks) != 0)
		return -1;
	out->sum = arena_array(a, out->stacks.name_count, sizeof(*out->sum));
	if (!out->sum)
		return -1;
	for (size_t i = 0; i < out->stacks.count; i++)
		add_sample(out, i, m->sample[i].value[value]);
	return 0;
}
