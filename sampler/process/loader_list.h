/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * The dynamic loader's own list of objects (r_debug), read by fault-proof copies.  No
 * loader function is called and no loader lock is taken, so a target that sits inside
 * dlopen or forks at the wrong moment cannot meet us there (H01).
 */
#ifndef SAMPLER_PROCESS_LOADER_LIST_H
#define SAMPLER_PROCESS_LOADER_LIST_H

#include <link.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Remembers which objects are there now: the program and what it is linked with, which
 * the loader never takes away.  Context: init.
 */
void loader_list_init(void);

/* What one object of the list is, beside its record. */
struct loader_object {
	uint64_t link_map; /* address of its record */
	struct link_map record;
	bool is_main;  /* the program */
	bool is_fixed; /* it was there at init */
};

/*
 * Calls fn for each object of every namespace, until it says no more.  Returns whether the
 * list was at rest before and after: otherwise what fn saw may be half of a change.
 * Context: listener.
 */
bool loader_list_each(bool (*fn)(const struct loader_object *o, void *arg), void *arg);

/*
 * A child of a thread that was not the loader's: a change that was under way stays so for
 * ever.  What the list is now counts as at rest until it was seen at rest.  Context: child.
 */
void loader_list_after_fork(void);

/*
 * Objects were added since the last whole look: the loader puts them behind the last one of
 * their namespace.  Reads one word for each.  Context: listener.
 */
bool loader_list_has_grown(void);

#endif
