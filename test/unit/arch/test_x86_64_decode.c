/* What x86-64 machine code says to decode.h. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/arch/decode.h"
#include "sampler/base/cc.h"

#define AT 0x401000UL /* where the code is made to be */

static void expect(struct arch_target t, enum arch_target_kind kind, uint64_t at, const char *what)
{
	ck_assert_msg(t.kind == kind && t.at == at, "%s: kind %d, 0x%lx", what, t.kind,
		      (unsigned long)t.at);
}

/* ---- calls */

struct call_case {
	const char *what;
	uint8_t code[ARCH_CALL_BYTES]; /* ends before the return address, AT */
	enum arch_target_kind kind;
	uint64_t at;
};

static const struct call_case calls[] = {
	{ "forwards", { 0, 0, 0, 0xe8, 0x10, 0, 0, 0 }, ARCH_TARGET_ADDRESS, AT + 16 },
	{ "backwards", { 0, 0, 0, 0xe8, 0xf0, 0xff, 0xff, 0xff }, ARCH_TARGET_ADDRESS, AT - 16 },
	{ "through the linker's table",
	  { 0, 0, 0xff, 0x15, 0x20, 0, 0, 0 },
	  ARCH_TARGET_SLOT,
	  AT + 32 },
	{ "through rax", { 0, 0, 0, 0, 0, 0, 0xff, 0xd0 }, ARCH_TARGET_OPEN, 0 },
	{ "through r15", { 0, 0, 0, 0, 0, 0x41, 0xff, 0xd7 }, ARCH_TARGET_OPEN, 0 },
	{ "through a vtable", { 0, 0, 0, 0, 0, 0xff, 0x50, 0x18 }, ARCH_TARGET_OPEN, 0 },
	{ "through a large vtable", { 0, 0, 0xff, 0x90, 0, 1, 0, 0 }, ARCH_TARGET_OPEN, 0 },
	{ "through a table with an index",
	  { 0, 0xff, 0x94, 0xc3, 0, 1, 0, 0 },
	  ARCH_TARGET_OPEN,
	  0 },
	{ "a jump through rax is no call", { 0, 0, 0, 0, 0, 0, 0xff, 0xe0 }, ARCH_TARGET_NONE, 0 },
	{ "a jump is no call", { 0, 0, 0, 0xe9, 0x10, 0, 0, 0 }, ARCH_TARGET_NONE, 0 },
	{ "moves are no call",
	  { 0x48, 0x89, 0xe5, 0x48, 0x8b, 0x47, 0x08, 0x90 },
	  ARCH_TARGET_NONE,
	  0 },
};

START_TEST(a_call_says_where_it_leads)
{
	const struct call_case *c = &calls[_i];

	expect(arch_call_target(c->code, AT), c->kind, c->at, c->what);
}
END_TEST

/* ---- stubs */

#define ENDBR64 0xf3, 0x0f, 0x1e, 0xfa

struct stub_case {
	const char *what;
	uint8_t code[ARCH_STUB_BYTES];
	enum arch_target_kind kind;
	uint64_t at;
};

static const struct stub_case stubs[] = {
	{ "lazy", { 0xff, 0x25, 0x10, 0, 0, 0, 0x68, 7 }, ARCH_TARGET_SLOT, AT + 6 + 16 },
	{ "at a lower address",
	  { 0xff, 0x25, 0xf0, 0xff, 0xff, 0xff },
	  ARCH_TARGET_SLOT,
	  AT + 6 - 16 },
	{ "of .plt.sec", { ENDBR64, 0xff, 0x25, 0x10, 0, 0, 0 }, ARCH_TARGET_SLOT, AT + 10 + 16 },
	{ "of .plt.sec, bounds kept",
	  { ENDBR64, 0xf2, 0xff, 0x25, 0x10, 0, 0, 0 },
	  ARCH_TARGET_SLOT,
	  AT + 11 + 16 },
	{ "of .plt beside .plt.sec",
	  { ENDBR64, 0x68, 0x34, 0x12, 0, 0, 0xe9 },
	  ARCH_TARGET_NUMBER,
	  0x1234 },
	{ "of mold",
	  { ENDBR64, 0x41, 0xbb, 7, 0, 0, 0, 0xff, 0x25, 0x10, 0, 0, 0 },
	  ARCH_TARGET_SLOT,
	  AT + 16 + 16 },
	{ "a thunk", { 0xe9, 0x10, 0, 0, 0 }, ARCH_TARGET_ADDRESS, AT + 5 + 16 },
	{ "the first of .plt", { 0xff, 0x35, 0x10, 0, 0, 0, 0xff, 0x25 }, ARCH_TARGET_NONE, 0 },
	{ "a function", { ENDBR64, 0x55, 0x48, 0x89, 0xe5 }, ARCH_TARGET_NONE, 0 },
};

START_TEST(a_stub_says_where_it_leads)
{
	const struct stub_case *c = &stubs[_i];

	expect(arch_stub_target(c->code, AT), c->kind, c->at, c->what);
}
END_TEST

/* ---- prologues, and what follows a call */

struct prologue_case {
	const char *what;
	uint8_t code[48];
	size_t limit;
	int64_t depth;
};

/* push %rbp; mov %rsp,%rbp */
#define FRAME 0x55, 0x48, 0x89, 0xe5

static const struct prologue_case prologues[] = {
	{ "a frame without room", { FRAME, 0xe8, 0, 0, 0, 0 }, 9, 0 },
	{ "room of one byte", { FRAME, 0x48, 0x83, 0xec, 0x40, 0xe8 }, 13, 64 },
	{ "room of four bytes", { FRAME, 0x48, 0x81, 0xec, 0, 1, 0, 0, 0xe8 }, 16, 256 },
	{ "room by adding -128", { FRAME, 0x48, 0x83, 0xc4, 0x80, 0xe8 }, 13, 128 },
	{ "saved registers",
	  { 0xf3, 0x0f, 0x1e, 0xfa, FRAME, 0x41, 0x57, 0x41, 0x56, 0x53, 0x48, 0x83, 0xec, 0x18,
	    0xe8 },
	  22,
	  48 },
	{ "moves in between",
	  { 0x55, 0x89, 0xf8, 0x48, 0x8b, 0x47, 0x08, 0x48, 0x89, 0xe5, 0x48,
	    0x8d, 0x3d, 0,    0,    0,	  0,	0x53, 0x31, 0xc0, 0x50, 0xe8 },
	  27,
	  16 },
	{ "the guard of the stack",
	  { FRAME, 0x48, 0x83, 0xec, 0x10, 0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0, 0x48, 0x89,
	    0x45, 0xf8, 0xe8 },
	  26,
	  16 },
	{ "an argument on the stack", { FRAME, 0x6a, 0x00, 0x68, 0, 0, 0, 0, 0xe8 }, 16, 16 },
	{ "what follows a jump is not read", { FRAME, 0x53, 0x74, 0x04, 0x53, 0x53, 0xe8 }, 14, 8 },
	{ "no frame", { 0x48, 0x83, 0xec, 0x18, 0xe8 }, 9, -1 },
	{ "bp for other uses", { 0x55, 0x89, 0xfd, 0x53, 0xe8 }, 9, -1 },
};

START_TEST(a_prologue_tells_how_deep_its_frame_is)
{
	const struct prologue_case *c = &prologues[_i];
	bool whole;

	ck_assert_msg(arch_prologue_depth(c->code, sizeof(c->code), c->limit, &whole) == c->depth,
		      "%s: %ld, expected %ld", c->what,
		      (long)arch_prologue_depth(c->code, sizeof(c->code), c->limit, &whole),
		      (long)c->depth);
}
END_TEST

START_TEST(no_code_breaks_the_readers)
{
	int64_t frame, bp_at;
	bool whole;

	srand(7);
	for (int round = 0; round < 200000; round++) {
		size_t len = (size_t)rand() % 112;
		uint8_t *exact = malloc(len + 1); /* sanitizers see a byte too far */

		for (size_t i = 0; i < len; i++)
			exact[i] = (uint8_t)(i < 4 ? "\x55\x48\x89\xe5"[i] : rand());
		arch_prologue_depth(exact, len, len > ARCH_AHEAD_BYTES ? len - ARCH_AHEAD_BYTES : 0,
				    &whole);
		arch_call_arguments(exact, len);
		arch_epilogue(exact, len, &frame, &bp_at);
		arch_frame_ahead(exact, len, &frame, &bp_at);
		free(exact);
	}
}
END_TEST

struct arguments_case {
	const char *what;
	uint8_t code[32];
	int64_t bytes;
};

static const struct arguments_case arguments[] = {
	{ "added to SP", { 0x48, 0x83, 0xc4, 0x10 }, 16 },
	{ "added after the result was moved", { 0x89, 0xc3, 0x48, 0x83, 0xc4, 0x20 }, 32 },
	{ "popped", { 0x59, 0x5e, 0x90 }, 16 },
	{ "the end of the function pops BP", { 0x5b, 0x5d, 0xc3 }, 0 },
	{ "a jump comes first", { 0xeb, 0x10, 0x48, 0x83, 0xc4, 0x10 }, 0 },
	{ "SP is lowered", { 0x48, 0x83, 0xc4, 0x80 }, 0 },
};

START_TEST(what_follows_a_call_tells_its_arguments)
{
	const struct arguments_case *c = &arguments[_i];

	ck_assert_msg(arch_call_arguments(c->code, sizeof(c->code)) == c->bytes, "%s: %ld", c->what,
		      (long)arch_call_arguments(c->code, sizeof(c->code)));
}
END_TEST

struct epilogue_case {
	const char *what;
	uint8_t code[24];
	int64_t frame, bp_at; /* frame 0: it is none */
};

static const struct epilogue_case epilogues[] = {
	{ "return", { 0xc3 }, 8, -1 },
	{ "room and return", { 0x48, 0x83, 0xc4, 0x08, 0xc3 }, 16, -1 },
	{ "much room", { 0x48, 0x81, 0xc4, 0, 1, 0, 0, 0xc3 }, 264, -1 },
	{ "registers", { 0x5b, 0x41, 0x5c, 0xc3 }, 24, -1 },
	{ "BP among them", { 0x48, 0x83, 0xc4, 0x18, 0x5b, 0x5d, 0x41, 0x5e, 0xc3 }, 56, 32 },
	{ "SP from BP", { 0xc9, 0xc3 }, 0, 0 },
	{ "SP from the stack", { 0x5c, 0xc3 }, 0, 0 },
	{ "more room", { 0x48, 0x83, 0xc4, 0xf8, 0xc3 }, 0, 0 },
	{ "something else before it", { 0x48, 0x83, 0xc4, 0x08, 0x90, 0xc3 }, 0, 0 },
	{ "a jump", { 0x48, 0x83, 0xc4, 0x08, 0xeb, 0x10 }, 0, 0 },
};

START_TEST(the_end_of_a_function_behind_a_call_tells_its_frame)
{
	const struct epilogue_case *c = &epilogues[_i];
	int64_t frame, bp_at;
	bool is_one = arch_epilogue(c->code, sizeof(c->code), &frame, &bp_at);

	ck_assert_msg(is_one == (c->frame != 0), "%s", c->what);
	ck_assert_msg(!is_one || (frame == c->frame && bp_at == c->bp_at), "%s: %ld %ld", c->what,
		      (long)frame, (long)bp_at);
	for (size_t len = 0; len < sizeof(c->code); len++)
		if (c->code[len] == 0xc3)
			ck_assert_msg(!arch_epilogue(c->code, len, &frame, &bp_at), "%s: cut",
				      c->what);
}
END_TEST

static const struct {
	const char *what;
	uint8_t code[ARCH_FRAME_AHEAD_BYTES];
	int64_t frame, bp_at; /* frame 0: there is none */
} beginnings[] = {
	/* cmpb $0,x(%rip); jne; push %rbp; cmpq $0,x(%rip); mov %rsp,%rbp */
	{ "crtbegin",
	  { 0xf3, 0x0f, 0x1e, 0xfa, 0x80, 0x3d, 1, 0, 0, 0,    0,    0x75, 0x2b,
	    0x55, 0x48, 0x83, 0x3d, 1,	  0,	0, 0, 0, 0x48, 0x89, 0xe5 },
	  8,
	  -1 },
	{ "push", { 0x55, 0x48, 0x89, 0xe5 }, 8, -1 },
	{ "pushed", { 0x48, 0x8b, 0xec }, 16, 0 },
	{ "between", { 0x31, 0xc0, 0x48, 0x89, 0xe5 }, 16, 0 },
	{ "a second push", { 0x55, 0x55, 0x48, 0x89, 0xe5 }, 0, 0 },
	{ "another push", { 0x53, 0x55, 0x48, 0x89, 0xe5 }, 0, 0 },
	{ "room", { 0x48, 0x83, 0xec, 8, 0x55, 0x48, 0x89, 0xe5 }, 0, 0 },
	{ "a call", { 0xe8, 0, 0, 0, 0, 0x55, 0x48, 0x89, 0xe5 }, 0, 0 },
	{ "the end", { 0xc3, 0x55, 0x48, 0x89, 0xe5 }, 0, 0 },
	{ "a jump", { 0xeb, 0x10, 0x55, 0x48, 0x89, 0xe5 }, 0, 0 },
	{ "another register", { 0x55, 0x48, 0x89, 0xe3 }, 0, 0 },
	/* dec %ecx; jne back; push %rbp; mov %rsp,%rbp */
	{ "a loop", { 0x83, 0xe9, 1, 0x75, 0xfb, 0x55, 0x48, 0x89, 0xe5 }, 0, 0 },
};

START_TEST(a_frame_that_is_about_to_be_set_up_tells_where_the_return_address_is)
{
	int64_t frame, bp_at;
	bool is_one =
		arch_frame_ahead(beginnings[_i].code, sizeof(beginnings[_i].code), &frame, &bp_at);

	ck_assert_msg(is_one == (beginnings[_i].frame != 0), "%s", beginnings[_i].what);
	ck_assert_msg(!is_one || (frame == beginnings[_i].frame && bp_at == beginnings[_i].bp_at),
		      "%s: %ld %ld", beginnings[_i].what, (long)frame, (long)bp_at);
}
END_TEST

/* ---- signal frames */

START_TEST(our_return_from_a_handler_is_one)
{
	uint8_t code[ARCH_SIGRETURN_BYTES];

	memcpy(code, (const void *)(uintptr_t)pprofshim_sigreturn, sizeof(code));
	ck_assert(arch_is_sigreturn(code));
	code[3]++; /* another system call */
	ck_assert(!arch_is_sigreturn(code));
}
END_TEST

START_TEST(the_end_of_a_context_takes_another_stack)
{
	ck_assert(arch_is_context_end((const uint8_t[]){ 0x48, 0x89, 0xdc }));
	ck_assert(!arch_is_context_end((const uint8_t[]){ 0x48, 0x89, 0xe3 })); /* the other way */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("x86_64_decode");
	SRunner *r = srunner_create(s);
	TCase *t = tcase_create("code");
	int failed;

	tcase_add_loop_test(t, a_call_says_where_it_leads, 0, ARRAY_SIZE(calls));
	tcase_add_loop_test(t, a_stub_says_where_it_leads, 0, ARRAY_SIZE(stubs));
	tcase_add_loop_test(t, a_prologue_tells_how_deep_its_frame_is, 0, ARRAY_SIZE(prologues));
	tcase_add_loop_test(t, the_end_of_a_function_behind_a_call_tells_its_frame, 0,
			    (int)(sizeof(epilogues) / sizeof(epilogues[0])));
	tcase_add_loop_test(t, a_frame_that_is_about_to_be_set_up_tells_where_the_return_address_is,
			    0, (int)ARRAY_SIZE(beginnings));
	tcase_add_loop_test(t, what_follows_a_call_tells_its_arguments, 0, ARRAY_SIZE(arguments));
	tcase_add_test(t, no_code_breaks_the_readers);
	tcase_add_test(t, our_return_from_a_handler_is_one);
	tcase_add_test(t, the_end_of_a_context_takes_another_stack);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
