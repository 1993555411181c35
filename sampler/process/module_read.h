/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Fills in one struct module from the ELF image in memory, by fault-proof
 * reads: program headers, executable ranges, build id, unwind table.
 *
 * Context: listener, init.
 */
#ifndef SAMPLER_PROCESS_MODULE_READ_H
#define SAMPLER_PROCESS_MODULE_READ_H

#include <stdbool.h>

#include "sampler/process/module.h"

/*
 * `m` has bias, phdr and phdr_count.  False when the headers are unreadable or
 * hold no executable segment.
 */
bool module_read_segments(struct module *m);

/* Finds phdr and phdr_count through the ELF header at `ehdr`.  False if there is none. */
bool module_read_header(struct module *m, uint64_t ehdr);

#endif
