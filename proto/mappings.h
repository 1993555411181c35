/* proto: profiles as files and as text.  May include threads and below. */
/*
 * The mappings of a profile: one for each executable range that holds a
 * location, the main executable's first (it titles reports), the others in
 * order of address.
 *
 * Context: listener.
 */
#ifndef PROTO_MAPPINGS_H
#define PROTO_MAPPINGS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"
#include "sampler/base/arena.h"
#include "sampler/process/maps.h"
#include "sampler/process/modules.h"

struct mapping_table {
	struct arena *arena;
	struct message_mapping *mapping;
	size_t count;
	size_t room;
	size_t first_movable; /* 1 once the main executable has its place, else 0 */
};

/*
 * Makes the table with the main executable's largest range in it, whether it
 * holds a location or not.  Returns 0, or -1 when memory ran out.
 */
int mapping_table_init(struct mapping_table *t, struct arena *a);

/*
 * The mapping of the module's range that holds `pc`, added if it is new.
 * Returns 0, or -1 when memory ran out.  Code in no range has MESSAGE_NONE.
 */
int mapping_table_module(struct mapping_table *t, const struct module *m, uint64_t pc,
			 uint32_t *index);

/* The same for a range that belongs to no module. */
int mapping_table_range(struct mapping_table *t, const struct maps_range *r, uint32_t *index);

/*
 * Puts the mappings in order, moves the locations' indexes with them, and sets
 * the flags that say what every line of a mapping carries.  Returns 0, or -1
 * when memory ran out.
 */
int mapping_table_finish(struct mapping_table *t, struct message_location *location, size_t count,
			 const struct message_function *function);

#endif
