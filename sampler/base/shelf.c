#include "sampler/base/shelf.h"

#include <stdatomic.h>
#include <stdint.h>

#include "sampler/base/cc.h"
#include "sampler/base/reserve.h"
#include "sampler/base/sys.h"

static uint8_t *const shelf = reserve.shelf;
static atomic_size_t used; /* whole pages */

void *shelf_take(size_t bytes)
{
	size_t at = atomic_load_explicit(&used, memory_order_relaxed);

	do {
		if (bytes > SHELF_BYTES - at)
			return NULL;
	} while (
		!atomic_compare_exchange_weak_explicit(&used, &at, at + ALIGN_UP(bytes, PAGE_BYTES),
						       memory_order_acquire, memory_order_relaxed));
	return shelf + at;
}

bool shelf_has(const void *p)
{
	return (uintptr_t)p - (uintptr_t)shelf < SHELF_BYTES;
}

void shelf_give_back(void *p, size_t bytes)
{
	size_t at = (uintptr_t)p - (uintptr_t)shelf;
	size_t end = at + ALIGN_UP(bytes, PAGE_BYTES);

	sys_discard(p, end - at);
	/* release: whoever takes it next finds it zeroed */
	atomic_compare_exchange_strong_explicit(&used, &end, at, memory_order_release,
						memory_order_relaxed);
}

/* The rest is taken meanwhile, so that nobody else has it. */
void shelf_trim(void)
{
	size_t at = atomic_exchange_explicit(&used, SHELF_BYTES, memory_order_acquire);

	sys_discard(shelf + at, SHELF_BYTES - at);
	atomic_store_explicit(&used, at, memory_order_release);
}
