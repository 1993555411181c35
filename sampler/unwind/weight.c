#include "sampler/unwind/weight.h"

#include <stdatomic.h>

#include "sampler/base/cc.h"

/* Numbers with 32 binary places. */
#define ONE   (1ULL << 32)
#define LN2   2977044472ULL /* ln 2 * 2^32 */
#define SQRT2 6074000999ULL /* sqrt 2 * 2^32 */

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
 * ln of a number in [1/sqrt 2, sqrt 2], both with 32 places: 2 artanh z for
 * z = (x - 1) / (x + 1), as z (1 + z^2/3 + z^4/5 + ...).  |z| is below 0.172, so
 * that the first term left out is below 2^-31.
 */
static int64_t ln_near_one(int64_t x)
{
	int64_t z = (int64_t)((uint64_t)(x - (int64_t)ONE) << 32) / (x + (int64_t)ONE);
	int64_t zz = z * z >> 32, sum = ONE / 9;

	for (int n = 7; n >= 1; n -= 2)
		sum = (int64_t)ONE / n + (zz * sum >> 32);
	return 2 * (z * sum >> 32);
}

/* -ln(u) for u = bits / 2^64, with 32 places.  No branch: nobody could foretell it. */
static uint64_t minus_ln(uint64_t bits)
{
	int zeros = __builtin_clzll(bits | 1);
	uint64_t mantissa = (bits | 1) << zeros >> 31; /* [1, 2) with 32 places */
	unsigned is_high = mantissa > SQRT2;

	return (uint64_t)(zeros + 1 - (int)is_high) * LN2 -
	       (uint64_t)ln_near_one((int64_t)(mantissa >> is_high));
}

int64_t weight_gap(uint64_t bits, uint64_t rate)
{
	return (int64_t)((unsigned __int128)rate * minus_ln(bits) >> 32);
}

int64_t weight_next_gap(uint64_t rate)
{
	return weight_gap(weight_random(), rate);
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
