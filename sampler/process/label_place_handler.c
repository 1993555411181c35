/* Handler path; see capture_handler.c. */
#include <stddef.h>

#include "sampler/process/label_place.h"
#include "sampler/process/label_place_handler.h"

struct label_places label_places;

uint32_t label_place_common(uint32_t set)
{
	return set <= atomic_load_explicit(&label_places.common, memory_order_relaxed) ? set : 0;
}

uint32_t label_place_of(int tid)
{
	uint64_t seen;

	if (!atomic_load_explicit(&label_places.is_used, memory_order_relaxed))
		return 0;
	return label_place_find(tid, &seen) ? (uint32_t)seen : 0;
}
