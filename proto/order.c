#include "proto/order.h"

/* Shell sort. */
void order_by(uint32_t *order, size_t count,
	      bool (*before)(const void *arg, uint32_t a, uint32_t b), const void *arg)
{
	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	for (size_t gap = count / 2; gap; gap /= 2) {
		for (size_t i = gap; i < count; i++) {
			uint32_t moving = order[i];
			size_t k = i;

			for (; k >= gap && before(arg, moving, order[k - gap]); k -= gap)
				order[k] = order[k - gap];
			order[k] = moving;
		}
	}
}
