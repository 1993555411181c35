#include "sampler/symbols/patience.h"

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"

static int64_t names_until, lines_until;
static bool was_over;

void patience_set(int64_t names_until_ns, int64_t lines_until_ns)
{
	names_until = names_until_ns;
	lines_until = lines_until_ns;
	was_over = false;
}

bool patience_is_over(void)
{
	if (!names_until || sys_now_ns() < names_until)
		return false;
	if (!was_over)
		counter_add(COUNTER_SYMBOL_NAMES_TIMED_OUT, 1);
	return was_over = true;
}

int64_t patience_for_lines(int64_t until_ns)
{
	return lines_until ? MIN(until_ns, lines_until) : until_ns;
}

bool patience_was_over(void)
{
	return was_over;
}
