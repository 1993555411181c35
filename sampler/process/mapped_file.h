/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Which file is mapped at an address: what neither the loader's list nor
 * /proc/self/exe tells about an object.
 *
 * Context: listener, init.
 */
#ifndef SAMPLER_PROCESS_MAPPED_FILE_H
#define SAMPLER_PROCESS_MAPPED_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/process/module.h"

struct mapped_file {
	uint64_t head; /* where the file's first byte is mapped, at or below the address; 0: nowhere
			*/
	char path[MODULE_PATH_MAX]; /* as the kernel writes it, with " (deleted)" */
};

/* False when `addr` belongs to no mapping of a file, or /proc is not there. */
bool mapped_file_at(uint64_t addr, struct mapped_file *out);

/*
 * Opens the file that is mapped there, also one that has no name any more.  A descriptor, or
 * below 0: the kernel lets those do so that may checkpoint a process.  Context: listener.
 */
int mapped_file_open(uint64_t addr);

#endif
