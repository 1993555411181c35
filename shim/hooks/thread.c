/*
 * pthread_create and pthread_exit.  A new thread first notes where its stack
 * lies and who created it, and while a CPU profile runs it gives itself a timer,
 * so that short threads are seen.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <threads.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/action_masks.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/roster.h"
#include "sampler/heap/heap.h"
#include "sampler/process/label_place.h"
#include "sampler/process/own_stack.h"
#include "sampler/threads/births.h"
#include "sampler/unwind/hook_walk.h"
#include "sampler/unwind/site_at.h"
#include "shim/hooks/stub.h"
#include "shim/hooks/thread.h"
#include "shim/life/after_fork.h"
#include "shim/life/last_thread.h"
#include "shim/life/takeover.h"
#include "shim/real/real.h"

/* What a new thread is to do; taken here, freed by the thread itself. */
struct start {
	void *(*fn)(void *);
	void *arg;
	size_t stack_bytes, guard_bytes;
	struct site *creator; /* NULL: not recorded */
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

/*
 * A thread's first and last act.  Signals are blocked: a handler of the program that
 * forked in here would go on in its child with what is the parent's.
 */
static void thread_begins(struct site *creator)
{
	uint64_t mask;

	if (sandbox_is_noted())
		return birth_begin(creator);
	mask = sys_block_signals();
	action_mask_show(&mask); /* inherited from one that jumped out of a handler */
	if (process_is_in_order())
		birth_begin(creator);
	if (roster_is_here()) {
		carrier_keep();
		roster_thread_starts(mask);
	}
	sys_restore_signals(mask);
}

static void thread_ends(void)
{
	uint64_t mask;

	label_place_end();
	if (sandbox_is_noted())
		return birth_end();
	mask = sys_block_signals();
	birth_end();
	if (roster_is_here())
		roster_thread_ends();
	sys_restore_signals(mask);
}

/* The one frame of ours in a thread's stack; profiles leave it out. */
static OUR_FRAME void *run_thread(void *start)
{
	struct start *given = start, s = { .fn = given->fn, .arg = given->arg };
	struct site *creator = given->creator;
	void *result;

	own_stack_set_thread(given->stack_bytes, given->guard_bytes);
	free_start(given);
	thread_begins(creator);
	result = s.fn(s.arg);
	thread_ends();
	if (process_is_in_order())
		last_thread_note_exit();
	return result;
}

/* Of the attributes, or of the defaults that a thread without any gets. */
static NOINLINE void note_stack(struct start *s, const pthread_attr_t *attr)
{
	pthread_attr_t defaults;

	s->stack_bytes = 0;
	if (!attr && real()->pthread_attr_init(&defaults) != 0)
		return;
	real()->pthread_attr_getstacksize(attr ? attr : &defaults, &s->stack_bytes);
	real()->pthread_attr_getguardsize(attr ? attr : &defaults, &s->guard_bytes);
	if (!attr)
		real()->pthread_attr_destroy(&defaults);
}

static NOINLINE int create_wrapped(pthread_t *thread, const pthread_attr_t *attr,
				   void *(*fn)(void *), void *arg, struct frame_regs caller)
{
	struct start *s = take_start(fn, arg);
	int err;

	if (!s)
		return real()->pthread_create(thread, attr, fn, arg);
	note_stack(s, attr);
	s->creator = birth_site(caller);
	err = real()->pthread_create(thread, attr, run_thread, s);
	if (err)
		free_start(s);
	return err;
}

static bool is_wanted(void)
{
	return births_are_on() || heap_is_on() || roster_is_open();
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	after_fork_enter();
	if (UNLIKELY(!process_is_ours()) && takeover_is_to_look())
		takeover_look(false);
	if (is_wanted() && process_records_heap())
		return create_wrapped(thread, attr, fn, arg, CALLER());
	return real()->pthread_create(thread, attr, fn, arg);
}

int late_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			void *arg)
{
	if (process_is_ours() && is_wanted())
		return create_wrapped(thread, attr, fn, arg, CALLER());
	return real()->pthread_create(thread, attr, fn, arg);
}

void late_pthread_exit(void *result)
{
	if (process_is_ours())
		thread_ends();
	real()->pthread_exit(result);
	__builtin_unreachable();
}

/* In a child too, once its state is in order: later it might start a listener. */
static void note_end(void)
{
	after_fork_enter();
	if (!process_is_in_order())
		return;
	thread_ends();
	last_thread_note_exit();
}

void pprofshim_before_exit(int status)
{
	if (process_is_borrowed())
		return;
	note_end();
	if (process_is_in_order())
		last_thread_note_call(status);
}

EXPORT __attribute__((noreturn)) void thrd_exit(int result)
{
	note_end();
	real()->thrd_exit(result);
	__builtin_unreachable();
}

EXPORT __attribute__((noreturn)) void pthread_exit(void *result)
{
	note_end();
	real()->pthread_exit(result);
	__builtin_unreachable();
}
