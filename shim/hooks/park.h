/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/*
 * Calls for which the listener is to be out of the way.
 *
 * Context: hook.
 */
#ifndef SHIM_HOOKS_PARK_H
#define SHIM_HOOKS_PARK_H

void park_before_setns(int kind);
void park_before_unshare(int flags);

#endif
