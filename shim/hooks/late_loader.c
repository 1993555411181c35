/*
 * What a program that we were attached to calls the loader with.  The stubs in arch/ come here
 * first, then jump to the real function, since the loader looks at who called it.  Objects that
 * came since the last look get their hooks here: whoever loads one asks for its functions next.
 */
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "shim/hooks/stub.h"
#include "shim/real/lookup.h"
#include "shim/real/slots.h"

static void *real_of(int which)
{
	static const char *const name[] = { "dlopen", "dlsym", "dlvsym" };
	static void *real[3];

	if (!real[which])
		real[which] = lookup_next(name[which]);
	return real[which];
}

void *pprofshim_before_loader(int which)
{
	if (process_is_ours() && !process_is_borrowed() && !sandbox_is_noted())
		slots_take_new();
	return real_of(which);
}
