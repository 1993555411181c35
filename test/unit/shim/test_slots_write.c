/* Words on pages that are closed, open or not there. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shim/real/slots_write.h"

#define PAGE 4096

static uint64_t *page;
static struct slots_changes *changes;

static void make_page(void)
{
	page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	changes = mmap(NULL, sizeof(*changes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	for (int i = 0; i < 8; i++)
		page[i] = (uint64_t)i;
}

static void drop_page(void)
{
	munmap(page, 2 * PAGE);
	munmap(changes, sizeof(*changes));
}

static void note(uint64_t *at, uint64_t from, uint64_t to)
{
	ck_assert(slots_note_change(changes, (struct slots_change){ at, from, to }));
}

/* "r--p" and the like, of the first page. */
static const char *protection(void)
{
	static char line[512];
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, limit;
	char how[8] = "";

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %7s", &start, &limit, how) == 3 &&
		    (unsigned long)page >= start && (unsigned long)page < limit)
			break;
	fclose(f);
	memcpy(line, how, sizeof(how));
	return line;
}

START_TEST(a_closed_page_is_opened_and_closed_again)
{
	size_t closed = 0;

	mprotect(page, PAGE, PROT_READ);
	note(&page[3], 3, 30);
	note(&page[1], 1, 10);
	ck_assert_uint_eq(slots_make_changes(changes, &closed), 2);
	ck_assert_uint_eq(closed, 0);
	ck_assert_uint_eq(page[1], 10);
	ck_assert_uint_eq(page[2], 2);
	ck_assert_uint_eq(page[3], 30);
	ck_assert_str_eq(protection(), "r--p");
}
END_TEST

START_TEST(an_open_page_stays_open)
{
	size_t closed = 0;

	note(&page[1], 1, 10);
	ck_assert_uint_eq(slots_make_changes(changes, &closed), 1);
	ck_assert_str_eq(protection(), "rw-p");
}
END_TEST

START_TEST(what_is_another_by_now_stays)
{
	size_t closed = 0;

	note(&page[1], 77, 10);
	note(&page[2], 2, 20);
	ck_assert_uint_eq(slots_make_changes(changes, &closed), 1);
	ck_assert_uint_eq(page[1], 1);
	ck_assert_uint_eq(page[2], 20);
	ck_assert_uint_eq(closed, 0);
}
END_TEST

START_TEST(what_is_not_mapped_is_counted)
{
	size_t closed = 0;

	munmap(page + PAGE / sizeof(*page), PAGE);
	note(page + PAGE / sizeof(*page), 0, 1);
	note(&page[1], 1, 10);
	ck_assert_uint_eq(slots_make_changes(changes, &closed), 1);
	ck_assert_uint_eq(closed, 1);
}
END_TEST

START_TEST(there_is_room_for_so_many)
{
	for (size_t i = 0; i < SLOTS_CHANGES_MAX; i++)
		note(&page[1], 1, 1);
	ck_assert(!slots_note_change(changes, (struct slots_change){ page, 0, 1 }));
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("slots_write");
	Suite *s = suite_create("slots_write");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, make_page, drop_page);
	tcase_add_test(tc, a_closed_page_is_opened_and_closed_again);
	tcase_add_test(tc, an_open_page_stays_open);
	tcase_add_test(tc, what_is_another_by_now_stays);
	tcase_add_test(tc, what_is_not_mapped_is_counted);
	tcase_add_test(tc, there_is_room_for_so_many);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
