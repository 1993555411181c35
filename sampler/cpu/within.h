/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * Whether a thread may be in a handler on its alternate stack that began before the masks of such
 * handlers had the carrier (action_masks.h): no tick may come there.
 *
 * The kernel does not tell where a thread is that runs.  The frame of the last handler is at the
 * top of the stack; whether the thread is still in it its mask says, or where it sleeps, or that
 * there is another frame now, whose handler has the mask that it is to have.
 */
#ifndef SAMPLER_CPU_WITHIN_H
#define SAMPLER_CPU_WITHIN_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/process/threads.h"

/*
 * `blocked`: the mask that the thread has.  Of a handler that blocks nothing the mask says
 * nothing: then true where the stack is small.  Context: listener.
 */
bool within_open_handler(struct thread *t, uint64_t blocked);

#endif
