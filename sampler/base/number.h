/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Reading numbers as the kernel, the environment and clients write them.
 *
 * Context: any role.
 */
#ifndef SAMPLER_BASE_NUMBER_H
#define SAMPLER_BASE_NUMBER_H

#include <stdint.h>

/* The value of a digit, to base 16 at most; -1 for what is none. */
static inline int number_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * The number that the digits at *at are, and *at behind them: as many as there are,
 * up to anything else.  0 where there is none, UINT64_MAX where it is larger.
 */
uint64_t number_take(const char **at, unsigned base);

#endif
