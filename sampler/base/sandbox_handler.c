/* Handler path; see capture_handler.c. */
#include <stdatomic.h>

#include "sampler/base/sandbox.h"

static atomic_bool noted;

void sandbox_note(void)
{
	atomic_store_explicit(&noted, true, memory_order_relaxed);
}

bool sandbox_is_noted(void)
{
	return atomic_load_explicit(&noted, memory_order_relaxed);
}

const void *sandbox_noted_place(void)
{
	return &noted;
}

void sandbox_forget(void)
{
	atomic_store_explicit(&noted, false, memory_order_relaxed);
}
