/* shim: the constructor and the settings.  May include shim/arch and below. */
/*
 * What the user set, read once from the environment in the constructor and
 * never again (another thread may change the environment at any time).
 */
#ifndef SHIM_SETTINGS_H
#define SHIM_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/text.h"
#include "shim/life/socket.h"

#define KEY_BYTES_MAX	255
#define OUT_PATTERN_MAX 1000 /* bytes of PPROF_OUT */

enum settings_tree {
	SETTINGS_TREE_OFF, /* this one alone */
	SETTINGS_TREE_OWN, /* its descendants too */
	SETTINGS_TREE_ANY, /* and others of the same user with this port */
};

struct settings {
	uint16_t port;	    /* PPROF_PORT, 0: off */
	const char *socket; /* PPROF_SOCKET, a pattern (name_pattern.h); NULL: none */
	char socket_copy[SOCKET_PATTERN_MAX + 1];
	const char *out; /* PPROF_OUT, a pattern (http/out.h); NULL: no files */
	char out_copy[OUT_PATTERN_MAX + 1];
	unsigned out_kinds;	 /* PPROF_OUT_PROFILES */
	int toggle;		 /* PPROF_TOGGLE: a signal, 0: none */
	int hz;			 /* PPROF_HZ */
	uint64_t heap_rate;	 /* PPROF_HEAP_RATE: bytes per sample, 0: off */
	bool heap_mmap;		 /* PPROF_HEAP_MMAP: memory that is not malloc's, too */
	uint64_t block_rate;	 /* PPROF_BLOCK_RATE: ns, 0: off */
	uint64_t mutex_fraction; /* PPROF_MUTEX_FRACTION: one in so many, 0: off */
	bool rwlock_readers;	 /* PPROF_RWLOCK_READERS: they are recorded */
	enum settings_tree tree; /* PPROF_TREE: which processes a profile has */
	char key[KEY_BYTES_MAX +
		 1]; /* ADMIN_KEY, or the first line of ADMIN_KEY_FILE; "": nobody has one */
	const char *key_from; /* which of the two, for the shim page */
	char unknown[200];    /* names that are like settings and are none, "": none */
};

enum settings_result {
	SETTINGS_OK,
	SETTINGS_NOT_MEANT, /* PPROF_ONLY names other programs: stay silent */
	SETTINGS_BAD,	    /* `complaint` says what is wrong */
};

/*
 * Reads `environment` (as main's envp) for the program `program` (a path, as it was started
 * or as the kernel writes that of its file).
 * Fills in `complaint` with one sentence, without newline, for SETTINGS_BAD.
 * Context: init.
 */
enum settings_result settings_read(struct settings *s, char *const *environment,
				   const char *program, struct text *complaint);

/* "name=value" lines for the shim page; never the key. */
void settings_write(const struct settings *s, struct text *t);

#endif
