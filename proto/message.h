/* proto: profiles as files and as text.  May include threads and below. */
/*
 * A profile in plain C, field for field the published profile.proto: what
 * build.c makes and encode.c writes.  All indexes are 0-based here; encode.c
 * gives out the ids 1..N in table order that strict readers demand.
 *
 * Strings are borrowed, valid UTF-8, never NULL ("" for none).
 */
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_VALUES_MAX 4 /* scrapers take no more sample types */
#define MESSAGE_NONE	   UINT32_MAX

struct message_value_type {
	const char *type;
	const char *unit;
};

struct message_mapping {
	uint64_t start, limit, offset;
	const char *file;
	const char *build_id; /* lowercase hex */
	bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct message_function {
	const char *name;
	const char *system_name;
	const char *file;
	int64_t start_line;
};

struct message_line {
	uint32_t function; /* index */
	int64_t line;
};

struct message_location {
	uint32_t mapping; /* index, or MESSAGE_NONE */
	uint64_t address;
	const struct message_line *line; /* innermost first */
	uint32_t line_count;
};

/* Either text (text != NULL) or a number. */
struct message_label {
	const char *key;
	const char *text;
	int64_t number;
	const char *number_unit; /* "" for none */
};

struct message_sample {
	const uint32_t *location; /* indexes, leaf first */
	uint32_t location_count;
	uint32_t label_count;
	int64_t value[MESSAGE_VALUES_MAX];
	const struct message_label *label;
};

struct message {
	struct message_value_type sample_type[MESSAGE_VALUES_MAX];
	size_t sample_type_count;
	const char *default_sample_type; /* "" for none */
	struct message_value_type period_type;
	int64_t period;
	int64_t time_ns;     /* since the epoch */
	int64_t duration_ns; /* 0 for snapshots */

	const struct message_mapping *mapping;
	size_t mapping_count;
	const struct message_function *function;
	size_t function_count;
	const struct message_location *location;
	size_t location_count;
	const struct message_sample *sample;
	size_t sample_count;
	const char *const *comment;
	size_t comment_count;
};

#endif
