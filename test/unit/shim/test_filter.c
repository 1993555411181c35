/* What filters say to rt_sigreturn, without installing them. */
#include <check.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "sampler/base/cc.h"
#include "shim/life/filter.h"

#define LOAD(field)	     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define JUMP(op, k, yes, no) BPF_JUMP(BPF_JMP | (op), (k), (yes), (no))
#define RETURN(action)	     BPF_STMT(BPF_RET | BPF_K, (action))

static bool allowed(const struct sock_filter *code, size_t len)
{
	struct sock_fprog program = { (unsigned short)len, (struct sock_filter *)(uintptr_t)code };

	return filter_judge(&program).lets_handlers_return;
}

#define ALLOWED(...)                                                                               \
	allowed((const struct sock_filter[]){ __VA_ARGS__ },                                       \
		ARRAY_SIZE(((const struct sock_filter[]){ __VA_ARGS__ })))

START_TEST(test_filter__the_action_of_the_end_decides)
{
	ck_assert(ALLOWED(RETURN(SECCOMP_RET_ALLOW)));
	ck_assert(ALLOWED(RETURN(SECCOMP_RET_LOG)));
	ck_assert(!ALLOWED(RETURN(SECCOMP_RET_KILL_PROCESS)));
	ck_assert(!ALLOWED(RETURN(SECCOMP_RET_ERRNO | 1)));
	ck_assert(!ALLOWED(RETURN(SECCOMP_RET_TRAP)));
	ck_assert(!ALLOWED(RETURN(SECCOMP_RET_USER_NOTIF)));
}
END_TEST

START_TEST(test_filter__a_list_is_searched)
{
	ck_assert(ALLOWED(LOAD(nr), JUMP(BPF_JEQ, SYS_rt_sigreturn, 0, 1),
			  RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_KILL)));
	ck_assert(!ALLOWED(LOAD(nr), JUMP(BPF_JEQ, SYS_read, 0, 1), RETURN(SECCOMP_RET_ALLOW),
			   RETURN(SECCOMP_RET_KILL)));
	/* as libseccomp does: the architecture, x32, a tree of comparisons */
	ck_assert(ALLOWED(LOAD(arch), JUMP(BPF_JEQ, AUDIT_ARCH_X86_64, 0, 5), LOAD(nr),
			  JUMP(BPF_JGE, 0x40000000, 3, 0), JUMP(BPF_JGT, 20, 2, 0),
			  JUMP(BPF_JGE, 13, 0, 1), RETURN(SECCOMP_RET_ALLOW),
			  RETURN(SECCOMP_RET_KILL)));
}
END_TEST

START_TEST(test_filter__numbers_and_memory_are_kept)
{
	ck_assert(ALLOWED(LOAD(nr), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LD | BPF_IMM, 7),
			  BPF_STMT(BPF_LDX | BPF_MEM, 3), BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
			  BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 1),
			  JUMP(BPF_JEQ, (SYS_rt_sigreturn + 7) * 2, 0, 1),
			  RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_KILL)));
	ck_assert(ALLOWED(BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_ALLOW),
			  BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_LD | BPF_IMM, 0),
			  BPF_STMT(BPF_MISC | BPF_TXA, 0), BPF_STMT(BPF_RET | BPF_A, 0)));
	ck_assert(ALLOWED(BPF_STMT(BPF_JMP | BPF_JA, 1), RETURN(SECCOMP_RET_KILL),
			  RETURN(SECCOMP_RET_ALLOW)));
}
END_TEST

/* What is refused, "" for nothing. */
static const char *refused(const struct sock_filter *code, size_t len)
{
	struct sock_fprog program = { (unsigned short)len, (struct sock_filter *)(uintptr_t)code };
	const char *name = filter_judge(&program).refuses;

	return name ? name : "";
}

#define REFUSED(...)                                                                               \
	refused((const struct sock_filter[]){ __VA_ARGS__ },                                       \
		ARRAY_SIZE(((const struct sock_filter[]){ __VA_ARGS__ })))

START_TEST(test_filter__each_of_our_calls_is_looked_at)
{
	ck_assert_str_eq(REFUSED(RETURN(SECCOMP_RET_ALLOW)), "");
	ck_assert_str_eq(REFUSED(LOAD(nr), JUMP(BPF_JEQ, SYS_mount, 0, 1), RETURN(SECCOMP_RET_KILL),
				 RETURN(SECCOMP_RET_ALLOW)),
			 "");
	ck_assert_str_eq(REFUSED(LOAD(nr), JUMP(BPF_JEQ, SYS_gettid, 0, 1),
				 RETURN(SECCOMP_RET_KILL), RETURN(SECCOMP_RET_ALLOW)),
			 "gettid");
	/* an error is a refusal, but that of clone3 which makes libc take clone */
	ck_assert_str_eq(REFUSED(LOAD(nr), JUMP(BPF_JEQ, SYS_clone3, 0, 1),
				 RETURN(SECCOMP_RET_ERRNO | EPERM), RETURN(SECCOMP_RET_ALLOW)),
			 "clone3");
	ck_assert_str_eq(REFUSED(LOAD(nr), JUMP(BPF_JEQ, SYS_clone3, 0, 1),
				 RETURN(SECCOMP_RET_ERRNO | ENOSYS), RETURN(SECCOMP_RET_ALLOW)),
			 "");
}
END_TEST

/* Nothing is known of arguments: each way that they may lead must be allowed. */
START_TEST(test_filter__arguments_lead_both_ways)
{
	ck_assert_str_eq(REFUSED(LOAD(nr), JUMP(BPF_JEQ, SYS_socket, 0, 3), LOAD(args[0]),
				 JUMP(BPF_JEQ, 2, 1, 0), RETURN(SECCOMP_RET_KILL),
				 RETURN(SECCOMP_RET_ALLOW)),
			 "socket");
	ck_assert_str_eq(REFUSED(LOAD(nr), JUMP(BPF_JEQ, SYS_socket, 0, 3), LOAD(args[0]),
				 BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff), JUMP(BPF_JSET, 2, 1, 0),
				 RETURN(SECCOMP_RET_LOG), RETURN(SECCOMP_RET_ALLOW)),
			 "");
	/* through memory, and through X */
	ck_assert_str_eq(REFUSED(LOAD(args[1]), BPF_STMT(BPF_ST, 2), LOAD(nr),
				 JUMP(BPF_JEQ, SYS_bind, 0, 2), BPF_STMT(BPF_LDX | BPF_MEM, 2),
				 JUMP(BPF_JEQ | BPF_X, 0, 1, 0), RETURN(SECCOMP_RET_ALLOW),
				 RETURN(SECCOMP_RET_KILL)),
			 "bind");
	ck_assert_str_eq(REFUSED(LOAD(args[1]), BPF_STMT(BPF_RET | BPF_A, 0)), "wait4");
}
END_TEST

/* Too many ways to go them all: a refusal, in no time. */
START_TEST(test_filter__ways_are_bounded)
{
	struct sock_filter code[4096];
	size_t n = ARRAY_SIZE(code) - 1;

	for (size_t i = 0; i < n; i += 2) {
		code[i] = (struct sock_filter)LOAD(args[0]);
		code[i + 1] = (struct sock_filter)JUMP(BPF_JEQ, 1, 0, 0);
	}
	code[n] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
	ck_assert_str_eq(refused(code, n + 1), "wait4");
}
END_TEST

static bool kills_threads(uint32_t action)
{
	struct sock_filter code[] = { RETURN(action) };
	struct sock_fprog program = { ARRAY_SIZE(code), code };

	return filter_judge(&program).kills_threads;
}

START_TEST(test_filter__who_is_killed)
{
	ck_assert(kills_threads(SECCOMP_RET_KILL_THREAD));
	ck_assert(kills_threads(SECCOMP_RET_KILL_THREAD | 5));
	ck_assert(!kills_threads(SECCOMP_RET_KILL_PROCESS));
	ck_assert(!kills_threads(SECCOMP_RET_ERRNO));
	ck_assert(!kills_threads(SECCOMP_RET_ALLOW));
}
END_TEST

START_TEST(test_filter__nonsense_is_survived)
{
	ck_assert(filter_judge(NULL).lets_handlers_return);
	ck_assert_ptr_null(filter_judge(NULL).refuses);
	ck_assert(filter_judge((const struct sock_fprog *)8).lets_handlers_return);
	ck_assert(allowed((const struct sock_filter *)8, 3));
	ck_assert(allowed(NULL, 0));
	ck_assert(!ALLOWED(LOAD(nr)));
	ck_assert(!ALLOWED(BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), RETURN(SECCOMP_RET_ALLOW)));
	ck_assert(!ALLOWED(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0xfffffff0), BPF_STMT(BPF_ST, 0xffff),
			   BPF_STMT(BPF_LDX | BPF_MEM, 0xffff),
			   BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0),
			   BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 99), RETURN(SECCOMP_RET_KILL)));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("filter");
	TCase *t = tcase_create("filter");
	SRunner *r;
	int failed;

	tcase_add_test(t, test_filter__the_action_of_the_end_decides);
	tcase_add_test(t, test_filter__a_list_is_searched);
	tcase_add_test(t, test_filter__numbers_and_memory_are_kept);
	tcase_add_test(t, test_filter__each_of_our_calls_is_looked_at);
	tcase_add_test(t, test_filter__arguments_lead_both_ways);
	tcase_add_test(t, test_filter__ways_are_bounded);
	tcase_add_test(t, test_filter__who_is_killed);
	tcase_add_test(t, test_filter__nonsense_is_survived);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
