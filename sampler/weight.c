#include "sampler/weight.h"

#include <stdatomic.h>

#include "shim/cc.h"

/* Numbers with 32 binary places. */
#define ONE (1ULL << 32)
#define LN2 2977044472ULL /* ln 2 * 2^32 */

/* Differs from thread to thread, and, by where the loader put us, from run to run; no system call.
 */
static uint64_t seed(const void *thread_local)
{
	static atomic_uint_fast64_t seeds;
	uint64_t x = (uint64_t) thread_local +
		     atomic_fetch_add_explicit(&seeds, 0x9e3779b97f4a7c15UL, memory_order_relaxed);

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9UL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebUL;
	return (x ^ x >> 31) | 1;
}

/* xorshift64*, one state a thread; fair bits are all that is asked of it. */
uint64_t weight_random(void)
{
	static __thread uint64_t x;

	if (UNLIKELY(!x))
		x = seed(&x);
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	return x * 0x2545f4914f6cdd1dULL;
}

static uint64_t multiply(uint64_t a, uint64_t b)
{
	return (uint64_t)((unsigned __int128)a * b >> 32);
}

/*
 * log2 of a number in [1, 2) with 32 places, bit by bit: squaring doubles the
 * logarithm, and whether the square reaches 2 is its next bit.
 */
static uint64_t log2_fraction(uint64_t x)
{
	uint64_t result = 0;

	for (uint64_t bit = ONE >> 1; bit >= ONE >> 24; bit >>= 1) {
		x = multiply(x, x);
		if (x >= 2 * ONE) {
			x >>= 1;
			result |= bit;
		}
	}
	return result;
}

/* -ln(u) for u = bits / 2^64, with 32 places. */
static uint64_t minus_ln(uint64_t bits)
{
	int zeros = __builtin_clzll(bits | 1);
	uint64_t mantissa = (bits | 1) << zeros >> 31; /* [1, 2) with 32 places */
	uint64_t log2 = (uint64_t)(zeros + 1) * ONE - log2_fraction(mantissa);

	return multiply(log2, LN2);
}

int64_t weight_next_gap(uint64_t rate)
{
	return (int64_t)((unsigned __int128)rate * minus_ln(weight_random()) >> 32);
}

/* 1 - exp(-x) for x in [0, 1) with 32 places: the alternating series, whose terms fall fast. */
static uint64_t one_minus_exp_series(uint64_t x)
{
	uint64_t term = x, sum = 0;

	for (unsigned n = 2; term; n++) {
		sum = n % 2 ? sum - term : sum + term;
		term = multiply(term, x) / n;
	}
	return sum;
}

/* 1 - exp(-2x) = 2q - q^2 where q = 1 - exp(-x): halve until the series is quick. */
static uint64_t one_minus_exp(uint64_t x)
{
	int halvings = 0;
	uint64_t q;

	for (; x >= ONE; x >>= 1)
		halvings++;
	q = one_minus_exp_series(x);
	for (; halvings; halvings--)
		q = 2 * q - multiply(q, q);
	return q;
}

/* Beyond 20 means the chance of being missed is below 2^-28: such a block counts as one. */
#define CERTAIN 20

uint64_t weight_of_block(uint64_t size, uint64_t rate)
{
	uint64_t p;

	if (rate <= 1 || size / rate >= CERTAIN || size == 0)
		return WEIGHT_ONE;
	p = one_minus_exp((uint64_t)(((unsigned __int128)size << 32) / rate));
	return (WEIGHT_ONE << 32) / MAX(p, 1);
}
