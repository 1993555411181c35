#include "sampler/base/sandbox.h"

#include <stdatomic.h>

static atomic_uint_fast64_t first;
static bool started_without; /* false: not known */

void sandbox_set_first(uint64_t filters, bool filtered)
{
	first = filters;
	started_without = !filtered;
}

void sandbox_expect_another(void)
{
	atomic_fetch_add_explicit(&first, 1, memory_order_relaxed);
}

void sandbox_check(uint64_t filters)
{
	if (filters > atomic_load_explicit(&first, memory_order_relaxed))
		sandbox_note();
}

bool sandbox_is_possible(void)
{
	return !started_without || sandbox_is_noted();
}
