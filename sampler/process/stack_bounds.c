#include "sampler/process/stack_bounds.h"

#include <stddef.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/process/maps_reader.h"
#include "sampler/process/peek.h"
#include "sampler/process/threads.h"

/*
 * The kernel leaves at least 128 MiB below the main stack free of other
 * mappings, so SP within 8 MiB (the usual limit) of its end is on it.
 */
#define MAIN_STACK_BYTES (8UL << 20)

/* A larger mapping is taken for something else, and copied from by the kernel. */
#define LARGEST_STACK_BYTES (64UL << 20)

/* Threads looked up in one read of the maps; the others have their turn at the next scan. */
#define BATCH_MAX 256

static uint64_t main_stack_hi;

void stack_bounds_init(const void *argv)
{
	main_stack_hi = (uint64_t)argv;
}

struct stack_bounds stack_bounds_main(void)
{
	if (!main_stack_hi)
		return (struct stack_bounds){ 0 };
	return (struct stack_bounds){ main_stack_hi - MAIN_STACK_BYTES, main_stack_hi };
}

bool stack_bounds_of_main(int tid, struct stack_bounds *out)
{
	if (tid != sys_getpid() || !main_stack_hi)
		return false;
	*out = stack_bounds_main();
	return true;
}

struct batch {
	struct thread *thread[BATCH_MAX];
	size_t count;
};

static void want(struct thread *t, void *arg)
{
	struct batch *b = arg;

	if (t->tp && !atomic_load_explicit(&t->stack_hi, memory_order_relaxed) &&
	    b->count < BATCH_MAX)
		b->thread[b->count++] = t;
}

static void publish(struct thread *t, uint64_t lo)
{
	atomic_store_explicit(&t->stack_lo, lo, memory_order_relaxed);
	/* release: pairs with the acquire in capture_handler.c; lo is there before hi */
	atomic_store_explicit(&t->stack_hi, t->tp, memory_order_release);
}

/*
 * A mapping of its own, as glibc makes for a thread.  Not part of a heap: the
 * target may give pages in the middle of that back while a copy is under way.
 */
static bool is_stack_like(const struct maps_line *m)
{
	return m->writable && m->path[0] == '\0' && m->limit - m->start <= LARGEST_STACK_BYTES;
}

/* glibc's record of a thread begins at its thread pointer; behind it the block ends. */
#define RECORD_BYTES	2304UL
#define BEHIND_TP_BYTES (4 * PAGE_BYTES)

static bool is_block(uint64_t start, uint64_t size, uint64_t tp)
{
	return start < tp && tp - start < size && size <= LARGEST_STACK_BYTES &&
	       size - (tp - start) <= BEHIND_TP_BYTES;
}

/*
 * The mapping may reach further down than the stack: without a guard page, what
 * was mapped below is part of it, and the target may unmap that at any time.
 * The record has the stack's start and size side by side, guard included.
 * UINT64_MAX when they are not found.
 */
static uint64_t block_start(uint64_t tp, const struct maps_line *m)
{
	uint64_t word[RECORD_BYTES / sizeof(uint64_t)];
	size_t bytes = MIN(sizeof(word), m->limit - tp);

	if (!peek(tp, word, bytes))
		return UINT64_MAX;
	for (size_t i = 0; i + 1 < bytes / sizeof(*word); i++) {
		if (is_block(word[i], word[i + 1], tp))
			return word[i];
	}
	return UINT64_MAX;
}

static void match(const struct batch *b, const struct maps_line *m)
{
	for (size_t i = 0; is_stack_like(m) && i < b->count; i++) {
		uint64_t tp = b->thread[i]->tp, start;

		if (tp <= m->start || tp >= m->limit)
			continue;
		start = block_start(tp, m);
		if (start != UINT64_MAX)
			publish(b->thread[i], MAX(start, m->start));
	}
}

static void read_maps(const struct batch *b)
{
	static struct maps_reader reader;
	struct maps_line m;

	if (!maps_open(&reader))
		return;
	while (maps_next(&reader, &m))
		match(b, &m);
	maps_close(&reader);
}

void stack_bounds_resolve(void)
{
	struct batch b = { .count = 0 };

	threads_each(want, &b);
	if (b.count)
		read_maps(&b);
}
