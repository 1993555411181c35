#include "proto/program_labels.h"

#include <string.h>

#include "sampler/base/counters.h"
#include "sampler/base/text.h"
#include "sampler/process/label_set.h"

#define FIRST_ROOM     256
#define SENTENCE_BYTES 512

struct joined_labels {
	uint32_t owner, set;
	struct sample_labels labels;
};

static bool is_of(const struct joined_labels *j, uint32_t owner, uint32_t set)
{
	return j->owner == owner && j->set == set;
}

/* Its slot, or the free one where it belongs; at most half of them are taken. */
static uint32_t *slot_of(const struct program_labels *p, uint32_t owner, uint32_t set)
{
	uint64_t h = ((uint64_t)owner << 32 | set) * 0x9e3779b97f4a7c15;
	uint32_t i = (uint32_t)(h >> 32);

	for (;; i++) {
		uint32_t *slot = &p->slot[i & (2 * p->room - 1)];

		if (!*slot || is_of(&p->list[*slot - 1], owner, set))
			return slot;
	}
}

static bool grow(struct program_labels *p)
{
	uint32_t room = p->room ? 2 * p->room : FIRST_ROOM;
	struct joined_labels *list = arena_array(p->arena, room, sizeof(*list));
	uint32_t *slot = arena_array(p->arena, 2UL * room, sizeof(*slot));

	if (!list || !slot)
		return false;
	if (p->count)
		memcpy(list, p->list, p->count * sizeof(*list));
	p->list = list;
	p->slot = slot;
	p->room = room;
	for (uint32_t i = 0; i < p->count; i++)
		*slot_of(p, list[i].owner, list[i].set) = i + 1;
	return true;
}

/* Both are in order of key. */
static uint32_t merge(struct message_label *to, const struct sample_labels *of,
		      const struct label_set *set)
{
	uint32_t n = 0, k = 0;

	for (uint32_t i = 0; i < set->count; i++) {
		while (k < of->count && strcmp(of->label[k].key, set->key[i]) < 0)
			to[n++] = of->label[k++];
		to[n++] = (struct message_label){ .key = set->key[i], .text = set->value[i] };
	}
	while (k < of->count)
		to[n++] = of->label[k++];
	return n;
}

static bool join(struct program_labels *p, uint32_t set, struct sample_labels *of)
{
	struct label_set all;
	struct message_label *label;

	label_set_get(set, &all);
	label = arena_array(p->arena, of->count + all.count, sizeof(*label));
	if (!label)
		return false;
	of->count = merge(label, of, &all);
	of->label = label;
	return true;
}

bool program_labels_join(struct program_labels *p, uint32_t owner, uint32_t set,
			 struct sample_labels *of)
{
	uint32_t *slot;

	if (p->count == p->room && !grow(p))
		return false;
	slot = slot_of(p, owner, set);
	if (!*slot) {
		if (!join(p, set, of))
			return false;
		p->list[p->count] = (struct joined_labels){ owner, set, *of };
		*slot = ++p->count;
	}
	*of = p->list[*slot - 1].labels;
	return true;
}

static void tell(struct text *t, enum counter c, const char *what)
{
	if (!counter_get(c))
		return;
	text_str(t, t->len ? "; " : "Labels of the program: ");
	text_u64(t, counter_get(c));
	text_str(t, what);
}

const char *program_labels_comment(struct arena *a)
{
	struct text t = { .size = SENTENCE_BYTES };

	t.at = arena_alloc(a, t.size);
	if (!t.at)
		return NULL;
	tell(&t, COUNTER_LABELS_OTHER, " times a value was one too many and became [other]");
	tell(&t, COUNTER_LABELS_REFUSED, " were refused (a name of ours, or too many names)");
	tell(&t, COUNTER_LABELS_DROPPED, " samples are without: too many stacks with labels");
	if (t.len)
		text_str(&t, ". Counted since the start.");
	return t.len ? t.at : NULL;
}
