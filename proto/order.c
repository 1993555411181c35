#include "proto/order.h"

typedef bool (*relation)(const void *arg, uint32_t a, uint32_t b);

/* A total order, so that the same things are always written in the same order. */
static bool comes_first(relation before, const void *arg, uint32_t a, uint32_t b)
{
	return before(arg, a, b) || (a < b && !before(arg, b, a));
}

/* Lets the one at `top` sink below all that come behind it. */
static void sink(uint32_t *order, size_t top, size_t count, relation before, const void *arg)
{
	uint32_t moving = order[top];

	for (size_t child; (child = 2 * top + 1) < count; top = child) {
		if (child + 1 < count && comes_first(before, arg, order[child], order[child + 1]))
			child++;
		if (!comes_first(before, arg, moving, order[child]))
			break;
		order[top] = order[child];
	}
	order[top] = moving;
}

/* Heap sort: n log n steps whatever the order was. */
void order_by(uint32_t *order, size_t count, relation before, const void *arg)
{
	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	for (size_t i = count / 2; i-- > 0;)
		sink(order, i, count, before, arg);
	for (size_t end = count; end-- > 1;) {
		uint32_t last = order[end];

		order[end] = order[0];
		order[0] = last;
		sink(order, 0, end, before, arg);
	}
}
