/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Sorting without memory of its own (libc's qsort may call the target's
 * malloc) and in bounded time whatever the order.  Context: any role.
 */
#ifndef SAMPLER_BASE_SORT_H
#define SAMPLER_BASE_SORT_H

#include <stddef.h>
#include <stdint.h>

struct sort_pair {
	uint64_t key;
	uint64_t value;
};

/* Ascending by key, then by value. */
void sort_pairs(struct sort_pair *p, size_t count);

/* The index of the first of ascending numbers that is not below `n`; `count` for none. */
size_t sort_lower_bound(const uint64_t *number, size_t count, uint64_t n);

/* The same of numbers that lie `stride` bytes apart, in structs: the first is at `number`. */
size_t sort_lower_bound_in(const uint64_t *number, size_t stride, size_t count, uint64_t n);

/* The first pair whose key is not below `key`; `count` when there is none. */
size_t sort_find(const struct sort_pair *p, size_t count, uint64_t key);

#endif
