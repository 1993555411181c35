/* Handler path; see capture_handler.c. */
#include <stddef.h>
#include <sys/prctl.h>

#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/nursery_handler.h"

struct nursery nursery;

bool nursery_is_joined(void)
{
	return atomic_load_explicit(&nursery.is_joined, memory_order_relaxed);
}

/* The lowest free place, so that little of the memory is ever touched; NURSERY_PLACES: none. */
static unsigned take_place(struct nursery_memory *m, int pid)
{
	unsigned i = 0;

	for (; i < NURSERY_PLACES; i++) {
		int is = 0;

		/* acquire: what was read there before is over */
		if (!atomic_load_explicit(&m->state[i], memory_order_relaxed) &&
		    atomic_compare_exchange_strong_explicit(
			    &m->state[i], &is, pid, memory_order_acquire, memory_order_relaxed))
			break;
	}
	return i;
}

static void fill(struct nursery_place *p, struct thread *t, const ucontext_t *uc, int64_t weight_ns)
{
	p->pid = t->tid;
	p->name[0] = '\0';
	if (!sandbox_is_noted()) {
		p->pid = sys_getpid();
		sys_call3(SYS_prctl, PR_GET_NAME, (long)p->name, 0);
	}
	capture_take_at(&p->capture, NURSERY_CAPTURE_BYTES, t, uc, weight_ns);
}

static bool is_over(const struct nursery_memory *m)
{
	return !atomic_load_explicit(&m->is_open, memory_order_relaxed) ||
	       (!sandbox_is_noted() && sys_clock_ns(CLOCK_MONOTONIC_COARSE) > nursery.until_ns);
}

bool nursery_take(struct thread *t, const ucontext_t *uc, int64_t weight_ns)
{
	struct nursery_memory *m = nursery.memory;
	unsigned i;

	if (!m || is_over(m))
		return false;
	i = take_place(m, t->tid);
	if (i == NURSERY_PLACES) {
		atomic_fetch_add_explicit(&m->lost, 1, memory_order_relaxed);
		return true;
	}
	fill(nursery_place(m, i), t, uc, weight_ns);
	/* release: pairs with the acquire in nursery_drain() */
	atomic_store_explicit(&m->state[i], NURSERY_FULL, memory_order_release);
	return true;
}
