#include "sampler/base/own_areas.h"

#include <stdatomic.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"

#define EMPTY 0
#define BUSY  1 /* its owner is writing it */
#define NONE  ((struct own_area){ UINT64_MAX, UINT64_MAX })

/* seq_cst all over: these calls are few, and a reader must not pair one area's start with another's
 * limit. */
struct slot {
	atomic_uint_fast64_t start, limit;
	bool kept;
};

static struct slot slots[OWN_AREAS_MAX];

static bool claim_slot(struct slot *s)
{
	uint64_t empty = EMPTY;

	return atomic_load(&s->start) == EMPTY &&
	       atomic_compare_exchange_strong(&s->start, &empty, BUSY);
}

void own_area_add(struct own_area area, bool kept)
{
	for (int i = 0; i < OWN_AREAS_MAX; i++) {
		if (!claim_slot(&slots[i]))
			continue;
		atomic_store(&slots[i].limit, area.limit);
		slots[i].kept = kept;
		atomic_store(&slots[i].start, area.start);
		return;
	}
}

void own_area_remove(uint64_t start)
{
	for (int i = 0; i < OWN_AREAS_MAX; i++) {
		if (atomic_load(&slots[i].start) == start) {
			atomic_store(&slots[i].start, EMPTY);
			return;
		}
	}
}

void own_areas_after_fork(void)
{
	for (int i = 0; i < OWN_AREAS_MAX; i++) {
		if (!slots[i].kept)
			atomic_store(&slots[i].start, EMPTY);
	}
}

/* One that changes while it is read is not there. */
static struct own_area read_slot(struct slot *s)
{
	struct own_area a;

	a.start = atomic_load(&s->start);
	a.limit = atomic_load(&s->limit);
	return a.start > BUSY && atomic_load(&s->start) == a.start ? a : NONE;
}

/* The image is always there, and not in the table. */
struct own_area own_area_behind(uint64_t from)
{
	struct own_area lowest = own_image();

	if (lowest.limit <= from)
		lowest = NONE;
	for (int i = 0; i < OWN_AREAS_MAX; i++) {
		struct own_area a = read_slot(&slots[i]);

		if (a.limit > from && a.start < lowest.start)
			lowest = a;
	}
	return lowest;
}

/* By the linker. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char __bss_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

struct own_area own_image(void)
{
	return (struct own_area){ (uint64_t)__ehdr_start, ALIGN_UP((uint64_t)_end, PAGE_BYTES) };
}

struct own_area own_bss(void)
{
	return (struct own_area){ ALIGN_UP((uint64_t)__bss_start, PAGE_BYTES),
				  ALIGN_UP((uint64_t)_end, PAGE_BYTES) };
}
