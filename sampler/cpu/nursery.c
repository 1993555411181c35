#include "sampler/cpu/nursery.h"

#include <stddef.h>
#include <string.h>

#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/cpu/nursery_handler.h"
#include "sampler/unwind/code_stamp.h"

/* Who was killed, or stopped, while it filled a place. */
#define FILLING_NS NS_PER_SECOND
/* More than a timer of ours, or a process that was stopped, may make of one tick. */
#define WEIGHT_MAX_NS NS_PER_SECOND

static struct nursery_place *copy; /* of the place that is looked at; NULL: nothing here is ours */

static struct {
	int pid; /* who fills the place, as seen at a drain */
	int64_t since_ns;
} filling[NURSERY_PLACES];

/* ---- memory */

/* What this process inherited is its parent's, and stays. */
static bool have_memory(void)
{
	if (!copy) {
		nursery.memory = NULL;
		nursery.until_ns = 0;
		copy = sys_map(NURSERY_PLACE_BYTES);
	}
	if (copy && !nursery.memory)
		nursery.memory = sys_map_shared(sizeof(*nursery.memory));
	if (copy && !nursery.memory) {
		sys_unmap(copy, NURSERY_PLACE_BYTES);
		copy = NULL;
	}
	return copy;
}

void nursery_open(int64_t until_ns)
{
	if (!have_memory()) {
		counter_add(COUNTER_NURSERY_WITHOUT_MEMORY, 1);
		return;
	}
	nursery.until_ns = MAX(until_ns, nursery.until_ns);
	atomic_store(&nursery.memory->is_open, 1);
}

void nursery_close(void)
{
	if (!copy)
		return;
	atomic_store(&nursery.memory->is_open, 0);
	nursery.until_ns = 0;
}

void nursery_release(void)
{
	if (!copy)
		return;
	sys_unmap_shared(nursery.memory, sizeof(*nursery.memory));
	nursery.memory = NULL;
	sys_unmap(copy, NURSERY_PLACE_BYTES);
	copy = NULL;
}

/* ---- what they left */

/* All of it lies behind the capture; of the copy, which nobody else writes. */
static bool makes_sense(const struct nursery_place *p)
{
	const struct capture *c = &p->capture;
	uint64_t bytes = c->slice_len;

	if (c->slice_len > NURSERY_CAPTURE_BYTES || p->pid <= 0 || c->weight_ns <= 0)
		return false;
	for (unsigned i = 0; i < CAPTURE_MORE; i++) {
		if (c->more[i].len > NURSERY_CAPTURE_BYTES)
			return false;
		bytes += c->more[i].len;
	}
	return bytes <= NURSERY_CAPTURE_BYTES;
}

/* The head first: how much is behind it, it says.  False: that is too much. */
static bool copy_place(const struct nursery_place *from)
{
	const uint8_t *bytes = from->capture.slice;
	size_t len;

	memcpy(copy, from, offsetof(struct nursery_place, capture) + sizeof(struct capture));
	if (!makes_sense(copy))
		return false;
	len = copy->capture.slice_len;
	for (unsigned i = 0; i < CAPTURE_MORE; i++)
		len += copy->capture.more[i].len;
	memcpy(copy->capture.slice, bytes, len);
	return true;
}

static void hand_over(void (*take)(const struct nursery_tick *tick))
{
	struct capture *c = &copy->capture;
	struct nursery_tick tick = { .pid = copy->pid, .capture = c };

	c->thread = NULL;
	c->site = NULL;
	c->sites = NULL;
	c->stamp = code_stamp();
	c->tid = copy->pid;
	tick.weight_ns = c->weight_ns < WEIGHT_MAX_NS ? c->weight_ns : WEIGHT_MAX_NS;
	memcpy(tick.name, copy->name, sizeof(tick.name) - 1);
	take(&tick);
}

static void take_place(struct nursery_memory *m, unsigned i,
		       void (*take)(const struct nursery_tick *tick))
{
	if (copy_place(nursery_place(m, i)))
		hand_over(take);
	else
		counter_add(COUNTER_NURSERY_NONSENSE, 1);
	/* release: it has been read */
	atomic_store_explicit(&m->state[i], 0, memory_order_release);
}

/* Its process may have been killed in the middle. */
static void free_if_stuck(struct nursery_memory *m, unsigned i, int state, int64_t now_ns)
{
	if (filling[i].pid != state) {
		filling[i].pid = state;
		filling[i].since_ns = now_ns;
	} else if (now_ns - filling[i].since_ns > FILLING_NS) {
		atomic_compare_exchange_strong(&m->state[i], &state, 0);
		filling[i].pid = 0;
	}
}

void nursery_drain(void (*take)(const struct nursery_tick *tick))
{
	struct nursery_memory *m = nursery.memory;
	int64_t now_ns;

	if (!copy)
		return;
	now_ns = sys_now_ns();
	for (unsigned i = 0; i < NURSERY_PLACES; i++) {
		int state = atomic_load_explicit(&m->state[i], memory_order_acquire);

		if (state == NURSERY_FULL)
			take_place(m, i, take);
		else if (state)
			free_if_stuck(m, i, state, now_ns);
		else
			filling[i].pid = 0;
	}
	counter_add(COUNTER_NURSERY_LOST, atomic_exchange(&m->lost, 0));
}

struct nursery_counts nursery_count(void)
{
	struct nursery_counts c = { 0 };

	if (copy)
		c = (struct nursery_counts){ atomic_load(&nursery.memory->born),
					     atomic_load(&nursery.memory->ended),
					     atomic_load(&nursery.memory->ended_ns),
					     atomic_load(&nursery.memory->tails_ns) };
	return c;
}

/* ---- children */

bool nursery_is_open(void)
{
	return nursery.memory && nursery.until_ns && atomic_load(&nursery.memory->is_open) &&
	       sys_now_ns() < nursery.until_ns;
}

void nursery_join(void)
{
	nursery.noted_ns = -1;
	atomic_fetch_add(&nursery.memory->born, 1);
	atomic_store(&nursery.is_joined, true);
}

static void note_end(void)
{
	struct nursery_memory *m = nursery.memory;
	int64_t used_ns = sys_clock_ns(CLOCK_PROCESS_CPUTIME_ID);

	if (nursery.noted_ns < 0) {
		atomic_fetch_add(&m->ended, 1);
		nursery.noted_ns = 0;
	}
	atomic_fetch_add(&m->ended_ns, used_ns - nursery.noted_ns);
	nursery.noted_ns = used_ns;
}

/* Functions that are called at exit, and the kernel, which gives all memory back. */
#define TAIL_NS	  (2 * NS_PER_MS)
#define TAIL_PART 2

void nursery_note_exit(void)
{
	note_end();
	atomic_fetch_add(&nursery.memory->tails_ns, TAIL_NS + nursery.noted_ns / TAIL_PART);
}

void nursery_note_exec(void)
{
	note_end();
}

void nursery_leave(void)
{
	note_end();
	atomic_store(&nursery.is_joined, false);
}

void nursery_quit(void)
{
	atomic_store(&nursery.is_joined, false);
}

void nursery_after_fork(void)
{
	copy = NULL;
	atomic_store(&nursery.is_joined, false);
}
