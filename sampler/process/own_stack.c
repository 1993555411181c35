#include "sampler/process/own_stack.h"

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/process/stack_bounds.h"

/* Control block and static TLS at the top: below 16 KiB, by far. */
#define TOP_BYTES 16384

static __thread struct own_stack mine;

struct own_stack own_stack(void)
{
	return mine;
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
