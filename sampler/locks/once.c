/*
 * One entry for each control, by a hash of its address; the last one that began has it.  An
 * entry's tid is 0 while it changes hands.
 */
#include "sampler/locks/once.h"

#include <stdatomic.h>
#include <stdint.h>

#define ENTRIES 256

static struct entry {
	const void *_Atomic control;
	atomic_int tid;
} entries[ENTRIES];

static struct entry *entry_of(const void *control)
{
	return &entries[((uint64_t)control * 0x9e3779b97f4a7c15ULL >> 40) % ENTRIES];
}

void once_begins(const void *control, int tid)
{
	struct entry *e = entry_of(control);

	atomic_store(&e->tid, 0);
	atomic_store(&e->control, control);
	atomic_store(&e->tid, tid);
}

void once_ends(const void *control)
{
	struct entry *e = entry_of(control);

	if (atomic_load(&e->control) == control)
		atomic_store(&e->tid, 0);
}

int once_runner(const void *control)
{
	struct entry *e = entry_of(control);
	int tid = atomic_load(&e->tid);

	return atomic_load(&e->control) == control ? tid : 0;
}
