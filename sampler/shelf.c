#include "sampler/shelf.h"

#include <stdatomic.h>
#include <stdint.h>

#include "sampler/sys.h"
#include "shim/cc.h"

static uint8_t shelf[SHELF_BYTES] __attribute__((aligned(PAGE_BYTES)));
static atomic_size_t used; /* whole pages */

void *shelf_take(size_t bytes)
{
	size_t at = atomic_load_explicit(&used, memory_order_relaxed);

	do {
		if (bytes > SHELF_BYTES - at)
			return NULL;
	} while (!atomic_compare_exchange_weak_explicit(&used, &at,
							at + ALIGN_UP(bytes, PAGE_BYTES),
							memory_order_acquire,
							memory_order_relaxed));
	return shelf + at;
}

bool shelf_give_back(void *p, size_t bytes)
{
	size_t at = (uintptr_t)p - (uintptr_t)shelf;
	size_t end = at + ALIGN_UP(bytes, PAGE_BYTES);

	if (at >= SHELF_BYTES)
		return false;
	sys_discard(p, end - at);
	/* release: whoever takes it next finds it zeroed */
	atomic_compare_exchange_strong_explicit(&used, &end, at, memory_order_release,
						memory_order_relaxed);
	return true;
}
