/*
 * Handler path: nothing here calls into a library.  A build gate looks at what the
 * files called *_handler.c refer to outside themselves.
 */
#include "sampler/unwind/capture.h"

#include <sys/uio.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"

/* Bytes of the known stack at and above `at`; 0 when that is not on it. */
static uint64_t known_above(const struct thread *t, uint64_t at)
{
	/* hi first: pairs with the listener's release store of hi, after lo */
	uint64_t hi = atomic_load_explicit(&t->stack_hi, memory_order_acquire);
	uint64_t lo = atomic_load_explicit(&t->stack_lo, memory_order_relaxed);

	return at >= lo && at < hi ? hi - at : 0;
}

static uint32_t slice_wanted(const struct thread *t, uint64_t above)
{
	uint64_t limit = atomic_load_explicit(&t->slice_limit, memory_order_relaxed);

	if (!above)
		return FOREIGN_SLICE_BYTES;
	return (uint32_t)ALIGN_DOWN(MIN(above, limit), 8);
}

/*
 * A stack whose bounds nobody knows (a coroutine, an alternate stack, a thread
 * seen for the first time): the kernel copies, and stops where memory ends.
 */
static long kernel_copy(void *to, uint64_t at, uint32_t len)
{
	struct iovec local = { to, len };
	struct iovec remote = { (void *)at, len };

	return sys_call6(SYS_process_vm_readv, sys_getpid(), (long)&local, 1, (long)&remote, 1, 0);
}

static uint32_t copy_foreign(void *to, uint64_t at, uint32_t len)
{
	long n = sandbox_is_noted() ? 0 : kernel_copy(to, at, len);

	if (n > 0)
		return (uint32_t)ALIGN_DOWN(n, 8);
	counter_add(COUNTER_CPU_COPIES_FAULTED, 1);
	return 0;
}

void capture_copy(struct capture *c, uint32_t len)
{
	if (c->on_known_stack) {
		arch_copy_words(c->slice, (const void *)c->slice_at, len / 8);
		c->slice_len = len;
	} else {
		c->slice_len = copy_foreign(c->slice, c->slice_at, len);
	}
}

bool capture_take(struct ring *r, struct thread *t, const ucontext_t *uc, int64_t weight_ns)
{
	uint64_t at = arch_interrupted_sp(uc) - RED_ZONE_BYTES;
	uint64_t above = at % 8 ? 0 : known_above(t, at);
	uint32_t len = slice_wanted(t, above);
	struct capture *c = ring_reserve(r, sizeof(*c) + len);

	if (!c) {
		counter_add(COUNTER_CPU_DROPPED_RING_FULL, 1);
		return false;
	}
	c->thread = t;
	c->tp = thread_pointer();
	c->weight_ns = weight_ns;
	c->tid = t->tid;
	c->newborn = t->newborn;
	c->slice_at = at;
	c->on_known_stack = above != 0;
	arch_copy_registers(c->reg, uc);
	capture_copy(c, len);
	ring_commit(c);
	return true;
}
