#include "sampler/base/process_state.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"

atomic_int *process_state_page;
static int our_pid;

/* Not sys_map(): this page must be inherited, and wiped. */
int process_state_init(void)
{
	long p;

	if (process_state_page)
		return 0;
	p = sys_call6(SYS_mmap, 0, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (sys_failed(p))
		return -1;
	if (sys_call3(SYS_madvise, p, PAGE_BYTES, MADV_WIPEONFORK) != 0) {
		sys_call3(SYS_munmap, p, PAGE_BYTES, 0);
		return -1;
	}
	atomic_init((atomic_int *)p, PROCESS_OURS);
	process_state_page = (atomic_int *)p;
	process_state_after_fork();
	return 0;
}

static const struct move {
	enum process_event event;
	enum process_state from, to;
} moves[] = {
	{ PROCESS_FIRST_HOOK, PROCESS_FORKED, PROCESS_ENTERING },
	{ PROCESS_IN_ORDER, PROCESS_ENTERING, PROCESS_YOUNG },
	{ PROCESS_TEN_SECONDS, PROCESS_YOUNG, PROCESS_WORKER },
	{ PROCESS_PORT_WON, PROCESS_YOUNG, PROCESS_OURS },
	{ PROCESS_PORT_WON, PROCESS_WORKER, PROCESS_OURS },
	{ PROCESS_LISTENER_ENDED, PROCESS_OURS, PROCESS_PAUSED },
	{ PROCESS_LISTENER_BACK, PROCESS_PAUSED, PROCESS_OURS },
	{ PROCESS_FILTERED, PROCESS_PAUSED, PROCESS_WORKER },
};

/* release: who sees the new state sees what was put in order before. */
static bool make(const struct move *m)
{
	int expected = m->from;

	return atomic_compare_exchange_strong_explicit(process_state_page, &expected, m->to,
						       memory_order_acq_rel, memory_order_acquire);
}

bool process_moves(enum process_event event)
{
	for (size_t i = 0; process_state_page && i < ARRAY_SIZE(moves); i++)
		if (moves[i].event == event && make(&moves[i]))
			return true;
	return false;
}

/* A filtered thread does not ask for its pid. */
bool process_is_borrowed(void)
{
	return process_state_page && process_state() != PROCESS_FORKED && !sandbox_is_noted() &&
	       sys_getpid() != our_pid;
}

void process_state_after_fork(void)
{
	our_pid = sys_getpid();
}
