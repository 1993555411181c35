/*
 * Debug information byte by byte: numbers, forms, abbreviations, ranges and
 * line programs put together by hand, and cut off everywhere.
 */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/sys.h"
#include "sampler/symbols/dwarf_codes.h"
#include "sampler/symbols/dwarf_line.h"
#include "sampler/symbols/dwarf_range.h"
#include "sampler/symbols/dwarf_unit.h"

static struct arena arena;
static struct dwarf dwarf;
static struct dwarf_effort effort;
static const struct elf_reader no_file = { .fd = -1 };

static void setup(void)
{
	arena = (struct arena)ARENA_INIT(16 << 20);
	memset(&dwarf, 0, sizeof(dwarf));
	effort = (struct dwarf_effort){ .deadline_ns = INT64_MAX };
	dwarf.effort = &effort;
	dwarf.window = arena_alloc(&arena, DWARF_WINDOW_BYTES);
}

static void teardown(void)
{
	arena_release(&arena);
}

/* ---- putting sections together */

struct bytes {
	uint8_t at[4096];
	size_t len;
};

static void put(struct bytes *b, uint64_t n, size_t size)
{
	memcpy(b->at + b->len, &n, size);
	b->len += size;
}

static void put_all(struct bytes *b, const uint8_t *from, size_t len)
{
	memcpy(b->at + b->len, from, len);
	b->len += len;
}

#define PUT(b, ...)                                                                                \
	put_all((b), (const uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }))

static void put_text(struct bytes *b, const char *s)
{
	put_all(b, (const uint8_t *)s, strlen(s) + 1);
}

/* Writes at `at` how many bytes follow behind that length. */
static void put_length_at(struct bytes *b, size_t at)
{
	uint32_t length = (uint32_t)(b->len - at - 4);

	memcpy(b->at + at, &length, 4);
}

static void use(enum dwarf_section_id id, const uint8_t *bytes, size_t len)
{
	dwarf.section[id] = (struct dwarf_section){ .in = &no_file, .size = len, .bytes = bytes };
}

/* ---- numbers */

static struct dwarf_cursor cursor_of(const void *bytes, size_t len)
{
	return (struct dwarf_cursor){ .at = bytes, .end = (const uint8_t *)bytes + len };
}

START_TEST(test_cursor__numbers_of_variable_length)
{
	struct dwarf_cursor c = cursor_of("\x02\x7f\x80\x01\xff\x7f\x40\xff\x00\x80\x7f", 11);

	ck_assert_uint_eq(dwarf_uleb(&c), 2);
	ck_assert_uint_eq(dwarf_uleb(&c), 127);
	ck_assert_uint_eq(dwarf_uleb(&c), 128);
	ck_assert_int_eq(dwarf_sleb(&c), -1);
	ck_assert_int_eq(dwarf_sleb(&c), -64);
	ck_assert_int_eq(dwarf_sleb(&c), 127);
	ck_assert_int_eq(dwarf_sleb(&c), -128);
	ck_assert(!c.bad);
	ck_assert_uint_eq(dwarf_uleb(&c), 0);
	ck_assert(c.bad);
}
END_TEST

START_TEST(test_cursor__long_numbers_keep_64_bits)
{
	struct dwarf_cursor c = cursor_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
					  "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
					  23);

	ck_assert_uint_eq(dwarf_uleb(&c), UINT64_MAX);
	ck_assert_uint_eq(dwarf_uleb(&c), 0);
	ck_assert(!c.bad);
}
END_TEST

START_TEST(test_cursor__a_bad_cursor_stays_bad_and_yields_nothing)
{
	struct dwarf_cursor c = cursor_of("\x01\x02\x03", 3);

	ck_assert_uint_eq(dwarf_fixed(&c, 4), 0);
	ck_assert(c.bad);
	ck_assert_uint_eq(dwarf_u8(&c), 0);
	c = cursor_of("abc", 3);
	ck_assert_str_eq(dwarf_string_here(&c), "");
	ck_assert(c.bad);
	c = cursor_of("abc", 4);
	ck_assert_ptr_null(dwarf_skip(&c, UINT64_MAX));
}
END_TEST

/* ---- forms */

static const struct {
	uint16_t form;
	const char *bytes;
	size_t len;
	enum dwarf_class class;
	uint64_t n;
} forms[] = {
	{ FORM_ADDR, "\1\0\0\0\0\0\0\x80", 8, DWARF_ADDRESS, 0x8000000000000001 },
	{ FORM_DATA1, "\xff", 1, DWARF_NUMBER, 255 },
	{ FORM_DATA2, "\1\2", 2, DWARF_NUMBER, 0x201 },
	{ FORM_DATA4, "\1\2\3\4", 4, DWARF_NUMBER, 0x4030201 },
	{ FORM_DATA8, "\1\0\0\0\0\0\0\1", 8, DWARF_NUMBER, 0x100000000000001 },
	{ FORM_DATA16, "0123456789abcdef", 16, DWARF_ABSENT, 0 },
	{ FORM_UDATA, "\x80\x01", 2, DWARF_NUMBER, 128 },
	{ FORM_SDATA, "\x7f", 1, DWARF_NUMBER, UINT64_MAX },
	{ FORM_FLAG, "\1", 1, DWARF_NUMBER, 1 },
	{ FORM_FLAG_PRESENT, "", 0, DWARF_ABSENT, 0 },
	{ FORM_IMPLICIT_CONST, "", 0, DWARF_NUMBER, 42 },
	{ FORM_STRING, "ab", 3, DWARF_TEXT, 0 },
	{ FORM_STRP, "\5\0\0\0", 4, DWARF_TEXT_AT, 5 },
	{ FORM_LINE_STRP, "\5\0\0\0", 4, DWARF_LINE_TEXT_AT, 5 },
	{ FORM_STRX, "\5", 1, DWARF_TEXT_INDEX, 5 },
	{ FORM_STRX3, "\5\0\1", 3, DWARF_TEXT_INDEX, 0x10005 },
	{ FORM_ADDRX, "\5", 1, DWARF_ADDRESS_INDEX, 5 },
	{ FORM_ADDRX4, "\5\0\0\1", 4, DWARF_ADDRESS_INDEX, 0x1000005 },
	{ FORM_REF4, "\5\0\0\0", 4, DWARF_UNIT_REFERENCE, 5 },
	{ FORM_REF_UDATA, "\5", 1, DWARF_UNIT_REFERENCE, 5 },
	{ FORM_REF_ADDR, "\5\0\0\0", 4, DWARF_REFERENCE, 5 },
	{ FORM_REF_SIG8, "01234567", 8, DWARF_ABSENT, 0x3736353433323130 },
	{ FORM_SEC_OFFSET, "\5\0\0\0", 4, DWARF_OFFSET, 5 },
	{ FORM_RNGLISTX, "\5", 1, DWARF_LIST_INDEX, 5 },
	{ FORM_LOCLISTX, "\5", 1, DWARF_ABSENT, 5 },
	{ FORM_GNU_REF_ALT, "\5\0\0\0", 4, DWARF_SHARED_REFERENCE, 5 },
	{ FORM_GNU_STRP_ALT, "\5\0\0\0", 4, DWARF_SHARED_TEXT_AT, 5 },
	{ FORM_BLOCK, "\2ab", 3, DWARF_ABSENT, 0 },
	{ FORM_BLOCK1, "\2ab", 3, DWARF_ABSENT, 0 },
	{ FORM_BLOCK2, "\2\0ab", 4, DWARF_ABSENT, 0 },
	{ FORM_BLOCK4, "\2\0\0\0ab", 6, DWARF_ABSENT, 0 },
	{ FORM_EXPRLOC, "\0", 1, DWARF_ABSENT, 0 },
};

static const struct dwarf_encoding modern = { .version = 5, .address_size = 8, .offset_size = 4 };

START_TEST(test_form__each_takes_its_bytes)
{
	struct dwarf_cursor c = cursor_of(forms[_i].bytes, forms[_i].len);
	struct dwarf_value v;

	dwarf_form_read(&c, forms[_i].form, 42, &modern, &v);
	ck_assert(!c.bad);
	ck_assert_ptr_eq(c.at, c.end);
	ck_assert_int_eq(v.class, forms[_i].class);
	ck_assert_uint_eq(v.n, forms[_i].n);
	for (size_t len = 0; len < forms[_i].len; len++) {
		c = cursor_of(forms[_i].bytes, len);
		dwarf_form_read(&c, forms[_i].form, 42, &modern, &v);
		ck_assert_msg(c.bad && v.class == DWARF_ABSENT, "a value cut off is none");
	}
}
END_TEST

START_TEST(test_form__the_unknown_ends_the_reading)
{
	struct dwarf_cursor c = cursor_of("01234567", 8);
	struct dwarf_value v;

	dwarf_form_read(&c, 0x7777, 0, &modern, &v);
	ck_assert(c.bad);
	c = cursor_of("\x16\x16\x16\x16\x16\x16\x16\x16", 8);
	dwarf_form_read(&c, FORM_INDIRECT, 0, &modern, &v);
	ck_assert_msg(c.bad, "a form that only leads to itself");
	c = cursor_of("\x0b\x07", 2);
	dwarf_form_read(&c, FORM_INDIRECT, 0, &modern, &v);
	ck_assert_uint_eq(v.n, 7);
}
END_TEST

/* ---- abbreviations */

START_TEST(test_abbrev__a_table_is_read_and_its_sizes_known)
{
	struct bytes b = { 0 };
	struct dwarf_abbrevs t;

	PUT(&b, 1, TAG_COMPILE_UNIT, 1, AT_NAME, FORM_STRP, AT_LOW_PC, FORM_ADDR, 0, 0);
	PUT(&b, 3, TAG_SUBPROGRAM, 0, AT_NAME, FORM_STRING, AT_DECL_LINE, FORM_IMPLICIT_CONST, 9, 0,
	    0, 0);
	use(DWARF_ABBREV, b.at, b.len);
	ck_assert(dwarf_abbrevs_read(&t, &arena, &dwarf.section[DWARF_ABBREV], 0, &modern));
	ck_assert_uint_eq(dwarf_abbrev(&t, 1)->size, 12);
	ck_assert(dwarf_abbrev(&t, 1)->has_children);
	ck_assert_uint_eq(dwarf_abbrev(&t, 3)->size, DWARF_SIZE_VARIES);
	ck_assert_int_eq(t.spec[dwarf_abbrev(&t, 3)->first + 1].implicit, 9);
	ck_assert_ptr_null(dwarf_abbrev(&t, 0));
	ck_assert_ptr_null(dwarf_abbrev(&t, 2));
	ck_assert_ptr_null(dwarf_abbrev(&t, UINT64_MAX));
	for (size_t len = 0; len < b.len - 1; len++) {
		use(DWARF_ABBREV, b.at, len);
		dwarf_abbrevs_read(&t, &arena, &dwarf.section[DWARF_ABBREV], 0, &modern);
	}
}
END_TEST

START_TEST(test_abbrev__codes_beyond_reason_are_refused)
{
	struct bytes b = { 0 };
	struct dwarf_abbrevs t;

	PUT(&b, 0xff, 0xff, 0xff, 0xff, 0x0f, TAG_COMPILE_UNIT, 0, 0, 0, 0);
	use(DWARF_ABBREV, b.at, b.len);
	ck_assert(!dwarf_abbrevs_read(&t, &arena, &dwarf.section[DWARF_ABBREV], 0, &modern));
}
END_TEST

/* ---- units */

START_TEST(test_unit__headers_of_all_versions_are_read_and_cut_ones_refused)
{
	static const uint8_t v4[] = { 12, 0, 0, 0, 4, 0, 7, 0, 0, 0, 8, 1, 0, 0, 0, 0 };
	static const uint8_t v5[] = { 12, 0, 0, 0, 5, 0, UNIT_COMPILE, 8, 7, 0, 0, 0, 1, 0, 0, 0 };
	static const uint8_t wide[] = { 255, 255, 255, 255, 12, 0, 0, 0, 0, 0, 0, 0,
					4,   0,	  7,   0,   0,	0, 0, 0, 0, 0, 8, 1 };
	struct dwarf_unit u;

	use(DWARF_INFO, v4, sizeof(v4));
	ck_assert(dwarf_unit_header(&u, &dwarf, 0));
	ck_assert_uint_eq(u.first, 11);
	ck_assert_uint_eq(u.end, 16);
	ck_assert_uint_eq(u.abbrev_offset, 7);
	use(DWARF_INFO, v5, sizeof(v5));
	ck_assert(dwarf_unit_header(&u, &dwarf, 0));
	ck_assert_uint_eq(u.first, 12);
	use(DWARF_INFO, wide, sizeof(wide));
	ck_assert(dwarf_unit_header(&u, &dwarf, 0));
	ck_assert_uint_eq(u.enc.offset_size, 8);
	ck_assert_uint_eq(u.first, 23);
	for (size_t len = 0; len < sizeof(v5); len++) {
		use(DWARF_INFO, v5, len);
		ck_assert(!dwarf_unit_header(&u, &dwarf, 0));
	}
	ck_assert(!dwarf_unit_header(&u, &dwarf, UINT64_MAX));
}
END_TEST

/* ---- ranges */

struct ranges {
	uint64_t start[16], limit[16];
	size_t count;
};

static void take_range(void *opaque, uint64_t start, uint64_t limit)
{
	struct ranges *r = opaque;

	ck_assert_uint_lt(r->count, 16);
	r->start[r->count] = start;
	r->limit[r->count++] = limit;
}

static void check_range(const struct ranges *r, size_t i, uint64_t start, uint64_t limit)
{
	ck_assert_uint_lt(i, r->count);
	ck_assert_uint_eq(r->start[i], start);
	ck_assert_uint_eq(r->limit[i], limit);
}

static struct dwarf_unit unit_of_version(uint16_t version)
{
	return (struct dwarf_unit){
		.d = &dwarf,
		.enc = { .version = version, .address_size = 8, .offset_size = 4 },
		.low_pc = 0x1000,
		.line_offset = 0
	};
}

START_TEST(test_ranges__old_lists)
{
	struct dwarf_unit u = unit_of_version(4);
	struct dwarf_entry e = { .slot[SLOT_RANGES] = { .class = DWARF_OFFSET } };
	struct bytes b = { 0 };
	struct ranges r = { 0 };

	put(&b, 0x10, 8), put(&b, 0x20, 8);
	put(&b, UINT64_MAX, 8), put(&b, 0x5000, 8);
	put(&b, 0x30, 8), put(&b, 0x30, 8);
	put(&b, 0x40, 8), put(&b, 0x48, 8);
	put(&b, 0, 8), put(&b, 0, 8);
	put(&b, 1, 8), put(&b, 2, 8);
	use(DWARF_RANGES, b.at, b.len);
	dwarf_ranges(&u, &e, take_range, &r);
	ck_assert_uint_eq(r.count, 2);
	check_range(&r, 0, 0x1010, 0x1020);
	check_range(&r, 1, 0x5040, 0x5048);
}
END_TEST

START_TEST(test_ranges__new_lists)
{
	struct dwarf_unit u = unit_of_version(5);
	struct dwarf_entry e = { .slot[SLOT_RANGES] = { .class = DWARF_OFFSET } };
	struct bytes b = { 0 }, addresses = { 0 };
	struct ranges r = { 0 };

	put(&addresses, 0x7000, 8), put(&addresses, 0x7100, 8);
	use(DWARF_ADDR, addresses.at, addresses.len);
	PUT(&b, RANGE_OFFSET_PAIR, 0x10, 0x20);
	PUT(&b, RANGE_BASE_ADDRESSX, 0, RANGE_OFFSET_PAIR, 1, 2);
	PUT(&b, RANGE_STARTX_ENDX, 0, 1, RANGE_STARTX_LENGTH, 1, 8);
	PUT(&b, RANGE_START_LENGTH), put(&b, 0x9000, 8), PUT(&b, 4);
	PUT(&b, RANGE_START_END), put(&b, 0, 8), put(&b, 5, 8);
	PUT(&b, RANGE_BASE_ADDRESS), put(&b, 0x100, 8), PUT(&b, RANGE_OFFSET_PAIR, 0, 1);
	PUT(&b, RANGE_END, RANGE_OFFSET_PAIR, 1, 2);
	use(DWARF_RNGLISTS, b.at, b.len);
	dwarf_ranges(&u, &e, take_range, &r);
	ck_assert_uint_eq(r.count, 6);
	check_range(&r, 0, 0x1010, 0x1020);
	check_range(&r, 1, 0x7001, 0x7002);
	check_range(&r, 2, 0x7000, 0x7100);
	check_range(&r, 3, 0x7100, 0x7108);
	check_range(&r, 4, 0x9000, 0x9004);
	check_range(&r, 5, 0x100, 0x101);
}
END_TEST

START_TEST(test_ranges__the_end_is_an_address_or_a_distance)
{
	struct dwarf_unit u = unit_of_version(4);
	struct dwarf_entry e = { .slot = { [SLOT_LOW_PC] = { .class = DWARF_ADDRESS, .n = 0x10 },
					   [SLOT_HIGH_PC] = { .class = DWARF_NUMBER, .n = 4 } } };
	struct ranges r = { 0 };

	dwarf_ranges(&u, &e, take_range, &r);
	e.slot[SLOT_HIGH_PC] = (struct dwarf_value){ .class = DWARF_ADDRESS, .n = 0x18 };
	dwarf_ranges(&u, &e, take_range, &r);
	e.slot[SLOT_LOW_PC].n = 0;
	dwarf_ranges(&u, &e, take_range, &r);
	ck_assert_uint_eq(r.count, 2);
	check_range(&r, 0, 0x10, 0x14);
	check_range(&r, 1, 0x10, 0x18);
}
END_TEST

/* ---- lines */

/* A unit whose first entry says where the compiler ran. */
static struct dwarf_unit unit_in(const char *directory)
{
	static struct bytes info, abbrev;
	struct dwarf_unit u;

	info.len = abbrev.len = 0;
	PUT(&abbrev, 1, TAG_COMPILE_UNIT, 0, AT_COMP_DIR, FORM_STRING, AT_STMT_LIST,
	    FORM_SEC_OFFSET, 0, 0, 0);
	PUT(&info, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8, 1);
	put_text(&info, directory);
	put(&info, 0, 4);
	put_length_at(&info, 0);
	use(DWARF_INFO, info.at, info.len);
	use(DWARF_ABBREV, abbrev.at, abbrev.len);
	ck_assert(dwarf_unit_header(&u, &dwarf, 0));
	return u;
}

static struct dwarf_unit open_unit(const char *directory)
{
	struct dwarf_unit u = unit_in(directory);
	struct dwarf_entry root;

	ck_assert(dwarf_unit_root(&u, &root));
	return u;
}

/* Head of a table: lines move by -5 to +8 a special opcode, which begin at 13. */
static void put_parameters(struct bytes *b, bool has_operations)
{
	PUT(b, 1);
	if (has_operations)
		PUT(b, 1);
	PUT(b, 1, (uint8_t)-5, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1);
}

static void put_program(struct bytes *b)
{
	PUT(b, 0, 9, LINE_SET_ADDRESS), put(b, 0x1000, 8);
	PUT(b, LINE_ADVANCE_LINE, 9, LINE_COPY);	    /* 0x1000: line 10 */
	PUT(b, 13 + 14 * 4 + 5 + 2);			    /* 0x1004: line 12 */
	PUT(b, LINE_SET_FILE, 2, LINE_ADVANCE_PC, 0x80, 2); /* skips 256 */
	PUT(b, LINE_COPY);				    /* 0x1104: line 12 of file 2 */
	PUT(b, LINE_FIXED_ADVANCE_PC, 0, 1);
	PUT(b, LINE_ADVANCE_LINE, 0x74, LINE_COPY); /* 0x1204: line 0 */
	PUT(b, LINE_CONST_ADD_PC);		    /* adds 17 */
	PUT(b, 0, 1, LINE_END_SEQUENCE);
}

static void put_old_table(struct bytes *b, uint16_t version)
{
	size_t header;

	PUT(b, 0, 0, 0, 0);
	put(b, version, 2);
	header = b->len;
	PUT(b, 0, 0, 0, 0);
	put_parameters(b, version >= 4);
	put_text(b, "include"), put_text(b, "/abs/./dir//"), put_text(b, "../up/x/..");
	PUT(b, 0);
	put_text(b, "main.c"), PUT(b, 0, 0, 0);
	put_text(b, "lib.h"), PUT(b, 1, 0, 0);
	put_text(b, "abs.h"), PUT(b, 2, 0, 0);
	put_text(b, "up.h"), PUT(b, 3, 0, 0);
	put_text(b, "/root/../../y.h"), PUT(b, 3, 0, 0);
	put_text(b, "lost.h"), PUT(b, 9, 0, 0);
	PUT(b, 0);
	put_length_at(b, header);
	put_program(b);
	put_length_at(b, 0);
}

static void put_new_table(struct bytes *b)
{
	PUT(b, 0, 0, 0, 0, 5, 0, 8, 0, 0, 0, 0, 0);
	put_parameters(b, true);
	PUT(b, 1, CONTENT_PATH, FORM_STRING, 2);
	put_text(b, "/home/me"), put_text(b, "include");
	PUT(b, 3, CONTENT_PATH, FORM_STRING, CONTENT_DIRECTORY_INDEX, FORM_UDATA, 5, FORM_DATA16,
	    3);
	for (uint8_t i = 0; i < 3; i++) {
		put_text(b, i == 2 ? "lib.h" : "main.c");
		PUT(b, i / 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	}
	put_length_at(b, 8);
	put_program(b);
	put_length_at(b, 0);
}

static const uint64_t addresses[] = { 0xfff,  0x1000, 0x1003, 0x1004, 0x1103,
				      0x1104, 0x1204, 0x1214, 0x1215 };
static const uint32_t lines[] = { 0, 10, 10, 12, 12, 12, 0, 0, 0 };
static const uint64_t files[] = { 0, 1, 1, 1, 1, 2, 2, 2, 0 };

static void check_rows(const struct dwarf_lines *t)
{
	struct dwarf_row row[9] = { 0 };

	ck_assert(dwarf_lines_run(t, &arena, addresses, 9, row));
	for (size_t i = 0; i < 9; i++) {
		ck_assert_int_eq(row[i].is_known, files[i] != 0);
		ck_assert_uint_eq(row[i].line, lines[i]);
		ck_assert_uint_eq(row[i].file, files[i]);
	}
}

START_TEST(test_lines__a_program_of_any_version_runs)
{
	struct dwarf_unit u = open_unit("/home/me");
	struct bytes b = { 0 };
	struct dwarf_lines t;

	if (_i < 5)
		put_old_table(&b, (uint16_t)_i);
	else
		put_new_table(&b);
	use(DWARF_LINE, b.at, b.len);
	ck_assert(dwarf_lines_open(&t, &u, &arena));
	check_rows(&t);
}
END_TEST

static void check_path(struct dwarf_lines *t, uint64_t file, const char *expected)
{
	struct intern strings = INTERN_INIT(&arena, &arena);

	ck_assert_str_eq(dwarf_line_path(t, &strings, file), expected);
}

START_TEST(test_lines__paths_are_absolute_and_plain)
{
	struct dwarf_unit u = open_unit("/home/me/./build");
	struct bytes b = { 0 };
	struct dwarf_lines t;

	put_old_table(&b, 4);
	use(DWARF_LINE, b.at, b.len);
	ck_assert(dwarf_lines_open(&t, &u, &arena));
	check_path(&t, 0, "");
	check_path(&t, 1, "/home/me/build/main.c");
	check_path(&t, 2, "/home/me/build/include/lib.h");
	check_path(&t, 3, "/abs/dir/abs.h");
	check_path(&t, 4, "/home/me/up/up.h");
	check_path(&t, 5, "/y.h");
	check_path(&t, 6, "/home/me/build/lost.h");
	check_path(&t, 7, "");
	check_path(&t, UINT64_MAX, "");
}
END_TEST

START_TEST(test_lines__paths_stay_relative_when_the_compiler_said_no_more)
{
	struct dwarf_unit u = open_unit("./src");
	struct bytes b = { 0 };
	struct dwarf_lines t;

	put_old_table(&b, 4);
	use(DWARF_LINE, b.at, b.len);
	ck_assert(dwarf_lines_open(&t, &u, &arena));
	check_path(&t, 1, "src/main.c");
	check_path(&t, 4, "up/up.h");
	u = open_unit("");
	ck_assert(dwarf_lines_open(&t, &u, &arena));
	check_path(&t, 1, "main.c");
	check_path(&t, 4, "../up/up.h");
}
END_TEST

START_TEST(test_lines__new_tables_count_from_zero)
{
	struct dwarf_unit u = open_unit("/home/me");
	struct bytes b = { 0 };
	struct dwarf_lines t;

	put_new_table(&b);
	use(DWARF_LINE, b.at, b.len);
	ck_assert(dwarf_lines_open(&t, &u, &arena));
	check_path(&t, 0, "/home/me/main.c");
	check_path(&t, 2, "/home/me/include/lib.h");
	check_path(&t, 3, "");
}
END_TEST

/* Every length, and every byte of the table with each of its bits turned. */
START_TEST(test_lines__damaged_tables_are_survived)
{
	struct dwarf_unit u = open_unit("/home/me");
	struct bytes b = { 0 }, damaged;
	struct dwarf_row row[9];
	struct dwarf_lines t;

	if (_i == 5)
		put_new_table(&b);
	else
		put_old_table(&b, 4);
	for (size_t i = 0; i < b.len * 9; i++) {
		damaged = b;
		if (i % 9 < 8)
			damaged.at[i / 9] ^= (uint8_t)(1 << i % 9);
		else
			damaged.len = i / 9;
		use(DWARF_LINE, damaged.at, damaged.len);
		memset(row, 0, sizeof(row));
		if (dwarf_lines_open(&t, &u, &arena))
			dwarf_lines_run(&t, &arena, addresses, 9, row);
		for (uint64_t file = 0; t.file_count < 100 && t.path && file <= t.file_count;
		     file++) {
			struct intern strings = INTERN_INIT(&arena, &arena);

			dwarf_line_path(&t, &strings, file);
		}
		arena_release(&arena);
		dwarf.window = arena_alloc(&arena, DWARF_WINDOW_BYTES);
	}
}
END_TEST

START_TEST(test_lines__work_ends_when_the_time_is_over)
{
	struct dwarf_unit u = open_unit("/home/me");
	struct dwarf_row row[9] = { 0 };
	struct bytes b = { 0 };
	struct dwarf_lines t;

	put_old_table(&b, 4);
	use(DWARF_LINE, b.at, b.len);
	ck_assert(dwarf_lines_open(&t, &u, &arena));
	effort = (struct dwarf_effort){ .deadline_ns = sys_now_ns() - 1,
					.steps = DWARF_STEPS_A_LOOK - 1 };
	dwarf_lines_run(&t, &arena, addresses, 9, row);
	ck_assert(effort.is_spent);
	ck_assert(!row[5].is_known);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dwarf");
	TCase *t = tcase_create("dwarf");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_cursor__numbers_of_variable_length);
	tcase_add_test(t, test_cursor__long_numbers_keep_64_bits);
	tcase_add_test(t, test_cursor__a_bad_cursor_stays_bad_and_yields_nothing);
	tcase_add_loop_test(t, test_form__each_takes_its_bytes, 0,
			    sizeof(forms) / sizeof(forms[0]));
	tcase_add_test(t, test_form__the_unknown_ends_the_reading);
	tcase_add_test(t, test_abbrev__a_table_is_read_and_its_sizes_known);
	tcase_add_test(t, test_abbrev__codes_beyond_reason_are_refused);
	tcase_add_test(t, test_unit__headers_of_all_versions_are_read_and_cut_ones_refused);
	tcase_add_test(t, test_ranges__old_lists);
	tcase_add_test(t, test_ranges__new_lists);
	tcase_add_test(t, test_ranges__the_end_is_an_address_or_a_distance);
	tcase_add_loop_test(t, test_lines__a_program_of_any_version_runs, 2, 6);
	tcase_add_test(t, test_lines__paths_are_absolute_and_plain);
	tcase_add_test(t, test_lines__paths_stay_relative_when_the_compiler_said_no_more);
	tcase_add_test(t, test_lines__new_tables_count_from_zero);
	tcase_add_loop_test(t, test_lines__damaged_tables_are_survived, 4, 6);
	tcase_add_test(t, test_lines__work_ends_when_the_time_is_over);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
