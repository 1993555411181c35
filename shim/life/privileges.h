/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * Where no hook tells: has the program's main thread changed its user, groups,
 * capabilities or filters since we came?  Then our thread, which nobody has follow, has
 * rights that the program believes to have given up, and must go.
 */
#ifndef SHIM_LIFE_PRIVILEGES_H
#define SHIM_LIFE_PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>

/* They are what they are now.  Context: init. */
void privileges_note(void);

/* Once true, it stays so.  Context: listener. */
bool privileges_have_changed(void);

/* The same, looked at ten times a second at most.  Context: listener. */
bool privileges_seem_changed(int64_t now_ns);

#endif
