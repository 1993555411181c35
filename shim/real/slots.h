/* shim/real: the definitions behind ours.  May include http and below. */
/*
 * Hooks in a program that runs: the words through which objects call functions of others
 * (the slots of their import tables) are pointed to ours, and back again.
 *
 * A slot is changed only where it holds the address of the very function that ours stands
 * for, or that of its own object's stub, by which the loader would fill it in at the first
 * call, and it is certain with what.  All else that has such an address stays: variables,
 * pointers that the program keeps.  Pages that the loader closed are opened for the moment.
 * Nothing is remembered: what holds one of ours is given back, wherever it is.
 *
 * Context: init or hook, while the thread has the loader's lock (loader_lock.h).
 */
#ifndef SHIM_REAL_SLOTS_H
#define SHIM_REAL_SLOTS_H

#include <stdbool.h>
#include <stddef.h>

struct slots_function {
	const char *name;
	void *ours;
};

/*
 * From now on these are ours, in the place of those that were; names that nobody
 * defines, or objects alone that may go again, are left out.
 */
void slots_choose(const struct slots_function *f, size_t count);

/* All objects are looked at; slots that lead to a chosen function lead to ours then. */
void slots_take(void);

/* The same for objects that came since the last look; needs no lock to find that there are none. */
void slots_take_new(void);

/* All of them lead to the next definitions again. */
void slots_give_back(void);

/* What was found at the last look at all objects, and since. */
struct slots_found {
	size_t ours;	/* slots that lead to us */
	size_t objects; /* that have some of them */
	size_t unbound; /* slots that are to be filled in at the first call, with what is not
			   certain */
	size_t closed;	/* slots whose page could not be opened */
};

/* Context: any role. */
const struct slots_found *slots_found(void);

#endif
