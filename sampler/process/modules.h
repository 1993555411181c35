/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * The table of loaded objects (executable, libraries, vdso), read from the
 * dynamic loader's own list (r_debug) by fault-proof copies.  No loader
 * function is called and no loader lock is taken, so a target that sits inside
 * dlopen or forks at the wrong moment cannot meet us there (H01).
 *
 * A module that leaves the list stays in the table, marked with the generation in
 * which it was gone (`died`), so that stacks from before keep their names: those of
 * the profiles that are always on are kept for ever, and so is the table.
 *
 * Context: listener only, unless a function says otherwise.
 */
#ifndef SAMPLER_PROCESS_MODULES_H
#define SAMPLER_PROCESS_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/process/module.h"

#define MODULE_MAX 4096 /* loaded objects; more are counted and left out */

/*
 * Remembers what /proc may refuse later: the executable's path (/proc/self/exe)
 * and where the kernel put its program headers and the vdso (auxiliary vector).
 * Context: init.
 */
void modules_init(void);

/*
 * Reads the loader's list again.  Returns true when a module appeared or went.
 * The generation moves only when one went.
 */
bool modules_refresh(void);

/*
 * Objects were loaded since the last refresh: the loader puts them behind the last
 * one of their namespace.  Reads one word for each namespace.
 */
bool modules_have_come(void);

/*
 * A new generation, in which the modules from `first` on begin: addresses in them
 * that were met before are of something that came and went unseen.
 */
void modules_renew(size_t first);

/* Whether the last refresh saw all there is; false if the list was being changed meanwhile. */
bool modules_are_current(void);

/* Context: any role. */
uint32_t modules_generation(void);

size_t modules_count(void);
const struct module *module_at(size_t index);

/* The module that holds executable code at `pc` in this generation, or NULL. */
const struct module *module_find(uint64_t pc, uint32_t generation);

/*
 * Keeps the table, unless a child was forked while it was being changed: then it
 * is empty, of the same generation.  Returns whether it was kept.  Context: child.
 */
bool modules_after_fork(void);

#endif
