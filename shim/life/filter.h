/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/* What a system-call filter that is about to be installed would do to us. */
#ifndef SHIM_LIFE_FILTER_H
#define SHIM_LIFE_FILTER_H

#include <stdbool.h>

struct sock_fprog;

/*
 * Whether a signal handler can return under the filter (rt_sigreturn).  True also
 * for NULL and for what cannot be read: the kernel will refuse that.
 * Context: hook.
 */
bool filter_lets_handlers_return(const struct sock_fprog *program);

#endif
