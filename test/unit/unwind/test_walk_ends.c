/* Where walks of single captures end, and what they say of it. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/process/modules.h"
#include "sampler/unwind/capture.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/learn.h"
#include "sampler/unwind/ring.h"
#include "sampler/unwind/walk.h"

static struct ring ring;
static struct thread thread;
static struct walk walked;

static void note_own_stack(void)
{
	pthread_attr_t attr;
	void *lo;
	size_t bytes;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &lo, &bytes);
	pthread_attr_destroy(&attr);
	thread.stack_lo = (uint64_t)lo;
	thread.stack_hi = (uint64_t)lo + bytes;
	thread.slice_limit = SLICE_BYTES;
}

static void setup(void)
{
	modules_init();
	code_refresh();
	note_own_stack();
	ck_assert_int_eq(ring_init(&ring, 4 << 20), 0);
}

/* Captures its caller; the context stays true until that returns. */
#define CAPTURE_HERE(uc) (getcontext(uc), ck_assert(capture_take(&ring, &thread, uc, 1)))

static void walk_front(void)
{
	const struct capture *c = ring_front(&ring);

	ck_assert_ptr_nonnull(c);
	walk_capture(c, &walked);
	ring_pop(&ring);
}

static void expect_cut(enum walk_end end, enum counter counter, uint64_t before)
{
	ck_assert_int_eq(walked.end, end);
	ck_assert_uint_eq(walked.pc[walked.depth - 1], PSEUDO_TRUNCATED);
	ck_assert_uint_eq(counter_get(counter), before + 1);
}

static volatile long keep_frame;

NOINLINE static void capture_once(void)
{
	ucontext_t uc;

	CAPTURE_HERE(&uc);
	keep_frame++;
}

NOINLINE static void capture_at_depth(int n)
{
	if (n > 1)
		capture_at_depth(n - 1);
	else
		capture_once();
	keep_frame++;
}

#pragma GCC diagnostic ignored "-Walloca"

/* Frames that only libunwind can step over, one upon the other. */
NOINLINE static long realigned_at_depth(int n, long b, long c, long d, long e, long f, long g)
{
	long box[4] __attribute__((aligned(128)));
	char *p = __builtin_alloca((size_t)n + 1);

	p[0] = (char)b;
	box[n & 3] = c + d;
	__asm__ volatile("" : : "r"(box), "r"(p) : "memory");
	if (n > 1)
		return realigned_at_depth(n - 1, b, c, d, e, f, g) + box[n & 3] + e + f + g;
	capture_at_depth(1);
	return box[1];
}

static int64_t time_to_walk_realigned(int depth)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < 5; i++) {
		int64_t start;

		realigned_at_depth(depth, 1, 2, 3, 4, 5, 6);
		start = sys_clock_ns(CLOCK_THREAD_CPUTIME_ID);
		walk_front();
		best = MIN(best, sys_clock_ns(CLOCK_THREAD_CPUTIME_ID) - start);
		ck_assert_int_eq(walked.end, WALK_COMPLETE);
		ck_assert_uint_gt(walked.depth, (uint32_t)depth);
	}
	return best;
}

/* Ten times the frames: a hundred times the work, if each were reached from the leaf anew. */
START_TEST(walk_ends__deep_realigned_stacks_take_time_in_proportion)
{
	int64_t few, many;

	thread.slice_limit = SLICE_BYTES_MAX;
	few = time_to_walk_realigned(30);
	many = time_to_walk_realigned(300);
	ck_assert_uint_eq(learn_row(walked.pc[5]).kind, ROW_COMPLEX);
	ck_assert_int_lt(many, few * 30);
}
END_TEST

/* Makes what lies below SP now look like a stack. */
NOINLINE static void scribble(void)
{
	volatile uint64_t words[16384];

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = i % 2 ? (uint64_t)capture_once + 1 : (uint64_t)&words[i & ~63UL];
}

START_TEST(walk_ends__memory_that_was_not_captured_is_not_read_later)
{
	for (uint32_t limit = SLICE_BYTES; limit < SLICE_BYTES + 1024; limit += 8) {
		uint64_t before = counter_get(COUNTER_STACKS_CUT_SLICE);

		thread.slice_limit = limit;
		realigned_at_depth(400, 1, 2, 3, 4, 5, 6);
		scribble();
		walk_front();
		expect_cut(WALK_SLICE, COUNTER_STACKS_CUT_SLICE, before);
	}
}
END_TEST

START_TEST(walk_ends__reaches_the_root_of_the_main_thread)
{
	capture_at_depth(10);
	walk_front();
	ck_assert_int_eq(walked.end, WALK_COMPLETE);
	ck_assert_uint_gt(walked.depth, 10);
	for (uint32_t i = 0; i < walked.depth; i++)
		ck_assert_ptr_nonnull(module_find(walked.pc[i]));
}
END_TEST

START_TEST(walk_ends__stack_deeper_than_the_copy_is_cut)
{
	uint64_t before = counter_get(COUNTER_STACKS_CUT_SLICE);
	uint32_t depth;

	thread.slice_limit = 2048;
	capture_at_depth(5000);
	walk_front();
	expect_cut(WALK_SLICE, COUNTER_STACKS_CUT_SLICE, before);
	depth = walked.depth;
	thread.slice_limit = 4096;
	capture_at_depth(5000);
	walk_front();
	ck_assert_uint_gt(walked.depth, depth);
}
END_TEST

START_TEST(walk_ends__more_frames_than_a_profile_keeps_are_cut)
{
	uint64_t before = counter_get(COUNTER_STACKS_CUT_DEPTH);

	thread.slice_limit = SLICE_BYTES_MAX;
	capture_at_depth(STACK_DEPTH_MAX + 100);
	walk_front();
	expect_cut(WALK_DEPTH, COUNTER_STACKS_CUT_DEPTH, before);
	ck_assert_uint_eq(walked.depth, STACK_DEPTH_MAX);
}
END_TEST

/* Code that nobody has unwind data for. */
static void (*make_code(const uint8_t *code, size_t len))(void (*)(void))
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	memcpy(p, code, len);
	return (void (*)(void (*)(void)))p;
}

START_TEST(walk_ends__code_without_unwind_data_is_followed_by_frame_pointer)
{
	/* push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret */
	static const uint8_t code[] = { 0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3 };
	void (*jit)(void (*)(void)) = make_code(code, sizeof(code));
	bool met = false;

	jit(capture_once);
	walk_front();
	ck_assert_int_eq(walked.end, WALK_COMPLETE);
	for (uint32_t i = 0; i < walked.depth; i++)
		met |= walked.pc[i] == (uint64_t)jit + 5;
	ck_assert(met);
}
END_TEST

START_TEST(walk_ends__code_that_ends_behind_its_call_tells_its_frame)
{
	/* push %rbp; xor %ebp,%ebp; call *%rdi; pop %rbp; ret */
	static const uint8_t code[] = { 0x55, 0x31, 0xed, 0xff, 0xd7, 0x5d, 0xc3 };
	void (*jit)(void (*)(void)) = make_code(code, sizeof(code));
	bool met = false;

	jit(capture_once);
	walk_front();
	ck_assert_int_eq(walked.end, WALK_COMPLETE);
	for (uint32_t i = 0; i < walked.depth; i++)
		met |= walked.pc[i] == (uint64_t)jit + 4;
	ck_assert(met);
}
END_TEST

START_TEST(walk_ends__code_without_unwind_data_or_frame_pointer_is_cut)
{
	/* push %rbp; xor %ebp,%ebp; call *%rdi; nop; pop %rbp; ret */
	static const uint8_t code[] = { 0x55, 0x31, 0xed, 0xff, 0xd7, 0x90, 0x5d, 0xc3 };
	void (*jit)(void (*)(void)) = make_code(code, sizeof(code));
	uint64_t before = counter_get(COUNTER_STACKS_CUT_NO_RULE);

	jit(capture_once);
	walk_front();
	expect_cut(WALK_NO_RULE, COUNTER_STACKS_CUT_NO_RULE, before);
	ck_assert_uint_eq(walked.pc[walked.depth - 2], (uint64_t)jit + 4);
}
END_TEST

/* As a tick finds a thread that was called from here and is at a stub. */
NOINLINE static void capture_in_stub(uint64_t stub)
{
	uint64_t *frame = __builtin_frame_address(0);
	ucontext_t uc;

	getcontext(&uc);
	uc.uc_mcontext.gregs[REG_RIP] = (greg_t)stub;
	uc.uc_mcontext.gregs[REG_RSP] = (greg_t)(frame + 1);
	uc.uc_mcontext.gregs[REG_RBP] = (greg_t)frame[0];
	ck_assert(capture_take(&ring, &thread, &uc, 1));
	keep_frame++;
}

/* endbr64; mov $1,%r11d; jmp *0(%rip), as mold makes them; at each instruction. */
START_TEST(walk_ends__a_stub_without_unwind_data_has_its_return_address_at_sp)
{
	static const uint8_t code[16] = {
		0xf3, 0x0f, 0x1e, 0xfa, 0x41, 0xbb, 1, 0, 0, 0, 0xff, 0x25
	};
	static const uint32_t at[] = { 0, 4, 10 };
	uint64_t stub = (uint64_t)make_code(code, sizeof(code));

	for (size_t i = 0; i < 3; i++) {
		capture_in_stub(stub + at[i]);
		walk_front();
		ck_assert_int_eq(walked.end, WALK_COMPLETE);
		ck_assert_uint_gt(walked.depth, 3);
	}
}
END_TEST

/* Of a stack that goes on with the caller of this. */
NOINLINE static uint32_t depth_of_own_call(void)
{
	static struct walk kept;
	uint32_t depth;

	kept = walked;
	capture_once();
	walk_front();
	depth = walked.depth - 1; /* it and capture_once(), for one */
	walked = kept;
	return depth;
}

/*
 * endbr64; cmpb $0,x(%rip); jne; push %rbp, ...; mov %rsp,%rbp; ...; add $8,%rsp; ret: at each
 * instruction before the push, and at the return, a caller's frame record does not tell.
 */
START_TEST(walk_ends__a_function_that_has_no_frame_yet_has_its_return_address_at_sp)
{
	static const uint8_t code[64] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x80, 0x3d, 1,    0,	  0,   0,
					  0,	0x75, 0x2b, 0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3 };
	static const uint32_t at[] = { 0, 4, 11, 13, 18 };
	uint64_t start = (uint64_t)make_code(code, sizeof(code));

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		capture_in_stub(start + at[i]);
		walk_front();
		ck_assert_int_eq(walked.end, WALK_COMPLETE);
		ck_assert_uint_eq(walked.pc[0], start + at[i]);
		ck_assert_uint_eq(walked.depth, depth_of_own_call());
	}
}
END_TEST

/* A capture made by hand of the next test: registers and stack. */
static struct capture *made_capture(uint64_t pc, uint64_t sp, uint64_t bp, uint32_t len)
{
	struct capture *c = ring_reserve(&ring, sizeof(*c) + len);

	c->thread = &thread;
	c->reg[REG_RIP] = pc;
	c->reg[REG_RSP] = sp;
	c->reg[REG_RBP] = bp;
	c->slice_at = sp;
	c->slice_len = len;
	return c;
}

START_TEST(walk_ends__return_address_of_zero_is_the_root)
{
	struct capture *c = made_capture((uint64_t)capture_once, 0x7000, 0, 64);

	ring_commit(c);
	walk_front();
	ck_assert_int_eq(walked.end, WALK_COMPLETE);
	ck_assert_uint_eq(walked.depth, 1);
}
END_TEST

START_TEST(walk_ends__wild_pc_keeps_its_leaf)
{
	static const uint64_t pcs[] = { 0, 1, 4096, 0x8000000000000000, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(pcs); i++) {
		ring_commit(made_capture(pcs[i], 0x7000, 0, 64));
		walk_front();
		ck_assert_int_eq(walked.end, WALK_NO_RULE);
		ck_assert_uint_eq(walked.depth, 2);
		ck_assert_uint_eq(walked.pc[0],
				  frame_of_address(MAX(pcs[i], (uint64_t)PSEUDO_LIMIT)));
	}
}
END_TEST

static uint64_t dice(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

/* Anything that a stack may hold: code, the stack itself, small and wild numbers. */
static uint64_t any_word(uint64_t sp, uint32_t len)
{
	const struct module *m = module_at(dice() % modules_count());

	switch (dice() % 8) {
	case 0:
		return dice();
	case 1:
		return dice() % 100;
	case 2:
	case 3:
		return sp + dice() % (len + 64);
	default:
		return m->range_count ? m->range[0].start +
						dice() % (m->range[0].limit - m->range[0].start)
				      : 0;
	}
}

START_TEST(walk_ends__any_registers_and_any_stack_end_somewhere)
{
	for (int i = 0; i < 20000; i++) {
		uint32_t len = dice() % 64 * 8;
		uint64_t sp = dice() % 16 ? (uint64_t)&len & ~7UL : dice();
		struct capture *c = made_capture(0, 0, 0, len);

		for (int k = 0; k < ARCH_REGS; k++)
			c->reg[k] = any_word(sp, len);
		c->reg[REG_RSP] = sp;
		c->slice_at = sp - RED_ZONE_BYTES;
		for (uint32_t k = 0; k < len; k += 8)
			*(uint64_t *)(c->slice + k) = any_word(sp, len);
		ring_commit(c);
		walk_front();
		ck_assert_uint_ge(walked.depth, 1);
		ck_assert_uint_le(walked.depth, STACK_DEPTH_MAX);
		ck_assert_int_le(walked.end, WALK_DEPTH);
		for (uint32_t k = 0; k + 1 < walked.depth; k++) /* a word may lead to sigreturn */
			ck_assert(walked.pc[k] >= PSEUDO_LIMIT || walked.pc[k] == PSEUDO_SIGNAL);
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("walk_ends");
	Suite *s = suite_create("walk_ends");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, walk_ends__reaches_the_root_of_the_main_thread);
	tcase_add_test(t, walk_ends__deep_realigned_stacks_take_time_in_proportion);
	tcase_add_test(t, walk_ends__stack_deeper_than_the_copy_is_cut);
	tcase_add_test(t, walk_ends__memory_that_was_not_captured_is_not_read_later);
	tcase_add_test(t, walk_ends__more_frames_than_a_profile_keeps_are_cut);
	tcase_add_test(t, walk_ends__code_without_unwind_data_is_followed_by_frame_pointer);
	tcase_add_test(t, walk_ends__code_that_ends_behind_its_call_tells_its_frame);
	tcase_add_test(t, walk_ends__code_without_unwind_data_or_frame_pointer_is_cut);
	tcase_add_test(t, walk_ends__a_function_that_has_no_frame_yet_has_its_return_address_at_sp);
	tcase_add_test(t, walk_ends__a_stub_without_unwind_data_has_its_return_address_at_sp);
	tcase_add_test(t, walk_ends__return_address_of_zero_is_the_root);
	tcase_add_test(t, walk_ends__wild_pc_keeps_its_leaf);
	tcase_add_test(t, walk_ends__any_registers_and_any_stack_end_somewhere);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
