/* Handler path; see capture.c. */
#include "sampler/base/sandbox.h"

#include <stdatomic.h>

static atomic_bool noted;

static uint64_t first;
static bool started_without; /* false: not known */

void sandbox_set_first(uint64_t filters, bool filtered)
{
	first = filters;
	started_without = !filtered;
}

void sandbox_check(uint64_t filters)
{
	if (filters > first)
		sandbox_note();
}

void sandbox_note(void)
{
	atomic_store_explicit(&noted, true, memory_order_relaxed);
}

bool sandbox_is_noted(void)
{
	return atomic_load_explicit(&noted, memory_order_relaxed);
}

bool sandbox_is_possible(void)
{
	return !started_without || sandbox_is_noted();
}
