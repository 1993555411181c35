/* Handler path; see capture_handler.c. */
#include "sampler/cpu/tick.h"

#include <stdatomic.h>
#include <stddef.h>

#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/nursery.h"
#include "sampler/process/threads.h"
#include "sampler/unwind/capture.h"

static struct ring *_Atomic ring;
static atomic_int handlers_inside;

/*
 * seq_cst throughout: a handler says that it is inside before it looks at the
 * ring, the listener takes the ring away before it looks who is inside.
 */
void tick_direct_to(struct ring *r)
{
	atomic_store(&ring, r);
}

void tick_after_fork(void)
{
	atomic_store(&ring, NULL);
	atomic_store(&handlers_inside, 0);
}

bool tick_is_quiet(void)
{
	return atomic_load(&handlers_inside) == 0;
}

/* The ring may be taken away meanwhile, but not its positions. */
bool tick_has_pending(void)
{
	struct ring *r = atomic_load(&ring);

	return r && ring_used(r) != 0;
}

bool tick_is_ours(const siginfo_t *info)
{
	return thread_from_cookie(info->si_value.sival_ptr) != NULL;
}

/* Periods that passed, those included that scheduler ticks were too coarse for. */
static int64_t weight_of(struct thread *t, const siginfo_t *info)
{
	int64_t first = t->first_weight_ns;

	t->first_weight_ns = 0;
	return first ? first : (1 + (int64_t)info->si_overrun) * t->period_ns;
}

static void capture(struct ring *r, const siginfo_t *info, const void *ucontext)
{
	struct thread *t = thread_from_cookie(info->si_value.sival_ptr);
	int64_t weight = weight_of(t, info);

	if (!capture_take(r, t, ucontext, weight))
		atomic_fetch_add_explicit(&t->lost_ns, weight, memory_order_relaxed);
}

/* The timer stays, as its record says, and is silent. */
static void silence(const struct thread *t)
{
	const struct itimerspec never = { 0 };

	if (!sandbox_is_noted())
		sys_call4(SYS_timer_settime, t->timer, 0, (long)&never, 0);
}

static void leave_in_nursery(const siginfo_t *info, const void *ucontext)
{
	struct thread *t = thread_from_cookie(info->si_value.sival_ptr);

	if (!nursery_take(t, ucontext, weight_of(t, info)))
		silence(t);
}

void tick_handle(const siginfo_t *info, const void *ucontext)
{
	struct ring *r;

	atomic_fetch_add(&handlers_inside, 1);
	r = atomic_load(&ring);
	if (r && process_is_ours()) /* a child has not what the ring points to */
		capture(r, info, ucontext);
	else if (nursery_is_joined())
		leave_in_nursery(info, ucontext);
	atomic_fetch_sub(&handlers_inside, 1);
}
