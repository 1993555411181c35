#include "sampler/unwind/handler_frame.h"

#include <stddef.h>
#include <string.h>

#include "sampler/arch/decode.h"
#include "sampler/base/cc.h"
#include "sampler/process/peek.h"

/* The kernel's frame with the largest registers that there are (AMX). */
#define TOP_BYTES 16384UL
/* Of a ucontext_t as the kernel has it: libc's has a larger mask. */
#define CONTEXT_BYTES (offsetof(ucontext_t, uc_sigmask) + sizeof(uint64_t))

/* The kernel writes down which stack the thread has. */
static bool is_context(const uint8_t *at, uint64_t lo, uint64_t hi)
{
	const ucontext_t *uc = (const void *)at;

	return (uint64_t)uc->uc_stack.ss_sp == lo && uc->uc_stack.ss_size == hi - lo &&
	       !uc->uc_link;
}

static void read_context(struct handler_frame *f, const uint8_t *at)
{
	const ucontext_t *uc = (const void *)at;

	arch_copy_registers(f->reg, uc);
	memcpy(&f->mask, &uc->uc_sigmask, sizeof(f->mask));
}

/* The first one from the top: what interrupted a handler lies below. */
bool handler_frame_find(uint64_t lo, uint64_t hi, struct handler_frame *f)
{
	static uint8_t top[TOP_BYTES] __attribute__((aligned(16)));
	uint64_t from = ALIGN_DOWN(hi - MIN(hi - lo, TOP_BYTES) + 7, 8), end = ALIGN_DOWN(hi, 8);

	if (end < from + CONTEXT_BYTES || !peek(from, top, end - from))
		return false;
	for (uint64_t at = end - CONTEXT_BYTES; at >= from; at -= 8) {
		if (!is_context(top + (at - from), lo, hi))
			continue;
		f->at = at;
		read_context(f, top + (at - from));
		return peek(at + ARCH_SIGNAL_INFO - ARCH_SIGNAL_CONTEXT, &f->sig, sizeof(f->sig));
	}
	return false;
}

bool handler_frame_is_same(const struct handler_frame *f)
{
	uint8_t now[CONTEXT_BYTES] __attribute__((aligned(16)));
	struct handler_frame g = *f;

	if (!peek(f->at, now, sizeof(now)))
		return false;
	read_context(&g, now);
	return g.mask == f->mask && memcmp(g.reg, f->reg, sizeof(g.reg)) == 0;
}
