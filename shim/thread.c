/*
 * pthread_create and pthread_exit.  While no profile runs, creating a thread
 * costs one load more than without us; while one runs, the new thread gives
 * itself a timer before its first instruction, so that short threads are seen.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <threads.h>

#include "sampler/roster.h"
#include "shim/cc.h"
#include "shim/last_thread.h"
#include "shim/life.h"
#include "shim/real.h"

/* What a new thread is to do; taken here, freed by the thread itself. */
struct start {
	void *(*fn)(void *);
	void *arg;
	atomic_bool taken;
};

/* As many threads may be on their way at once; the next one goes unwrapped and is found by a scan.
 */
#define STARTS 256

static struct start starts[STARTS];
static atomic_uint next_start;

static struct start *take_start(void *(*fn)(void *), void *arg)
{
	unsigned first = atomic_fetch_add_explicit(&next_start, 1, memory_order_relaxed);

	for (unsigned i = 0; i < STARTS; i++) {
		struct start *s = &starts[(first + i) % STARTS];

		/* acquire: pairs with the release of the one who had it before */
		if (!atomic_exchange_explicit(&s->taken, true, memory_order_acquire)) {
			s->fn = fn;
			s->arg = arg;
			return s;
		}
	}
	return NULL;
}

static void free_start(struct start *s)
{
	atomic_store_explicit(&s->taken, false, memory_order_release);
}

/* The one frame of ours in a thread's stack; profiles leave it out. */
static OUR_FRAME void *run_thread(void *start)
{
	struct start s = { ((struct start *)start)->fn, ((struct start *)start)->arg, false };
	void *result;

	free_start(start);
	roster_thread_starts();
	result = s.fn(s.arg);
	roster_thread_ends();
	return result;
}

static COLD NOINLINE int create_sampled(pthread_t *thread, const pthread_attr_t *attr,
					void *(*fn)(void *), void *arg)
{
	struct start *s = take_start(fn, arg);
	int err;

	if (!s)
		return real()->pthread_create(thread, attr, fn, arg);
	err = real()->pthread_create(thread, attr, run_thread, s);
	if (err)
		free_start(s);
	return err;
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	if (UNLIKELY(roster_is_open()) && !life_is_child())
		return create_sampled(thread, attr, fn, arg);
	return real()->pthread_create(thread, attr, fn, arg);
}

EXPORT int pthread_cancel(pthread_t thread)
{
	if (!life_is_child())
		last_thread_note_cancel(thread);
	return real()->pthread_cancel(thread);
}

EXPORT __attribute__((noreturn)) void thrd_exit(int result)
{
	if (!life_is_child())
		last_thread_note_exit();
	real()->thrd_exit(result);
	__builtin_unreachable();
}

EXPORT __attribute__((noreturn)) void pthread_exit(void *result)
{
	if (!life_is_child())
		last_thread_note_exit();
	real()->pthread_exit(result);
	__builtin_unreachable();
}
