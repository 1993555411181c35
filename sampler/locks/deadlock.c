/*
 * Everybody waits for at most one other, so from each thread there is one way to
 * go.  A way that comes back to a thread of its own has found a circle.
 */
#include "sampler/locks/deadlock.h"

/* While at work, circle[i] holds which way has been at i: FIRST_WAY + its first thread. */
#define FIRST_WAY (1U << 31)

/* Follows the way from `first` to where one has been already, or to the end. */
static uint32_t follow(const uint32_t *next, uint32_t count, uint32_t first, uint32_t *circle)
{
	uint32_t i = first;

	while (i < count && circle[i] == DEADLOCK_NONE) {
		circle[i] = FIRST_WAY + first;
		i = next[i];
	}
	return i;
}

static void number_circle(const uint32_t *next, uint32_t first, uint32_t number, uint32_t *circle)
{
	uint32_t i = first;

	do {
		circle[i] = number;
		i = next[i];
	} while (i != first);
}

static void forget_ways(uint32_t count, uint32_t *circle)
{
	for (uint32_t i = 0; i < count; i++)
		if (circle[i] >= FIRST_WAY)
			circle[i] = DEADLOCK_NONE;
}

uint32_t deadlock_find(const uint32_t *next, uint32_t count, uint32_t *circle)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < count; i++)
		circle[i] = DEADLOCK_NONE;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t end;

		if (circle[i] != DEADLOCK_NONE)
			continue;
		end = follow(next, count, i, circle);
		if (end < count && circle[end] == FIRST_WAY + i)
			number_circle(next, end, found++, circle);
	}
	forget_ways(count, circle);
	return found;
}
