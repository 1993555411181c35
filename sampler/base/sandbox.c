#include "sampler/base/sandbox.h"

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

bool sandbox_is_possible(void)
{
	return !started_without || sandbox_is_noted();
}
