/*
 * Protobuf messages concatenate: the fields of two Profiles written one after
 * the other read as those of one.  So each mapping, location, function and
 * sample is packed as a Profile of its own that holds nothing else, from one
 * set of structs used again and again.  Memory is that of the string table and
 * of the result, whatever the profile's size.
 *
 * The same code runs twice: first to measure (and to collect the strings), then
 * to write into memory of exactly that size.
 */
#include "proto/encode.h"

#include <string.h>

#include "profile.pb-c.h"
#include "proto/strings.h"
#include "sampler/base/cc.h"

typedef Perftools__Profiles__Profile Profile;
typedef Perftools__Profiles__ValueType ValueType;
typedef Perftools__Profiles__Sample Sample;
typedef Perftools__Profiles__Label Label;
typedef Perftools__Profiles__Mapping Mapping;
typedef Perftools__Profiles__Location Location;
typedef Perftools__Profiles__Line Line;
typedef Perftools__Profiles__Function Function;

struct encoder {
	const struct message *m;
	struct strings strings;
	uint8_t *at; /* NULL while measuring */
	size_t len;

	/* Room for the largest sample and location of this message. */
	uint64_t *location_id;
	Label *label, **label_list;
	Line *line, **line_list;
	int64_t *comment;
};

static bool sample_is_sound(const struct message *m, const struct message_sample *s)
{
	for (uint32_t i = 0; i < s->location_count; i++)
		if (s->location[i] >= m->location_count)
			return false;
	return true;
}

static bool location_is_sound(const struct message *m, const struct message_location *l)
{
	if (l->mapping != MESSAGE_NONE && l->mapping >= m->mapping_count)
		return false;
	for (uint32_t i = 0; i < l->line_count; i++)
		if (l->line[i].function >= m->function_count)
			return false;
	return true;
}

/* Whether every index points somewhere. */
static bool message_is_sound(const struct message *m)
{
	for (size_t i = 0; i < m->sample_count; i++)
		if (!sample_is_sound(m, &m->sample[i]))
			return false;
	for (size_t i = 0; i < m->location_count; i++)
		if (!location_is_sound(m, &m->location[i]))
			return false;
	return m->sample_type_count <= MESSAGE_VALUES_MAX;
}

static bool room_for_labels(struct encoder *e, struct arena *a)
{
	size_t most = 0;

	for (size_t i = 0; i < e->m->sample_count; i++)
		most = MAX(most, e->m->sample[i].label_count);
	e->label = arena_array(a, most, sizeof(*e->label));
	e->label_list = arena_array(a, most, sizeof(*e->label_list));
	if (!e->label || !e->label_list)
		return false;
	for (size_t i = 0; i < most; i++) {
		perftools__profiles__label__init(&e->label[i]);
		e->label_list[i] = &e->label[i];
	}
	return true;
}

static bool room_for_lines(struct encoder *e, struct arena *a)
{
	size_t most = 0;

	for (size_t i = 0; i < e->m->location_count; i++)
		most = MAX(most, e->m->location[i].line_count);
	e->line = arena_array(a, most, sizeof(*e->line));
	e->line_list = arena_array(a, most, sizeof(*e->line_list));
	if (!e->line || !e->line_list)
		return false;
	for (size_t i = 0; i < most; i++) {
		perftools__profiles__line__init(&e->line[i]);
		e->line_list[i] = &e->line[i];
	}
	return true;
}

static bool make_room(struct encoder *e, struct arena *a)
{
	size_t deepest = 0;

	for (size_t i = 0; i < e->m->sample_count; i++)
		deepest = MAX(deepest, e->m->sample[i].location_count);
	e->location_id = arena_array(a, deepest, sizeof(*e->location_id));
	e->comment = arena_array(a, e->m->comment_count, sizeof(*e->comment));
	return e->location_id && e->comment && room_for_labels(e, a) && room_for_lines(e, a);
}

static void put_piece(struct encoder *e, const Profile *piece)
{
	if (e->at)
		e->len += perftools__profiles__profile__pack(piece, e->at + e->len);
	else
		e->len += perftools__profiles__profile__get_packed_size(piece);
}

static int64_t string(struct encoder *e, const char *text)
{
	return strings_index(&e->strings, text);
}

static ValueType value_type(struct encoder *e, const struct message_value_type *from)
{
	ValueType to = PERFTOOLS__PROFILES__VALUE_TYPE__INIT;

	to.type = string(e, from->type);
	to.unit = string(e, from->unit);
	return to;
}

static void put_sample_types(struct encoder *e)
{
	ValueType type[MESSAGE_VALUES_MAX], *list[MESSAGE_VALUES_MAX];
	Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;

	for (size_t i = 0; i < e->m->sample_type_count; i++) {
		type[i] = value_type(e, &e->m->sample_type[i]);
		list[i] = &type[i];
	}
	piece.n_sample_type = e->m->sample_type_count;
	piece.sample_type = list;
	put_piece(e, &piece);
}

static void put_head(struct encoder *e)
{
	ValueType period_type = value_type(e, &e->m->period_type);
	Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;

	for (size_t i = 0; i < e->m->comment_count; i++)
		e->comment[i] = string(e, e->m->comment[i]);
	piece.n_comment = e->m->comment_count;
	piece.comment = e->comment;
	piece.period_type = &period_type;
	piece.period = e->m->period;
	piece.time_nanos = e->m->time_ns;
	piece.duration_nanos = e->m->duration_ns;
	piece.default_sample_type = string(e, e->m->default_sample_type);
	put_piece(e, &piece);
}

static void put_mapping(struct encoder *e, size_t i)
{
	const struct message_mapping *from = &e->m->mapping[i];
	Mapping to = PERFTOOLS__PROFILES__MAPPING__INIT, *list = &to;
	Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;

	to.id = i + 1;
	to.memory_start = from->start;
	to.memory_limit = from->limit;
	to.file_offset = from->offset;
	to.filename = string(e, from->file);
	to.build_id = string(e, from->build_id);
	to.has_functions = from->has_functions;
	to.has_filenames = from->has_filenames;
	to.has_line_numbers = from->has_line_numbers;
	to.has_inline_frames = from->has_inline_frames;
	piece.n_mapping = 1;
	piece.mapping = &list;
	put_piece(e, &piece);
}

static void put_function(struct encoder *e, size_t i)
{
	const struct message_function *from = &e->m->function[i];
	Function to = PERFTOOLS__PROFILES__FUNCTION__INIT, *list = &to;
	Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;

	to.id = i + 1;
	to.name = string(e, from->name);
	to.system_name = string(e, from->system_name);
	to.filename = string(e, from->file);
	to.start_line = from->start_line;
	piece.n_function = 1;
	piece.function = &list;
	put_piece(e, &piece);
}

static void put_location(struct encoder *e, size_t i)
{
	const struct message_location *from = &e->m->location[i];
	Location to = PERFTOOLS__PROFILES__LOCATION__INIT, *list = &to;
	Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;

	for (uint32_t k = 0; k < from->line_count; k++) {
		e->line[k].function_id = (uint64_t)from->line[k].function + 1;
		e->line[k].line = from->line[k].line;
	}
	to.id = i + 1;
	to.mapping_id = from->mapping == MESSAGE_NONE ? 0 : (uint64_t)from->mapping + 1;
	to.address = from->address;
	to.n_line = from->line_count;
	to.line = e->line_list;
	piece.n_location = 1;
	piece.location = &list;
	put_piece(e, &piece);
}

static void fill_label(struct encoder *e, Label *to, const struct message_label *from)
{
	to->key = string(e, from->key);
	to->str = from->text ? string(e, from->text) : 0;
	to->num = from->text ? 0 : from->number;
	to->num_unit = from->text ? 0 : string(e, from->number_unit);
}

static void put_sample(struct encoder *e, size_t i)
{
	const struct message_sample *from = &e->m->sample[i];
	Sample to = PERFTOOLS__PROFILES__SAMPLE__INIT, *list = &to;
	Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;
	int64_t value[MESSAGE_VALUES_MAX];

	for (uint32_t k = 0; k < from->location_count; k++)
		e->location_id[k] = (uint64_t)from->location[k] + 1;
	for (uint32_t k = 0; k < from->label_count; k++)
		fill_label(e, &e->label[k], &from->label[k]);
	memcpy(value, from->value, sizeof(value));
	to.n_location_id = from->location_count;
	to.location_id = e->location_id;
	to.n_value = e->m->sample_type_count;
	to.value = value;
	to.n_label = from->label_count;
	to.label = e->label_list;
	piece.n_sample = 1;
	piece.sample = &list;
	put_piece(e, &piece);
}

static void put_strings(struct encoder *e)
{
	Profile piece = PERFTOOLS__PROFILES__PROFILE__INIT;

	piece.n_string_table = e->strings.table_count;
	piece.string_table = e->strings.table;
	put_piece(e, &piece);
}

/* Strings come last, when all are known. */
static void put_message(struct encoder *e)
{
	put_sample_types(e);
	put_head(e);
	for (size_t i = 0; i < e->m->mapping_count; i++)
		put_mapping(e, i);
	for (size_t i = 0; i < e->m->sample_count; i++)
		put_sample(e, i);
	for (size_t i = 0; i < e->m->location_count; i++)
		put_location(e, i);
	for (size_t i = 0; i < e->m->function_count; i++)
		put_function(e, i);
	put_strings(e);
}

int encode_message(struct arena *a, const struct message *m, struct bytes *out)
{
	struct encoder e = { .m = m };

	if (!message_is_sound(m) || !make_room(&e, a))
		return -1;
	strings_init(&e.strings, a);
	if (e.strings.failed)
		return -1;
	put_message(&e);
	e.at = e.strings.failed ? NULL : arena_alloc(a, e.len);
	if (!e.at)
		return -1;
	e.len = 0;
	put_message(&e);
	*out = (struct bytes){ e.at, e.len };
	return 0;
}
