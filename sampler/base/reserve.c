#include "sampler/base/reserve.h"

#include "sampler/arch/arch.h"

/* The only common symbol: the linker puts those last. */
struct reserve reserve __attribute__((common, aligned(PAGE_BYTES)));
