/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * How ticks lie in a nursery: for its two sides, nursery.c and nursery_handler.c.
 *
 * A place is free (0), is being filled by process n (n), or is full (-1).
 */
#ifndef SAMPLER_CPU_NURSERY_HANDLER_H
#define SAMPLER_CPU_NURSERY_HANDLER_H

#include <stdatomic.h>

#include "sampler/base/cc.h"
#include "sampler/cpu/nursery.h"

#define NURSERY_PLACES	    256
#define NURSERY_PLACE_BYTES (80UL << 10)
#define NURSERY_FULL	    (-1)

struct nursery_place {
	int pid;
	char name[NURSERY_NAME_BYTES];
	_Alignas(16) struct capture capture; /* and its bytes */
};

#define NURSERY_CAPTURE_BYTES                                                                      \
	(NURSERY_PLACE_BYTES - offsetof(struct nursery_place, capture) - sizeof(struct capture))

struct nursery_memory {
	atomic_int is_open;
	atomic_uint lost; /* ticks for which no place was free */
	_Atomic int64_t born, ended, ended_ns, tails_ns;
	_Alignas(PAGE_BYTES) atomic_int state[NURSERY_PLACES];
	_Alignas(PAGE_BYTES) uint8_t place[NURSERY_PLACES][NURSERY_PLACE_BYTES];
};

/* Inherited by children, as all of our data. */
struct nursery {
	struct nursery_memory *memory; /* NULL: none */
	int64_t until_ns;	       /* 0: closed */
	atomic_bool is_joined;
	int64_t noted_ns; /* of this process, in ended_ns; -1: it is not about to end */
};

extern struct nursery nursery __attribute__((visibility("hidden")));

static inline struct nursery_place *nursery_place(struct nursery_memory *m, unsigned i)
{
	return (struct nursery_place *)(void *)m->place[i];
}

#endif
