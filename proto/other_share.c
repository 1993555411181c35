#include "proto/other_share.h"

#include "sampler/base/text.h"

#define SENTENCE_BYTES 512

static bool is_other(const struct stack *s)
{
	return s->depth == 1 && s->frame[0] == PSEUDO_OTHER;
}

/* In tenths of a percent, rounded up: what is there is never 0. */
static uint64_t share_of(const struct stack_table *t, size_t type)
{
	__int128 all = 0, other = 0;

	for (size_t i = 0; i < t->count; i++) {
		all += t->list[i]->value[type];
		other += is_other(t->list[i]) ? t->list[i]->value[type] : 0;
	}
	if (all <= 0 || other <= 0)
		return 0;
	return (uint64_t)((other * 1000 + all - 1) / all);
}

static void tell(struct text *out, uint64_t share, const char *type)
{
	text_str(out, out->len ? ", " : "[other stacks] has ");
	text_u64(out, share / 10);
	text_char(out, '.');
	text_u64(out, share % 10);
	text_str(out, " % of ");
	text_str(out, type);
}

static bool has_other(const struct stack_table *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (is_other(t->list[i]))
			return true;
	return false;
}

static size_t tell_each(struct text *out, const struct stack_table *t,
			const struct message_value_type *type, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t share = share_of(t, i);

		if (share)
			tell(out, share, type[i].type);
	}
	return out->len;
}

const char *other_share(struct arena *a, const struct stack_table *t,
			const struct message_value_type *type, size_t count)
{
	struct text out = { .size = SENTENCE_BYTES };

	if (!has_other(t))
		return NULL;
	out.at = arena_alloc(a, out.size);
	if (!out.at || !tell_each(&out, t, type, count))
		return NULL;
	text_str(&out, ": there was no room for more stacks.");
	return out.at;
}
