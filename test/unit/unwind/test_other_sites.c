/* Sites of a child that sleeps, read in its memory: what it has, and what it may do to it. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/base/process_state.h"
#include "sampler/base/sys.h"
#include "sampler/process/label_set.h"
#include "sampler/process/other_modules.h"
#include "sampler/process/other_process.h"
#include "sampler/unwind/learn.h"
#include "sampler/unwind/other_sites.h"
#include "sampler/unwind/ring_handler.h"
#include "sampler/unwind/rows.h"
#include "test/unit/unwind/new_stack.h"

enum { EVENTS, BYTES };

static void get_values(const struct site *s, int64_t *value)
{
	value[EVENTS] = (int64_t)site_get(s, EVENTS);
	value[BYTES] = (int64_t)(site_get(s, BYTES) - site_get(s, 2));
}

static void copy_stacks(const struct stack_table *raw, struct stack_table *out)
{
	for (size_t i = 0; i < raw->count; i++)
		stack_add_values(stack_table_add(out, raw->list[i]->frame, raw->list[i]->depth),
				 raw->list[i]);
}

static const struct other_sites_kind kind = { .table = &table,
					      .values = get_values,
					      .finish = copy_stacks };
static const struct other_sites_kind with_listener = {
	.table = &table, .with_listener_only = true, .values = get_values, .finish = copy_stacks
};

static struct stack_table found;

static void begin(void)
{
	become_listener();
	ck_assert_int_eq(process_state_init(), 0);
	stack_table_init(&found, 8UL << 20);
	ck_assert(other_begin());
}

static void no_change(const struct module *m)
{
	(void)m;
}

static void over(void)
{
	stack_table_release(&found);
	other_end(no_change);
}

/* ---- the child */

NOINLINE static void be_young(void)
{
	process_moves(PROCESS_FIRST_HOOK);
	code_after_fork();
	learn_after_fork();
	site_at_after_fork();
	sites_begin_epoch(&table);
	process_moves(PROCESS_IN_ORDER);
}

static pid_t start(void (*work)(void))
{
	int ready[2];
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (work)
			work();
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static void finish(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static enum other_sites_end look_for(pid_t pid, const struct other_sites_kind *what)
{
	struct other_sites *o = other_sites_begin(pid, what, 0);
	enum other_sites_end how;

	ck_assert_ptr_nonnull(o);
	while (other_sites_step(o))
		;
	how = other_sites_take(o, &found);
	other_sites_free(o);
	return how;
}

static enum other_sites_end look_at(pid_t pid)
{
	return look_for(pid, &kind);
}

static struct site *count_at(const uint64_t *frame, uint32_t depth, uint64_t bytes)
{
	struct site *s = site_of(&table, frame, depth);

	site_add(s, EVENTS, 1);
	site_add(s, BYTES, bytes);
	return s;
}

/* Of code that is there, as sites of it have it. */
static uint64_t here(uint64_t i)
{
	return modules_frame((uint64_t)&look_at + i);
}

static uint64_t deep(uint64_t *frame, uint32_t depth)
{
	for (uint32_t i = 0; i < depth; i++)
		frame[i] = here(i % 32);
	return frame[0];
}

static void count_some(void)
{
	uint64_t frame[SITE_DEPTH_MAX];

	be_young();
	deep(frame, SITE_DEPTH_MAX);
	count_at(frame, 3, 100);
	count_at(frame, 3, 1);
	site_add(count_at(frame, SITE_DEPTH_MAX, 1000), 2, 400); /* of which so much is gone */
	site_of(&table, frame, 5);				 /* of which nothing was counted */
}

START_TEST(what_it_counted_is_read)
{
	uint64_t frame[SITE_DEPTH_MAX];
	const struct stack *s;
	pid_t pid;

	deep(frame, SITE_DEPTH_MAX);
	count_at(frame, 3, 7); /* the parent's */
	count_at(frame, 9, 7);
	pid = start(count_some);
	ck_assert_int_eq(look_at(pid), OTHER_SITES_READ);
	ck_assert_uint_eq(found.count, 2);
	s = stack_table_add(&found, frame, 3);
	ck_assert_int_eq(s->value[EVENTS], 2);
	ck_assert_int_eq(s->value[BYTES], 101);
	s = stack_table_add(&found, frame, SITE_DEPTH_MAX);
	ck_assert_int_eq(s->value[BYTES], 600);
	ck_assert_uint_eq(found.count, 2);
	finish(pid);
}
END_TEST

SITE_TABLE(small, 64UL << 10, COUNTER_HEAP_STACK_TABLE_FULL, COUNTER_HEAP_STACKS_UNKNOWN);

static const struct other_sites_kind of_small = { .table = &small,
						  .values = get_values,
						  .finish = copy_stacks };

static void count_more_than_fits(void)
{
	uint64_t frame[32];

	be_young();
	sites_begin_epoch(&small);
	for (uint32_t i = 0; i < 1000; i++) {
		deep(frame, 32);
		frame[1 + i / 32] = here(i % 32 + 100);
		site_add(site_of(&small, frame, 32), EVENTS, 1);
	}
}

START_TEST(what_had_no_room_there_is_with_other_stacks)
{
	static const uint64_t other = PSEUDO_OTHER;
	pid_t pid = start(count_more_than_fits);
	int64_t sum = 0;

	ck_assert_int_eq(look_for(pid, &of_small), OTHER_SITES_READ);
	ck_assert_int_gt(stack_table_add(&found, &other, 1)->value[EVENTS], 500);
	for (size_t i = 0; i < found.count; i++)
		sum += found.list[i]->value[EVENTS];
	ck_assert_int_eq(sum, 1000);
	finish(pid);
}
END_TEST

START_TEST(one_that_has_called_nothing_yet_has_nothing)
{
	uint64_t frame[3];
	pid_t pid;

	deep(frame, 3);
	count_at(frame, 3, 7);
	pid = start(NULL);
	ck_assert_int_eq(look_at(pid), OTHER_SITES_READ);
	ck_assert_uint_eq(found.count, 0);
	finish(pid);
}
END_TEST

static void be_worker(void)
{
	count_some();
	process_moves(PROCESS_TEN_SECONDS);
}

START_TEST(one_that_records_nothing_any_more_says_nothing)
{
	pid_t pid = start(be_worker);

	ck_assert_int_eq(look_at(pid), OTHER_SITES_NONE);
	finish(pid);
}
END_TEST

static void have_had_listener(void)
{
	count_some();
	process_moves(PROCESS_PORT_WON);
	process_moves(PROCESS_LISTENER_ENDED);
}

START_TEST(what_is_only_counted_with_a_listener)
{
	pid_t pid = start(count_some);

	ck_assert_int_eq(look_for(pid, &with_listener), OTHER_SITES_NONE);
	finish(pid);
	pid = start(have_had_listener);
	ck_assert_int_eq(look_for(pid, &with_listener), OTHER_SITES_READ);
	ck_assert_uint_eq(found.count, 2);
	finish(pid);
}
END_TEST

static void count_with_labels(void)
{
	uint64_t frame[4];

	be_young();
	deep(frame, 4);
	frame[3] = FRAME_OF_LABELS;
	count_at(frame, 4, 100);
}

static void answer_with_labels(void)
{
	count_with_labels();
	process_moves(PROCESS_PORT_WON);
	process_moves(PROCESS_LISTENER_ENDED);
}

START_TEST(labels_are_left_out_unless_they_were_told)
{
	pid_t pid = start(count_with_labels);

	ck_assert_int_eq(look_at(pid), OTHER_SITES_READ);
	ck_assert_uint_eq(found.count, 1);
	ck_assert_uint_eq(found.list[0]->depth, 3);
	finish(pid);
	pid = start(answer_with_labels);
	ck_assert_int_eq(look_at(pid), OTHER_SITES_NONE);
	finish(pid);
}
END_TEST

START_TEST(another_program_has_no_sites)
{
	pid_t pid = fork();
	int64_t until_ns = sys_now_ns() + 10 * NS_PER_SECOND;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("sleep", "sleep", "1000", (char *)NULL);
		_exit(1);
	}
	while (look_at(pid) != OTHER_SITES_NONE) /* it is this program still */
		ck_assert_int_lt(sys_now_ns(), until_ns);
	finish(pid);
	ck_assert_int_eq(look_at(pid), OTHER_SITES_REFUSED);
}
END_TEST

/* ---- stacks that no listener has followed */

NOINLINE static void meet_here(void)
{
	struct site *s = meet_new_stack();

	site_add(s, EVENTS, 1);
	site_add(s, BYTES, 50);
	keep_frame++;
}

static void meet_two(void)
{
	be_young();
	meet_here();
	meet_here();
	keep_frame++;
}

static bool has_frame_in(const struct stack *s, void (*fn)(void))
{
	for (uint32_t i = 0; i < s->depth; i++)
		if (frame_address(s->frame[i]) - (uint64_t)fn < 64)
			return true;
	return false;
}

START_TEST(a_stack_that_waits_to_be_followed_is_walked)
{
	const struct stack *s;
	pid_t pid;

	rows_release();
	meet_new_stack(); /* the parent's, which the child inherits on its way */
	pid = start(meet_two);
	ck_assert_int_eq(look_at(pid), OTHER_SITES_READ);
	ck_assert_uint_gt(found.count, 0);
	for (size_t i = 0; i < found.count; i++) {
		s = found.list[i];
		ck_assert(has_frame_in(s, meet_here));
		ck_assert(has_frame_in(s, meet_two));
		ck_assert_uint_gt(s->frame[s->depth - 1], PSEUDO_LIMIT); /* to the root */
	}
	ck_assert_int_eq(found.list[0]->value[EVENTS] +
				 (found.count > 1 ? found.list[1]->value[EVENTS] : 0),
			 2);
	finish(pid);
}
END_TEST

static struct ring *ring_of(int i)
{
	return (struct ring *)(uintptr_t)site_at_ring_place(i);
}

static void lose_rings(void)
{
	meet_two();
	for (int i = 0; i < SITE_AT_RINGS; i++) {
		struct ring *r = ring_of(i);

		atomic_store(&r->tail, atomic_load(&r->head));
	}
}

START_TEST(one_that_is_lost_is_unknown)
{
	static const uint64_t unknown = PSEUDO_UNKNOWN;
	pid_t pid;

	rows_release();
	pid = start(lose_rings);
	ck_assert_int_eq(look_at(pid), OTHER_SITES_READ);
	ck_assert_uint_eq(found.count, 1);
	ck_assert_int_eq(stack_table_add(&found, &unknown, 1)->value[EVENTS], 2);
	finish(pid);
}
END_TEST

static void follow_and_hold(void)
{
	be_young();
	meet_here();
	process_moves(PROCESS_PORT_WON);
	code_refresh();
	site_at_drain(); /* known now, and held by who has it */
	process_moves(PROCESS_LISTENER_ENDED);
}

START_TEST(what_its_listener_followed_is_where_that_left_it)
{
	pid_t pid;

	rows_release();
	pid = start(follow_and_hold);
	ck_assert_int_eq(look_at(pid), OTHER_SITES_READ);
	ck_assert_uint_eq(found.count, 1);
	ck_assert(has_frame_in(found.list[0], meet_here));
	ck_assert_int_eq(found.list[0]->value[BYTES], 50);
	finish(pid);
}
END_TEST

/* ---- what it may do */

static void count_in_circle(void)
{
	uint64_t frame[4];
	struct site *s;

	be_young();
	deep(frame, 4);
	s = count_at(frame, 4, 1);
	s->older = s;
}

START_TEST(a_circle_has_an_end)
{
	pid_t pid = start(count_in_circle);

	ck_assert_int_eq(look_at(pid), OTHER_SITES_READ);
	ck_assert_uint_eq(counter_get(COUNTER_OUTSIDE_NONSENSE), 1);
	finish(pid);
}
END_TEST

static void count_too_much(void)
{
	uint64_t frame[4];

	be_young();
	deep(frame, 4);
	count_at(frame, 4, 1UL << 62);
	count_at(frame, 3, 1);
	frame[0] = (uint64_t)MODULES_MAX << FRAME_SHIFT; /* no such module */
	frame[1] = PSEUDO_LIMIT - 1;
	frame[2] = 0x5555;
	count_at(frame, 3, 1);
}

START_TEST(numbers_that_cannot_be_are_left_out)
{
	static const uint64_t unknown[] = { PSEUDO_UNKNOWN, PSEUDO_UNKNOWN, PSEUDO_UNKNOWN };
	pid_t pid = start(count_too_much);

	ck_assert_int_eq(look_at(pid), OTHER_SITES_READ);
	ck_assert_uint_eq(counter_get(COUNTER_OUTSIDE_NONSENSE), 1);
	ck_assert_uint_eq(found.count, 2);
	ck_assert_int_eq(stack_table_add(&found, unknown, 3)->value[EVENTS], 1);
	finish(pid);
}
END_TEST

START_TEST(it_ends_meanwhile)
{
	pid_t pid = start(count_in_circle);
	struct other_sites *o = other_sites_begin(pid, &kind, 0);

	ck_assert(other_sites_step(o)); /* not all of it */
	finish(pid);
	while (other_sites_step(o))
		;
	ck_assert_int_eq(other_sites_take(o, &found), OTHER_SITES_MOVED);
	ck_assert_uint_eq(found.count, 0);
	other_sites_free(o);
}
END_TEST

START_TEST(there_is_no_time_for_all)
{
	pid_t pid = start(count_in_circle);
	struct other_sites *o = other_sites_begin(pid, &kind, 0);

	ck_assert(other_sites_step(o));
	ck_assert_int_eq(other_sites_take(o, &found), OTHER_SITES_LATE);
	other_sites_free(o);
	finish(pid);
}
END_TEST

static void *in_file, *in_memory;

/* A file that is mapped there only; its pages may never come. */
static void map_both(void)
{
	int fd = memfd_create("elsewhere", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 4096) != 0 ||
	    mmap(in_file, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != in_file)
		_exit(1);
	memset(in_file, 1, 4096);
	memset(in_memory, 1, 4096);
}

START_TEST(a_file_that_we_do_not_have_is_not_read)
{
	static const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	uint8_t byte[4096];
	pid_t pid;

	in_memory = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
	in_file = (char *)in_memory + 4096;
	pid = start(map_both);
	ck_assert(other_open(pid));
	ck_assert(other_read((uint64_t)in_memory, byte, 4096));
	ck_assert_int_eq(byte[0], 1);
	ck_assert(!other_read((uint64_t)in_file, byte, 1));
	ck_assert(!other_read((uint64_t)in_file + 4095, byte, 1));
	ck_assert(!other_read((uint64_t)in_memory + 4095, byte, 2));
	ck_assert_uint_eq(other_read_some((uint64_t)in_memory + 4000, byte, 1000), 96);
	ck_assert(other_read((uint64_t)in_file + 4096, byte, 4096));
	ck_assert(other_read((uint64_t)&kind, byte, 8)); /* of a file that we have */
	ck_assert(!other_read(UINT64_MAX - 7, byte, 64));
	finish(pid);
}
END_TEST

/* ---- any bytes */

static unsigned seed;

static uint32_t any(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 8) * below >> 24);
}

/* Numbers that mean something are worth more than any others. */
static uint64_t any_word(const void *near)
{
	switch (any(6)) {
	case 0:
		return any(1U << 16);
	case 1:
		return UINT64_MAX - any(64);
	case 2:
		return (uint64_t)near + 8 * any(64);
	case 3:
		return (uint64_t)(any(8) << 28 | any(1U << 24)) << 32 | any(1U << 24);
	case 4:
		return 0;
	default:
		return (uint64_t)1 << any(24) << any(24);
	}
}

static void scribble(void *at, size_t len, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		uint32_t where = any((uint32_t)(len / 8)) * 8;
		uint64_t word = any_word(at);

		memcpy((char *)at + where, &word, any(2) ? 8 : 4);
	}
}

static void scribble_over_rings(void)
{
	for (int i = 0; i < SITE_AT_RINGS; i++) {
		struct ring *r = ring_of(i);
		uint64_t used = ring_used(r);

		if (used)
			scribble(r->bytes, any(2) ? used : 512, any(40));
		if (any(4) == 0)
			scribble(r, sizeof(*r), any(3));
	}
}

static void scribble_over_modules(void)
{
	struct modules_place p = modules_place();

	for (uint32_t i = 1; i <= *p.count && i < 8; i++)
		scribble((void *)(uintptr_t)(*p.list)[i], sizeof(struct module), any(4));
	if (any(8) == 0)
		scribble((void *)(uintptr_t)*p.list, 256, any(4));
}

static void scribble_over_all(void)
{
	uint64_t frame[SITE_DEPTH_MAX];
	struct site *first;

	be_young();
	deep(frame, SITE_DEPTH_MAX);
	frame[0] = frame_in_module(1 + any(6), 0, any(1 << 20));
	first = count_at(frame, 4, 1);
	for (uint32_t i = 1; i < 30; i++)
		count_at(frame, 2 + any(100), any(1000));
	for (int i = 0; i < 4; i++)
		meet_here();
	if (any(2))
		process_moves(PROCESS_PORT_WON);
	if (any(2))
		site_at_drain();
	scribble(first, 16384, any(60));
	scribble_over_rings();
	scribble_over_modules();
	if (any(3) == 0)
		scribble(&table, sizeof(table), any(4));
}

static void check_stacks(void)
{
	for (size_t i = 0; i < found.count; i++) {
		const struct stack *s = found.list[i];

		ck_assert_uint_ge(s->depth, 1);
		ck_assert_uint_le(s->depth, STACK_DEPTH_MAX);
		for (uint32_t k = 0; k < s->depth; k++)
			ck_assert(s->frame[k] < PSEUDO_COUNT || frame_module(s->frame[k]));
		for (int k = 0; k < STACK_VALUES_MAX; k++)
			ck_assert_int_ge(s->value[k], 0);
	}
}

/* SEEDS=N in the environment tries more: 16000 were tried by hand. */
START_TEST(any_bytes)
{
	const char *more = getenv("SEEDS");
	long count = more ? atol(more) : 100;
	uint64_t nonsense = 0, read_well = 0;

	for (long i = 0; i < count; i++) {
		pid_t pid;

		rows_release();
		seed = (unsigned)i;
		pid = start(scribble_over_all);
		read_well += look_at(pid) == OTHER_SITES_READ && found.count;
		check_stacks();
		finish(pid);
		stack_table_release(&found);
		stack_table_init(&found, 8UL << 20);
	}
	nonsense = counter_get(COUNTER_OUTSIDE_NONSENSE);
	ck_assert_uint_gt(nonsense, 0); /* it is not all refused, and not all believed */
	ck_assert_uint_gt(read_well, 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("other_sites");
	Suite *s = suite_create("other_sites");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, begin, over);
	tcase_add_test(t, what_it_counted_is_read);
	tcase_add_test(t, what_had_no_room_there_is_with_other_stacks);
	tcase_add_test(t, one_that_has_called_nothing_yet_has_nothing);
	tcase_add_test(t, one_that_records_nothing_any_more_says_nothing);
	tcase_add_test(t, what_is_only_counted_with_a_listener);
	tcase_add_test(t, labels_are_left_out_unless_they_were_told);
	tcase_add_test(t, another_program_has_no_sites);
	tcase_add_test(t, a_stack_that_waits_to_be_followed_is_walked);
	tcase_add_test(t, one_that_is_lost_is_unknown);
	tcase_add_test(t, what_its_listener_followed_is_where_that_left_it);
	tcase_add_test(t, a_circle_has_an_end);
	tcase_add_test(t, numbers_that_cannot_be_are_left_out);
	tcase_add_test(t, it_ends_meanwhile);
	tcase_add_test(t, there_is_no_time_for_all);
	tcase_add_test(t, a_file_that_we_do_not_have_is_not_read);
	tcase_add_test(t, any_bytes);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
