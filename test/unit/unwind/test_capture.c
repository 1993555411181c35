/* What the handler copies: on the thread's own stack, and on any other. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sandbox.h"
#include "sampler/unwind/capture.h"

/* A stack with a page behind its end that nobody can read. */
#define STACK_PAGES 32UL
#define STACK_BYTES (STACK_PAGES * PAGE_BYTES)

static struct ring ring;
static struct thread thread;
static ucontext_t uc;
static char *stack;

static void setup(void)
{
	ck_assert_int_eq(ring_init(&ring, 1 << 20), 0);
	stack = mmap(NULL, STACK_BYTES + PAGE_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(stack, MAP_FAILED);
	for (size_t i = 0; i < STACK_BYTES; i++)
		stack[i] = (char)(i * 7 + i / 256);
	ck_assert_int_eq(mprotect(stack + STACK_BYTES, PAGE_BYTES, PROT_NONE), 0);
	thread.stack_lo = (uint64_t)stack;
	thread.stack_hi = (uint64_t)stack + STACK_BYTES;
	thread.slice_limit = SLICE_BYTES;
}

static void forget_bounds(void)
{
	thread.stack_lo = 0;
	thread.stack_hi = 0;
}

/* Captures with SP `below` bytes below the end of the stack. */
static const struct capture *capture_at(uint64_t below)
{
	const struct capture *c;

	uc.uc_mcontext.gregs[REG_RSP] = (greg_t)((uint64_t)stack + STACK_BYTES - below);
	ck_assert(capture_take(&ring, &thread, &uc, 1234567));
	c = ring_front(&ring);
	ck_assert_ptr_nonnull(c);
	return c;
}

/* The slice is memory from the red zone of SP on, and ends where it should. */
static void expect_slice(const struct capture *c, uint64_t below, uint64_t len)
{
	uint64_t at = STACK_BYTES - below - RED_ZONE_BYTES;

	ck_assert_uint_eq(c->slice_at, (uint64_t)stack + at);
	ck_assert_uint_eq(c->slice_len, len);
	ck_assert_mem_eq(c->slice, stack + at, len);
}

START_TEST(capture__holds_registers_thread_and_weight)
{
	const struct capture *c;

	for (int i = 0; i < NGREG; i++)
		uc.uc_mcontext.gregs[i] = 0x1111111111 * (i + 1);
	c = capture_at(4096);
	for (int i = 0; i < ARCH_REGS; i++) {
		if (i != REG_RSP)
			ck_assert_uint_eq(c->reg[i], 0x1111111111UL * (unsigned)(i + 1));
	}
	ck_assert_uint_eq(CAPTURE_SP(c), (uint64_t)stack + STACK_BYTES - 4096);
	ck_assert_uint_eq(CAPTURE_PC(c), 0x1111111111UL * (REG_RIP + 1));
	ck_assert_uint_eq(CAPTURE_BP(c), 0x1111111111UL * (REG_RBP + 1));
	ck_assert_ptr_eq(c->thread, &thread);
	ck_assert_ptr_null(c->site);
	ck_assert_uint_eq(c->tp, thread_pointer());
	ck_assert_int_eq(c->weight_ns, 1234567);
}
END_TEST

START_TEST(capture__known_stack_is_copied_to_its_end)
{
	static const uint64_t below[] = { 8, 16, 4096, 4104, 20000, 60000 };

	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		const struct capture *c = capture_at(below[i]);

		ck_assert(c->on_known_stack);
		expect_slice(c, below[i], below[i] + RED_ZONE_BYTES);
		ring_pop(&ring);
	}
}
END_TEST

/* Half at SP, half at the root; what lies between is told to be missing. */
START_TEST(capture__known_stack_is_copied_up_to_the_limit)
{
	static const uint32_t limits[] = { 4096, 4100, 20000, SLICE_BYTES };

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		uint64_t len = ALIGN_DOWN(limits[i], 8U), low = ALIGN_DOWN(len / 2, 8), word;
		const struct capture *c;

		thread.slice_limit = limits[i];
		c = capture_at(100000);
		expect_slice(c, 100000, low);
		ck_assert_uint_eq(c->more[0].at, (uint64_t)stack + STACK_BYTES - (len - low));
		ck_assert_uint_eq(c->more[0].len, len - low);
		ck_assert_mem_eq(c->slice + low, stack + STACK_BYTES - (len - low), len - low);
		ck_assert(capture_load(c, c->slice_at + low - 8, &word));
		ck_assert(!capture_load(c, c->slice_at + low - 4, &word));
		ck_assert(!capture_load(c, c->more[0].at - 8, &word));
		ck_assert(capture_load(c, c->more[0].at, &word));
		ck_assert_mem_eq(&word, stack + STACK_BYTES - (len - low), 8);
		ck_assert(!capture_load(c, (uint64_t)stack + STACK_BYTES - 4, &word));
		ring_pop(&ring);
	}
}
END_TEST

START_TEST(capture__unknown_stack_is_copied_by_the_kernel)
{
	const struct capture *c;

	forget_bounds();
	c = capture_at(100000);
	ck_assert(!c->on_known_stack);
	expect_slice(c, 100000, FOREIGN_SLICE_BYTES);
}
END_TEST

START_TEST(capture__unknown_stack_ends_where_memory_ends)
{
	static const uint64_t below[] = { 8, 16, 1000, 4096, 10000 };
	uint64_t before = counter_get(COUNTER_CPU_COPIES_FAULTED);

	forget_bounds();
	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		expect_slice(capture_at(below[i]), below[i], below[i] + RED_ZONE_BYTES);
		ring_pop(&ring);
	}
	ck_assert_uint_eq(counter_get(COUNTER_CPU_COPIES_FAULTED), before);
}
END_TEST

/* A coroutine: bounds are known, but SP is somewhere else. */
START_TEST(capture__sp_off_the_known_stack_is_an_unknown_stack)
{
	const struct capture *c;

	thread.stack_lo = (uint64_t)stack + 64 * 1024;
	c = capture_at(100000);
	ck_assert(!c->on_known_stack);
	expect_slice(c, 100000, FOREIGN_SLICE_BYTES);
	ring_pop(&ring);
	thread.stack_lo = (uint64_t)stack;
	thread.stack_hi = (uint64_t)stack + 8192;
	c = capture_at(8192);
	ck_assert(!c->on_known_stack);
	expect_slice(c, 8192, 8192 + RED_ZONE_BYTES);
}
END_TEST

START_TEST(capture__wild_sp_keeps_the_registers)
{
	static const uint64_t wild[] = {
		0, 8, 128, 4096, 0x800000000000, UINT64_MAX - 7, 1UL << 63
	};
	uint64_t before = counter_get(COUNTER_CPU_COPIES_FAULTED);

	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		const struct capture *c;

		uc.uc_mcontext.gregs[REG_RSP] = (greg_t)wild[i];
		ck_assert(capture_take(&ring, &thread, &uc, 1));
		c = ring_front(&ring);
		ck_assert_uint_eq(CAPTURE_SP(c), wild[i]);
		ck_assert_uint_eq(c->slice_len, 0);
		ck_assert(!c->on_known_stack);
		ring_pop(&ring);
	}
	ck_assert_uint_eq(counter_get(COUNTER_CPU_COPIES_FAULTED), before + ARRAY_SIZE(wild));
}
END_TEST

START_TEST(capture__unaligned_sp_is_copied_in_whole_words)
{
	for (uint64_t off = 1; off < 8; off++) {
		const struct capture *c = capture_at(1000 + off);

		ck_assert(!c->on_known_stack);
		expect_slice(c, 1000 + off, ALIGN_DOWN(1000 + off + RED_ZONE_BYTES, 8UL));
		ring_pop(&ring);
	}
}
END_TEST

START_TEST(capture__in_a_sandbox_unknown_stacks_are_not_copied)
{
	const struct capture *c;

	sandbox_note();
	expect_slice(capture_at(4096), 4096, 4096 + RED_ZONE_BYTES);
	ring_pop(&ring);
	forget_bounds();
	c = capture_at(4096);
	ck_assert_uint_eq(c->slice_len, 0);
}
END_TEST

START_TEST(capture__a_full_ring_is_counted_and_nothing_is_lost_from_it)
{
	uint64_t before = counter_get(COUNTER_CPU_DROPPED_RING_FULL);
	int taken = 0;

	uc.uc_mcontext.gregs[REG_RSP] = (greg_t)(stack + STACK_BYTES - 60000);
	while (capture_take(&ring, &thread, &uc, taken))
		taken++;
	ck_assert_int_gt(taken, 10);
	ck_assert_uint_eq(counter_get(COUNTER_CPU_DROPPED_RING_FULL), before + 1);
	for (int i = 0; i < taken; i++) {
		const struct capture *c = ring_front(&ring);

		ck_assert_int_eq(c->weight_ns, i);
		expect_slice(c, 60000, 60000 + RED_ZONE_BYTES);
		ring_pop(&ring);
	}
	ck_assert(capture_take(&ring, &thread, &uc, 1));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("capture");
	Suite *s = suite_create("capture");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, capture__holds_registers_thread_and_weight);
	tcase_add_test(t, capture__known_stack_is_copied_to_its_end);
	tcase_add_test(t, capture__known_stack_is_copied_up_to_the_limit);
	tcase_add_test(t, capture__unknown_stack_is_copied_by_the_kernel);
	tcase_add_test(t, capture__unknown_stack_ends_where_memory_ends);
	tcase_add_test(t, capture__sp_off_the_known_stack_is_an_unknown_stack);
	tcase_add_test(t, capture__wild_sp_keeps_the_registers);
	tcase_add_test(t, capture__unaligned_sp_is_copied_in_whole_words);
	tcase_add_test(t, capture__in_a_sandbox_unknown_stacks_are_not_copied);
	tcase_add_test(t, capture__a_full_ring_is_counted_and_nothing_is_lost_from_it);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
