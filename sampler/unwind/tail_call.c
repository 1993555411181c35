#include "sampler/unwind/tail_call.h"

#include <stddef.h>

#include "sampler/arch/decode.h"
#include "sampler/base/cc.h"
#include "sampler/process/modules.h"
#include "sampler/process/peek.h"
#include "sampler/unwind/learn.h"

/*
 * What was found, so that a stack stays the same from one report to the next: what was not
 * asked for while its code was there never is.  Full: nothing more is found.
 */
#define ENTRIES 8192

static struct {
	uint64_t caller, callee;
} found[ENTRIES];

static bool read_code(uint64_t at, uint8_t *code, size_t len)
{
	return peek_some(at, code, len) == len;
}

/*
 * Bytes before a return address may look like a call that they are not, so the target has
 * to be where a function begins.  The linker's stubs begin nowhere, but for the first.
 */
static bool is_function(uint64_t at)
{
	uint8_t code[ARCH_STUB_BYTES] = { 0 };
	enum arch_target_kind stub;

	if (!module_find(at) || learn_function_start(at) != at)
		return false;
	peek_some(at, code, sizeof(code));
	stub = arch_stub_target(code, at).kind;
	return stub == ARCH_TARGET_NONE || stub == ARCH_TARGET_ADDRESS;
}

static uint64_t callee_of(uint64_t return_address)
{
	uint8_t code[ARCH_CALL_BYTES];
	struct arch_target call;

	if (!read_code(return_address - sizeof(code), code, sizeof(code)))
		return 0;
	call = arch_call_target(code, return_address);
	return call.kind == ARCH_TARGET_ADDRESS && is_function(call.at) ? modules_frame(call.at)
									: 0;
}

/* Its module may have been unloaded, and something else be there. */
static bool is_there(uint64_t caller)
{
	return frame_module(caller) && module_find(frame_address(caller)) == frame_module(caller);
}

uint64_t tail_call_callee(uint64_t caller)
{
	uint64_t home = caller * 0x9e3779b97f4a7c15ULL >> 40;

	for (uint64_t k = 0; k < 16; k++) {
		size_t i = (home + k) % ENTRIES;

		if (found[i].caller == caller)
			return found[i].callee;
		if (found[i].caller)
			continue;
		found[i].caller = caller;
		if (is_there(caller))
			found[i].callee = callee_of(frame_address(caller) + 1);
		return found[i].callee;
	}
	return 0;
}
