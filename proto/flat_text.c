#include "proto/flat_text.h"

#include "proto/growing_text.h"
#include "proto/name_sums.h"
#include "sampler/base/text.h"

static void write_all(struct text *t, const void *arg)
{
	const struct name_sums *s = arg;

	for (size_t i = 0; i < s->stacks.name_count; i++) {
		if (!s->sum[i].cum)
			continue;
		text_i64(t, s->sum[i].flat);
		text_char(t, ' ');
		text_i64(t, s->sum[i].cum);
		text_char(t, ' ');
		text_str(t, s->stacks.name[i]);
		text_char(t, '\n');
	}
}

int flat_text(struct arena *a, const struct message *m, size_t value, struct bytes *out)
{
	struct name_sums s;

	if (name_sums_of(a, m, value, &s) != 0)
		return -1;
	return growing_text(a, write_all, &s, out);
}
