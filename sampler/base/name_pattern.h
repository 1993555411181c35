/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Names of files and sockets that a user writes once for many processes: %p is the
 * process id, %n the program's name, %t when it was started in seconds since 1970, %%
 * a percent sign.
 *
 * Context: any role.
 */
#ifndef SAMPLER_BASE_NAME_PATTERN_H
#define SAMPLER_BASE_NAME_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/base/text.h"

struct name_parts {
	int pid;
	const char *program; /* without a slash */
	int64_t started_s;
};

/* Every % is followed by one of the letters above. */
bool name_pattern_is_valid(const char *pattern);

/* Appends what a valid pattern stands for. */
void name_pattern_write(struct text *t, const char *pattern, const struct name_parts *parts);

#endif
