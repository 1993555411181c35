/*
 * mprotect of a part of a stack that a thread is on: a runtime keeps coroutines there, or
 * protects the place at which it met the end of the stack (SBCL).  Stacks whose bounds are
 * known are copied as ordinary memory, and a page in the middle that cannot be read would
 * be our fault.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "sampler/base/cc.h"
#include "sampler/process/own_stack.h"
#include "shim/real/real.h"

EXPORT int mprotect(void *at, size_t bytes, int protection)
{
	if (UNLIKELY(!(protection & PROT_READ)))
		own_stack_note_hole((uint64_t)at, bytes);
	return real()->mprotect(at, bytes, protection);
}
