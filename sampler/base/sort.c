#include "sampler/base/sort.h"

#include <stdbool.h>

static bool is_less(const struct sort_pair *a, const struct sort_pair *b)
{
	return a->key != b->key ? a->key < b->key : a->value < b->value;
}

static void swap(struct sort_pair *a, struct sort_pair *b)
{
	struct sort_pair t = *a;

	*a = *b;
	*b = t;
}

/* Restores the heap (largest on top) below `root`. */
static void sift_down(struct sort_pair *p, size_t root, size_t count)
{
	for (size_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
		if (child + 1 < count && is_less(&p[child], &p[child + 1]))
			child++;
		if (!is_less(&p[root], &p[child]))
			return;
		swap(&p[root], &p[child]);
		root = child;
	}
}

static bool is_sorted(const struct sort_pair *p, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (is_less(&p[i], &p[i - 1]))
			return false;
	return true;
}

void sort_pairs(struct sort_pair *p, size_t count)
{
	if (is_sorted(p, count))
		return;
	for (size_t i = count / 2; i-- > 0;)
		sift_down(p, i, count);
	for (size_t end = count; end-- > 1;) {
		swap(&p[0], &p[end]);
		sift_down(p, 0, end);
	}
}

size_t sort_lower_bound_in(const uint64_t *number, size_t stride, size_t count, uint64_t n)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (*(const uint64_t *)((const char *)number + middle * stride) < n)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t sort_find(const struct sort_pair *p, size_t count, uint64_t key)
{
	return count ? sort_lower_bound_in(&p->key, sizeof(*p), count, key) : 0;
}

size_t sort_lower_bound(const uint64_t *number, size_t count, uint64_t n)
{
	return sort_lower_bound_in(number, sizeof(*number), count, n);
}
