/*
 * Chained hashing over arena memory.  Buckets double as stacks arrive; an
 * outgrown bucket array stays behind in the arena, in all no more than the
 * array in use.
 *
 * The stack [other stacks] is made with the first add, so that no later lack of
 * memory can keep it from taking what does not fit.  It sits in its bucket from
 * then on, but joins the list only when it is used: until then the slot behind
 * the last, list[list_room], holds it.
 */
#include "sampler/unwind/stacks.h"

#include <stdbool.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/process/label_set.h"
#include "sampler/process/modules_kept.h"

#define FIRST_BUCKETS	256
#define FIRST_LIST_ROOM 255
#define BUCKETS_MAX	(1UL << 15) /* at STACK_TABLE_MAX: half a stack a bucket */

static const char *const pseudo_names[PSEUDO_COUNT] = { [PSEUDO_TRUNCATED] = "[truncated]",
							[PSEUDO_LOST] = "[lost samples]",
							[PSEUDO_UNSAMPLED] = "[unsampled]",
							[PSEUDO_BETWEEN] = "[between ticks]",
							[PSEUDO_OTHER] = "[other stacks]",
							[PSEUDO_UNKNOWN] = "[unknown stack]",
							[PSEUDO_UNSEEN] = "[unseen stack]",
							[PSEUDO_SIGNAL] = "[signal handler]",
							[PSEUDO_KERNEL] = "[kernel thread]",
							[PSEUDO_QUEUED] =
								"[waiting for a processor]",
							[PSEUDO_BLOCKED] = "[blocked]",
							[PSEUDO_MAIN] = "[main thread]",
#define X(name) [PSEUDO_CALL_##name] = #name,
							PSEUDO_CALLS(X)
#undef X
};

_Static_assert(PSEUDO_COUNT <= FRAME_OF_LABELS, "labels have the frames above");

static uint64_t pseudo_addresses[PSEUDO_COUNT];

static const uint64_t other_pc[1] = { PSEUDO_OTHER };

const char *pseudo_frame_name(uint64_t id)
{
	const char *name = id < PSEUDO_COUNT ? pseudo_names[id] : NULL;

	return name ? name : "[unknown]";
}

void pseudo_frame_set_address(uint64_t id, uint64_t address)
{
	if (id < PSEUDO_COUNT)
		pseudo_addresses[id] = address;
}

uint64_t pseudo_frame_address(uint64_t id)
{
	return id < PSEUDO_COUNT ? pseudo_addresses[id] : 0;
}

static struct stack **bucket_of(const struct stack_table *t, uint64_t hash)
{
	return &t->bucket[hash & (t->bucket_count - 1)];
}

static void chain(struct stack_table *t, struct stack *s)
{
	struct stack **bucket = bucket_of(t, s->hash);

	s->next = *bucket;
	*bucket = s;
}

static struct stack *find_stack(const struct stack_table *t, uint64_t hash, const uint64_t *frame,
				uint32_t depth, uint32_t label)
{
	for (struct stack *s = *bucket_of(t, hash); s; s = s->next)
		if (s->hash == hash && s->depth == depth && s->label == label &&
		    memcmp(s->frame, frame, depth * sizeof(*frame)) == 0)
			return s;
	return NULL;
}

static struct stack *new_stack(struct stack_table *t, uint64_t hash, const uint64_t *frame,
			       uint32_t depth)
{
	struct stack *s = arena_alloc(&t->arena, sizeof(*s) + depth * sizeof(*frame));

	if (!s)
		return NULL;
	s->hash = hash;
	s->depth = depth;
	memcpy(s->frame, frame, depth * sizeof(*frame));
	modules_keep_frames(frame, depth);
	return s;
}

/* Makes [other stacks] and lays it into the slot that holds it in reserve. */
static bool reserve_other(struct stack_table *t)
{
	struct stack *s = new_stack(t, stack_hash(other_pc, 1), other_pc, 1);

	if (!s)
		return false;
	chain(t, s);
	t->list[t->list_room] = s;
	return true;
}

static bool make_room(struct stack_table *t)
{
	t->bucket = arena_array(&t->arena, FIRST_BUCKETS, sizeof(struct stack *));
	t->list = arena_array(&t->arena, FIRST_LIST_ROOM + 1, sizeof(struct stack *));
	t->bucket_count = FIRST_BUCKETS;
	t->list_room = FIRST_LIST_ROOM;
	if (t->bucket && t->list && reserve_other(t))
		return true;
	t->bucket = NULL;
	return false;
}

/* Without memory the chains just grow longer. */
static void grow_buckets(struct stack_table *t)
{
	size_t count = t->bucket_count * 2;
	struct stack **bucket = arena_array(&t->arena, count, sizeof(struct stack *));

	if (!bucket)
		return;
	t->bucket = bucket;
	t->bucket_count = count;
	for (size_t i = 0; i < t->count; i++)
		chain(t, t->list[i]);
	if (t->list[t->list_room])
		chain(t, t->list[t->list_room]);
}

static bool grow_list(struct stack_table *t)
{
	size_t old = (t->list_room + 1) * sizeof(struct stack *);
	struct stack **list = arena_grow(&t->arena, t->list, old, old * 2);
	struct stack *reserve;

	if (!list)
		return false;
	reserve = list[t->list_room];
	list[t->list_room] = NULL;
	t->list = list;
	t->list_room = t->list_room * 2 + 1;
	t->list[t->list_room] = reserve;
	return true;
}

/* One slot always stays free for [other stacks]. */
static bool has_room(struct stack_table *t)
{
	if (t->count >= STACK_TABLE_MAX)
		return false;
	if (t->count + 1 >= t->list_room && !grow_list(t))
		return false;
	if (t->count >= t->bucket_count && t->bucket_count < BUCKETS_MAX)
		grow_buckets(t);
	return true;
}

/* Lists the reserve when it is used for the first time. */
static struct stack *listed(struct stack_table *t, struct stack *s)
{
	if (UNLIKELY(s == t->list[t->list_room])) {
		t->list[t->list_room] = NULL;
		s->index = (uint32_t)t->count;
		t->list[t->count++] = s;
	}
	return s;
}

COLD static struct stack *other_stacks(struct stack_table *t)
{
	counter_add(COUNTER_STACKS_DROPPED_TABLE_FULL, 1);
	return listed(t, find_stack(t, stack_hash(other_pc, 1), other_pc, 1, 0));
}

void stack_table_init(struct stack_table *t, size_t memory)
{
	*t = (struct stack_table){ .arena = ARENA_INIT(memory) };
}

struct stack *stack_table_add(struct stack_table *t, const uint64_t *frame, uint32_t depth)
{
	return stack_table_add_labelled(t, frame, depth, 0);
}

/* An odd number: labels that follow each other are far apart. */
#define LABEL_HASH 0x9e3779b97f4a7c15

struct stack *stack_table_add_labelled(struct stack_table *t, const uint64_t *frame, uint32_t depth,
				       uint32_t label)
{
	uint64_t hash = stack_hash(frame, depth) ^ label * LABEL_HASH >> 20;
	struct stack *s;

	if (UNLIKELY(!t->bucket) && !make_room(t))
		return NULL;
	s = find_stack(t, hash, frame, depth, label);
	if (LIKELY(s != NULL))
		return listed(t, s);
	if (label && t->count >= STACK_TABLE_MAX / 2) {
		counter_add(COUNTER_STACKS_WITHOUT_LABEL, 1);
		return stack_table_add_labelled(t, frame, depth, 0);
	}
	if (t->count >= STACK_TABLE_LABELLED && frames_labels(frame, depth)) {
		counter_add(COUNTER_LABELS_DROPPED, 1);
		return stack_table_add_labelled(t, frame, depth - 1, label);
	}
	if (!has_room(t))
		return other_stacks(t);
	s = new_stack(t, hash, frame, depth);
	if (!s)
		return other_stacks(t);
	s->label = label;
	chain(t, s);
	s->index = (uint32_t)t->count;
	t->list[t->count++] = s;
	return s;
}

/* What other processes say may be any number. */
void stack_add_values(struct stack *to, const struct stack *from)
{
	for (int k = 0; to && k < STACK_VALUES_MAX; k++)
		to->value[k] = (int64_t)((uint64_t)to->value[k] + (uint64_t)from->value[k]);
}

void stack_table_release(struct stack_table *t)
{
	arena_release(&t->arena);
	stack_table_init(t, t->arena.limit);
}
