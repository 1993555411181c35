#include "sampler/process/own_stack.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/process/stack_bounds.h"
#include "sampler/process/threads_handler.h"

/* Control block and static TLS at the top: below 16 KiB, by far. */
#define TOP_BYTES 16384

static __thread struct own_stack mine;

struct own_stack own_stack(void)
{
	if (UNLIKELY(atomic_load_explicit(&thread_stacks_have_holes, memory_order_relaxed)))
		return (struct own_stack){ 0 };
	return mine;
}

static bool meets(uint64_t lo, uint64_t hi, uint64_t at, uint64_t bytes)
{
	return at < hi && (at >= lo || lo - at < bytes);
}

/*
 * Of another thread's stack it is not seen.  (Bounds that are taken from the maps later
 * leave a hole out that is there by then.)
 */
void own_stack_note_hole(uint64_t at, uint64_t bytes)
{
	struct stack_bounds b = stack_bounds_main();

	if (!meets(mine.lo, mine.hi, at, bytes) && !meets(b.lo, b.hi, at, bytes))
		return;
	atomic_store_explicit(&thread_stacks_have_holes, true, memory_order_relaxed);
	counter_add(COUNTER_STACKS_WITH_HOLES, 1);
}

void own_stack_set_main(const void *argv)
{
	struct stack_bounds b;

	stack_bounds_init(argv);
	if (sys_gettid() == sys_getpid() && stack_bounds_of_main(sys_getpid(), &b))
		mine = (struct own_stack){ b.lo, b.hi };
}

void own_stack_set_thread(uint64_t stack_bytes, uint64_t guard_bytes)
{
	uint64_t hi = thread_pointer();

	if (stack_bytes > guard_bytes + 2 * TOP_BYTES && stack_bytes < hi)
		mine = (struct own_stack){ hi - stack_bytes + guard_bytes + TOP_BYTES, hi };
}
