/* Handler path; see capture_handler.c. */
#include <stddef.h>

#include "sampler/process/threads_handler.h"

struct thread *_Atomic thread_region;
atomic_bool thread_stacks_have_holes;

struct thread *thread_from_cookie(const void *cookie)
{
	struct thread *first = thread_records();
	uint64_t at = (uint64_t)cookie - (uint64_t)first;

	if (!first || at >= THREAD_REGION_BYTES || at % sizeof(struct thread))
		return NULL;
	return first + at / sizeof(struct thread);
}
