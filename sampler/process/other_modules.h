/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Modules of the process that is open (other_process.h), by the numbers that they have in
 * frames there, as numbers of ours.  What it says of them is believed as far as what a member
 * says: it makes other names.
 *
 * Context: listener.
 */
#ifndef SAMPLER_PROCESS_OTHER_MODULES_H
#define SAMPLER_PROCESS_OTHER_MODULES_H

#include <stdint.h>

#include "sampler/process/module.h"

#define OTHER_MODULES_CACHED 64

/* Zero but for `distance`: of this library, see other_distance(). */
struct other_modules {
	uint64_t distance;
	struct {
		uint32_t theirs, ours;
	} cached[OTHER_MODULES_CACHED];
	char path[MODULE_PATH_MAX]; /* of the one that is read */
	uint8_t build_id[BUILD_ID_MAX];
	struct module_range range[MODULE_RANGES_MAX];
};

/* 0: it has no such number, or there is none left here. */
uint32_t other_module(struct other_modules *o, uint32_t number);

#endif
