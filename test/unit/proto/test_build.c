/*
 * Builds profiles over a made-up world: modules and symbols are defined here,
 * so that every name and address is known.  Only what is mapped outside of
 * modules is real.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/build.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "test/unit/proto/decode.h"

#define ROOMY (256UL << 20)
/* Scrapers give up 3 s after the sampling ended; a second of that belongs to the rest. */
#define CLIENT_PATIENCE_NS (2 * NS_PER_SECOND)

/* ---- the world */

#define MAIN_SMALL 0x500000
#define MAIN_LARGE 0x400000
#define LIB	   0x7f0000000000
#define OLD	   0x7f1000000000 /* where one library went and another came */
#define FOREIGN	   0x10000	  /* nothing is mapped there */

enum { IN_MAIN, IN_LIB, IN_GONE, IN_CAME, MODULES };

static struct module world[MODULES];
static struct module_range ranges[MODULES][MODULE_RANGES_MAX];
static uint8_t build_ids[MODULES][2];
static size_t world_count = MODULES;
static bool lines_known, symbols_refused;

static void add_range(struct module *m, uint64_t start, uint64_t bytes, uint64_t offset)
{
	m->range[m->range_count++] = (struct module_range){ start, start + bytes, offset };
}

static void add_module(int i, const char *path, uint8_t build_id)
{
	struct module *m = &world[i];

	*m = (struct module){ .path = path,
			      .number = (uint32_t)i + 1,
			      .is_main = i == IN_MAIN,
			      .is_fixed = i <= IN_LIB,
			      .is_loaded = i != IN_GONE,
			      .range = ranges[i],
			      .build_id = build_ids[i],
			      .build_id_len = 2 };
	m->build_id[0] = build_id;
	m->build_id[1] = 0x0f;
}

/* main and lib stay; came is where gone was. */
static void setup(void)
{
	add_module(IN_MAIN, "/bin/server", 0xab);
	add_range(&world[IN_MAIN], MAIN_SMALL, 0x1000, 0x200000);
	add_range(&world[IN_MAIN], MAIN_LARGE, 0x80000, 0x1000);
	add_module(IN_LIB, "/lib/lib.so", 0x01);
	add_range(&world[IN_LIB], LIB, 0x10000000, 0x2000);
	add_module(IN_GONE, "/lib/plugin.so", 0x02);
	world[IN_GONE].bias = OLD;
	add_range(&world[IN_GONE], OLD, 0x2000, 0);
	add_module(IN_CAME, "/lib/plugin.so", 0x03);
	world[IN_CAME].bias = OLD;
	add_range(&world[IN_CAME], OLD, 0x2000, 0);
	world_count = MODULES;
	lines_known = symbols_refused = false;
}

size_t modules_count(void)
{
	return world_count;
}

const struct module *module_at(size_t i)
{
	return &world[i];
}

const struct module *module_main(void)
{
	return world_count ? &world[IN_MAIN] : NULL;
}

static bool holds(const struct module *m, uint64_t pc)
{
	for (uint32_t i = 0; i < m->range_count; i++)
		if (pc >= m->range[i].start && pc < m->range[i].limit)
			return true;
	return false;
}

const struct module *module_find(uint64_t pc)
{
	for (size_t i = 0; i < world_count; i++)
		if (world[i].is_loaded && holds(&world[i], pc))
			return &world[i];
	return NULL;
}

const struct module *frame_module(uint64_t frame)
{
	const struct module *m = module_find(frame);

	if (frame_number(frame))
		return &world[frame_number(frame) - 1];
	return m && m->is_fixed ? m : NULL;
}

uint64_t frame_address(uint64_t frame)
{
	return frame_number(frame) ? OLD + (frame & 0xffff) : frame;
}

/* The frame at this address of a module that came or went. */
static uint64_t in(int i, uint64_t pc)
{
	return frame_in_module(world[i].number, OLD, pc);
}

/*
 * A function every 256 bytes, "fn_<its start>".  In lib.so those at odd
 * multiples have a call inlined, and with `lines_known` everything has lines.
 */
static int resolve(struct arena *a, const struct module *m, uint64_t pc, enum symbols_detail detail,
		   struct symbol *out)
{
	bool lines = lines_known && detail == SYMBOLS_LINES;
	uint32_t count = lines && m == &world[IN_LIB] && (pc & 0x100) ? 2 : 1;
	char buf[64];
	struct text name = TEXT_INIT(buf);

	text_str(&name, "fn_");
	text_hex(&name, pc & ~0xffUL);
	out->frame = arena_array(a, count, sizeof(*out->frame));
	out->frame_count = count;
	if (!out->frame)
		return -1;
	out->frame[count - 1].name = arena_strndup(a, buf, name.len);
	out->frame[count - 1].system_name = out->frame[count - 1].name;
	out->frame[count - 1].file = lines ? "/src/code.c" : "";
	out->frame[count - 1].line = lines ? 100 : 0;
	out->frame[count - 1].start_line = lines ? 90 : 0;
	if (count == 2)
		out->frame[0] = (struct symbol_frame){ "inl", "_Z3inlv", "/src/inl.h", 7, 5 };
	return out->frame[count - 1].name ? 0 : -1;
}

int symbols_resolve(struct arena *a, const struct module *m, const uint64_t *pc, size_t count,
		    enum symbols_detail detail, int64_t deadline_ns, struct symbol *out)
{
	bool sound = deadline_ns <= sys_now_ns() + CLIENT_PATIENCE_NS;

	for (size_t i = 0; i < count; i++) {
		sound &= (i == 0 || pc[i - 1] < pc[i]) && holds(m, pc[i]);
		if (resolve(a, m, pc[i], detail, &out[i]) != 0)
			return -1;
	}
	ck_assert_msg(sound, "addresses sorted, without repeats, in the module; a near deadline");
	return symbols_refused ? -1 : 0;
}

/* ---- one profile after the other */

static const char *const comments[] = { "hello" };

static const struct profile_head head = {
	.sample_type = { { "samples", "count" }, { "cpu", "nanoseconds" } },
	.sample_type_count = 2,
	.default_sample_type = "",
	.period_type = { "cpu", "nanoseconds" },
	.period = 10000000,
	.time_ns = 1700000000000000000,
	.duration_ns = 1000000000,
	.comment = comments,
	.comment_count = 1,
};

static struct arena arena = ARENA_INIT(ROOMY);
static struct stack_table table;

static void start(void)
{
	setup();
	stack_table_init(&table, ROOMY);
}

static void finish(void)
{
	stack_table_release(&table);
	arena_release(&arena);
}

static void add(const uint64_t *frame, uint32_t depth, int64_t samples)
{
	struct stack *s = stack_table_add(&table, frame, depth);

	ck_assert_ptr_nonnull(s);
	s->value[0] += samples;
	s->value[1] += samples * 10000000;
}

static void add_one(uint64_t frame)
{
	add(&frame, 1, 1);
}

static struct decoded built(enum symbols_detail detail)
{
	struct bytes out;
	struct decoded d;

	ck_assert_int_eq(build_profile(&arena, &table, &head, detail, &out), 0);
	d = decode_profile(gunzip(out));
	assert_decoded_is_sound(&d);
	return d;
}

static const char *line_name(const struct decoded *d, const struct decoded_location *l, size_t i)
{
	ck_assert_uint_lt(i, l->line_count);
	return decoded_string(d, d->function[l->line[i].function - 1].name);
}

/* The location at `address`, and that there is only one. */
static const struct decoded_location *at(const struct decoded *d, uint64_t address)
{
	const struct decoded_location *found = NULL;

	for (size_t i = 0; i < d->location_count; i++) {
		if (d->location[i].address != address)
			continue;
		ck_assert_ptr_null(found);
		found = &d->location[i];
	}
	ck_assert_msg(found, "a location at %lx", address);
	return found;
}

static const struct decoded_mapping *mapping_at(const struct decoded *d, uint64_t address)
{
	const struct decoded_location *l = at(d, address);

	ck_assert_uint_gt(l->mapping, 0);
	return &d->mapping[l->mapping - 1];
}

#define ASSERT_NAME(address, name) ck_assert_str_eq(line_name(&d, at(&d, address), 0), name)
#define ASSERT_FILE(m, name)	   ck_assert_str_eq(decoded_string(&d, (m)->file), name)

START_TEST(an_empty_profile_has_its_head_and_the_main_executable)
{
	struct decoded d = built(SYMBOLS_LINES);

	ck_assert_uint_eq(d.type_count, 2);
	ck_assert_str_eq(decoded_string(&d, d.type[1].type), "cpu");
	ck_assert_str_eq(decoded_string(&d, d.period_type.unit), "nanoseconds");
	ck_assert_int_eq(d.period, 10000000);
	ck_assert_int_eq(d.time_ns, 1700000000000000000);
	ck_assert_int_eq(d.duration_ns, 1000000000);
	ck_assert_str_eq(decoded_string(&d, d.comment[0]), "hello");
	ck_assert_uint_eq(d.sample_count, 0);
	ck_assert_uint_eq(d.mapping_count, 1);
	ASSERT_FILE(&d.mapping[0], "/bin/server");
	ck_assert_uint_eq(d.mapping[0].start, MAIN_LARGE);
	ck_assert_uint_eq(d.mapping[0].limit, MAIN_LARGE + 0x80000);
	ck_assert_uint_eq(d.mapping[0].offset, 0x1000);
	ck_assert_str_eq(decoded_string(&d, d.mapping[0].build_id), "ab0f");
}
END_TEST

START_TEST(a_stack_becomes_a_sample_of_named_locations)
{
	const uint64_t pc[] = { LIB + 0x210, MAIN_LARGE + 0x320 };
	struct decoded d;

	add(pc, 2, 3);
	d = built(SYMBOLS_LINES);
	ck_assert_uint_eq(d.sample_count, 1);
	ck_assert_uint_eq(d.sample[0].location_count, 2);
	ck_assert_int_eq(d.sample[0].value[0], 3);
	ck_assert_int_eq(d.sample[0].value[1], 30000000);
	for (size_t i = 0; i < 2; i++)
		ck_assert_uint_eq(d.location[d.sample[0].location[i] - 1].address, pc[i]);
	ASSERT_NAME(LIB + 0x210, "fn_7f0000000200");
	ASSERT_NAME(MAIN_LARGE + 0x320, "fn_400300");
}
END_TEST

START_TEST(stacks_of_zeros_are_left_out_with_their_addresses)
{
	const uint64_t pc[] = { LIB + 0x210 };
	struct decoded d;

	add_one(MAIN_LARGE);
	add(pc, 1, 0);
	d = built(SYMBOLS_LINES);
	ck_assert_uint_eq(d.sample_count, 1);
	ck_assert_uint_eq(d.location_count, 1);
	ck_assert_uint_eq(d.mapping_count, 1);
}
END_TEST

START_TEST(values_beyond_the_sample_types_do_not_count)
{
	struct decoded d;
	const uint64_t pc[] = { LIB };

	stack_table_add(&table, pc, 1)->value[2] = 1;
	d = built(SYMBOLS_LINES);
	ck_assert_uint_eq(d.sample_count, 0);
}
END_TEST

START_TEST(negative_values_are_kept)
{
	struct decoded d;
	const uint64_t pc[] = { LIB };

	add(pc, 1, -2);
	d = built(SYMBOLS_LINES);
	ck_assert_int_eq(d.sample[0].value[0], -2);
}
END_TEST

START_TEST(a_stack_without_frames_is_a_sample)
{
	struct decoded d;
	const uint64_t pc[] = { 0 };

	add(pc, 0, 1);
	d = built(SYMBOLS_LINES);
	ck_assert_uint_eq(d.sample_count, 1);
	ck_assert_uint_eq(d.sample[0].location_count, 0);
}
END_TEST

START_TEST(an_address_is_one_location_in_all_stacks)
{
	const uint64_t one[] = { LIB + 1, MAIN_LARGE }, two[] = { LIB + 2, MAIN_LARGE };
	struct decoded d;

	add(one, 2, 1);
	add(two, 2, 1);
	d = built(SYMBOLS_LINES);
	ck_assert_uint_eq(d.location_count, 3);
	ck_assert_uint_eq(d.sample[0].location[1], d.sample[1].location[1]);
	ck_assert_uint_eq(d.function_count, 2);
}
END_TEST

START_TEST(main_comes_first_and_the_rest_in_order_of_address)
{
	static const uint64_t starts[] = { MAIN_LARGE, MAIN_SMALL, LIB, OLD };
	struct decoded d;

	add_one(in(IN_CAME, OLD));
	add_one(LIB + 5);
	add_one(MAIN_SMALL + 5);
	d = built(SYMBOLS_LINES);
	ck_assert_uint_eq(d.mapping_count, 4);
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(d.mapping[i].start, starts[i]);
	ASSERT_FILE(mapping_at(&d, LIB + 5), "/lib/lib.so");
	ASSERT_FILE(mapping_at(&d, OLD), "/lib/plugin.so");
	ck_assert_uint_eq(mapping_at(&d, MAIN_SMALL + 5)->offset, 0x200000);
	ck_assert_str_eq(decoded_string(&d, mapping_at(&d, LIB + 5)->build_id), "010f");
}
END_TEST

START_TEST(main_comes_first_even_above_everything_else)
{
	struct decoded d;

	world[IN_MAIN].range_count = 0;
	add_range(&world[IN_MAIN], 0x7fff00000000, 0x1000, 0);
	add_one(LIB);
	d = built(SYMBOLS_LINES);
	ck_assert_uint_eq(d.mapping_count, 2);
	ASSERT_FILE(&d.mapping[0], "/bin/server");
}
END_TEST

START_TEST(without_any_module_all_is_unknown)
{
	struct decoded d;

	world_count = 0;
	add_one(FOREIGN);
	d = built(SYMBOLS_LINES);
	ck_assert_uint_eq(d.mapping_count, 1);
	ASSERT_NAME(FOREIGN, "[unknown]");
	ASSERT_FILE(&d.mapping[0], "[unmapped]");
}
END_TEST

START_TEST(flags_say_what_every_line_has)
{
	struct decoded d;

	add_one(LIB + 0x10);
	d = built(SYMBOLS_LINES);
	ck_assert(!d.mapping[0].has_functions);
	ck_assert(d.mapping[1].has_functions);
	ck_assert(!d.mapping[1].has_filenames);
	ck_assert(!d.mapping[1].has_line_numbers);
	ck_assert(!d.mapping[1].has_inline_frames);
	lines_known = true;
	d = built(SYMBOLS_LINES);
	ck_assert(d.mapping[1].has_functions);
	ck_assert(d.mapping[1].has_filenames);
	ck_assert(d.mapping[1].has_line_numbers);
	ck_assert(d.mapping[1].has_inline_frames);
	d = built(SYMBOLS_NAMES);
	ck_assert(!d.mapping[1].has_line_numbers);
}
END_TEST

START_TEST(inlined_calls_are_lines_of_one_location_innermost_first)
{
	const struct decoded_location *l;
	const struct decoded_function *f;
	struct decoded d;

	lines_known = true;
	add_one(LIB + 0x110);
	d = built(SYMBOLS_LINES);
	l = at(&d, LIB + 0x110);
	ck_assert_uint_eq(l->line_count, 2);
	ck_assert_str_eq(line_name(&d, l, 0), "inl");
	ck_assert_str_eq(line_name(&d, l, 1), "fn_7f0000000100");
	ck_assert_int_eq(l->line[0].line, 7);
	ck_assert_int_eq(l->line[1].line, 100);
	f = &d.function[l->line[0].function - 1];
	ck_assert_str_eq(decoded_string(&d, f->system_name), "_Z3inlv");
	ck_assert_str_eq(decoded_string(&d, f->file), "/src/inl.h");
	ck_assert_int_eq(f->start_line, 5);
}
END_TEST

START_TEST(pseudo_frames_have_names_and_different_addresses_and_a_mapping_of_their_own)
{
	const uint64_t cut[] = { LIB, PSEUDO_TRUNCATED };
	const struct decoded_mapping *m;
	struct decoded d;

	add(cut, 2, 1);
	for (uint64_t id = 1; id < PSEUDO_COUNT; id++)
		add_one(id);
	add_one(PSEUDO_LOST);
	d = built(SYMBOLS_LINES);
	ck_assert_uint_eq(d.location_count, PSEUDO_COUNT);
	ck_assert_uint_eq(d.mapping_count, 3);
	for (uint64_t id = 1; id < PSEUDO_COUNT; id++) {
		ASSERT_NAME(id, pseudo_frame_name(id));
		ck_assert_uint_eq(at(&d, id)->mapping, at(&d, PSEUDO_LOST)->mapping);
	}
	m = &d.mapping[at(&d, PSEUDO_LOST)->mapping - 1];
	ck_assert_str_eq(decoded_string(&d, m->file), "[no code]");
	ck_assert(m->start == 0 && m->limit >= PSEUDO_COUNT && m->has_functions);
}
END_TEST

START_TEST(a_call_is_where_the_function_is_that_was_called)
{
	struct decoded d;

	pseudo_frame_set_address(PSEUDO_CALL_sem_wait, LIB + 0x4400);
	pseudo_frame_set_address(PSEUDO_CALL_sem_timedwait, FOREIGN); /* no module has it now */
	add_one(PSEUDO_CALL_sem_wait);
	add_one(PSEUDO_CALL_sem_timedwait);
	d = built(SYMBOLS_LINES);
	pseudo_frame_set_address(PSEUDO_CALL_sem_wait, 0);
	pseudo_frame_set_address(PSEUDO_CALL_sem_timedwait, 0);
	ASSERT_NAME(LIB + 0x4400, "sem_wait");
	ck_assert_str_eq(decoded_string(&d, d.mapping[at(&d, LIB + 0x4400)->mapping - 1].file),
			 "/lib/lib.so");
	ASSERT_NAME(PSEUDO_CALL_sem_timedwait, "sem_timedwait");
}
END_TEST

START_TEST(what_is_mapped_no_more_has_a_mapping_for_each_page)
{
	struct decoded d;

	add_one(FOREIGN + 1);
	add_one(FOREIGN + 2);
	add_one(FOREIGN + 0x2000);
	d = built(SYMBOLS_LINES);
	ASSERT_NAME(FOREIGN + 1, "[unknown]");
	ck_assert_uint_eq(at(&d, FOREIGN + 1)->mapping, at(&d, FOREIGN + 2)->mapping);
	ck_assert_uint_ne(at(&d, FOREIGN + 1)->mapping, at(&d, FOREIGN + 0x2000)->mapping);
	for (size_t i = 0; i < d.location_count; i++) {
		const struct decoded_mapping *m = &d.mapping[d.location[i].mapping - 1];

		ck_assert(d.location[i].address >= m->start && d.location[i].address < m->limit);
	}
}
END_TEST

/* The same path, another build id. */
START_TEST(what_went_is_itself_beside_what_came_to_its_place)
{
	struct decoded d;

	add_one(in(IN_GONE, OLD + 0x10));
	add_one(in(IN_CAME, OLD + 0x10));
	add_one(in(IN_CAME, OLD + 0x20));
	d = built(SYMBOLS_LINES);
	ck_assert_uint_eq(d.sample_count, 3);
	ck_assert_uint_eq(d.location_count, 3);
	ck_assert_uint_eq(d.mapping_count, 3);
	ck_assert_uint_ne(d.location[0].mapping, d.location[1].mapping);
	ck_assert_uint_eq(d.location[1].mapping, d.location[2].mapping);
	ck_assert_uint_eq(d.location[0].address, OLD + 0x10);
	ck_assert_str_eq(decoded_string(&d, d.mapping[1].build_id), "020f");
	ck_assert_str_eq(decoded_string(&d, d.mapping[2].build_id), "030f");
}
END_TEST

/* Code that was made at run time, where a plugin lies now. */
START_TEST(an_address_is_not_taken_for_a_plugin_that_came_there)
{
	struct decoded d;

	add_one(OLD + 0x10);
	add_one(in(IN_CAME, OLD + 0x10));
	d = built(SYMBOLS_LINES);
	ck_assert_uint_eq(d.sample_count, 2);
	ck_assert_uint_ne(d.location[0].mapping, d.location[1].mapping);
	ASSERT_FILE(&d.mapping[d.location[0].mapping - 1], "[unmapped]");
	ASSERT_FILE(&d.mapping[d.location[1].mapping - 1], "/lib/plugin.so");
}
END_TEST

/* ---- code outside of modules, really mapped */

static uint64_t map_code(int fd, size_t pages, off_t offset)
{
	int flags = MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0);
	void *p = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_EXEC, flags, fd, offset);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return (uint64_t)p;
}

START_TEST(code_without_a_file_is_anon)
{
	uint64_t code = map_code(-1, 2, 0);
	struct decoded d;

	add_one(code + 0x10);
	add_one(code + PAGE_BYTES);
	d = built(SYMBOLS_LINES);
	ASSERT_NAME(code + 0x10, "[anon]");
	ASSERT_FILE(mapping_at(&d, code + 0x10), "[anon]");
	ck_assert_uint_eq(at(&d, code + 0x10)->mapping, at(&d, code + PAGE_BYTES)->mapping);
	ck_assert_uint_le(mapping_at(&d, code + 0x10)->start, code);
	ck_assert_uint_ge(mapping_at(&d, code + 0x10)->limit, code + 2 * PAGE_BYTES);
	ck_assert(mapping_at(&d, code + 0x10)->has_functions);
	ck_assert_uint_eq(d.function_count, 1);
}
END_TEST

START_TEST(code_in_a_memory_file_is_jit)
{
	int fd = memfd_create("code", 0);
	struct decoded d;
	uint64_t code;

	ck_assert_int_eq(ftruncate(fd, PAGE_BYTES), 0);
	code = map_code(fd, 1, 0);
	add_one(code);
	d = built(SYMBOLS_LINES);
	ASSERT_NAME(code, "[jit]");
	ASSERT_FILE(mapping_at(&d, code), "[jit]");
}
END_TEST

START_TEST(code_in_a_file_that_is_no_module_has_its_name)
{
	char path[] = "/tmp/test build XXXXXX";
	int fd = mkstemp(path);
	char expected[64];
	struct decoded d;
	uint64_t code;

	ck_assert_int_eq(ftruncate(fd, 2 * PAGE_BYTES), 0);
	code = map_code(fd, 1, PAGE_BYTES);
	ck_assert_int_eq(unlink(path), 0);
	add_one(code);
	d = built(SYMBOLS_LINES);
	snprintf(expected, sizeof(expected), "[%s]", path + 5);
	ASSERT_NAME(code, expected);
	ASSERT_FILE(mapping_at(&d, code), path);
	ck_assert_uint_eq(mapping_at(&d, code)->start, code);
	ck_assert_uint_eq(mapping_at(&d, code)->limit, code + PAGE_BYTES);
	ck_assert_uint_eq(mapping_at(&d, code)->offset, PAGE_BYTES);
}
END_TEST

START_TEST(memory_that_is_not_executable_and_none_at_all_are_unknown)
{
	static int variable;
	struct decoded d;

	add_one((uint64_t)&variable);
	add_one(FOREIGN);
	add_one(UINT64_MAX);
	d = built(SYMBOLS_LINES);
	ASSERT_NAME((uint64_t)&variable, "[unknown]");
	ASSERT_NAME(FOREIGN, "[unknown]");
	ASSERT_NAME(UINT64_MAX, "[unknown]");
	ck_assert_uint_eq(d.mapping_count, 4);
}
END_TEST

/* ---- memory and time */

/* Stacks like those of a server: 60 ways in, then branching towards 15,000 leaves. */
static void add_server_stacks(size_t count, uint32_t depth)
{
	uint64_t pc[STACK_DEPTH_MAX];
	uint32_t seed = 7;

	for (size_t i = 0; i < count; i++) {
		uint64_t path = i;

		for (uint32_t k = 0; k < depth; k++, path = k % 3 ? path : path / 2) {
			seed = seed * 1664525 + 1013904223;
			pc[k] = LIB + ((path * 31 + k * 65537) % 50000) * 0x90 + 0x10;
		}
		pc[0] += seed >> 29;
		add(pc, depth, 1);
	}
}

START_TEST(the_share_of_other_stacks_is_told)
{
	struct decoded d;

	add_one(MAIN_LARGE + 0x320);
	ck_assert_uint_eq(built(SYMBOLS_LINES).comment_count, 1);
	add((const uint64_t[]){ MAIN_LARGE + 0x420 }, 1, 998);
	add((const uint64_t[]){ PSEUDO_OTHER }, 1, 1);
	d = built(SYMBOLS_LINES);
	ck_assert_uint_eq(d.comment_count, 2);
	ck_assert_str_eq(decoded_string(&d, d.comment[1]),
			 "[other stacks] has 0.1 % of samples, 0.1 % of cpu: there was no room for "
			 "more stacks.");
}
END_TEST

START_TEST(whatever_the_memory_it_ends_cleanly)
{
	int failures = 0, done = -1;

	lines_known = true;
	add_server_stacks(1000, 40);
	add_one(map_code(-1, 1, 0));
	for (size_t limit = 0; done != 0; limit += MAX(16384UL, limit / 16)) {
		struct arena small = ARENA_INIT(limit);
		struct bytes out;

		ck_assert_uint_lt(limit, ROOMY);
		done = build_profile(&small, &table, &head, SYMBOLS_LINES, &out);
		failures += done != 0;
		ck_assert_uint_le(small.mapped, limit);
		arena_release(&small);
	}
	ck_assert_int_gt(failures, 20);
}
END_TEST

START_TEST(symbols_without_memory_end_the_build)
{
	struct bytes out;

	symbols_refused = true;
	add_one(LIB);
	ck_assert_int_eq(build_profile(&arena, &table, &head, SYMBOLS_LINES, &out), -1);
}
END_TEST

/* For people to read: a machine under test may be busy. */
START_TEST(the_largest_profile_is_built_in_a_moment)
{
	struct bytes out;
	struct decoded d;
	int64_t begin;

	lines_known = true;
	add_server_stacks(STACK_TABLE_MAX, 40);
	begin = sys_now_ns();
	ck_assert_int_eq(build_profile(&arena, &table, &head, SYMBOLS_LINES, &out), 0);
	printf("%d stacks of 40 frames: %.1f ms, %.2f MiB file, %.1f MiB of arena\n",
	       STACK_TABLE_MAX, (double)(sys_now_ns() - begin) / 1e6, (double)out.len / 1048576,
	       (double)arena.mapped / 1048576);
	d = decode_profile(gunzip(out));
	assert_decoded_is_sound(&d);
	printf("%zu samples, %zu locations, %zu functions\n", d.sample_count, d.location_count,
	       d.function_count);
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, an_empty_profile_has_its_head_and_the_main_executable);
	tcase_add_test(tc, a_stack_becomes_a_sample_of_named_locations);
	tcase_add_test(tc, stacks_of_zeros_are_left_out_with_their_addresses);
	tcase_add_test(tc, values_beyond_the_sample_types_do_not_count);
	tcase_add_test(tc, negative_values_are_kept);
	tcase_add_test(tc, a_stack_without_frames_is_a_sample);
	tcase_add_test(tc, an_address_is_one_location_in_all_stacks);
	tcase_add_test(tc, main_comes_first_and_the_rest_in_order_of_address);
	tcase_add_test(tc, main_comes_first_even_above_everything_else);
	tcase_add_test(tc, without_any_module_all_is_unknown);
	tcase_add_test(tc, flags_say_what_every_line_has);
	tcase_add_test(tc, inlined_calls_are_lines_of_one_location_innermost_first);
	tcase_add_test(tc,
		       pseudo_frames_have_names_and_different_addresses_and_a_mapping_of_their_own);
	tcase_add_test(tc, a_call_is_where_the_function_is_that_was_called);
	tcase_add_test(tc, what_is_mapped_no_more_has_a_mapping_for_each_page);
	tcase_add_test(tc, what_went_is_itself_beside_what_came_to_its_place);
	tcase_add_test(tc, an_address_is_not_taken_for_a_plugin_that_came_there);
	tcase_add_test(tc, code_without_a_file_is_anon);
	tcase_add_test(tc, code_in_a_memory_file_is_jit);
	tcase_add_test(tc, code_in_a_file_that_is_no_module_has_its_name);
	tcase_add_test(tc, memory_that_is_not_executable_and_none_at_all_are_unknown);
	tcase_add_test(tc, the_share_of_other_stacks_is_told);
	tcase_add_test(tc, whatever_the_memory_it_ends_cleanly);
	tcase_add_test(tc, symbols_without_memory_end_the_build);
	tcase_add_test(tc, the_largest_profile_is_built_in_a_moment);
}

int main(void)
{
	TCase *tc = tcase_create("build");
	Suite *suite = suite_create("build");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, start, finish);
	add_tests(tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
