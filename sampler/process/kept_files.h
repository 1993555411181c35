/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Files that are opened while they can be: a server that has gone into a chroot, given up
 * root or entered another mount namespace cannot open its own program any more.  Kept are
 * the objects that the program began with (their files stay mapped for its life, so that
 * nothing is held that would not be held without us) and the root directory.  All in the
 * listener's own descriptor table, within half of what RLIMIT_NOFILE allows.
 *
 * Context: listener.
 */
#ifndef SAMPLER_PROCESS_KEPT_FILES_H
#define SAMPLER_PROCESS_KEPT_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "sampler/process/module.h"

/* Opens them, in a new descriptor table. */
void kept_files_open(void);

/* A descriptor of the file of `m`, for the caller to close; -1 if none was kept. */
int kept_file_of(const struct module *m);

/* As sys_open_read(); an absolute path that cannot be opened is tried below the first root. */
int kept_root_open_read(const char *path);

/* What a symbolic link says, ended with NUL; tried likewise.  False when there is none. */
bool kept_root_read_link(const char *path, char *to, size_t size);

#endif
