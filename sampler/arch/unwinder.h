/* arch: registers and instructions of the processor.  May include no other room. */
/*
 * libunwind, and its numbers for registers.  Part of what a port has to write (arch.h).
 *
 * ARCH_UNW_PC      the program counter,
 * ARCH_UNW_SP      the stack pointer,
 * ARCH_UNW_BP      and the frame pointer, by libunwind's numbers
 * ARCH_UNW_RETURN  whose saved value in a frame is the return address
 *
 * Context: listener.
 */
#ifndef SAMPLER_ARCH_UNWINDER_H
#define SAMPLER_ARCH_UNWINDER_H

#include <libunwind.h>

#include "sampler/arch/arch.h"

/* Which of the registers of a capture (ARCH_REGS) that is; -1: none of them. */
ARCH_FUNCTION int arch_captured_register(unw_regnum_t reg);

#if defined(__x86_64__)
#include "sampler/arch/x86_64_unwinder.h"
#elif defined(__aarch64__)
#include "sampler/arch/aarch64_unwinder.h"
#endif

#endif
