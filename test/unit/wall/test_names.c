/* Whose name blocked time has at the end of a window. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
