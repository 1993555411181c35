/* Profiles that go from one process to another, and what is not one. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/share.h"
#include "proto/wire.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/process/label_set.h"
#include "sampler/process/modules.h"
#include "sampler/symbols/demangle.h"
#include "sampler/symbols/told.h"
#include "sampler/unwind/code.h"

#define MEMORY (64UL << 20)

static __attribute__((noinline, used)) int marked(int n)
{
	return n + 1;
}

/* What a process would send: code of this program and of libc, a pseudo frame, a made-up address
 * with a label.
 */
static void fill(struct stack_table *t, struct owner_table *owners)
{
	uint64_t frame[3] = { modules_frame((uint64_t)marked), modules_frame((uint64_t)strtol),
			      modules_frame((uint64_t)abort) };
	const struct owner o = { .tid = 17,
				 .process = "",
				 .thread = "a thread",
				 .state = "running",
				 .wait_reason = "",
				 .age_s = 64 };
	const uint64_t nowhere[] = { 0x12345000, label_set_with(0, "route", "/a") };
	static const uint64_t lost = PSEUDO_LOST;
	struct stack *s = stack_table_add_labelled(t, frame, 3, owner_number(owners, &o));

	s->value[0] = 3;
	s->value[1] = 30;
	stack_table_add(t, &lost, 1)->value[1] = 5;
	stack_table_add(t, nowhere, 2)->value[1] = 7;
}

struct both {
	struct arena a;
	struct stack_table from, into;
	struct owner_table from_owners, owners;
	struct bytes bytes;
};

static void set_up(struct both *b)
{
	*b = (struct both){ .a = ARENA_INIT(MEMORY) };
	code_refresh();
	stack_table_init(&b->from, MEMORY);
	stack_table_init(&b->into, MEMORY);
	b->from_owners.arena = b->owners.arena = &b->a;
	fill(&b->from, &b->from_owners);
	ck_assert_int_eq(share_write(&b->a, &(struct share_head){ .values = 2, .own_ns = 99 },
				     &b->from, &b->from_owners, &b->bytes),
			 0);
}

static void tear_down(struct both *b)
{
	stack_table_release(&b->from);
	stack_table_release(&b->into);
	arena_release(&b->a);
}

START_TEST(share__what_is_written_is_read_with_the_process_as_label)
{
	struct share_result result;
	struct both b;
	const struct owner *o;

	set_up(&b);
	ck_assert(share_add(&b.into, &b.owners, 1234, "worker", b.bytes, &result));
	ck_assert_uint_eq(result.head.values, 2);
	ck_assert_int_eq(result.head.own_ns, 99);
	ck_assert_int_eq(result.total[0], 3);
	ck_assert_int_eq(result.total[1], 42);
	ck_assert_uint_eq(b.into.count, 3);
	/* the same code is the same frames here */
	ck_assert_uint_eq(b.into.list[0]->depth, 3);
	ck_assert_int_eq(memcmp(b.into.list[0]->frame, b.from.list[0]->frame, 24), 0);
	o = &b.owners.list[b.into.list[0]->label - 1];
	ck_assert_int_eq(o->pid, 1234);
	ck_assert_int_eq(o->tid, 17);
	ck_assert_str_eq(o->process, "worker");
	ck_assert_str_eq(o->thread, "a thread");
	ck_assert_str_eq(o->state, "running");
	ck_assert_int_eq(o->age_s, 64);
	ck_assert_uint_eq(b.into.list[1]->frame[0], PSEUDO_LOST);
	tear_down(&b);
}
END_TEST

/* They may be of anybody: bounded, of one line each. */
START_TEST(share__comments_go_with_it)
{
	char longest[2 * SHARE_COMMENT_BYTES] = "";
	const char *list[SHARE_COMMENTS_MAX + 1] = { "one", "two\nlines" };
	struct share_head head = { .values = 2, .comment = list, .comment_count = 3 };
	struct share_result result;
	struct both b;

	memset(longest, 'x', sizeof(longest) - 1);
	list[2] = longest;
	set_up(&b);
	ck_assert_int_eq(share_write(&b.a, &head, &b.from, &b.from_owners, &b.bytes), 0);
	ck_assert(share_add(&b.into, &b.owners, 1, "x", b.bytes, &result));
	ck_assert_uint_eq(result.comment_count, 3);
	ck_assert_str_eq(result.comment[0], "one");
	ck_assert_ptr_null(strchr(result.comment[1], '\n'));
	ck_assert_uint_eq(strlen(result.comment[2]), SHARE_COMMENT_BYTES - 1);
	ck_assert_int_eq(result.total[1], 42);
	for (size_t i = 0; i < SHARE_COMMENTS_MAX + 1; i++)
		list[i] = "more";
	head.comment_count = SHARE_COMMENTS_MAX + 1;
	ck_assert_int_eq(share_write(&b.a, &head, &b.from, &b.from_owners, &b.bytes), 0);
	ck_assert(share_add(&b.into, &b.owners, 1, "x", b.bytes, &result));
	ck_assert_uint_eq(result.comment_count, SHARE_COMMENTS_MAX);
	tear_down(&b);
}
END_TEST

/* Its address may be that of something else here. */
START_TEST(share__code_of_no_object_is_a_place_of_the_other_process)
{
	struct share_result result;
	struct both b;
	uint64_t frame;

	set_up(&b);
	ck_assert(share_add(&b.into, &b.owners, 1234, "worker", b.bytes, &result));
	frame = b.into.list[2]->frame[0];
	ck_assert_ptr_nonnull(frame_module(frame));
	ck_assert_str_eq(frame_module(frame)->path, "worker");
	ck_assert_uint_eq(frame_address(frame), 0x12345000);
	ck_assert_uint_eq(counter_get(COUNTER_MODULES_UNREADABLE), 0);
	tear_down(&b);
}
END_TEST

/* What a member tells of processes that it forked is not the member's. */
START_TEST(share__newborns_are_themselves)
{
	const struct owner newborn = { .pid = 77,
				       .process = "born",
				       .thread = "",
				       .state = "",
				       .wait_reason = "",
				       .is_newborn = true };
	const struct share_head head = { .values = 2, .born = 3, .ended = 2, .ended_ns = 55 };
	static const uint64_t frame = PSEUDO_LOST;
	struct share_result result;
	struct both b;
	const struct owner *o;
	uint32_t label;

	set_up(&b);
	label = owner_number(&b.from_owners, &newborn);
	stack_table_add_labelled(&b.from, &frame, 1, label)->value[1] = 100;
	ck_assert_int_eq(share_write(&b.a, &head, &b.from, &b.from_owners, &b.bytes), 0);
	ck_assert(share_add(&b.into, &b.owners, 1234, "worker", b.bytes, &result));
	ck_assert_int_eq(result.total[1], 42);
	ck_assert_int_eq(result.head.born, 3);
	ck_assert_int_eq(result.head.ended, 2);
	ck_assert_int_eq(result.head.ended_ns, 55);
	o = &b.owners.list[b.into.list[3]->label - 1];
	ck_assert(o->is_newborn);
	ck_assert_int_eq(o->pid, 77);
	ck_assert_str_eq(o->process, "born");
	ck_assert_int_eq(b.owners.list[b.into.list[0]->label - 1].pid, 1234);

	/* and neither are those of this process */
	share_add_newborns(&b.into, &b.owners, &b.from, &b.from_owners);
	ck_assert_int_eq(b.into.list[3]->value[1], 200);
	ck_assert_int_eq(b.into.list[0]->value[1], 30);
	tear_down(&b);
}
END_TEST

static void write_map(const char *text)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	f = text ? fopen(path, "w") : NULL;
	if (f) {
		fputs(text, f);
		fclose(f);
	} else {
		unlink(path);
	}
}

/* Names of code that its runtime has told where the other process is. */
START_TEST(share__code_made_at_run_time_has_its_name_with_it)
{
	struct share_result result;
	struct both b;
	uint64_t frame, again;
	struct symbol symbol;
	uint64_t pc;

	write_map("12344f00 1000 made here\n");
	set_up(&b);
	write_map(NULL);
	ck_assert(share_add(&b.into, &b.owners, 1234, "worker", b.bytes, &result));
	frame = b.into.list[2]->frame[0];
	ck_assert(told_is_module(frame_module(frame)));
	pc = frame_address(frame);
	ck_assert_int_eq(told_resolve(&b.a, frame_module(frame), &pc, 1, &symbol), 0);
	ck_assert_str_eq(symbol.frame[0].name, "made here");
	/* the same name is the same place, whoever tells it */
	share_add(&b.into, &b.owners, 1235, "worker", b.bytes, &result);
	again = b.into.list[b.into.count - 1]->frame[0];
	ck_assert_uint_eq(again, frame);
	pc = UINT64_MAX >> 16; /* what was never told */
	ck_assert_int_eq(told_resolve(&b.a, frame_module(frame), &pc, 1, &symbol), 0);
	ck_assert_str_eq(symbol.frame[0].name, "[worker]");
	tear_down(&b);
}
END_TEST

/* Whoever tells without end ends with what there is room for. */
START_TEST(told__what_does_not_fit_is_counted)
{
	uint64_t before = counter_get(COUNTER_TOLD_NAMES_DROPPED);
	char name[NAME_MAX_BYTES + 1], empty[] = "";
	struct symbol_frame f = { .name = name, .file = empty };
	uint32_t first, last = 1;

	memset(name, 'x', NAME_MAX_BYTES);
	name[NAME_MAX_BYTES] = '\0';
	first = told_number(&f);
	for (uint32_t i = 0; i < 20000; i++) {
		f.line = i + 1;
		memcpy(name,
		       &(char[]){ (char)('a' + i % 26), (char)('a' + i / 26 % 26),
				  (char)('a' + i / 676 % 26) },
		       3);
		last = told_number(&f);
	}
	ck_assert_uint_eq(last, 0);
	ck_assert_uint_gt(counter_get(COUNTER_TOLD_NAMES_DROPPED), before);
	memset(name, 'x', 3);
	f.line = 0;
	ck_assert_uint_eq(told_number(&f), first);
}
END_TEST

START_TEST(share__two_processes_are_two_stacks_and_own_ones_a_third)
{
	struct share_result result;
	struct both b;

	set_up(&b);
	share_add(&b.into, &b.owners, 1, "one", b.bytes, &result);
	share_add(&b.into, &b.owners, 2, "two", b.bytes, &result);
	share_add_own(&b.into, &b.owners, 3, "three", &b.from, &b.from_owners);
	share_add(&b.into, &b.owners, 2, "two", b.bytes, &result);
	ck_assert_uint_eq(b.into.count, 9);
	ck_assert_int_eq(b.into.list[3]->value[1], 60);
	ck_assert_int_eq(b.into.list[6]->value[1], 30);
	tear_down(&b);
}
END_TEST

START_TEST(share__a_part_of_it_is_refused_at_every_length)
{
	struct share_result result;
	struct both b;

	write_map("12344f00 1000 made here\n");
	set_up(&b);
	write_map(NULL);
	for (size_t len = 0; len < b.bytes.len; len++) {
		uint8_t *part = malloc(len + !len); /* the address sanitizer sees who reads on */

		memcpy(part, b.bytes.at, len);
		ck_assert(!share_add(&b.into, &b.owners, 1, "x", (struct bytes){ part, len },
				     &result));
		free(part);
	}
	tear_down(&b);
}
END_TEST

/* What is sent ahead is followed by what says the same and more. */
/* The frame behind the root is a number of this process; what it stands for is not. */
START_TEST(share__labels_are_sent_as_what_they_say)
{
	uint32_t set = label_set_with(label_set_with(0, "route", "/a"), "kind", "slow");
	uint64_t frame[] = { modules_frame((uint64_t)marked), 0 };
	struct share_result result;
	struct label_set all;
	struct both b;

	set_up(&b);
	frame[1] = label_set_with(0, "other", "1");
	stack_table_add(&b.from, frame, 2)->value[1] = 1;
	frame[1] = set;
	stack_table_add(&b.from, frame, 2)->value[1] = 1;
	ck_assert_int_eq(share_write(&b.a, &(struct share_head){ .values = 2, .own_ns = 99 },
				     &b.from, &b.from_owners, &b.bytes),
			 0);
	ck_assert(share_add(&b.into, &b.owners, 1234, "worker", b.bytes, &result));
	ck_assert_uint_eq(b.into.count, 5);
	ck_assert_uint_eq(b.into.list[4]->depth, 2);
	ck_assert_uint_eq(b.into.list[4]->frame[0], frame[0]);
	label_set_get(frames_labels(b.into.list[4]->frame, 2), &all);
	ck_assert_uint_eq(all.count, 2);
	ck_assert_str_eq(all.key[0], "kind");
	ck_assert_str_eq(all.value[1], "/a");
	tear_down(&b);
}
END_TEST

START_TEST(share__of_several_the_last_whole_one_counts)
{
	struct share_result result;
	struct both b;
	uint8_t *two;

	set_up(&b);
	two = malloc(2 * b.bytes.len);
	memcpy(two, b.bytes.at, b.bytes.len);
	b.from.list[0]->value[1] = 1000;
	ck_assert_int_eq(share_write(&b.a, &(struct share_head){ .values = 2, .own_ns = 99 },
				     &b.from, &b.from_owners, &b.bytes),
			 0);
	memcpy(two + b.bytes.len, b.bytes.at, b.bytes.len);
	ck_assert(share_add(&b.into, &b.owners, 1, "x", (struct bytes){ two, 2 * b.bytes.len },
			    &result));
	ck_assert_int_eq(result.total[1], 1012);
	ck_assert(share_add(&b.into, &b.owners, 1, "x", (struct bytes){ two, 2 * b.bytes.len - 1 },
			    &result));
	ck_assert_int_eq(result.total[1], 42);
	free(two);
	tear_down(&b);
}
END_TEST

/* A member may be under an attacker. */
START_TEST(share__changed_bytes_are_survived)
{
	struct share_result result;
	struct both b;
	uint8_t *changed;

	write_map("12344f00 1000 made here\n");
	set_up(&b);
	changed = malloc(b.bytes.len);
	write_map(NULL);
	srand(1);
	for (int round = 0; round < 5000; round++) {
		memcpy(changed, b.bytes.at, b.bytes.len);
		for (int i = 1 + rand() % 4; i > 0; i--)
			changed[(size_t)rand() % b.bytes.len] = (uint8_t)rand();
		share_add(&b.into, &b.owners, 1, "x", (struct bytes){ changed, b.bytes.len },
			  &result);
	}
	ck_assert_uint_lt(modules_count(), 20000);
	free(changed);
	tear_down(&b);
}
END_TEST

START_TEST(wire__counts_that_cannot_be_are_bad)
{
	uint32_t many = UINT32_MAX;
	struct wire_reader r = { (const uint8_t *)&many, (const uint8_t *)(&many + 1), false };
	size_t len;

	ck_assert_uint_eq(wire_take_count(&r, 1), 0);
	ck_assert(r.bad);
	ck_assert_uint_eq(wire_take_u64(&r), 0);
	wire_take_block(&r, &len);
	ck_assert_uint_eq(len, 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("share");
	Suite *s = suite_create("share");
	SRunner *r;
	int failed;

	tcase_add_test(t, share__what_is_written_is_read_with_the_process_as_label);
	tcase_add_test(t, share__comments_go_with_it);
	tcase_add_test(t, share__code_of_no_object_is_a_place_of_the_other_process);
	tcase_add_test(t, share__newborns_are_themselves);
	tcase_add_test(t, share__code_made_at_run_time_has_its_name_with_it);
	tcase_add_test(t, told__what_does_not_fit_is_counted);
	tcase_add_test(t, share__two_processes_are_two_stacks_and_own_ones_a_third);
	tcase_add_test(t, share__a_part_of_it_is_refused_at_every_length);
	tcase_add_test(t, share__labels_are_sent_as_what_they_say);
	tcase_add_test(t, share__of_several_the_last_whole_one_counts);
	tcase_add_test(t, share__changed_bytes_are_survived);
	tcase_add_test(t, wire__counts_that_cannot_be_are_bad);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
