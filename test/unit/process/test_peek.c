/* Reads of memory that may be gone, on a few pages with a hole. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/process/peek.h"

/*
 * Two readable pages; the third lies behind the end of its file, where nobody can
 * read.  (Memory that is merely PROT_NONE can be read through /proc/self/mem.)
 */
static char *page;
static int file;

#define HOLE ((uint64_t)page + 2 * PAGE_BYTES)

static void setup(void)
{
	file = memfd_create("peek", 0);
	ck_assert_int_eq(ftruncate(file, 2 * PAGE_BYTES), 0);
	page = mmap(NULL, 3 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ck_assert_ptr_ne(page, MAP_FAILED);
	for (size_t i = 0; i < 2 * PAGE_BYTES; i++)
		page[i] = (char)(i % 251 + 1);
}

static void setup_without_vm_readv(void)
{
	setup();
	peek_avoid_vm_readv();
}

static void teardown(void)
{
	peek_release();
	munmap(page, 3 * PAGE_BYTES);
	close(file);
}

typedef bool (*reader)(uint64_t addr, void *to, size_t len);

static const reader readers[] = { peek, peek_cached };

START_TEST(peek__copies_what_is_there)
{
	char to[100];

	ck_assert(readers[_i](((uint64_t)page) + 5, to, 8));
	ck_assert_mem_eq(to, page + 5, 8);
	ck_assert(readers[_i](((uint64_t)page) + PAGE_BYTES - 50, to, sizeof(to)));
	ck_assert_mem_eq(to, page + PAGE_BYTES - 50, sizeof(to));
}
END_TEST

START_TEST(peek__says_no_to_unreadable_memory)
{
	static const uint64_t nowhere[] = {
		0, 8, 4088, 0x800000000000, UINT64_MAX - 7, 0xffffffff80000000
	};
	uint64_t to;

	for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++)
		ck_assert_msg(!readers[_i](nowhere[i], &to, 8), "%#lx", nowhere[i]);
	ck_assert(!readers[_i](HOLE, &to, 1));
	ck_assert(!readers[_i](HOLE + 100, &to, 8));
}
END_TEST

START_TEST(peek__says_no_when_only_the_end_is_unreadable)
{
	uint64_t to;

	ck_assert(readers[_i](HOLE - 8, &to, 8));
	for (uint64_t back = 1; back < 8; back++)
		ck_assert(!readers[_i](HOLE - back, &to, 8));
}
END_TEST

START_TEST(peek__keeps_errno)
{
	char to[8];

	errno = 77;
	ck_assert(!readers[_i](HOLE, to, 8));
	ck_assert(readers[_i]((uint64_t)page, to, 8));
	ck_assert_int_eq(errno, 77);
}
END_TEST

START_TEST(peek__reads_a_string_across_pages)
{
	char to[200];

	page[PAGE_BYTES + 20] = '\0';
	memset(to, '#', sizeof(to));
	ck_assert(peek_string((uint64_t)page + PAGE_BYTES - 30, to, sizeof(to)));
	ck_assert_str_eq(to, page + PAGE_BYTES - 30);
	ck_assert_uint_eq(strlen(to), 50);
}
END_TEST

START_TEST(peek__cuts_a_string_that_does_not_fit)
{
	char to[20];

	for (size_t size = 1; size < sizeof(to); size++) {
		memset(to, '#', sizeof(to));
		ck_assert(peek_string((uint64_t)page, to, size));
		ck_assert_uint_eq(strlen(to), size - 1);
		ck_assert_int_eq(to[size], '#');
	}
}
END_TEST

START_TEST(peek__a_string_may_end_at_the_last_readable_byte)
{
	char to[100];

	page[2 * PAGE_BYTES - 1] = '\0';
	ck_assert(peek_string(HOLE - 10, to, sizeof(to)));
	ck_assert_uint_eq(strlen(to), 9);
	page[2 * PAGE_BYTES - 1] = 'x';
	ck_assert(!peek_string(HOLE - 10, to, sizeof(to)));
	ck_assert(peek_string(HOLE - 10, to, 11));
	ck_assert_uint_eq(strlen(to), 10);
}
END_TEST

START_TEST(peek__an_empty_string_is_one)
{
	char to[4] = "xyz";

	page[3] = '\0';
	ck_assert(peek_string((uint64_t)page + 3, to, sizeof(to)));
	ck_assert_str_eq(to, "");
}
END_TEST

START_TEST(peek__the_cache_shows_the_past_until_it_forgets)
{
	char to;

	ck_assert(peek_cached((uint64_t)page, &to, 1));
	page[0] = 'n';
	ck_assert(peek_cached((uint64_t)page, &to, 1));
	ck_assert_int_eq(to, 1);
	peek_forget();
	ck_assert(peek_cached((uint64_t)page, &to, 1));
	ck_assert_int_eq(to, 'n');
}
END_TEST

START_TEST(peek__the_cache_never_keeps_a_failed_read)
{
	char to;

	ck_assert(!peek_cached(HOLE, &to, 1));
	ck_assert_int_eq(ftruncate(file, 3 * PAGE_BYTES), 0);
	ck_assert(peek_cached(HOLE, &to, 1));
	ck_assert_int_eq(to, 0);
}
END_TEST

/* Two pages that share a place in the cache, whatever their number. */
START_TEST(peek__pages_that_share_a_place_are_told_apart)
{
	size_t bytes = 200 * PAGE_BYTES;
	char *many = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < 200; i++)
		many[i * PAGE_BYTES + 9] = (char)i;
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < 200; i++) {
			char to;

			ck_assert(peek_cached((uint64_t)many + i * PAGE_BYTES + 9, &to, 1));
			ck_assert_int_eq(to, (char)i);
		}
	}
	munmap(many, bytes);
}
END_TEST

START_TEST(peek__release_gives_the_cache_back)
{
	size_t before = sys_mapped_bytes();
	char to;

	ck_assert(peek_cached((uint64_t)page, &to, 1));
	ck_assert_uint_gt(sys_mapped_bytes(), before);
	peek_release();
	peek_release();
	peek_forget();
	ck_assert_uint_eq(sys_mapped_bytes(), before);
	ck_assert(peek_cached((uint64_t)page, &to, 1));
}
END_TEST

static TCase *tests(const char *name, void (*before)(void))
{
	TCase *t = tcase_create(name);
	int n = ARRAY_SIZE(readers);

	tcase_add_checked_fixture(t, before, teardown);
	tcase_add_loop_test(t, peek__copies_what_is_there, 0, n);
	tcase_add_loop_test(t, peek__says_no_to_unreadable_memory, 0, n);
	tcase_add_loop_test(t, peek__says_no_when_only_the_end_is_unreadable, 0, n);
	tcase_add_loop_test(t, peek__keeps_errno, 0, n);
	tcase_add_test(t, peek__reads_a_string_across_pages);
	tcase_add_test(t, peek__cuts_a_string_that_does_not_fit);
	tcase_add_test(t, peek__a_string_may_end_at_the_last_readable_byte);
	tcase_add_test(t, peek__an_empty_string_is_one);
	tcase_add_test(t, peek__the_cache_shows_the_past_until_it_forgets);
	tcase_add_test(t, peek__the_cache_never_keeps_a_failed_read);
	tcase_add_test(t, peek__pages_that_share_a_place_are_told_apart);
	tcase_add_test(t, peek__release_gives_the_cache_back);
	return t;
}

/* All of it again by way of /proc/self/mem, as where process_vm_readv is refused. */
int main(void)
{
	Suite *s = suite_create("peek");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, tests("process_vm_readv", setup));
	suite_add_tcase(s, tests("proc_self_mem", setup_without_vm_readv));
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
