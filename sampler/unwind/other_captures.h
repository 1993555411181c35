/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * The captures in a ring of the process that is open (process/other_process.h): copied, and
 * looked at before they are handed over.  See other_sites.h.
 *
 * Context: listener.
 */
#ifndef SAMPLER_UNWIND_OTHER_CAPTURES_H
#define SAMPLER_UNWIND_OTHER_CAPTURES_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/unwind/capture.h"

#define OTHER_RECORD_BYTES (256UL << 10) /* of one; longer ones are nonsense */

struct other_captures {
	uint64_t bytes, size; /* of the ring there */
	uint64_t at, head;    /* positions; the same: there are no more */
	uint8_t *record;      /* the last one, with OTHER_RECORD_BYTES */
};

/* `ring` is its address there.  False: it cannot be read. */
bool other_captures_begin(struct other_captures *o, uint64_t ring);

/* The capture in the record that was copied. */
struct capture *other_captures_copy(const struct other_captures *o);

/*
 * Copies the next one, while o->at != o->head; its words are those of the process still.  False:
 * there was none at this position, or one that makes no sense (*nonsense).
 */
bool other_captures_next(struct other_captures *o, bool *nonsense);

#endif
