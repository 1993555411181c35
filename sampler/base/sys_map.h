/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Memory of our own, mapped by raw system calls and counted.
 *
 * Context: any role but handler.
 */
#ifndef SAMPLER_BASE_SYS_MAP_H
#define SAMPLER_BASE_SYS_MAP_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Maps private anonymous memory that core dumps, forks and huge pages leave
 * alone.  Returns NULL when the kernel refuses, or where the program has a limit on its address
 * space and less than 8 MiB of that would be left to it.
 */
void *sys_map(size_t bytes);

/* The same down to the last byte of the limit: what our thread needs to begin, and what a hook
 * gives back before it returns. */
void *sys_map_whole_limit(size_t bytes);

/* Whether the limit on address space, if there is one, leaves more than `bytes`. */
bool sys_has_room(size_t bytes);

void sys_unmap(void *p, size_t bytes);

/*
 * As sys_map(), but a forked child has it too: for tables that are whole at every
 * instruction, and that a child goes on with (after_fork.h).
 */
void *sys_map_kept(size_t bytes);
void sys_unmap_kept(void *p, size_t bytes);

/* As sys_map_kept(), where a forked child finds zeroes. */
void *sys_map_wiped(size_t bytes);

/*
 * As sys_map_kept(), but what a forked child writes is seen here, and the other way round.
 * With sys_unmap_shared() its contents are gone for all of them.
 */
void *sys_map_shared(size_t bytes);
void sys_unmap_shared(void *p, size_t bytes);

/* The library's zeroed data too is left alone by core dumps and huge pages.  Context: init. */
void sys_advise_bss(void);

/*
 * Whether the kernel makes every new mapping of this process resident at once
 * (mlockall): then ours are let go of as they are made.  Context: hook.
 */
void sys_note_locked(bool locked);
bool sys_is_locked(void);

/* In a forked child: only what is kept is mapped.  Context: child. */
void sys_after_fork(void);

/* Bytes now mapped through sys_map(), for the page that shows what we cost. */
size_t sys_mapped_bytes(void);

#endif
