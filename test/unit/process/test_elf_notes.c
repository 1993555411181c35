/* Notes as linkers lay them out, and as nobody should. */
#include "sampler/process/elf_notes.h"

#include <check.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

static uint8_t bytes[256];
static size_t used;

static void start(void)
{
	memset(bytes, 0xee, sizeof(bytes));
	used = 0;
}

static void add(const void *at, size_t len)
{
	memcpy(bytes + used, at, len);
	used += len;
}

/* `align` as the gABI has it: counted from the start of the note, which is aligned. */
static void add_note(uint32_t type, const char *name, const char *desc, size_t align)
{
	Elf64_Nhdr h = { (uint32_t)strlen(name) + 1, (uint32_t)strlen(desc), type };

	add(&h, sizeof(h));
	add(name, h.n_namesz);
	used = (used + align - 1) / align * align;
	add(desc, h.n_descsz);
	used = (used + align - 1) / align * align;
}

static void check_two(size_t align)
{
	struct elf_notes in = { .bytes = bytes, .align = align };
	struct elf_note n;

	start();
	add_note(NT_GNU_PROPERTY_TYPE_0, "GNU", "four", align);
	add_note(NT_GNU_BUILD_ID, "GNU", "an id of 13 b", align);
	in.len = used;
	ck_assert(elf_notes_next(&in, &n));
	ck_assert(elf_note_is(&n, NT_GNU_PROPERTY_TYPE_0, "GNU"));
	ck_assert(elf_notes_next(&in, &n));
	ck_assert(elf_note_is(&n, NT_GNU_BUILD_ID, "GNU"));
	ck_assert(!elf_note_is(&n, NT_GNU_BUILD_ID, "Go\0"));
	ck_assert_uint_eq(n.desc_len, 13);
	ck_assert_mem_eq(n.desc, "an id of 13 b", 13);
	ck_assert(!elf_notes_next(&in, &n));
}

START_TEST(test_elf_notes__both_alignments_are_read)
{
	check_two(4);
	check_two(8);
}
END_TEST

/* A name of five bytes: its padding is where the two alignments differ. */
START_TEST(test_elf_notes__a_note_of_another_owner_is_stepped_over)
{
	for (size_t align = 4; align <= 8; align += 4) {
		struct elf_notes in = { .bytes = bytes, .align = align };
		struct elf_note n;

		start();
		add_note(1, "stapsdt", "probe", align);
		add_note(NT_GNU_BUILD_ID, "GNU", "x", align);
		in.len = used;
		ck_assert(elf_notes_next(&in, &n));
		ck_assert(!elf_note_is(&n, 1, "GNU"));
		ck_assert(elf_notes_next(&in, &n));
		ck_assert_int_eq(n.desc[0], 'x');
	}
}
END_TEST

/* In a block of just that size: the address sanitizer sees a read behind it. */
START_TEST(test_elf_notes__what_is_cut_short_ends_them)
{
	start();
	add_note(NT_GNU_BUILD_ID, "GNU", "0123456789abcdef", 4);
	for (size_t len = 0; len < used; len++) {
		uint8_t *cut = malloc(len ? len : 1);
		struct elf_notes in = { .bytes = cut, .len = len, .align = 4 };
		struct elf_note n;

		memcpy(cut, bytes, len);
		ck_assert(!elf_notes_next(&in, &n));
		free(cut);
	}
}
END_TEST

START_TEST(test_elf_notes__lengths_of_noise_are_survived)
{
	static const uint32_t lengths[] = { 0, 1, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff };

	for (size_t i = 0; i < 36; i++) {
		Elf64_Nhdr h = { lengths[i / 6], lengths[i % 6], NT_GNU_BUILD_ID };
		struct elf_notes in = { .bytes = bytes, .len = sizeof(bytes), .align = i % 2 * 8 };
		struct elf_note n;
		int count = 0;

		start();
		add(&h, sizeof(h));
		while (elf_notes_next(&in, &n)) {
			ck_assert(n.desc + n.desc_len <= bytes + sizeof(bytes));
			ck_assert_int_lt(count++, 22);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("elf_notes");
	TCase *tc = tcase_create("all");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(tc, test_elf_notes__both_alignments_are_read);
	tcase_add_test(tc, test_elf_notes__a_note_of_another_owner_is_stepped_over);
	tcase_add_test(tc, test_elf_notes__what_is_cut_short_ends_them);
	tcase_add_test(tc, test_elf_notes__lengths_of_noise_are_survived);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
