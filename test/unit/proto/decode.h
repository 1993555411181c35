/*
 * Reads a profile back, for tests: written from the wire format alone, so that
 * it shares no mistake with the code that writes.  Memory is malloc'd and left
 * to the end of the test program.
 */
#ifndef TEST_DECODE_H
#define TEST_DECODE_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "proto/encode.h"

struct field {
	uint32_t number;
	uint32_t wire;
	uint64_t n;	  /* of a varint */
	struct bytes sub; /* of a length-delimited field */
};

struct decoded_type {
	uint64_t type, unit;
};

struct decoded_label {
	uint64_t key, str, num, num_unit;
};

struct decoded_sample {
	uint64_t *location;
	size_t location_count;
	int64_t *value;
	size_t value_count;
	struct decoded_label *label;
	size_t label_count;
};

struct decoded_mapping {
	uint64_t id, start, limit, offset, file, build_id;
	bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct decoded_line {
	uint64_t function;
	int64_t line;
};

struct decoded_location {
	uint64_t id, mapping, address;
	struct decoded_line *line;
	size_t line_count;
};

struct decoded_function {
	uint64_t id, name, system_name, file;
	int64_t start_line;
};

struct decoded {
	struct decoded_type *type;
	size_t type_count;
	struct decoded_sample *sample;
	size_t sample_count;
	struct decoded_mapping *mapping;
	size_t mapping_count;
	struct decoded_location *location;
	size_t location_count;
	struct decoded_function *function;
	size_t function_count;
	char **string;
	size_t string_count;
	uint64_t *comment;
	size_t comment_count;
	struct decoded_type period_type;
	int64_t period, time_ns, duration_ns;
	uint64_t default_sample_type;
};

/* Like ck_assert(), which writes to a pipe each time: too slow for every byte of a profile. */
#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition))                                                                  \
			ck_abort_msg("not so: %s", #condition);                                    \
	} while (0)

/* Zeroed memory for one item more than asked for; chained, so that it is not lost. */
static inline void *items(size_t count, size_t size)
{
	static struct kept {
		_Alignas(16) struct kept *older;
	} * newest;
	struct kept *k = calloc(1, sizeof(*k) + (count + 1) * size);

	REQUIRE(k != NULL);
	k->older = newest;
	newest = k;
	return k + 1;
}

static inline uint64_t decode_varint(struct bytes *in)
{
	uint64_t n = 0;

	for (unsigned shift = 0;; shift += 7) {
		uint8_t byte;

		REQUIRE(in->len > 0 && shift < 64);
		byte = *in->at++;
		in->len--;
		n |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return n;
	}
}

static inline bool next_field(struct bytes *in, struct field *f)
{
	uint64_t tag;

	if (!in->len)
		return false;
	tag = decode_varint(in);
	f->number = (uint32_t)(tag >> 3);
	f->wire = tag & 7;
	f->sub = (struct bytes){ 0 };
	f->n = decode_varint(in);
	if (f->wire == 0)
		return true;
	REQUIRE(f->wire == 2 && f->n <= in->len);
	f->sub = (struct bytes){ in->at, (size_t)f->n };
	in->at += f->n;
	in->len -= (size_t)f->n;
	return true;
}

static inline size_t count_fields(struct bytes in, uint32_t number)
{
	struct field f;
	size_t n = 0;

	while (next_field(&in, &f))
		n += f.number == number;
	return n;
}

/* All numbers of a packed field, or of one that is not. */
static inline uint64_t *decode_numbers(struct bytes in, uint32_t number, size_t *count)
{
	uint64_t *n = items(in.len, sizeof(*n));
	struct field f;

	*count = 0;
	while (next_field(&in, &f)) {
		if (f.number != number)
			continue;
		if (f.wire == 0)
			n[(*count)++] = f.n;
		else
			while (f.sub.len)
				n[(*count)++] = decode_varint(&f.sub);
	}
	return n;
}

static inline uint64_t decode_number(struct bytes in, uint32_t number)
{
	struct field f;
	uint64_t n = 0;

	while (next_field(&in, &f))
		if (f.number == number)
			n = f.n;
	return n;
}

static inline struct decoded_type decode_type(struct bytes in)
{
	return (struct decoded_type){ decode_number(in, 1), decode_number(in, 2) };
}

static inline struct decoded_label decode_label(struct bytes in)
{
	return (struct decoded_label){
		.key = decode_number(in, 1),
		.str = decode_number(in, 2),
		.num = decode_number(in, 3),
		.num_unit = decode_number(in, 4),
	};
}

static inline struct decoded_sample decode_sample(struct bytes in)
{
	struct decoded_sample s = { 0 };
	struct field f;

	s.location = decode_numbers(in, 1, &s.location_count);
	s.value = (int64_t *)decode_numbers(in, 2, &s.value_count);
	s.label = items(count_fields(in, 3), sizeof(*s.label));
	while (next_field(&in, &f))
		if (f.number == 3)
			s.label[s.label_count++] = decode_label(f.sub);
	return s;
}

static inline struct decoded_mapping decode_mapping(struct bytes in)
{
	return (struct decoded_mapping){
		.id = decode_number(in, 1),
		.start = decode_number(in, 2),
		.limit = decode_number(in, 3),
		.offset = decode_number(in, 4),
		.file = decode_number(in, 5),
		.build_id = decode_number(in, 6),
		.has_functions = decode_number(in, 7) == 1,
		.has_filenames = decode_number(in, 8) == 1,
		.has_line_numbers = decode_number(in, 9) == 1,
		.has_inline_frames = decode_number(in, 10) == 1,
	};
}

static inline struct decoded_location decode_location(struct bytes in)
{
	struct decoded_location l = {
		.id = decode_number(in, 1),
		.mapping = decode_number(in, 2),
		.address = decode_number(in, 3),
	};
	struct field f;

	l.line = items(count_fields(in, 4), sizeof(*l.line));
	while (next_field(&in, &f))
		if (f.number == 4)
			l.line[l.line_count++] =
				(struct decoded_line){ decode_number(f.sub, 1),
						       (int64_t)decode_number(f.sub, 2) };
	return l;
}

static inline struct decoded_function decode_function(struct bytes in)
{
	return (struct decoded_function){
		.id = decode_number(in, 1),
		.name = decode_number(in, 2),
		.system_name = decode_number(in, 3),
		.file = decode_number(in, 4),
		.start_line = (int64_t)decode_number(in, 5),
	};
}

static inline char *decode_string(struct bytes in)
{
	char *s = items(in.len, 1);

	memcpy(s, in.at, in.len);
	return s;
}

static inline void decode_table_entry(struct decoded *d, const struct field *f)
{
	if (f->number == 1)
		d->type[d->type_count++] = decode_type(f->sub);
	if (f->number == 2)
		d->sample[d->sample_count++] = decode_sample(f->sub);
	if (f->number == 3)
		d->mapping[d->mapping_count++] = decode_mapping(f->sub);
	if (f->number == 4)
		d->location[d->location_count++] = decode_location(f->sub);
	if (f->number == 5)
		d->function[d->function_count++] = decode_function(f->sub);
	if (f->number == 6)
		d->string[d->string_count++] = decode_string(f->sub);
	if (f->number == 11)
		d->period_type = decode_type(f->sub);
}

static inline struct decoded decode_profile(struct bytes in)
{
	struct decoded d = {
		.time_ns = (int64_t)decode_number(in, 9),
		.duration_ns = (int64_t)decode_number(in, 10),
		.period = (int64_t)decode_number(in, 12),
		.default_sample_type = decode_number(in, 14),
	};
	struct field f;

	d.type = items(count_fields(in, 1), sizeof(*d.type));
	d.sample = items(count_fields(in, 2), sizeof(*d.sample));
	d.mapping = items(count_fields(in, 3), sizeof(*d.mapping));
	d.location = items(count_fields(in, 4), sizeof(*d.location));
	d.function = items(count_fields(in, 5), sizeof(*d.function));
	d.string = items(count_fields(in, 6), sizeof(*d.string));
	d.comment = decode_numbers(in, 13, &d.comment_count);
	while (next_field(&in, &f))
		decode_table_entry(&d, &f);
	return d;
}

static inline const char *decoded_string(const struct decoded *d, uint64_t index)
{
	ck_assert_msg(index < d->string_count, "string %lu of %zu", index, d->string_count);
	return d->string[index];
}

/* What every strict reader demands of any profile. */
static inline void assert_decoded_is_sound(const struct decoded *d)
{
	REQUIRE(d->string_count > 0);
	ck_assert_str_eq(d->string[0], "");
	for (size_t i = 0; i < d->mapping_count; i++)
		REQUIRE(d->mapping[i].id == i + 1);
	for (size_t i = 0; i < d->function_count; i++)
		REQUIRE(d->function[i].id == i + 1);
	for (size_t i = 0; i < d->location_count; i++) {
		REQUIRE(d->location[i].id == i + 1);
		REQUIRE(d->location[i].mapping <= d->mapping_count);
		for (size_t k = 0; k < d->location[i].line_count; k++) {
			REQUIRE(d->location[i].line[k].function > 0);
			REQUIRE(d->location[i].line[k].function <= d->function_count);
		}
	}
	for (size_t i = 0; i < d->sample_count; i++) {
		REQUIRE(d->sample[i].value_count == d->type_count);
		for (size_t k = 0; k < d->sample[i].location_count; k++) {
			REQUIRE(d->sample[i].location[k] > 0);
			REQUIRE(d->sample[i].location[k] <= d->location_count);
		}
	}
}

/* The zlib that is linked in has our allocator below it, which a test has no use for. */
static inline void *zlib_alloc(void *unused, unsigned count, unsigned size)
{
	(void)unused;
	return calloc(count, size);
}

static inline void zlib_free(void *unused, void *p)
{
	(void)unused;
	free(p);
}

/* Un-gzips all of `in`, which must be exactly one member. */
static inline struct bytes gunzip(struct bytes in)
{
	size_t room = in.len * 1100 + 1024; /* deflate gains no more than 1032 to 1 */
	uint8_t *out = items(room, 1);
	z_stream z = { .zalloc = zlib_alloc, .zfree = zlib_free };

	ck_assert_int_eq(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)in.at;
	z.avail_in = (unsigned)in.len;
	z.next_out = out;
	z.avail_out = (unsigned)room;
	ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
	ck_assert_uint_eq(z.avail_in, 0);
	ck_assert_int_eq(inflateEnd(&z), Z_OK);
	return (struct bytes){ out, z.total_out };
}

#endif
