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

/* A module with room for all that its pointers lead to. */
struct module_image {
	struct module m;
	struct module_range range[MODULE_RANGES_MAX];
	uint8_t build_id[BUILD_ID_MAX];
	char path[MODULE_PATH_MAX];
};

/* Nothing is known but the bias. */
void module_image_init(struct module_image *im, uint64_t bias);

/*
 * Finds phdr and phdr_count of `m`, which has bias, where the loader says that its
 * dynamic section is `dynamic`.  The ELF header is at the bias, or, in an object whose
 * first segment is not at address 0, where the first byte of its file is mapped.
 * Believed only when its dynamic segment is that one.  False if there is none.
 */
bool module_find_headers(struct module *m, uint64_t dynamic);

/*
 * `m` has bias, phdr and phdr_count.  False when the headers are unreadable or
 * hold no executable segment.
 */
bool module_read_segments(struct module *m);

/* Counts what of a new module could not be kept whole. */
void module_count_losses(const struct module *m);

#endif
