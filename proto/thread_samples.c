/* Threads with the same stack and labels are one sample. */
#include <string.h>

#include "proto/strings.h"
#include "proto/threads.h"
#include "sampler/base/cc.h"

#define LABELS_MAX 4

struct collector {
	struct arena *arena;
	const struct message_sample *stack; /* the message's samples as they were */
	const struct thread_entry **first;  /* of each new sample: a thread that it is of */
	struct message_sample *sample;
	size_t count;
	uint32_t *slot; /* index of a sample + 1, 0 while free */
	size_t slot_count;
	bool with_tids;
};

static uint32_t hash_of(const struct collector *c, const struct thread_entry *e)
{
	uint32_t h = e->sample * 0x9e3779b9U ^ text_hash(e->name);

	h = h * 31 + text_hash(e->state);
	h = h * 31 + text_hash(e->reason ? e->reason : "");
	return c->with_tids ? h * 31 + (uint32_t)e->tid * 0x9e3779b9U : h;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_same(const struct collector *c, const struct thread_entry *a,
		    const struct thread_entry *b)
{
	return a->sample == b->sample && same_text(a->name, b->name) &&
	       same_text(a->state, b->state) && same_text(a->reason, b->reason) &&
	       (!c->with_tids || a->tid == b->tid);
}

/* Those that the program gave, which the stack has, and the thread's own. */
static bool add_labels(struct collector *c, const struct thread_entry *e, struct message_sample *s)
{
	const struct message_sample *stack = &c->stack[e->sample];
	struct message_label *label =
		arena_array(c->arena, stack->label_count + LABELS_MAX, sizeof(*label));
	uint32_t n = 0;

	if (!label)
		return false;
	for (; n < stack->label_count; n++)
		label[n] = stack->label[n];
	label[n++] = (struct message_label){ .key = "state", .text = e->state };
	if (*e->name)
		label[n++] = (struct message_label){ .key = "thread", .text = e->name };
	if (e->reason)
		label[n++] = (struct message_label){ .key = "wait_reason", .text = e->reason };
	if (c->with_tids)
		label[n++] =
			(struct message_label){ .key = "tid", .number = e->tid, .number_unit = "" };
	s->label = label;
	s->label_count = n;
	return true;
}

static bool new_sample(struct collector *c, const struct thread_entry *e, uint32_t *slot)
{
	struct message_sample *s = &c->sample[c->count];

	*s = (struct message_sample){ .location = c->stack[e->sample].location,
				      .location_count = c->stack[e->sample].location_count };
	c->first[c->count] = e;
	*slot = (uint32_t)++c->count;
	return add_labels(c, e, s);
}

static bool add_entry(struct collector *c, const struct thread_entry *e)
{
	size_t i = hash_of(c, e) & (c->slot_count - 1);

	while (c->slot[i] && !is_same(c, c->first[c->slot[i] - 1], e))
		i = (i + 1) & (c->slot_count - 1);
	if (!c->slot[i] && !new_sample(c, e, &c->slot[i]))
		return false;
	c->sample[c->slot[i] - 1].value[0] += e->weight;
	return true;
}

/* Of a difference: who was there before and is there still, in the same place. */
static void drop_zeros(struct collector *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->count; i++)
		if (c->sample[i].value[0])
			c->sample[kept++] = c->sample[i];
	c->count = kept;
}

static bool make_room(struct collector *c, size_t count)
{
	c->slot_count = 64;
	while (c->slot_count < count * 2)
		c->slot_count *= 2;
	c->slot = arena_array(c->arena, c->slot_count, sizeof(*c->slot));
	c->sample = arena_array(c->arena, count, sizeof(*c->sample));
	c->first = arena_array(c->arena, count, sizeof(*c->first));
	return c->slot && c->sample && c->first;
}

int threads_to_samples(struct arena *a, const struct thread_list *l, bool with_tids,
		       struct message *m)
{
	struct collector c = { .arena = a, .stack = m->sample, .with_tids = with_tids };

	if (!make_room(&c, l->count))
		return -1;
	for (uint32_t i = 0; i < l->count; i++)
		if (!add_entry(&c, &l->entry[i]))
			return -1;
	drop_zeros(&c);
	m->sample = c.sample;
	m->sample_count = c.count;
	return 0;
}
