/* shim/real: the definitions behind ours.  May include http and below. */
/*
 * Does something while the loader of the program can do nothing: no object comes or goes, and
 * none is being relocated.
 *
 * The loader's lock has no name.  But dlsym() holds it, and while it does it calls the function
 * that chooses an IFUNC's address: so we have one that is asked for by dlsym(), and does the
 * work.  The lock is recursive, as is all of this.
 */
#ifndef SHIM_REAL_LOADER_LOCK_H
#define SHIM_REAL_LOADER_LOCK_H

#include <stdbool.h>

/*
 * Waits for the lock, as dlsym() would.  False: `work` was not done, since there is no
 * dlsym() (before glibc 2.34 it was in a library of its own).  Context: init; hook, about to
 * call the loader.
 */
bool loader_lock_hold(void (*work)(void));

#endif
