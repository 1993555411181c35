/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/*
 * Arguments that the kernel would check: where a hook looks at what a raw system call
 * is given, an address that is not readable is left for the kernel to refuse.
 */
#ifndef SHIM_HOOKS_USER_MEMORY_H
#define SHIM_HOOKS_USER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* False: there is no such memory.  Context: hook, where system calls of ours may be made. */
bool user_copy(void *to, const void *from, size_t len);

#endif
