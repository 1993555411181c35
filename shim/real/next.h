/* shim/real: the definitions behind ours.  May include http and below. */
/*
 * What tables of next definitions are made of.  There are three, because their
 * callers cannot afford the same:
 *
 *   real.h     whatever is not hot: real() fills it in when it is first asked for
 *   locks.c    each entry begins as first_NAME, which fills the table in, so that no
 *              lock pays for a question
 *   alloc.c    the same, in one cache line, and seen by that file alone
 *
 * Some functions the program may get later or never: before glibc 2.34 threads were
 * a library of their own.  An entry that was not found is missing_NAME, which looks
 * for its own name again at each call, and for that alone: a program without threads
 * may call it all the time.
 *
 * Context: hook.
 */
#ifndef SHIM_REAL_NEXT_H
#define SHIM_REAL_NEXT_H

#include "sampler/base/cc.h"
#include "shim/real/lookup.h"

/* Defines first_NAME: fill() writes the whole table, and the call goes on through it. */
#define NEXT_FIRST(table, fill, name, type, parameters, arguments)                                 \
	static COLD type first_##name parameters                                                   \
	{                                                                                          \
		fill();                                                                            \
		return (table).name arguments;                                                     \
	}

/* Defines missing_NAME: once the name is there, fill() writes the whole table anew. */
#define NEXT_MISSING(table, fill, name, type, parameters, arguments, absent)                       \
	static COLD type missing_##name parameters                                                 \
	{                                                                                          \
		if (!lookup_next(#name))                                                           \
			return (absent);                                                           \
		fill();                                                                            \
		return (table).name arguments;                                                     \
	}

/* The name's next definition into the table. */
#define NEXT_FIND(table, name, type, parameters)                                                   \
	(table).name = (type(*) parameters)lookup_next(#name);

/* The same, or missing_NAME.  Threads may do so at once. */
#define NEXT_FIND_LATE(table, name, type, parameters)                                              \
	{                                                                                          \
		type(*found) parameters = (type(*) parameters)lookup_next(#name);                  \
                                                                                                   \
		__atomic_store_n(&(table).name, found ? found : missing_##name, __ATOMIC_RELEASE); \
	}

#endif
