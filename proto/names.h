/* proto: profiles as files and as text.  May include threads and below. */
/*
 * From places to locations: what is there, by name.
 *
 * Context: listener.
 */
#ifndef PROTO_NAMES_H
#define PROTO_NAMES_H

#include "proto/functions.h"
#include "proto/mappings.h"
#include "proto/places.h"
#include "sampler/symbols/symbols.h"

/* What naming reads, and what it fills in. */
struct namer {
	struct arena *arena;
	const struct place_table *places;
	enum symbols_detail detail;
	int64_t deadline_ns; /* CLOCK_MONOTONIC; after it, names without lines */
	struct function_table functions;
	struct mapping_table mappings;
	struct message_location *location; /* one for each place, at the same index */
};

/*
 * Names every place: from its module's symbols, from /proc/thread-self/maps if it
 * belongs to none, or as the pseudo frame it is.  Each gets at least one line.
 * Returns 0, or -1 when memory ran out.
 */
int namer_run(struct namer *n);

#endif
