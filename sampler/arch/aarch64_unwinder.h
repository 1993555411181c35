/* arch: registers and instructions of the processor.  May include no other room. */
/* aarch64: numbers for unwinder.h; see aarch64.h. */
#ifndef SAMPLER_ARCH_AARCH64_UNWINDER_H
#define SAMPLER_ARCH_AARCH64_UNWINDER_H

#define ARCH_UNW_PC	UNW_AARCH64_PC
#define ARCH_UNW_SP	UNW_AARCH64_SP
#define ARCH_UNW_BP	UNW_AARCH64_X29
#define ARCH_UNW_RETURN UNW_AARCH64_X30

#endif
