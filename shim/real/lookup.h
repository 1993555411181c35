/* shim/real: the definitions behind ours.  May include http and below. */
/*
 * Finds a dynamic symbol in the objects that come after ours in search order.
 *
 * Context: hook, init.  Reads memory of objects loaded at start; no lock, no
 * allocation.
 */
#ifndef SHIM_REAL_LOOKUP_H
#define SHIM_REAL_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct link_map;

struct lookup_found {
	void *at;
	uint64_t size;		   /* of the function; 0: not known */
	const struct link_map *in; /* the object that has it */
	bool is_libc;		   /* which is libc */
	const char *version;	   /* which of several it is; NULL: it has none */
};

/*
 * We were loaded by a program that runs already: nobody is bound to us, and what programs
 * are bound to is the first definition of all, not the next.  Context: init.
 */
void lookup_from_first(void);

/* Our own name in the loader's list, as it was given to it.  Context: init. */
const char *lookup_own_name(void);

/* Our own entry there, which is what dlopen() returns; NULL in a namespace of its own (dlmopen),
 * which has another list. */
const struct link_map *lookup_own_entry(void);

/* The next definition of `name`.  False: there is none. */
bool lookup_find_next(const char *name, struct lookup_found *out);

/* The object defines `name`. */
bool lookup_defines(const struct link_map *in, const char *name);

/* The object's definition of exactly this version, or NULL. */
void *lookup_version(const struct link_map *in, const char *name, const char *version);

/*
 * Takes our own definitions of these names out of the loader's sight: who binds from now
 * on gets what it would have without us.  Without an effect where memory protection
 * cannot be changed.  Context: init.
 */
void lookup_hide(const char *const *names, size_t count);

/*
 * The address of `name`, or NULL.  Of several versions the default one; an object that
 * comes before may have that version without having it by default.
 */
void *lookup_next(const char *name);

/*
 * The same, of the first version, while our library is not relocated yet (another one's IFUNC
 * resolver calls us): uses nothing that is relocated, and calls nobody.
 */
void *lookup_next_early(const char *name);

/* Whether an object that comes before ours in search order defines `name`; none does where we
 * look from the first on. */
bool lookup_comes_earlier(const char *name);

/* The program itself defines `name`, and we were loaded when it ran.  Context: init. */
bool lookup_program_defines(const char *name);

/* An object whose path holds `part` is loaded.  Context: init. */
bool lookup_has_object(const char *part);

/* A function of the vdso, or NULL; the vdso has no thread-local or lazy state. */
void *lookup_vdso(const char *name);

#endif
