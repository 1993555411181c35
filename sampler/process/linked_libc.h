/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * The libc of the libraries inside: libunwind, zlib, zstd, xz, protobuf-c and libiberty.
 * When they are linked in, every libc function they import is renamed to pprofshim_lib_NAME
 * (.ci/bind.sh), save for a few that only touch the bytes they are given
 * (memcpy, strlen).  linked_libc.c implements those names: memory comes from an
 * arena, files and pipes cannot be opened, the loader is not asked, locks do
 * nothing because one thread uses these libraries, and abort() comes back here
 * instead of ending the target.
 *
 * Context: listener (one thread; there is no lock).
 */
#ifndef SAMPLER_PROCESS_LINKED_LIBC_H
#define SAMPLER_PROCESS_LINKED_LIBC_H

#include "sampler/base/arena.h"

/*
 * The arena from which the libraries allocate from now on (malloc, and so the
 * default allocators of zlib and protobuf-c).  Returns the one before, so that
 * a caller can put it back; NULL means that allocations fail.
 *
 * free() reclaims only the newest block, and realloc() works across a change of
 * arena.  What must live long, such as a libunwind address space, is to be made
 * while an arena is selected that lives as long.
 */
struct arena *lib_memory_use(struct arena *a);

/* Nothing of the libraries' is under way.  Context: child. */
void lib_after_fork(void);

/*
 * Runs fn(arg).  Returns 0 when it returned, -1 when a library called abort()
 * or failed an assertion inside; `library_aborts` then moves, and whatever it
 * was building is to be thrown away.  May be nested.  Outside of it an abort
 * stops the thread for ever.
 */
int lib_try(void (*fn)(void *), void *arg);

#endif
