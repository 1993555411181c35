#include "sampler/wall/lives.h"

#include <stddef.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"

#define OWNER_CROWD 0x80000000U /* and its number */

/* An arena aligns to less. */
static struct life *arena_aligned(struct arena *a, size_t count, size_t size)
{
	uintptr_t at = (uintptr_t)arena_array(a, count + 1, size);

	return (struct life *)ALIGN_UP(at, _Alignof(struct life));
}

bool lives_init(struct life_table *t, struct arena *a)
{
	*t = (struct life_table){ .crowds = 1 };
	t->list = arena_aligned(a, LIVES_MAX, sizeof(*t->list));
	t->of_record = arena_array(a, THREADS_MAX, sizeof(*t->of_record));
	t->crowd = arena_array(a, CROWDS_MAX, sizeof(*t->crowd));
	return t->list && t->of_record && t->crowd && visits_init(&t->visits, a);
}

struct life *lives_find(const struct life_table *t, const struct thread *of)
{
	uint32_t number = t->of_record[thread_index(of)];

	return number ? &t->list[number - 1] : NULL;
}

static struct life *take_place(struct life_table *t)
{
	struct life *l;

	if (t->unused) {
		l = &t->list[t->unused - 1];
		t->unused = l->next_free;
		return l;
	}
	return t->count < LIVES_MAX ? &t->list[t->count++] : NULL;
}

struct life *lives_add(struct life_table *t, const struct thread *of)
{
	struct life *l = take_place(t);

	if (!l) {
		t->unlisted++;
		counter_add(COUNTER_WALL_THREADS_UNLISTED, 1);
		return NULL;
	}
	*l = (struct life){ .tid = of->tid, .queued_begin = -1, .queued = -1 };
	t->of_record[thread_index(of)] = (uint32_t)(l - t->list) + 1;
	return l;
}

uint32_t lives_owner(const struct life_table *t, const struct life *l)
{
	return (uint32_t)(l - t->list) + 1;
}

int64_t life_queued_ns(const struct life *l)
{
	int64_t rest = MAX(l->end_ns - l->begin_ns - life_cpu_ns(l), 0);

	if (l->looks && !l->has_run && !l->blocked_looks && !l->is_refused)
		return rest; /* it never came to a processor: the kernel adds that up afterwards */
	if (l->queued < 0 || l->queued_begin < 0)
		return 0;
	return MIN(MAX(l->queued - l->queued_begin, 0), rest);
}

int64_t life_blocked_ns(const struct life *l)
{
	return MAX(l->end_ns - l->begin_ns - life_cpu_ns(l) - life_queued_ns(l), 0);
}

/* ---- crowds */

static uint32_t crowd_of(struct life_table *t, const char *name)
{
	for (uint32_t i = 1; i < t->crowds; i++)
		if (strcmp(t->crowd[i].name, name) == 0)
			return i;
	if (!*name || t->crowds == CROWDS_MAX)
		return 0;
	memcpy(t->crowd[t->crowds].name, name, TASK_NAME_BYTES);
	return t->crowds++;
}

static void join_crowd(struct life_table *t, struct life *l)
{
	uint32_t crowd = crowd_of(t, l->name);
	struct crowd *c = &t->crowd[crowd];

	c->lost_ns += visits_move(&t->visits, &l->visits, &c->visits, OWNER_CROWD | crowd);
	c->lost_ns += l->lost_ns;
	c->blocked_ns += life_blocked_ns(l);
	c->seen_ns += l->blocked_ns;
	t->crowd_life_ns += l->end_ns - l->begin_ns;
	t->crowd_queued_ns += life_queued_ns(l);
	l->tid = 0;
	l->next_free = t->unused;
	t->unused = lives_owner(t, l);
}

void lives_leave(const struct life_table *t, struct life *l)
{
	if (!l->visit)
		return;
	visit_at(&t->visits, l->visit)->ns += l->still_ns;
	l->blocked_ns += l->still_ns;
	l->blocked_looks += l->still_looks;
	l->still_ns = 0;
	l->still_looks = 0;
	l->visit = 0;
}

void lives_end(struct life_table *t, const struct thread *of)
{
	struct life *l = lives_find(t, of);

	t->of_record[thread_index(of)] = 0;
	if (!l)
		return;
	lives_leave(t, l);
	l->is_over = true;
	if (l->blocked_looks < LOOKS_OWN || t->count > LIVES_MAX / 2)
		join_crowd(t, l);
}
