/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Fault-proof reads of the target's memory.  A module may be unmapped by the
 * target at any moment, so nothing on the listener reads target memory through
 * a pointer: it asks the kernel to copy (process_vm_readv, else /proc/thread-self/mem)
 * and gets an error instead of a SIGSEGV.
 *
 * The word reader keeps a small cache of pages, because unwind tables are read
 * eight bytes at a time.  peek_forget() empties it; call it whenever the target
 * may have changed what is mapped.
 *
 * Context: listener (one thread; the cache has no lock).
 */
#ifndef SAMPLER_PROCESS_PEEK_H
#define SAMPLER_PROCESS_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies `len` bytes at `addr`.  False when any of them is unreadable. */
bool peek(uint64_t addr, void *to, size_t len);

/* Copies what is readable of `len` bytes from `addr` on; returns how many bytes that were. */
size_t peek_some(uint64_t addr, void *to, size_t len);

/* The same of another process; 0 too where the kernel does not let us. */
size_t peek_some_of(int pid, uint64_t addr, void *to, size_t len);

/*
 * Whether the page at `addr` of another process is in memory now, so that to copy it waits for
 * nobody.  False too where the kernel does not tell.
 */
bool peek_is_there_of(int pid, uint64_t addr);

/* Copies a NUL-ended string, cutting it at size - 1.  False when unreadable. */
bool peek_string(uint64_t addr, char *to, size_t size);

/* Like peek(), through the page cache: up to 8 bytes, for tables. */
bool peek_cached(uint64_t addr, void *to, size_t len);

void peek_forget(void);

/*
 * After pthread_exit() in main: the first thread is listed until the last one ends, but has
 * neither a stack nor memory, so that /proc/self/maps and the like are empty (and not those
 * of /proc/thread-self).  False where the kernel does not tell.
 */
bool peek_first_thread_has_ended(void);

/* process_vm_readv would kill here: use the file of the memory only.  Context: init. */
void peek_avoid_vm_readv(void);

/* Gives the page cache's memory back until it is used again. */
void peek_release(void);

/* The cache is not there, nor is the descriptor: a child, or a new listener.  Context: child,
 * listener.
 */
void peek_after_fork(void);
void peek_new_descriptors(void);

#endif
