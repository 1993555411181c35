#include <check.h>
#include <stdlib.h>

#include "proto/trim.h"
#include "sampler/base/cc.h"

/* Function number N is on line N of location number N; INLINED has NEW's line inside MAIN's. */
enum {
	NEW,
	NEW_ARRAY,
	NEW_NOTHROW,
	PARSE,
	MAIN,
	OPERATOR_DELETE,
	CANCEL_ARCH,
	INNER_CANCEL,
	CANCEL,
	WRITE,
	INLINED,
	LOCATIONS
};

static const struct message_function functions[] = {
	[NEW] = { "operator new(unsigned long)", "_Znwm", "", 0 },
	[NEW_ARRAY] = { "operator new[](unsigned long)", "_Znam", "", 0 },
	[NEW_NOTHROW] = { "operator new(unsigned long, std::nothrow_t const&)",
			  "_ZnwmRKSt9nothrow_t", "", 0 },
	[PARSE] = { "parse(int)", "_Z5parsei", "", 0 },
	[MAIN] = { "main", "main", "", 0 },
	[OPERATOR_DELETE] = { "operator delete(void*)", "_ZdlPv", "", 0 },
	[CANCEL_ARCH] = { "__syscall_cancel_arch", "__syscall_cancel_arch", "", 0 },
	[INNER_CANCEL] = { "__internal_syscall_cancel", "__internal_syscall_cancel", "", 0 },
	[CANCEL] = { "__syscall_cancel", "__syscall_cancel", "", 0 },
	[WRITE] = { "write", "write", "", 0 },
};

static const struct message_line lines[] = {
	{ NEW, 0 },    { NEW_ARRAY, 0 },       { NEW_NOTHROW, 0 }, { PARSE, 0 },
	{ MAIN, 0 },   { OPERATOR_DELETE, 0 }, { CANCEL_ARCH, 0 }, { INNER_CANCEL, 0 },
	{ CANCEL, 0 }, { WRITE, 0 },
};
static const struct message_line inlined[] = { { NEW, 0 }, { MAIN, 0 } };

static struct message_location locations[LOCATIONS];
static struct arena arena = ARENA_INIT(1 << 20);

static struct message message_of(const struct message_sample *s, size_t count)
{
	for (uint32_t i = 0; i < INLINED; i++)
		locations[i] = (struct message_location){ .line = &lines[i], .line_count = 1 };
	locations[INLINED] = (struct message_location){ .line = inlined, .line_count = 2 };
	return (struct message){ .location = locations,
				 .location_count = LOCATIONS,
				 .function = functions,
				 .function_count = ARRAY_SIZE(functions),
				 .sample = s,
				 .sample_count = count };
}

#define STACK(...)                                                                                 \
	(struct message_sample)                                                                    \
	{                                                                                          \
		.location = (const uint32_t[]){ __VA_ARGS__ },                                     \
		.location_count = sizeof((uint32_t[]){ __VA_ARGS__ }) / 4, .value = {              \
			1,                                                                         \
			2,                                                                         \
			3,                                                                         \
			4                                                                          \
		}                                                                                  \
	}

typedef void (*trimmer)(struct arena *a, struct message *m);

/* What remains of one stack: the first frame and how many there are. */
static void expect_of(trimmer trim, struct message_sample s, uint32_t first, uint32_t count)
{
	struct message m = message_of(&s, 1);

	trim(&arena, &m);
	ck_assert_uint_eq(m.sample_count, 1);
	ck_assert_uint_eq(m.sample[0].location_count, count);
	ck_assert_uint_eq(m.sample[0].location[0], first);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(m.sample[0].value[i], i + 1);
}

static void expect(struct message_sample s, uint32_t first, uint32_t count)
{
	expect_of(trim_operator_new, s, first, count);
}

START_TEST(a_call_that_may_be_cancelled_is_the_leaf)
{
	expect_of(trim_cancellable_call, STACK(CANCEL_ARCH, INNER_CANCEL, CANCEL, WRITE, MAIN),
		  WRITE, 2);
	expect_of(trim_cancellable_call, STACK(CANCEL_ARCH, CANCEL, WRITE), WRITE, 1);
	expect_of(trim_cancellable_call, STACK(WRITE, MAIN), WRITE, 2);
	expect_of(trim_cancellable_call, STACK(NEW, MAIN), NEW, 2);
	expect_of(trim_cancellable_call, STACK(CANCEL_ARCH), CANCEL_ARCH, 1);
}
END_TEST

START_TEST(operator_new_is_taken_off_the_leaf)
{
	expect(STACK(NEW, PARSE, MAIN), PARSE, 2);
	expect(STACK(NEW_ARRAY, PARSE, MAIN), PARSE, 2);
	expect(STACK(NEW_NOTHROW, PARSE, MAIN), PARSE, 2);
}
END_TEST

START_TEST(operator_new_array_calls_operator_new)
{
	expect(STACK(NEW, NEW_ARRAY, PARSE, MAIN), PARSE, 2);
	expect(STACK(NEW, NEW_NOTHROW, NEW_ARRAY, PARSE), PARSE, 1);
}
END_TEST

START_TEST(other_leaves_stay)
{
	expect(STACK(PARSE, MAIN), PARSE, 2);
	expect(STACK(OPERATOR_DELETE, MAIN), OPERATOR_DELETE, 2);
}
END_TEST

START_TEST(operator_new_further_up_stays)
{
	expect(STACK(PARSE, NEW, MAIN), PARSE, 3);
	expect(STACK(NEW, PARSE, NEW, MAIN), PARSE, 3);
}
END_TEST

START_TEST(the_last_frame_stays)
{
	expect(STACK(NEW), NEW, 1);
	expect(STACK(NEW, NEW), NEW, 1);
}
END_TEST

START_TEST(a_function_that_operator_new_is_inlined_into_stays)
{
	expect(STACK(INLINED, PARSE), INLINED, 2);
}
END_TEST

START_TEST(the_samples_given_are_left_as_they_were)
{
	const struct message_sample s[] = { STACK(NEW, MAIN), STACK(PARSE) };
	struct message m = message_of(s, 2);

	trim_operator_new(&arena, &m);
	ck_assert_uint_eq(s[0].location_count, 2);
	ck_assert_uint_eq(s[0].location[0], NEW);
	ck_assert_uint_eq(m.sample[0].location_count, 1);
	ck_assert_uint_eq(m.sample[1].location_count, 1);
}
END_TEST

START_TEST(without_memory_nothing_is_trimmed)
{
	struct arena none = ARENA_INIT(0);
	const struct message_sample s[] = { STACK(NEW, MAIN) };
	struct message m = message_of(s, 1);

	trim_operator_new(&none, &m);
	ck_assert_ptr_eq(m.sample, s);
}
END_TEST

START_TEST(a_profile_without_samples_stays_so)
{
	struct message m = message_of(NULL, 0);

	trim_operator_new(&arena, &m);
	ck_assert_uint_eq(m.sample_count, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trim");
	TCase *tc = tcase_create("trim");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, a_call_that_may_be_cancelled_is_the_leaf);
	tcase_add_test(tc, operator_new_is_taken_off_the_leaf);
	tcase_add_test(tc, operator_new_array_calls_operator_new);
	tcase_add_test(tc, other_leaves_stay);
	tcase_add_test(tc, operator_new_further_up_stays);
	tcase_add_test(tc, the_last_frame_stays);
	tcase_add_test(tc, a_function_that_operator_new_is_inlined_into_stays);
	tcase_add_test(tc, the_samples_given_are_left_as_they_were);
	tcase_add_test(tc, without_memory_nothing_is_trimmed);
	tcase_add_test(tc, a_profile_without_samples_stays_so);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
