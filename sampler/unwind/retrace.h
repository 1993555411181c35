/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * From a capture that waited for the listener to its stack: the one place that walks and,
 * where code has come or gone meanwhile, looks at what is loaded and walks again.
 *
 * Context: listener.
 */
#ifndef SAMPLER_UNWIND_RETRACE_H
#define SAMPLER_UNWIND_RETRACE_H

#include <stdbool.h>

#include "sampler/unwind/walk.h"

/*
 * Walks `c` into `w`.  False when it goes through code that may have been unloaded since
 * the capture was taken: `w` is then the one frame [unknown stack].
 */
bool retrace(const struct capture *c, struct walk *w);

/* A walk that met code of no object: something may have been loaded since the last look.
 * Returns whether it is worth walking again. */
bool retrace_is_due(const struct walk *w);

#endif
