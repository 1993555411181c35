/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Where our memory lies: the library as it is loaded, and what sys.h maps.  For
 * calls of the target that concern all memory of the process, and mean its own.
 */
#ifndef SAMPLER_BASE_OWN_AREAS_H
#define SAMPLER_BASE_OWN_AREAS_H

#include <stdbool.h>
#include <stdint.h>

struct own_area {
	uint64_t start, limit;
};

/* Of more than OWN_AREAS_MAX at once the rest is not noted, and passes for the target's. */
#define OWN_AREAS_MAX 128

/* `kept`: forked children have it too.  Context: any role. */
void own_area_add(struct own_area area, bool kept);
void own_area_remove(uint64_t start);

/* Those that the parent had and this process has not are forgotten.  Context: child. */
void own_areas_after_fork(void);

/*
 * The lowest of our areas that ends behind `from`; start and limit are UINT64_MAX
 * when there is none.  Context: any role.
 */
struct own_area own_area_behind(uint64_t from);

/* The whole library; and of it what is not in the file, in whole pages. */
struct own_area own_image(void);
struct own_area own_bss(void);

#endif
