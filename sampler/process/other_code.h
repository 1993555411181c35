/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Executable memory that belongs to no loaded object: what compilers make at run time,
 * and code of a loaded object whose file the program has mapped once more, as V8 does
 * to have its builtins near the code that it makes.  A list out of /proc/thread-self/maps that
 * is read again when an unknown address is asked for, a second after the last time at
 * the earliest, and a hundred times as long after it as reading takes.
 *
 * Context: listener.
 */
#ifndef SAMPLER_PROCESS_OTHER_CODE_H
#define SAMPLER_PROCESS_OTHER_CODE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether such memory was at `pc` when the list was read.  *original is then the
 * address of the same code in a loaded object, 0 if there is none.
 */
bool other_code_at(uint64_t pc, uint64_t *original);

/* A range in which copies came or went since the last call; false: no more. */
bool other_code_take_change(uint64_t *start, uint64_t *limit);

/* Where a jitdump file was mapped (jit-PID.dump), by its path; NULL: nowhere. */
const char *other_code_jitdump(void);

/* Gives the list back until it is needed again. */
void other_code_release(void);

/* The list is not there.  Context: child. */
void other_code_after_fork(void);

#endif
