/* Stacks in pieces: what is copied of good ones, and nothing of what is no piece. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sampler/arch/arch.h"
#include "sampler/base/sandbox.h"
#include "sampler/unwind/capture.h"
#include "sampler/unwind/split_stack.h"

#define PIECE_BYTES 16384UL
#define NOTED	    56UL
#define PIECES	    12

/* As libgcc has it. */
struct segment {
	uint64_t prev, next, bytes, old_stack, more[3];
};

static char *area; /* pieces with something between them, the oldest last in memory */
static uint64_t control[32];
static struct capture *c;

static char *piece(int i)
{
	return area + (uint64_t)i * 2 * PIECE_BYTES;
}

static uint64_t limit_of(int i)
{
	return (uint64_t)piece(i) + PIECE_BYTES;
}

/* Each was left 1,000 bytes below its end. */
static void setup(void)
{
	area = mmap(NULL, PIECES * 2 * PIECE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(area, MAP_FAILED);
	for (int i = 0; i < PIECES; i++) {
		struct segment *s = (struct segment *)piece(i);

		memset(s, i + 1, PIECE_BYTES);
		s->prev = i + 1 < PIECES ? (uint64_t)piece(i + 1) : 0;
		s->bytes = PIECE_BYTES - NOTED;
		s->old_stack = limit_of(i + 1) - 1000;
	}
	control[ARCH_SPLIT_GUARD / 8] = (uint64_t)piece(0) + NOTED + 3584;
	c = calloc(1, sizeof(*c) + SPLIT_BYTES);
}

static void teardown(void)
{
	munmap(area, PIECES * 2 * PIECE_BYTES);
	free(c);
}

static uint64_t found_at(uint64_t at)
{
	struct split_stack s;

	return split_stack_begin(&s, (uint64_t)control, at) ? s.piece : 0;
}

START_TEST(test_split_stack__who_is_in_the_newest_piece_is_found)
{
	ck_assert_uint_eq(found_at(limit_of(0) - 8), (uint64_t)piece(0));
	ck_assert_uint_eq(found_at((uint64_t)piece(0) + 64), (uint64_t)piece(0));
	ck_assert_uint_eq(found_at(limit_of(0)), 0);
	ck_assert_uint_eq(found_at((uint64_t)piece(0)), 0);
	ck_assert_uint_eq(found_at(limit_of(1) - 8), 0);
}
END_TEST

START_TEST(test_split_stack__what_is_no_piece_is_none)
{
	struct segment *s = (struct segment *)piece(0);
	struct split_stack nothing;

	control[ARCH_SPLIT_GUARD / 8] = 0;
	ck_assert_uint_eq(found_at(limit_of(0) - 8), 0);
	control[ARCH_SPLIT_GUARD / 8] = 0x10;
	ck_assert_uint_eq(found_at(limit_of(0) - 8), 0);
	ck_assert(!split_stack_begin(&nothing, 0, limit_of(0) - 8));
	control[ARCH_SPLIT_GUARD / 8] = (uint64_t)piece(0) + 100;
	s->bytes = UINT64_MAX - 100;
	ck_assert_uint_eq(found_at(limit_of(0) - 8), 0);
	s->bytes = PIECE_BYTES;
	s->old_stack = 0;
	ck_assert_uint_eq(found_at(limit_of(0) - 8), 0);
}
END_TEST

static void copy_from(uint64_t at, uint32_t room)
{
	capture_copy_pieces(c, room, (struct split_stack){ (uint64_t)piece(0), at, false });
}

START_TEST(test_split_stack__older_pieces_follow)
{
	const uint8_t *bytes = c->slice;

	copy_from(limit_of(0) - 800, SPLIT_BYTES);
	ck_assert(c->is_split);
	ck_assert_uint_eq(c->slice_len, 800);
	for (int i = 0; i < CAPTURE_MORE; i++) {
		bytes += i ? c->more[i - 1].len : c->slice_len;
		ck_assert_uint_eq(c->more[i].at, limit_of(i + 1) - 1000 - 128);
		ck_assert_uint_eq(c->more[i].len, 1128);
		ck_assert_int_eq(bytes[1127], i + 2);
	}
}
END_TEST

START_TEST(test_split_stack__no_more_than_there_is_room_for)
{
	copy_from(limit_of(0) - 800, 1000);
	ck_assert_uint_eq(c->slice_len, 800);
	ck_assert_uint_eq(c->more[0].len, 200);
	ck_assert_uint_eq(c->more[1].len, 0);
}
END_TEST

START_TEST(test_split_stack__memory_that_is_gone_ends_it)
{
	munmap(piece(1), PIECE_BYTES);
	copy_from(limit_of(0) - 800, SPLIT_BYTES);
	ck_assert_uint_eq(c->slice_len, 800);
	ck_assert_uint_eq(c->more[0].len, 0);
}
END_TEST

/* Notes that lead round in a circle. */
START_TEST(test_split_stack__a_circle_ends)
{
	struct segment *s = (struct segment *)piece(0);

	s->prev = (uint64_t)s;
	s->old_stack = limit_of(0) - 16;
	copy_from(limit_of(0) - 800, SPLIT_BYTES);
	ck_assert_uint_eq(c->slice_len, 800);
	ck_assert_uint_eq(c->more[CAPTURE_MORE - 1].len, 16 + 128);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("split_stack");
	Suite *s = suite_create("split_stack");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	if (ARCH_SPLIT_GUARD) {
		tcase_add_test(t, test_split_stack__who_is_in_the_newest_piece_is_found);
		tcase_add_test(t, test_split_stack__what_is_no_piece_is_none);
	}
	tcase_add_test(t, test_split_stack__older_pieces_follow);
	tcase_add_test(t, test_split_stack__no_more_than_there_is_room_for);
	tcase_add_test(t, test_split_stack__memory_that_is_gone_ends_it);
	tcase_add_test(t, test_split_stack__a_circle_ends);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
