#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sampler/base/arena.h"
#include "sampler/base/counters.h"
#include "sampler/process/linked_libc.h"

/* What the libraries' imports are renamed to. */
void *pprofshim_lib_malloc(size_t bytes);
void *pprofshim_lib_calloc(size_t count, size_t size);
void *pprofshim_lib_realloc(void *p, size_t bytes);
void pprofshim_lib_free(void *p);
void *pprofshim_lib_mmap(void *addr, size_t bytes, int prot, int flags, int fd, long offset);
int pprofshim_lib_munmap(void *p, size_t bytes);
int pprofshim_lib_open(const char *path, int flags, ...);
void pprofshim_lib_abort(void);
int pprofshim_lib_sprintf(char *to, const char *fmt, ...);
int pprofshim_lib_snprintf(char *to, size_t size, const char *fmt, ...);
void *pprofshim_lib___memcpy_chk(void *to, const void *from, size_t bytes, size_t room);

/* libiberty, bound. */
char *cplus_demangle_v3(const char *mangled, int options);
char *rust_demangle(const char *mangled, int options);

static struct arena arena;

static void setup(void)
{
	arena = (struct arena)ARENA_INIT(1 << 20);
	lib_memory_use(&arena);
}

static void teardown(void)
{
	lib_memory_use(NULL);
	arena_release(&arena);
}

START_TEST(test_memory__comes_from_the_selected_arena)
{
	size_t before = arena.mapped;
	char *p = pprofshim_lib_malloc(100);

	ck_assert_ptr_nonnull(p);
	ck_assert_uint_gt(arena.mapped, before);
	ck_assert_uint_eq((uintptr_t)p % 16, 0);
}
END_TEST

START_TEST(test_memory__without_an_arena_is_refused)
{
	ck_assert_ptr_eq(lib_memory_use(NULL), &arena);
	ck_assert_ptr_null(pprofshim_lib_malloc(1));
	ck_assert_ptr_null(pprofshim_lib_calloc(1, 1));
	ck_assert_ptr_null(pprofshim_lib_realloc(NULL, 1));
	pprofshim_lib_free(NULL);
}
END_TEST

START_TEST(test_memory__absurd_sizes_are_refused)
{
	char *p = pprofshim_lib_malloc(8);

	ck_assert_ptr_null(pprofshim_lib_malloc(SIZE_MAX));
	ck_assert_ptr_null(pprofshim_lib_malloc(SIZE_MAX - 15));
	ck_assert_ptr_null(pprofshim_lib_calloc(SIZE_MAX / 2, 3));
	ck_assert_ptr_null(pprofshim_lib_realloc(p, SIZE_MAX));
	ck_assert_ptr_null(pprofshim_lib_malloc(2 << 20));
}
END_TEST

START_TEST(test_memory__newest_block_is_given_back_and_zeroed)
{
	char *first = pprofshim_lib_malloc(64);
	char *again;

	memset(first, 0xaa, 64);
	pprofshim_lib_free(first);
	again = pprofshim_lib_calloc(8, 8);
	ck_assert_ptr_eq(again, first);
	for (int i = 0; i < 64; i++)
		ck_assert_int_eq(again[i], 0);
}
END_TEST

START_TEST(test_memory__older_block_stays)
{
	char *first = pprofshim_lib_malloc(64);
	char *second = pprofshim_lib_malloc(64);

	memset(second, 0x55, 64);
	pprofshim_lib_free(first);
	ck_assert_ptr_ne(pprofshim_lib_malloc(64), first);
	ck_assert_int_eq(second[63], 0x55);
}
END_TEST

START_TEST(test_realloc__keeps_the_bytes_whether_it_moves_or_not)
{
	char *p = pprofshim_lib_realloc(NULL, 10);

	memcpy(p, "123456789", 10);
	for (size_t bytes = 11; bytes < 20000; bytes *= 2) {
		if (bytes & 1)
			pprofshim_lib_malloc(1); /* in the way */
		p = pprofshim_lib_realloc(p, bytes);
		ck_assert_ptr_nonnull(p);
		ck_assert_str_eq(p, "123456789");
		memset(p + 10, 0xff, bytes - 10);
	}
	ck_assert_ptr_eq(pprofshim_lib_realloc(p, 3), p);
}
END_TEST

START_TEST(test_realloc__moves_a_block_to_the_arena_of_today)
{
	struct arena other = ARENA_INIT(1 << 20);
	char *p = pprofshim_lib_malloc(10);
	char *moved;

	memcpy(p, "123456789", 10);
	lib_memory_use(&other);
	moved = pprofshim_lib_realloc(p, 1000);
	arena_release(&arena);
	ck_assert_str_eq(moved, "123456789");
	arena_release(&other);
}
END_TEST

START_TEST(test_mmap__serves_pools_within_a_bound_and_no_files)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *p = pprofshim_lib_mmap(NULL, 8192, PROT_READ | PROT_WRITE, flags, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	p[8191] = 1;
	ck_assert_int_eq(pprofshim_lib_munmap(p, 8192), 0);
	ck_assert_ptr_eq(pprofshim_lib_mmap(NULL, 1UL << 30, PROT_READ, flags, -1, 0), MAP_FAILED);
	ck_assert_ptr_eq(pprofshim_lib_mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 0, 0), MAP_FAILED);
	ck_assert_int_eq(pprofshim_lib_open("/dev/null", 0), -1);
}
END_TEST

static void do_nothing(void *arg)
{
	*(int *)arg += 1;
}

static void do_abort(void *arg)
{
	*(int *)arg += 1;
	pprofshim_lib_abort();
}

static void do_abort_inside(void *arg)
{
	ck_assert_int_eq(lib_try(do_abort, arg), -1);
	*(int *)arg += 10;
}

static void do_overflow(void *arg)
{
	pprofshim_lib___memcpy_chk(arg, "12345678", 8, 4);
}

START_TEST(test_try__returns_what_happened_inside)
{
	uint64_t before = counter_get(COUNTER_LIBRARY_ABORTS);
	int runs = 0;

	ck_assert_int_eq(lib_try(do_nothing, &runs), 0);
	ck_assert_int_eq(runs, 1);
	ck_assert_uint_eq(counter_get(COUNTER_LIBRARY_ABORTS), before);
	ck_assert_int_eq(lib_try(do_abort, &runs), -1);
	ck_assert_int_eq(runs, 2);
	ck_assert_uint_eq(counter_get(COUNTER_LIBRARY_ABORTS), before + 1);
	ck_assert_int_eq(lib_try(do_overflow, &runs), -1);
	ck_assert_int_eq(runs, 2);
}
END_TEST

START_TEST(test_try__nested_abort_ends_the_inner_one_only)
{
	int runs = 0;

	ck_assert_int_eq(lib_try(do_abort_inside, &runs), 0);
	ck_assert_int_eq(runs, 11);
	ck_assert_int_eq(lib_try(do_abort, &runs), -1);
}
END_TEST

static void do_odd_format(void *arg)
{
	pprofshim_lib_sprintf(arg, "%f", 1.5);
}

START_TEST(test_format__knows_what_the_libraries_use)
{
	char out[64];

	pprofshim_lib_sprintf(out, "%d %ld %lu %u %x %lx %s%c%%", -7, -8L, 9UL, 10U, 255U,
			      0xabcdef0123UL, "text", '!');
	ck_assert_str_eq(out, "-7 -8 9 10 ff abcdef0123 text!%");
	pprofshim_lib_snprintf(out, 4, "%d", 123456);
	ck_assert_str_eq(out, "123");
	ck_assert_int_eq(lib_try(do_odd_format, out), -1);
}
END_TEST

START_TEST(test_demanglers__work_on_arena_memory)
{
	ck_assert_str_eq(cplus_demangle_v3("_ZN3foo3barILi42ELm7EEEvi", 1 | 2),
			 "void foo::bar<42, 7ul>(int)");
	ck_assert_str_eq(rust_demangle("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", 0),
			 "core::fmt::Formatter::pad");
	ck_assert_str_eq(rust_demangle("_RNvC6_123foo3bar", 0), "123foo::bar");
	ck_assert_ptr_null(cplus_demangle_v3("not mangled", 1 | 2));
	ck_assert_uint_gt(arena.mapped, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("linked_libc");
	TCase *t = tcase_create("linked_libc");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_memory__comes_from_the_selected_arena);
	tcase_add_test(t, test_memory__without_an_arena_is_refused);
	tcase_add_test(t, test_memory__absurd_sizes_are_refused);
	tcase_add_test(t, test_memory__newest_block_is_given_back_and_zeroed);
	tcase_add_test(t, test_memory__older_block_stays);
	tcase_add_test(t, test_realloc__keeps_the_bytes_whether_it_moves_or_not);
	tcase_add_test(t, test_realloc__moves_a_block_to_the_arena_of_today);
	tcase_add_test(t, test_mmap__serves_pools_within_a_bound_and_no_files);
	tcase_add_test(t, test_try__returns_what_happened_inside);
	tcase_add_test(t, test_try__nested_abort_ends_the_inner_one_only);
	tcase_add_test(t, test_format__knows_what_the_libraries_use);
	tcase_add_test(t, test_demanglers__work_on_arena_memory);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
