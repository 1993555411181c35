/* wall: the wall-clock profile.  May include cpu, heap, locks and below. */
/*
 * One look at one thread: is it blocked, and where?
 *
 * Context: listener.
 */
#ifndef SAMPLER_WALL_PLACE_H
#define SAMPLER_WALL_PLACE_H

#include "sampler/wall/profile.h"

/*
 * Looks once and adds `ns` to the visit of where it is blocked.  Returns that visit; 0: it
 * runs, is gone, or nobody may see it (life.is_refused).
 */
uint32_t place_look(struct wall_profile *w, struct life *l, int64_t ns);

#endif
