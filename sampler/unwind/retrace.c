#include "sampler/unwind/retrace.h"

#include "sampler/process/modules.h"
#include "sampler/unwind/code.h"

static bool is_foreign(uint64_t frame)
{
	return frame >= PSEUDO_LIMIT && !frame_module(frame);
}

bool retrace_is_due(const struct walk *w)
{
	for (uint32_t i = 0; i < w->depth; i++) {
		if (is_foreign(w->pc[i]))
			return modules_have_come() && code_refresh();
	}
	return false;
}

static bool may_have_gone(const struct capture *c, const struct walk *w)
{
	for (uint32_t i = 0; i < w->depth; i++) {
		if (code_may_have_gone(&c->stamp, w->pc[i]))
			return true;
	}
	return false;
}

bool retrace(const struct capture *c, struct walk *w)
{
	if (!code_has_looked_since(&c->stamp))
		code_refresh();
	walk_capture(c, w);
	if (retrace_is_due(w))
		walk_capture(c, w);
	if (code_has_looked_since(&c->stamp) && !may_have_gone(c, w))
		return true;
	w->pc[0] = PSEUDO_UNKNOWN;
	w->depth = 1;
	return false;
}
