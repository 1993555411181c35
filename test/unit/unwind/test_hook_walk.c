/*
 * A thread that walks its own stack by rows finds what the listener finds on a
 * copy of it.
 */
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/process/modules.h"
#include "sampler/process/own_stack.h"
#include "sampler/unwind/capture.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/hook_walk.h"
#include "sampler/unwind/learn.h"
#include "sampler/unwind/ring.h"
#include "sampler/unwind/rows.h"
#include "sampler/unwind/stacks.h"
#include "sampler/unwind/walk.h"

#define STACK_BYTES (256UL << 10)
#define GUARD_BYTES 4096UL

static struct ring ring;
static struct walk walked;
static struct hook_walk hooked, plain;
static bool is_whole; /* what hook_walk() said */
static volatile long keep_frame;

typedef void (*observer)(struct frame_regs caller);

NOINLINE static void observe(observer fn)
{
	fn(CALLER());
	keep_frame++;
}

static void walk_copy(struct frame_regs caller)
{
	struct capture *c = capture_call(&ring, caller.pc - 1, caller.sp, caller.bp);

	ck_assert_ptr_nonnull(c);
	ring_commit(c);
	ck_assert_ptr_eq(ring_front(&ring), c);
	walk_capture(c, &walked);
	ring_pop(&ring);
}

static void walk_live(struct frame_regs caller)
{
	is_whole = hook_walk(0, &caller, &hooked);
}

static void walk_both(struct frame_regs caller)
{
	walk_copy(caller); /* learns the rows */
	walk_live(caller);
}

static void walk_both_named(struct frame_regs caller)
{
	walk_both(caller);
	plain = hooked;
	is_whole = hook_walk(PSEUDO_OTHER, &caller, &hooked);
}

NOINLINE static void recurse(int n, observer fn)
{
	if (n > 1)
		recurse(n - 1, fn);
	else
		observe(fn);
	keep_frame++;
}

static uint64_t sum(const char *p)
{
	uint64_t n = 0;

	while (*p)
		n += (uint64_t)*p++;
	return n;
}

/* A frame whose size only BP knows. */
#pragma GCC diagnostic ignored "-Walloca"
NOINLINE static void with_variable_frame(size_t size, observer fn)
{
	char *p = __builtin_alloca(size);

	memset(p, 1, size);
	p[size - 1] = '\0';
	recurse(3, fn);
	keep_frame += (long)sum(p);
}

static observer compare_fn;

static int compare_in_callback(const void *a, const void *b)
{
	if (compare_fn)
		recurse(2, compare_fn);
	compare_fn = NULL;
	return *(const int *)a - *(const int *)b;
}

/* Through libc, whose code was compiled by others. */
NOINLINE static void through_libc(observer fn)
{
	int numbers[] = { 3, 1, 2, 5, 4 };

	compare_fn = fn;
	qsort(numbers, ARRAY_SIZE(numbers), sizeof(*numbers), compare_in_callback);
	keep_frame += numbers[0];
}

static void expect_equal(void)
{
	ck_assert(is_whole);
	ck_assert_uint_eq(hooked.depth, walked.depth);
	for (uint32_t i = 0; i < hooked.depth; i++)
		ck_assert_msg(hooked.frame[i] == walked.pc[i], "frame %u is %#lx, should be %#lx",
			      i, hooked.frame[i], walked.pc[i]);
}

static void setup(void)
{
	own_stack_set_main(program_invocation_name); /* near the top, as argv is */
	modules_init();
	code_refresh();
	ck_assert_int_eq(ring_init(&ring, 4 << 20), 0);
}

/* ---- equal */

START_TEST(a_leaf_of_ones_own_comes_first)
{
	recurse(3, walk_both_named);
	ck_assert(is_whole);
	ck_assert_uint_eq(hooked.depth, plain.depth + 1);
	ck_assert_uint_eq(hooked.frame[0], PSEUDO_OTHER);
	for (uint32_t i = 0; i < plain.depth; i++)
		ck_assert_uint_eq(hooked.frame[i + 1], plain.frame[i]);
}
END_TEST

START_TEST(it_equals_a_walk_of_a_copy)
{
	observe(walk_both);
	expect_equal();
	ck_assert_int_eq(walked.end, WALK_COMPLETE);
}
END_TEST

START_TEST(it_equals_a_walk_of_a_copy_at_depth_50)
{
	recurse(50, walk_both);
	expect_equal();
	ck_assert_int_eq(walked.end, WALK_COMPLETE);
	ck_assert_uint_gt(hooked.depth, 50);
}
END_TEST

START_TEST(it_equals_a_walk_of_a_copy_through_frames_of_variable_size)
{
	for (size_t size = 16; size < 2000; size += 299) {
		with_variable_frame(size, walk_both);
		expect_equal();
		ck_assert_int_eq(walked.end, WALK_COMPLETE);
	}
}
END_TEST

START_TEST(it_equals_a_walk_of_a_copy_through_libc)
{
	through_libc(walk_both);
	expect_equal();
	ck_assert_int_eq(walked.end, WALK_COMPLETE);
}
END_TEST

static void *walk_in_thread(void *arg)
{
	(void)arg;
	own_stack_set_thread(STACK_BYTES, GUARD_BYTES);
	recurse(20, walk_both);
	return NULL;
}

static void run_thread(void *(*fn)(void *))
{
	pthread_t thread;
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setguardsize(&attr, GUARD_BYTES);
	ck_assert_int_eq(pthread_create(&thread, &attr, fn, NULL), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
}

START_TEST(it_equals_a_walk_of_a_copy_in_a_thread)
{
	run_thread(walk_in_thread);
	expect_equal();
	ck_assert_int_eq(walked.end, WALK_COMPLETE);
	ck_assert_uint_gt(hooked.depth, 20);
}
END_TEST

/* ---- left to the listener */

START_TEST(an_unknown_address_is_left_to_the_listener)
{
	recurse(3, walk_live);
	ck_assert(!is_whole);
}
END_TEST

static void forget_one_and_walk(struct frame_regs caller)
{
	uint64_t pc = walked.pc[walked.depth / 2];

	rows_forget(pc, pc + 1);
	walk_live(caller);
}

/* One line, one call: so all addresses are the same each time. */
static void thrice(observer a, observer b, observer c)
{
	observer list[] = { a, b, c };

	for (volatile int i = 0; i < 3; i++)
		recurse(5, list[i]);
}

START_TEST(one_unknown_address_in_the_middle_is_enough)
{
	thrice(walk_copy, walk_live, walk_live);
	expect_equal();
	thrice(walk_copy, forget_one_and_walk, walk_live);
	ck_assert(!is_whole);
}
END_TEST

static void walk_live_after_unload(struct frame_regs caller)
{
	code_unload_begin();
	code_unload_end();
	walk_live(caller);
}

static void walk_live_while_unloading(struct frame_regs caller)
{
	code_unload_begin();
	walk_live(caller);
	code_unload_end();
}

/* What was there at the start is never unloaded. */
START_TEST(while_something_is_unloaded_the_rows_of_what_stays_are_used)
{
	thrice(walk_copy, walk_live, walk_live_after_unload);
	expect_equal();
	thrice(walk_copy, walk_live, walk_live_while_unloading);
	expect_equal();
}
END_TEST

typedef void (*caller_function)(void (*fn)(observer), observer arg);

/* A function of an object that may be unloaded: it calls fn(arg). */
static caller_function open_plugin(void **object)
{
	static const char command[] =
		"echo 'int kept; void call(void (*f)(void *), void *a) { f(a); kept++; }' |"
		" ${CC:-gcc} -xc -shared -fPIC -O1 -o /tmp/test_hook_walk.%d.so -";
	char line[sizeof(command) + 16], path[64];
	caller_function found;

	snprintf(line, sizeof(line), command, getpid());
	snprintf(path, sizeof(path), "/tmp/test_hook_walk.%d.so", getpid());
	ck_assert_int_eq(system(line), 0);
	*object = dlopen(path, RTLD_NOW);
	unlink(path);
	ck_assert_msg(*object != NULL, "%s", dlerror());
	*(void **)&found = dlsym(*object, "call");
	return found;
}

NOINLINE static void through(caller_function call, observer a, observer b, observer c)
{
	observer list[] = { a, b, c };

	for (volatile int i = 0; i < 3; i++)
		call(observe, list[i]);
}

START_TEST(after_a_dlclose_rows_of_a_plugin_are_not_used_until_the_listener_has_looked)
{
	void *object;
	caller_function call = open_plugin(&object);
	const struct module *m;

	code_refresh();
	m = module_find((uint64_t)call);
	through(call, walk_copy, walk_live, walk_live);
	expect_equal();
	ck_assert_ptr_eq(frame_module(hooked.frame[0]), m);
	ck_assert_uint_eq(frame_number(hooked.frame[0]), m->number);
	through(call, walk_copy, walk_live, walk_live_after_unload);
	ck_assert(!is_whole);
	code_refresh();
	through(call, walk_copy, walk_live, walk_live);
	expect_equal();
	through(call, walk_copy, walk_live, walk_live_while_unloading);
	ck_assert(!is_whole);
	dlclose(object);
	code_refresh();
	ck_assert_ptr_null(module_find((uint64_t)call));
	ck_assert_ptr_eq(frame_module(hooked.frame[0]), m);
}
END_TEST

/* The listener meets it first on a copy, and hooks must not learn from it what is not so. */
START_TEST(hook_walk__stops_in_code_loaded_since_the_last_refresh)
{
	void *object = dlopen("libz.so.1", RTLD_NOW);
	uint64_t pc;

	ck_assert_msg(object != NULL, "%s", dlerror());
	pc = (uint64_t)dlsym(object, "deflate") + 1;
	ck_assert_int_eq(learn_row(pc).kind, ROW_NONE);
	ck_assert_int_eq(rows_find(pc).kind, ROW_UNKNOWN);
	code_refresh();
	ck_assert_int_eq(learn_row(pc).kind, ROW_SP);
	ck_assert_int_eq(rows_find(pc).kind, ROW_SP);
}
END_TEST

static void *walk_unknown_stack(void *arg)
{
	(void)arg;
	thrice(walk_copy, walk_copy, walk_live);
	return NULL;
}

START_TEST(a_stack_whose_bounds_are_not_known_is_left_to_the_listener)
{
	run_thread(walk_unknown_stack);
	ck_assert(!is_whole);
	ck_assert_int_eq(walked.end, WALK_COMPLETE);
}
END_TEST

static ucontext_t main_context, other_context;

static void walk_in_coroutine(void)
{
	thrice(walk_copy, walk_copy, walk_live);
}

START_TEST(a_coroutine_is_left_to_the_listener)
{
	static char stack[STACK_BYTES];

	getcontext(&other_context);
	other_context.uc_stack.ss_sp = stack;
	other_context.uc_stack.ss_size = sizeof(stack);
	other_context.uc_link = &main_context;
	makecontext(&other_context, walk_in_coroutine, 0);
	swapcontext(&main_context, &other_context);
	ck_assert(!is_whole);
	ck_assert_uint_gt(walked.depth, 5);
}
END_TEST

/* ---- limits */

START_TEST(more_frames_than_a_record_keeps_are_cut_and_marked)
{
	recurse(SITE_DEPTH_MAX + 50, walk_both);
	ck_assert(is_whole);
	ck_assert_uint_eq(hooked.depth, SITE_DEPTH_MAX);
	ck_assert_uint_eq(hooked.frame[SITE_DEPTH_MAX - 1], PSEUDO_TRUNCATED);
	ck_assert_uint_gt(walked.depth, SITE_DEPTH_MAX);
	for (uint32_t i = 0; i < SITE_DEPTH_MAX - 1; i++)
		ck_assert_uint_eq(hooked.frame[i], walked.pc[i]);
}
END_TEST

/* Whether a stack of exactly the limit is cut does not matter, but both ways must agree. */
START_TEST(around_the_limit_both_ways_lead_to_one_record)
{
	for (int n = SITE_DEPTH_MAX - 30; n < SITE_DEPTH_MAX + 5; n++) {
		uint32_t depth;

		recurse(n, walk_both);
		ck_assert(is_whole);
		depth = walked.depth < SITE_DEPTH_MAX ? walked.depth : SITE_DEPTH_MAX;
		if (walked.depth >= SITE_DEPTH_MAX)
			walked.pc[SITE_DEPTH_MAX - 1] = PSEUDO_TRUNCATED;
		ck_assert_uint_eq(hooked.depth, depth);
		ck_assert_mem_eq(hooked.frame, walked.pc, depth * sizeof(*hooked.frame));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hook_walk");
	TCase *tc = tcase_create("hook_walk");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_leaf_of_ones_own_comes_first);
	tcase_add_test(tc, it_equals_a_walk_of_a_copy);
	tcase_add_test(tc, it_equals_a_walk_of_a_copy_at_depth_50);
	tcase_add_test(tc, it_equals_a_walk_of_a_copy_through_frames_of_variable_size);
	tcase_add_test(tc, it_equals_a_walk_of_a_copy_through_libc);
	tcase_add_test(tc, it_equals_a_walk_of_a_copy_in_a_thread);
	tcase_add_test(tc, an_unknown_address_is_left_to_the_listener);
	tcase_add_test(tc, one_unknown_address_in_the_middle_is_enough);
	tcase_add_test(tc, while_something_is_unloaded_the_rows_of_what_stays_are_used);
	tcase_add_test(tc,
		       after_a_dlclose_rows_of_a_plugin_are_not_used_until_the_listener_has_looked);
	tcase_add_test(tc, hook_walk__stops_in_code_loaded_since_the_last_refresh);
	tcase_add_test(tc, a_stack_whose_bounds_are_not_known_is_left_to_the_listener);
	tcase_add_test(tc, a_coroutine_is_left_to_the_listener);
	tcase_add_test(tc, more_frames_than_a_record_keeps_are_cut_and_marked);
	tcase_add_test(tc, around_the_limit_both_ways_lead_to_one_record);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
