/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Which modules (modules.h) are named by a frame that somebody keeps: their numbers are not
 * given to others.  To be said before the frame can be found by anybody.
 */
#ifndef SAMPLER_PROCESS_MODULES_KEPT_H
#define SAMPLER_PROCESS_MODULES_KEPT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sampler/process/frame.h"

/* One bit for each number. */
extern atomic_uint_fast64_t modules_kept[] __attribute__((visibility("hidden")));

/* The module of this number, if it is not 0, is never forgotten.  Context: hook, listener. */
static inline void modules_keep(uint32_t number)
{
	atomic_uint_fast64_t *word = &modules_kept[number / 64];
	uint64_t bit = 1ULL << number % 64;

	if (number && !(atomic_load_explicit(word, memory_order_relaxed) & bit))
		atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
}

/* For who keeps these frames.  Context: hook, listener. */
static inline void modules_keep_frames(const uint64_t *frame, uint32_t depth)
{
	for (uint32_t i = 0; i < depth; i++)
		modules_keep(frame_number(frame[i]));
}

/* Context: listener. */
static inline bool modules_is_kept(uint32_t number)
{
	return atomic_load_explicit(&modules_kept[number / 64], memory_order_relaxed) &
	       1ULL << number % 64;
}

#endif
