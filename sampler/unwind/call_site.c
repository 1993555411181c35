#include "sampler/unwind/call_site.h"

#include "sampler/arch/decode.h"
#include "sampler/base/cc.h"
#include "sampler/process/peek.h"

/* ---- calls */

/* Copies what is readable, byte by byte: a page's end may lie in between. */
static size_t read_code(uint64_t at, uint8_t *code, size_t len)
{
	size_t n = 0;

	while (n < len && peek_cached(at + n, &code[n], 1))
		n++;
	return n;
}

/* Whether the word at a pointer's place is `callee`; the linker's and the loader's tables. */
static enum call_fit fit_of_slot(uint64_t slot, uint64_t callee)
{
	uint64_t target;

	return peek(slot, &target, sizeof(target)) && target == callee ? CALL_EXACT : CALL_OPEN;
}

/* The target of a call may be a stub of the linker, or a thunk: a jump to the function. */
static enum call_fit fit_of_direct(uint64_t at, uint64_t callee)
{
	uint8_t code[ARCH_STUB_BYTES] = { 0 };
	struct arch_target jump;

	if (at == callee)
		return CALL_EXACT;
	read_code(at, code, sizeof(code));
	jump = arch_stub_target(code, at);
	if (jump.kind == ARCH_TARGET_SLOT)
		return fit_of_slot(jump.at, callee);
	return jump.kind == ARCH_TARGET_ADDRESS && jump.at == callee ? CALL_EXACT : CALL_OTHER;
}

enum call_fit call_site_fit(uint64_t return_address, uint64_t callee)
{
	uint8_t code[ARCH_CALL_BYTES];
	struct arch_target call;

	if (read_code(return_address - sizeof(code), code, sizeof(code)) < sizeof(code))
		return CALL_NONE;
	call = arch_call_target(code, return_address);
	switch (call.kind) {
	case ARCH_TARGET_ADDRESS:
		return fit_of_direct(call.at, callee);
	case ARCH_TARGET_SLOT:
		return fit_of_slot(call.at, callee);
	case ARCH_TARGET_OPEN:
		return CALL_OPEN;
	default:
		return CALL_NONE;
	}
}

/* ---- frames */

/* Longest prologue that is looked at, in bytes. */
#define PROLOGUE_BYTES 96

static int64_t arguments_at(uint64_t return_address)
{
	uint8_t code[PROLOGUE_BYTES];

	return arch_call_arguments(code, peek_some(return_address, code, sizeof(code)));
}

int64_t frame_depth_at(uint64_t start, uint64_t pc, bool is_call)
{
	uint8_t code[PROLOGUE_BYTES + ARCH_AHEAD_BYTES] = { 0 };
	size_t limit = pc > start ? MIN(pc - start, PROLOGUE_BYTES) : 0;
	size_t len = limit ? peek_some(start, code, sizeof(code)) : 0;
	bool whole = false;
	int64_t depth = len > limit ? arch_prologue_depth(code, len, limit, &whole) : -1;

	return depth < 0 || whole || !is_call ? depth : depth + arguments_at(pc);
}
