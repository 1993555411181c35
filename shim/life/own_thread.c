#include "shim/life/own_thread.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"

/* Room for the demangler's recursion; pages that were never touched cost nothing. */
#define STACK_BYTES (1UL << 20)

/* Of ours, at most: a gate looks (.ci/gates.sh). */
#define OWN_TLS_BYTES 256

#define LIKE_A_THREAD                                                                              \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |        \
	 CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

static __thread char own_tls;

/*
 * Where, seen from the control block, the thread-local variables lie that the thread
 * will use: our own and errno.  Every thread has them at the same distance, because
 * they belong to objects that were there at the start.  The program's lie between.
 */
struct reach {
	size_t below, above;
};

static struct reach reach_of_tls(void)
{
	uint64_t tp = thread_pointer(), ours = (uint64_t)&own_tls, libcs = (uint64_t)&errno;
	uint64_t lo = MIN(ours - OWN_TLS_BYTES, libcs), hi = MAX(ours + OWN_TLS_BYTES, libcs);

	return (struct reach){ .below = ALIGN_UP(tp - MIN(lo, tp), PAGE_BYTES),
			       .above = ALIGN_UP(MAX(hi, tp) - tp + PAGE_BYTES, PAGE_BYTES) };
}

/*
 *  memory                                               + bytes
 *  | stack, grows down from here <-| below |control block, above |
 */
static NOINLINE bool get_memory(struct own_thread *t)
{
	struct reach r = reach_of_tls();

	if (t->memory) {
		sys_discard((char *)t->memory + STACK_BYTES, r.below + r.above);
		return true;
	}
	t->bytes = STACK_BYTES + r.below + r.above;
	t->memory = sys_map_whole_limit(t->bytes);
	return t->memory != NULL;
}

static NOINLINE char *control_block(char *top)
{
	char *control = top + reach_of_tls().below;

	arch_init_control_block(control);
	return control;
}

static NOINLINE bool start(struct own_thread *t, int (*fn)(void *arg), void *arg)
{
	char *top = (char *)t->memory + STACK_BYTES, *control = control_block(top);
	uint64_t mask = sys_block_signals();
	long tid;

	tid = pprofshim_clone(LIKE_A_THREAD, top, &t->alive, control, fn, arg);
	sys_restore_signals(mask);
	if (tid > 0)
		t->tid = (int)tid;
	return tid > 0;
}

bool own_thread_start(struct own_thread *t, int (*fn)(void *arg), void *arg)
{
	return get_memory(t) && start(t, fn, arg);
}

static uint32_t tid_while_alive(const struct own_thread *t)
{
	return __atomic_load_n(&t->alive, __ATOMIC_ACQUIRE);
}

bool own_thread_is_alive(const struct own_thread *t)
{
	return tid_while_alive(t) != 0;
}

/* The kernel wakes whoever waits in any process, so this futex is no private one. */
static bool wait_for_end(struct own_thread *t, int64_t until_ns)
{
	uint32_t tid;

	while ((tid = tid_while_alive(t)) != 0) {
		int64_t left = until_ns - sys_now_ns();
		struct timespec ts = { left / NS_PER_SECOND, left % NS_PER_SECOND };

		if (left <= 0)
			return false;
		sys_futex(&t->alive, FUTEX_WAIT, tid, &ts);
	}
	return true;
}

/* Its last instructions in the kernel, where it is still counted. */
static bool wait_until_unknown(int tid, int64_t until_ns)
{
	while (sys_call3(SYS_tgkill, sys_getpid(), tid, 0) != -ESRCH) {
		if (sys_now_ns() > until_ns)
			return false;
		sys_call3(SYS_sched_yield, 0, 0, 0);
	}
	return true;
}

bool own_thread_join(struct own_thread *t, int64_t until_ns)
{
	if (!t->tid)
		return true;
	if (!wait_for_end(t, until_ns) || !wait_until_unknown(t->tid, until_ns))
		return false;
	t->tid = 0;
	return true;
}

void own_thread_forget(struct own_thread *t)
{
	*t = (struct own_thread){ 0 };
}
