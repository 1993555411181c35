/* arch: registers and instructions of the processor.  May include no other room. */
/*
 * What machine code says: where a call or a linker's stub leads, what a prologue
 * does to the stack.  Part of what a port has to write (arch.h).  All functions are
 * pure and read bytes that the caller has copied; they take any bytes.  Code that
 * they do not know gets the cautious answer, and an answer may be wrong (data that
 * looks like code, a jump into the middle), so callers verify it.
 *
 * ARCH_CALL_BYTES       bytes of the longest call
 * ARCH_STUB_BYTES       bytes of the longest stub
 * ARCH_EPILOGUE_BYTES   bytes of the longest end of a function that is looked at
 * ARCH_FRAME_AHEAD_BYTES  bytes that are looked at for a frame that is about to be set up
 * ARCH_AHEAD_BYTES      what is read beyond an instruction to know that it is whole
 * ARCH_CONTEXT_END_BYTES  bytes that arch_is_context_end() reads
 * ARCH_SIGRETURN_BYTES  bytes of the code that a signal handler returns to,
 * ARCH_SIGRETURN_LAST   and where in it the last instruction begins
 * ARCH_SIGNAL_CONTEXT   where ucontext_t is, from SP as it is there,
 * ARCH_SIGNAL_INFO      and where siginfo_t is
 * ARCH_SIGNAL_PC        where the interrupted registers are, from SP as it is there
 * ARCH_SIGNAL_SP
 * ARCH_SIGNAL_BP
 *
 * Context: listener.
 */
#ifndef SAMPLER_ARCH_DECODE_H
#define SAMPLER_ARCH_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/arch/arch.h"

enum arch_target_kind {
	ARCH_TARGET_NONE,    /* no call, no jump */
	ARCH_TARGET_ADDRESS, /* to `at` */
	ARCH_TARGET_SLOT,    /* to what the word at `at` says */
	ARCH_TARGET_NUMBER,  /* to the function of the object's stub relocation number `at` */
	ARCH_TARGET_OPEN,    /* through a register or computed memory: could be any */
};

struct arch_target {
	enum arch_target_kind kind;
	uint64_t at;
};

/* Where the call in front of a return address leads; `code`: the bytes in front of it. */
struct arch_target arch_call_target(const uint8_t code[ARCH_CALL_BYTES], uint64_t return_address);

/*
 * Where a stub of the linker, or a thunk, leads: a jump, perhaps after a landing pad.
 * `at` is its address.  A shorter one is followed by anything.
 */
struct arch_target arch_stub_target(const uint8_t code[ARCH_STUB_BYTES], uint64_t at);

/* Bytes from one stub to the next in a section with this sh_entsize, at most ARCH_STUB_BYTES. */
uint64_t arch_stub_bytes(uint64_t sh_entsize);

/*
 * Reads `len` bytes of code of a function from its first byte on, up to `limit`
 * bytes: how many bytes SP is below BP then.  -1 when BP is not set up as a frame
 * pointer.  Stops at the first jump, or instruction that it does not know; *whole
 * tells whether it came to the call that ends at the limit.  Needs ARCH_AHEAD_BYTES
 * beyond an instruction to read it.
 */
int64_t arch_prologue_depth(const uint8_t *code, size_t len, size_t limit, bool *whole);

/*
 * Bytes of arguments that the code behind a call takes off the stack; 0 if it takes
 * none, or a jump or the end of the function comes first.
 */
int64_t arch_call_arguments(const uint8_t *code, size_t len);

/*
 * What the code behind a call does if it goes straight to the function's end: the bytes from
 * SP there to above the return address, and where from SP the caller's BP is (-1: in BP
 * still).  False: it does something else, or takes SP from BP.
 */
bool arch_epilogue(const uint8_t *code, size_t len, int64_t *frame, int64_t *bp_at);

/*
 * Whether the code is before BP becomes a frame pointer, as a function begins (a condition
 * may lead away): the bytes from SP there to above the return address, and where from SP the
 * caller's BP is (-1: in BP still).
 */
bool arch_frame_ahead(const uint8_t *code, size_t len, int64_t *frame, int64_t *bp_at);

/* Whether these bytes are the return from a signal handler, as every libc writes it. */
bool arch_is_sigreturn(const uint8_t code[ARCH_SIGRETURN_BYTES]);

/* Whether these bytes begin libc's end of a context of makecontext(): SP from a register. */
bool arch_is_context_end(const uint8_t code[ARCH_CONTEXT_END_BYTES]);

#endif
