/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * The mathematics of sampling by bytes.
 *
 * Sample points lie on the sequence of all allocated bytes as a Poisson process
 * with one point per R bytes on average.  A block of s bytes is sampled when at
 * least one point falls on it, which has probability p = 1 - exp(-s/R), and
 * then stands for 1/p blocks of its size: an unbiased estimate of counts and of
 * bytes, for any mix of sizes.  The distance from any byte to the next point
 * has an exponential distribution, so after a sample the next distance is simply
 * drawn anew.
 *
 * Context: hook.  Integer arithmetic only: a hook must not touch floating-point
 * state that the target can see.
 */
#ifndef SAMPLER_UNWIND_WEIGHT_H
#define SAMPLER_UNWIND_WEIGHT_H

#include <stdint.h>

/* Blocks are counted in units of 1/2^20. */
#define WEIGHT_ONE (1ULL << 20)

/* 64 fair random bits, good enough for sampling. */
uint64_t weight_random(void);

/* The whole bytes before the next sample point, which are `rate` on average; perhaps 0. */
int64_t weight_next_gap(uint64_t rate);

/* As weight_next_gap(), for a given draw: rate * -ln(bits / 2^64), off by rate / 2^27 at most. */
int64_t weight_gap(uint64_t bits, uint64_t rate);

/* What a sampled block of `size` bytes stands for, in units of 1/WEIGHT_ONE block. */
uint64_t weight_of_block(uint64_t size, uint64_t rate);

/*
 * A sum of such units as whole blocks.  Only the sum of a stack's records is
 * rounded: rounding each would add up.
 */
static inline int64_t weight_round(int64_t units)
{
	return (units + (int64_t)WEIGHT_ONE / 2) / (int64_t)WEIGHT_ONE;
}

#endif
