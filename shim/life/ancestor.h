/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * Does a process above us, or one that it was forked from, or the leader of our process
 * group or session (of orphans) profile itself?  Then a
 * taken port is no news: it is that process's, and its helpers are not to complain
 * about it.
 */
#ifndef SHIM_LIFE_ANCESTOR_H
#define SHIM_LIFE_ANCESTOR_H

#include <stdbool.h>

/* Context: init. */
bool ancestor_has_us(void);

#endif
