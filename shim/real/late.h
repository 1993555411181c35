/* shim/real: the definitions behind ours.  May include http and below. */
/*
 * A table of next definitions, some of which the program may get later or never:
 * before glibc 2.34 threads were a library of their own.  An entry that was not
 * found is a function that looks for its own name again at each call, and that
 * alone: a program without threads may call it all the time.
 *
 * Context: hook.
 */
#ifndef SHIM_REAL_LATE_H
#define SHIM_REAL_LATE_H

#include "sampler/base/cc.h"
#include "shim/real/lookup.h"

/* Defines missing_NAME: once the name is there, fill() writes the whole table anew. */
#define LATE_MISSING(table, fill, name, type, parameters, arguments, absent)                       \
	static COLD type missing_##name parameters                                                 \
	{                                                                                          \
		if (!lookup_next(#name))                                                           \
			return (absent);                                                           \
		fill();                                                                            \
		return (table).name arguments;                                                     \
	}

/* The name's next definition, or missing_NAME, into the table.  Threads may do so at once. */
#define LATE_FIND(table, name, type, parameters)                                                   \
	{                                                                                          \
		type(*found) parameters = (type(*) parameters)lookup_next(#name);                  \
                                                                                                   \
		__atomic_store_n(&(table).name, found ? found : missing_##name, __ATOMIC_RELEASE); \
	}

#endif
