#include "proto/owners.h"

#include <stdbool.h>
#include <string.h>

#include "proto/strings.h"
#include "sampler/base/counters.h"

#define SLOTS	   (2 * OWNERS_MAX)
#define LABELS_MAX 8 /* of one owner */

static bool make_room(struct owner_table *t)
{
	if (t->slot)
		return true;
	t->list = arena_array(t->arena, OWNERS_MAX, sizeof(*t->list));
	t->slot = t->list ? arena_array(t->arena, SLOTS, sizeof(*t->slot)) : NULL;
	return t->slot != NULL;
}

static bool copy(struct owner_table *t, const char **text)
{
	*text = arena_strndup(t->arena, *text, strlen(*text));
	return *text != NULL;
}

static uint32_t add(struct owner_table *t, const struct owner *o)
{
	struct owner *new = &t->list[t->count];

	*new = *o;
	if (!copy(t, &new->process) || !copy(t, &new->thread) || !copy(t, &new->state) ||
	    !copy(t, &new->wait_reason))
		return 0;
	return ++t->count;
}

static uint32_t hash_of(const struct owner *o)
{
	uint32_t h = (uint32_t)o->pid * 0x9e3779b9U ^ (uint32_t)o->tid * 0x85ebca6bU;

	h = h * 31 + o->is_idle;
	h = h * 31 + (o->is_newborn ? text_hash(o->process) : 0);
	h = h * 31 + (uint32_t)o->age_s;
	h = h * 31 + text_hash(o->thread);
	h = h * 31 + text_hash(o->state);
	return h * 31 + text_hash(o->wait_reason);
}

/* A process may have changed its name meanwhile, and is the same; but for one without a number. */
static bool is_same(const struct owner *a, const struct owner *b)
{
	if (a->is_newborn != b->is_newborn ||
	    (a->is_newborn && strcmp(a->process, b->process) != 0))
		return false;
	return a->pid == b->pid && a->tid == b->tid && a->is_idle == b->is_idle &&
	       a->age_s == b->age_s && strcmp(a->thread, b->thread) == 0 &&
	       strcmp(a->state, b->state) == 0 && strcmp(a->wait_reason, b->wait_reason) == 0;
}

uint32_t owner_number(struct owner_table *t, const struct owner *wanted)
{
	struct owner o = *wanted;
	uint32_t i;

	if (t->without_tids)
		o.tid = 0;
	if (make_room(t)) {
		for (i = hash_of(&o) % SLOTS; t->slot[i]; i = (i + 1) % SLOTS)
			if (is_same(&t->list[t->slot[i] - 1], &o))
				return t->slot[i];
		if (t->count < OWNERS_MAX && add(t, &o))
			return t->slot[i] = t->count;
	}
	counter_add(COUNTER_STACKS_WITHOUT_LABEL, 1);
	return 0;
}

static struct message_label *put_text(struct message_label *to, const char *key, const char *text)
{
	if (*text)
		*to++ = (struct message_label){ .key = key, .text = text };
	return to;
}

static struct message_label *put_number(struct message_label *to, const char *key, int64_t number,
					const char *unit)
{
	if (number)
		*to++ = (struct message_label){ .key = key, .number = number, .number_unit = unit };
	return to;
}

static uint32_t write_labels(struct message_label *first, const struct owner *o)
{
	struct message_label *to = put_number(first, "age", o->age_s, "seconds");

	to = put_text(to, "idle", o->is_idle ? "true" : "");
	to = put_number(to, "pid", o->pid, "");
	to = put_text(to, "process", o->process);
	to = put_text(to, "state", o->state);
	to = put_text(to, "thread", o->thread);
	to = put_number(to, "tid", o->tid, "");
	to = put_text(to, "wait_reason", o->wait_reason);
	return (uint32_t)(to - first);
}

const struct sample_labels *owner_labels(struct arena *a, const struct owner_table *t)
{
	struct sample_labels *all = arena_array(a, t->count + 1, sizeof(*all));
	struct message_label *label = arena_array(a, t->count + 1, LABELS_MAX * sizeof(*label));

	if (!all || !label)
		return NULL;
	for (uint32_t i = 0; i < t->count; i++, label += LABELS_MAX)
		all[i] = (struct sample_labels){ label, write_labels(label, &t->list[i]) };
	return all;
}
