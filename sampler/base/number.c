#include "sampler/base/number.h"

uint64_t number_take(const char **at, unsigned base)
{
	uint64_t n = 0;

	for (;; (*at)++) {
		int digit = number_digit(**at);

		if (digit < 0 || (unsigned)digit >= base)
			return n;
		if (__builtin_mul_overflow(n, (uint64_t)base, &n) ||
		    __builtin_add_overflow(n, (uint64_t)digit, &n))
			n = UINT64_MAX;
	}
}
