/*
 * The table of thread records.  Here a record is claimed (FREE -> UNARMED, by whoever
 * asks) and recycled (ENDED -> FREE, by the listener); all other moves are in cpu/arm.c.
 * docs/PROTOCOLS.md, "Thread record", has the states.
 */
#include "sampler/process/threads.h"

#include <stddef.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/debug.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/process/threads_handler.h"

#define WORDS (THREADS_MAX / 64)

static atomic_uint_fast64_t taken[WORDS]; /* one bit a record */
static atomic_uint words_used;		  /* words of `taken` that were ever used */

int threads_open(void)
{
	if (!atomic_load_explicit(&thread_region, memory_order_relaxed)) {
		/* a forked child has it too: what its thread remembered points there */
		struct thread *r = sys_map_wiped(THREAD_REGION_BYTES);

		/* release: pairs with the acquire in thread_records() */
		atomic_store_explicit(&thread_region, r, memory_order_release);
	}
	return atomic_load_explicit(&thread_region, memory_order_relaxed) ? 0 : -1;
}

void threads_after_fork(void)
{
	for (int i = 0; i < WORDS; i++)
		atomic_store_explicit(&taken[i], 0, memory_order_relaxed);
	atomic_store_explicit(&words_used, 0, memory_order_relaxed);
}

void threads_close(void)
{
	threads_after_fork(); /* the same, but for the pages */
	sys_discard(thread_records(), THREAD_REGION_BYTES);
}

static bool is_live(struct thread *t)
{
	int state = atomic_load_explicit(&t->state, memory_order_acquire);

	return state != THREAD_FREE && state != THREAD_ENDED;
}

static struct thread *find_tid(int tid, const struct thread *but)
{
	uint32_t words = atomic_load_explicit(&words_used, memory_order_acquire);

	for (uint32_t i = 0; i < words; i++) {
		uint64_t bits = atomic_load_explicit(&taken[i], memory_order_relaxed);

		for (; bits; bits &= bits - 1) {
			struct thread *t = thread_records() + i * 64 + __builtin_ctzll(bits);

			if (t->tid == tid && !t->dump_id && t != but && is_live(t))
				return t;
		}
	}
	return NULL;
}

/* Valid while its tid is ours. */
static __thread struct thread *thread_remembered;

void thread_remember_self(struct thread *t)
{
	thread_remembered = t;
}

struct thread *thread_self(void)
{
	int tid = sys_gettid();

	if (!thread_remembered || thread_remembered->tid != tid || !is_live(thread_remembered))
		thread_remembered = find_tid(tid, NULL);
	return thread_remembered;
}

struct thread *thread_twin(const struct thread *t)
{
	atomic_thread_fence(memory_order_seq_cst);
	return find_tid(t->tid, t);
}

static void raise_words_used(uint32_t words)
{
	unsigned seen = atomic_load_explicit(&words_used, memory_order_relaxed);

	while (seen < words &&
	       !atomic_compare_exchange_weak_explicit(&words_used, &seen, words,
						      memory_order_release, memory_order_relaxed))
		;
}

/* Takes the lowest free bit of one word; -1 when there is none. */
static int take_bit(atomic_uint_fast64_t *word)
{
	uint64_t bits = atomic_load_explicit(word, memory_order_relaxed);

	while (~bits) {
		int bit = __builtin_ctzll(~bits);

		if (atomic_compare_exchange_weak_explicit(word, &bits, bits | 1ULL << bit,
							  memory_order_acquire,
							  memory_order_relaxed))
			return bit;
	}
	return -1;
}

static void reset_record(struct thread *t, int tid, uint32_t dump_id)
{
	t->tid = tid;
	t->dump_id = dump_id;
	t->timer = -1;
	t->newborn = false;
	t->late = false;
	atomic_store_explicit(&t->lost_ns, 0, memory_order_relaxed);
	t->final_ns = 0;
	t->born_at_ns = 0;
	t->ended_at_ns = 0;
	t->gone = false;
	t->met_ns = 0;
	t->ended_seen = false;
	t->accounted = false;
	t->tp = 0;
	t->cpu_seen_ns = 0;
	t->ticks_seen = 0;
	atomic_store_explicit(&t->open_frame, 0, memory_order_relaxed);
	t->counted = false;
	t->found = true;
	t->paused_left_ns = 0;
	atomic_store_explicit(&t->stack_lo, 0, memory_order_relaxed);
	atomic_store_explicit(&t->stack_hi, 0, memory_order_relaxed);
	/* release: whoever sees the state sees the fields above */
	atomic_store_explicit(&t->state, THREAD_UNARMED, memory_order_release);
}

static struct thread *claim_record(int tid, uint32_t dump_id)
{
	for (uint32_t i = 0; thread_records() && i < WORDS; i++) {
		int bit = take_bit(&taken[i]);

		if (bit >= 0) {
			struct thread *t = &thread_records()[i * 64 + (uint32_t)bit];

			raise_words_used(i + 1);
			reset_record(t, tid, dump_id);
			DEBUG_EVENT("thread record", THREAD_FREE, THREAD_UNARMED, tid);
			return t;
		}
	}
	return NULL;
}

struct thread *thread_claim(int tid)
{
	return claim_record(tid, 0);
}

struct thread *thread_claim_once(int tid, uint32_t dump_id)
{
	return claim_record(tid, dump_id);
}

void threads_each(void (*fn)(struct thread *t, void *arg), void *arg)
{
	uint32_t words = atomic_load_explicit(&words_used, memory_order_acquire);

	for (uint32_t i = 0; i < words; i++) {
		uint64_t bits = atomic_load_explicit(&taken[i], memory_order_acquire);

		for (; bits; bits &= bits - 1) {
			struct thread *t = thread_records() + i * 64 + __builtin_ctzll(bits);

			if (atomic_load_explicit(&t->state, memory_order_acquire) != THREAD_FREE)
				fn(t, arg);
		}
	}
}

uint32_t thread_index(const struct thread *t)
{
	return (uint32_t)(t - thread_records());
}

void thread_recycle(struct thread *t)
{
	uint32_t i = thread_index(t);

	DEBUG_EVENT("thread record", t->state, THREAD_FREE, t->tid);
	atomic_store_explicit(&t->state, THREAD_FREE, memory_order_relaxed);
	/* release: pairs with the acquire in take_bit() */
	atomic_fetch_and_explicit(&taken[i / 64], ~(1ULL << (i % 64)), memory_order_release);
}

/* A timer belongs to ARMED and PAUSED alone: nobody would delete another's. */
static const char *check_record(const struct thread *t, bool is_taken)
{
	int state = atomic_load_explicit(&t->state, memory_order_acquire);

	if (is_taken != (state != THREAD_FREE))
		return "threads: a record is free and taken";
	if (state == THREAD_BUSY)
		return "threads: a timer call never came to its end";
	if (state == THREAD_ARMED && t->timer < 0)
		return "threads: an armed record without a timer";
	if ((state == THREAD_UNARMED || state == THREAD_ENDED) && t->timer >= 0)
		return "threads: a timer that nobody will delete";
	return NULL;
}

const char *threads_check(void)
{
	const char *wrong = NULL;

	for (uint32_t i = 0; thread_records() && i < THREADS_MAX && !wrong; i++)
		wrong = check_record(&thread_records()[i], taken[i / 64] >> (i % 64) & 1);
	return wrong;
}
