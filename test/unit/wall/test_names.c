/* Whose name blocked time has at the end of a window. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/process/threads.h"
#include "sampler/wall/names.h"
#include "sampler/wall/profile.h"
#include "sampler/wall/spread.h"

#define WINDOW_NS 1000000
#define RAN_NS	  100000 /* of a thread that is not quiet */

static struct wall_profile wall;
static struct cpu_profile cpu;
static int64_t named, unsampled, idle; /* of `wanted` */
static const char *wanted;
static uint32_t place; /* of all looks */

static void setup(void)
{
	const uint64_t frame = 0x1000;

	wall.cpu = &cpu;
	wall.arena.limit = 64UL << 20;
	ck_assert_int_eq(threads_open(), 0);
	stack_table_init(&wall.stacks, 1UL << 20);
	stack_table_init(&cpu.stacks, 1UL << 20);
	ck_assert(lives_init(&wall.lives, &wall.arena));
	place = stack_table_add(&wall.stacks, &frame, 1)->index;
}

static void teardown(void)
{
	stack_table_release(&cpu.stacks);
	stack_table_release(&wall.stacks);
	arena_release(&wall.arena);
	threads_close();
}

static struct thread *live(int tid, const char *name, int64_t ran_ns, uint32_t looks)
{
	struct thread *t = thread_claim(tid);
	struct life *l = lives_add(&wall.lives, t);
	uint32_t number;

	snprintf(l->name, sizeof(l->name), "%s", name);
	l->end_ns = WINDOW_NS;
	l->clock = ran_ns;
	l->has_run = ran_ns > 0;
	if (!looks)
		return t;
	number = visits_find(&wall.lives.visits, &l->visits, lives_owner(&wall.lives, l), place,
			     "poll");
	l->blocked_looks = looks;
	l->blocked_ns = looks * 1000;
	visit_at(&wall.lives.visits, number)->ns = l->blocked_ns;
	return t;
}

static void add_up(void *arg, const struct wall_part *part)
{
	(void)arg;
	if (strcmp(part->thread, wanted) != 0)
		return;
	named += part->ns;
	idle += part->is_idle ? part->ns : 0;
	unsampled += part->frame[0] == PSEUDO_UNSAMPLED ? part->ns : 0;
}

static bool is_near(int64_t a, int64_t b)
{
	return llabs(a - b) <= 2; /* shares are rounded down */
}

static void expect(const char *name, int64_t ns, int64_t unsampled_ns, int64_t idle_ns)
{
	wanted = name;
	named = unsampled = idle = 0;
	wall_each(&wall, add_up, NULL);
	ck_assert_msg(is_near(named, ns) && is_near(unsampled, unsampled_ns) &&
			      is_near(idle, idle_ns),
		      "\"%s\" has %ld ns, %ld unsampled, %ld idle", name, (long)named,
		      (long)unsampled, (long)idle);
}

START_TEST(names__each_has_one_pool)
{
	static char name[1000][8];
	struct name_table t;

	ck_assert(names_init(&t, &wall.arena, 1000));
	for (int i = 0; i < 1000; i++) {
		snprintf(name[i], sizeof(name[i]), "%d", i);
		names_find(&t, name[i])->few_ns = i;
	}
	names_find(&t, "")->few_ns = -1;
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(names_find(&t, name[i])->few_ns, i);
}
END_TEST

START_TEST(names__who_never_ran_stands_for_its_name_alone)
{
	live(1, "alone", 0, 1);
	live(2, "many", 0, 1);
	for (int i = 3; i < 100; i++)
		live(i, "many", 0, 0);
	live(100, "unseen", 0, 0);
	expect("alone", WINDOW_NS, 0, WINDOW_NS);
	expect("many", 98 * WINDOW_NS, 0, 98 * WINDOW_NS);
	expect("unseen", WINDOW_NS, WINDOW_NS, WINDOW_NS);
	expect("", 0, 0, 0);
}
END_TEST

START_TEST(names__who_hardly_ran_is_like_who_never_did_but_not_idle)
{
	live(1, "many", 0, 1);
	live(2, "many", 10, 0);
	live(3, "many", 10, 1);
	live(4, "many", 0, 0);
	expect("many", 4 * WINDOW_NS - 20, 0, 2 * WINDOW_NS);
}
END_TEST

START_TEST(names__few_looks_stand_for_their_name_alone)
{
	const int64_t blocked = WINDOW_NS - RAN_NS;

	live(1, "a", RAN_NS, 3); /* 3000 ns of looks, times 4 */
	live(2, "a", RAN_NS, 0);
	live(3, "b", RAN_NS, 0);
	live(4, "c", RAN_NS, LOOKS_OWN);
	expect("a", 2 * blocked, 2 * blocked - 12000, 0);
	expect("b", blocked, blocked, 0);
	expect("c", blocked, 0, 0);
	expect("", 0, 0, 0);
}
END_TEST

START_TEST(names__what_ended_without_one_has_none)
{
	struct thread *t = live(1, "known", WINDOW_NS - 2000, 2);

	lives_end(&wall.lives, t);
	t = live(2, "", WINDOW_NS - 9000, 0);
	lives_end(&wall.lives, t);
	expect("known", 2000, 0, 0);
	expect("", 9000, 1000, 0);
	ck_assert_int_eq(wall.unsampled_ns, 1000);
}
END_TEST

/* ---- who waited for a processor */

static struct {
	int64_t ns, with_tid, below_cpu_time, below_stack;
} queued;

static void add_queued(void *arg, const struct wall_part *part)
{
	(void)arg;
	if (part->state != WALL_RUNNABLE)
		return;
	ck_assert_uint_eq(part->frame[0], PSEUDO_QUEUED);
	queued.ns += part->ns;
	queued.with_tid += part->tid ? part->ns : 0;
	for (uint32_t i = 1; i < part->depth; i++)
		queued.below_cpu_time += part->frame[i] < FRAME_PSEUDO_LIMIT ? part->ns : 0;
	queued.below_stack += part->depth > 1 ? part->ns : 0;
}

static void queue(struct thread *t, int64_t ns)
{
	struct life *l = lives_find(&wall.lives, t);

	l->queued_begin = 1000;
	l->queued = 1000 + ns;
}

/* What it used was found at `frame`, below `leaf` unless that is 0. */
static void run_at(int tid, uint64_t leaf, uint64_t frame)
{
	const uint64_t frames[] = { leaf, frame };
	uint32_t skip = leaf == 0;
	uint32_t label = cpu_label_of(&cpu.labels, &wall.arena, tid);

	stack_table_add_labelled(&cpu.stacks, frames + skip, 2 - skip, label)
		->value[CPU_VALUE_NS] += RAN_NS;
}

START_TEST(names__who_waited_for_a_processor_has_its_tid)
{
	queue(live(1, "no sample", 10, 1), 3000);
	queue(live(2, "one sample", RAN_NS, LOOKS_OWN), 5000);
	run_at(2, 0, 0x2000);
	memset(&queued, 0, sizeof(queued));
	wall_each(&wall, add_queued, NULL);
	ck_assert_int_eq(queued.ns, 8000);
	ck_assert_int_eq(queued.with_tid, 8000);
	ck_assert_int_eq(queued.below_stack, 5000);
}
END_TEST

START_TEST(names__waiting_for_a_processor_is_no_cpu_time)
{
	static const uint64_t leaves[] = { PSEUDO_BETWEEN, PSEUDO_UNSAMPLED, PSEUDO_LOST };

	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
		run_at(1, leaves[i], 0x2000 + i);
	queue(live(1, "a", 3 * RAN_NS, LOOKS_OWN), 6000);
	memset(&queued, 0, sizeof(queued));
	wall_each(&wall, add_queued, NULL);
	ck_assert_int_eq(queued.ns, 6000);
	ck_assert_int_eq(queued.below_stack, 6000);
	ck_assert_int_eq(queued.below_cpu_time, 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("names");
	Suite *s = suite_create("names");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, names__each_has_one_pool);
	tcase_add_test(t, names__who_never_ran_stands_for_its_name_alone);
	tcase_add_test(t, names__who_hardly_ran_is_like_who_never_did_but_not_idle);
	tcase_add_test(t, names__few_looks_stand_for_their_name_alone);
	tcase_add_test(t, names__what_ended_without_one_has_none);
	tcase_add_test(t, names__who_waited_for_a_processor_has_its_tid);
	tcase_add_test(t, names__waiting_for_a_processor_is_no_cpu_time);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
