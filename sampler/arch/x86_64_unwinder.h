/* arch: registers and instructions of the processor.  May include no other room. */
/* x86-64: what unwinder.h asks for. */
#ifndef SAMPLER_ARCH_X86_64_UNWINDER_H
#define SAMPLER_ARCH_X86_64_UNWINDER_H

#define ARCH_UNW_PC	UNW_X86_64_RIP
#define ARCH_UNW_SP	UNW_X86_64_RSP
#define ARCH_UNW_BP	UNW_X86_64_RBP
#define ARCH_UNW_RETURN UNW_X86_64_RIP

static inline int arch_captured_register(unw_regnum_t reg)
{
	static const uint8_t index[] = {
		[UNW_X86_64_RAX] = REG_RAX, [UNW_X86_64_RDX] = REG_RDX, [UNW_X86_64_RCX] = REG_RCX,
		[UNW_X86_64_RBX] = REG_RBX, [UNW_X86_64_RSI] = REG_RSI, [UNW_X86_64_RDI] = REG_RDI,
		[UNW_X86_64_RBP] = REG_RBP, [UNW_X86_64_RSP] = REG_RSP, [UNW_X86_64_R8] = REG_R8,
		[UNW_X86_64_R9] = REG_R9,   [UNW_X86_64_R10] = REG_R10, [UNW_X86_64_R11] = REG_R11,
		[UNW_X86_64_R12] = REG_R12, [UNW_X86_64_R13] = REG_R13, [UNW_X86_64_R14] = REG_R14,
		[UNW_X86_64_R15] = REG_R15, [UNW_X86_64_RIP] = REG_RIP,
	};

	return reg >= 0 && (size_t)reg < sizeof(index) ? index[reg] : -1;
}

#endif
