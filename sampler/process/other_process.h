/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Stacks of another process, copied so that they can be walked as if they were of a thread
 * here: each word that leads to code of a file there is made the address of the same code
 * here, where that file is loaded or, else, mapped as a guest (guests.h).  A child that has
 * executed nothing has its code where we have ours, and nothing is changed.
 *
 * Nothing in the other process is stopped, woken or written to.  What its memory holds is not
 * trusted; unwind data and code are read in files, never there.
 *
 * Between other_begin() and other_end(), which may be nested by several who ask, one process
 * at a time is open.
 *
 * Context: listener.
 */
#ifndef SAMPLER_PROCESS_OTHER_PROCESS_H
#define SAMPLER_PROCESS_OTHER_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/process/module.h"

/* False without memory or /proc. */
bool other_begin(void);

/* False: the kernel does not let us look, or it is gone. */
bool other_open(int pid);

/* It is the one; somebody else may have opened another. */
bool other_is_open(int pid);

/* The code at `pc` there, as an address here; OTHER_NOWHERE: code of no file, or of no file that
 * is to be had. */
uint64_t other_here(uint64_t pc);

/*
 * As peek_some(), of the process that is open: memory without a file, and of files that we have
 * mapped as well.  A page of any other file may come from who never sends it, and we would wait.
 */
size_t other_read_some(uint64_t at, void *to, size_t len);

/* False: some of it cannot be read. */
bool other_read(uint64_t at, void *to, size_t len);

/* The same of a stack, with its code's addresses made ours. */
size_t other_copy_stack(uint64_t at, void *to, size_t len);

/* Makes code's addresses among these words of a stack ours. */
void other_translate(uint64_t *word, size_t count);

/*
 * By how much the object with the code at `code` lies higher there than here, modulo 2^64.  False:
 * its file is not mapped there.
 */
bool other_distance(uint64_t code, uint64_t *distance);

/* Where nothing is ever mapped, and above all pseudo frames. */
#define OTHER_NOWHERE 4112UL

/* `gone` is called for each file that was mapped, while it still is. */
void other_end(void (*gone)(const struct module *m));

/* Nothing of it is there.  Context: child. */
void other_after_fork(void);

#endif
