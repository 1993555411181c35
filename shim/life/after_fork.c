#include "shim/life/after_fork.h"

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/base/wake.h"
#include "sampler/cpu/action_masks.h"
#include "sampler/cpu/cpu.h"
#include "sampler/cpu/nursery.h"
#include "sampler/cpu/roster.h"
#include "sampler/cpu/unload.h"
#include "sampler/heap/heap.h"
#include "sampler/locks/contention.h"
#include "sampler/process/label_place.h"
#include "sampler/symbols/jit_names.h"
#include "sampler/symbols/symbol_cache.h"
#include "sampler/symbols/told.h"
#include "sampler/threads/births.h"
#include "sampler/threads/dump.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/learn.h"
#include "sampler/unwind/site_at.h"
#include "sampler/wall/wall.h"
#include "shim/life/follow.h"
#include "shim/life/last_thread.h"
#include "shim/life/listener.h"
#include "shim/life/recording.h"
#include "shim/life/takeover.h"

static bool enabled;
static void (*in_child)(void);

void after_fork_enable(bool on)
{
	enabled = on;
}

void after_fork_call(void (*fn)(void))
{
	in_child = fn;
}

/*
 * Whoever was at work in the parent stopped, for us, between two instructions.
 * What hooks share is made so that a thread may stop anywhere; what the listener
 * had to itself is forgotten.  A thread that is in a handler, or left one by a jump, may block the
 * signal of ticks by us: here none comes to it (or it has told that it takes none).
 */
static COLD NOINLINE void enter(void)
{
	uint64_t mask;

	if (!enabled || sandbox_is_noted())
		return;
	mask = sys_block_signals(); /* a handler that forked in here would go on in its child */
	if (process_moves(PROCESS_FIRST_HOOK)) {
#define X(module) module##_after_fork();
		AFTER_FORK_AT_FIRST_HOOK(X)
#undef X
		process_moves(PROCESS_IN_ORDER);
		if (in_child)
			in_child();
		if (nursery_is_open())
			roster_begin_young(mask);
		action_mask_show(&mask);
	}
	sys_restore_signals(mask);
}

void after_fork_enter(void)
{
	if (UNLIKELY(process_state() == PROCESS_FORKED))
		enter();
}

void after_fork_becomes_ours(void)
{
	if (process_is_ours() || process_moves(PROCESS_LISTENER_BACK))
		return; /* its own listener is back */
#define X(module) module##_after_fork();
	AFTER_FORK_AT_TAKEOVER(X)
#undef X
	if (process_state() == PROCESS_WORKER)
		heap_lose_blocks();
	process_moves(PROCESS_PORT_WON);
}
