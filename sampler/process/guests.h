/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Objects of other processes: files that are not loaded here, mapped to be read for a
 * while, so that code of theirs has unwind data and names as if it were loaded where it is
 * mapped.  Nothing of them is ever executed, and what is writable in them is not there.
 *
 * Context: listener.
 */
#ifndef SAMPLER_PROCESS_GUESTS_H
#define SAMPLER_PROCESS_GUESTS_H

#include <stddef.h>
#include <stdint.h>

#include "sampler/process/module.h"

#define GUESTS_MAX 256

/* Of one file, by what the kernel's list of mappings says. */
struct guest_file {
	const char *path;
	uint64_t device, inode;
	const uint8_t *head; /* the first bytes of the file, as that process has them */
	size_t head_len;
};

/*
 * The guest of this file, mapped now if it is not there; it has no number (0) until who asks
 * gives it one.  NULL: what is at its path is another file, or no memory.
 */
struct module *guest_meet(const struct guest_file *f);

/* The guest with executable code at `pc`, or NULL. */
const struct module *guest_find(uint64_t pc);

/* All are gone; `gone` is called for each while it is still there. */
void guests_release(void (*gone)(const struct module *m));

/* They are not there.  Context: child. */
void guests_after_fork(void);

#endif
