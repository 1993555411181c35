/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Each distinct string of bytes has a number, from 1 on, for as long as the process lives.
 * Any number of threads add at the same time, and signal handlers that interrupt them: no
 * lock, no malloc; nothing is ever removed.
 *
 * It is not intern.h, because that has one writer and goes with its arenas.
 */
#ifndef SAMPLER_BASE_NUMBERED_H
#define SAMPLER_BASE_NUMBERED_H

#include <stdatomic.h>
#include <stdint.h>

#include "sampler/base/permanent.h"

#define NUMBERED_BUCKETS 1024

struct numbered {
	struct numbered *_Atomic next; /* in its bucket */
	uint32_t hash, number, len;
	char bytes[]; /* len of them, and a NUL */
};

struct numbered_table {
	struct permanent *memory;
	struct numbered *_Atomic *bucket; /* NUMBERED_BUCKETS of them */
	struct numbered *_Atomic *list;	  /* number n is at n - 1 */
	uint32_t room;			  /* of the list */
	atomic_uint count;		  /* of numbers given out; past `room` there are no more */
};

/* Defines the table `name` of a file, for at most `most` strings. */
#define NUMBERED_TABLE(name, most, memory_of)                                                      \
	static struct numbered *_Atomic name##_bucket[NUMBERED_BUCKETS],                           \
		*_Atomic name##_list[most];                                                        \
	static struct numbered_table name = { .memory = (memory_of),                               \
					      .bucket = name##_bucket,                             \
					      .list = name##_list,                                 \
					      .room = (most) }

/* NULL: it has no number.  Context: any role. */
const struct numbered *numbered_find(const struct numbered_table *t, const void *bytes,
				     uint32_t len);

/* Finds it or gives it one; NULL: there are no more, or no memory.  Context: hook, listener. */
const struct numbered *numbered_add(struct numbered_table *t, const void *bytes, uint32_t len);

/* NULL: no string has it.  Context: any role. */
const struct numbered *numbered_at(const struct numbered_table *t, uint32_t number);

#endif
