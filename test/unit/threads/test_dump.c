/*
 * Thread dumps from below: what /proc's files say, whom a return address fits, where
 * a waiting thread's frame pointer is, who waits for whom.
 */
#include <check.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/locks/deadlock.h"
#include "sampler/locks/lock_owner.h"
#include "sampler/process/modules.h"
#include "sampler/process/tasks.h"
#include "sampler/threads/dump.h"
#include "sampler/unwind/blocked.h"
#include "sampler/unwind/call_site.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/find_bp.h"
#include "sampler/unwind/learn.h"

/* ---- /proc's files */

START_TEST(a_blocked_thread_s_call_is_read)
{
	struct task_call c = task_call_parse("202 0x7ffc0010 0x80 0x0 0x0 0x0 0xffffffff "
					     "0x7ffc00f0 0x7f00dead\n");

	ck_assert_int_eq(c.state, TASK_IN_CALL);
	ck_assert_int_eq(c.nr, 202);
	ck_assert_uint_eq(c.arg[0], 0x7ffc0010);
	ck_assert_uint_eq(c.arg[5], 0xffffffff);
	ck_assert_uint_eq(c.sp, 0x7ffc00f0);
	ck_assert_uint_eq(c.pc, 0x7f00dead);
}
END_TEST

START_TEST(other_states_are_told_apart)
{
	ck_assert_int_eq(task_call_parse("running\n").state, TASK_RUNNING);
	ck_assert_int_eq(task_call_parse("-1 0x7ffc00f0 0x401000\n").state, TASK_STOPPED);
	ck_assert_uint_eq(task_call_parse("-1 0x7ffc00f0 0x401000\n").pc, 0x401000);
	ck_assert_int_eq(task_call_parse("-1 0x0 0x0\n").state, TASK_NO_STACK);
}
END_TEST

static const char *const bad_calls[] = {
	"",
	"\n",
	"run",
	"running",
	"-running\n",
	"12",
	"12 0x1\n",
	"0 0x1 0x2 0x3 0x4 0x5 0x6 0x7\n",
	"0 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8 0x9\n",
	"0 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x\n",
	"x 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8\n",
	"-1 0x1\n",
};

START_TEST(an_unexpected_text_is_refused)
{
	ck_assert_int_eq(task_call_parse(bad_calls[_i]).state, TASK_REFUSED);
}
END_TEST

/* Any bytes end in some state; what is cut anywhere is never taken for a whole line. */
START_TEST(no_bytes_break_the_parsers)
{
	static const char whole[] = "7 0x1 0x2 0x3 0x4 0x5 0x6 0x7fff0000 0x401000\n";
	char text[TASK_CALL_TEXT], name[TASK_NAME_BYTES];

	srand(1);
	for (size_t cut = 0; cut + 1 < sizeof(whole); cut++) {
		memcpy(text, whole, cut);
		text[cut] = '\0';
		ck_assert_int_eq(task_call_parse(text).state, TASK_REFUSED);
	}
	for (int round = 0; round < 200000; round++) {
		size_t len = (size_t)rand() % (sizeof(text) - 1);

		memcpy(text, whole, MIN(sizeof(whole), sizeof(text)));
		for (size_t i = 0; i < len; i++)
			if (rand() % 8 == 0)
				text[i] = " 0x19af-\n\377"[rand() % 10];
		text[len] = '\0';
		task_call_parse(text);
		task_exec_start_parse(text);
		ck_assert_int_ge(task_queued_parse(text), -1);
		task_name_parse(text, name);
		ck_assert_uint_lt(strlen(name), TASK_NAME_BYTES);
	}
}
END_TEST

START_TEST(the_time_of_the_last_run_is_found)
{
	ck_assert_int_eq(task_exec_start_parse("x (12, #threads: 3)\n-----\n"
					       "se.exec_start      :     606543.185660\n"
					       "se.vruntime        :        1.5\n"),
			 606543185660);
	ck_assert_int_eq(task_exec_start_parse("se.vruntime : 1.0\n"), -1);
	ck_assert_int_eq(task_exec_start_parse("\nse.exec_start : 1\n"), -1);
	ck_assert_int_eq(task_exec_start_parse("\nse.exec_start"), -1);
}
END_TEST

/* ---- the dump before */

static int never[2];

static atomic_int waits_for_ever;

static void *wait_for_ever(void *unused)
{
	char c;

	waits_for_ever = sys_gettid();

	while (read(never[0], &c, 1) == 1)
		;
	return unused;
}

/* It is in its read, and nothing is left for it to read. */
static void until_it_waits(void)
{
	char call[128] = "";
	int left = 1;

	while (left || strncmp(call, "0 ", 2) != 0) {
		usleep(1000);
		if (ioctl(never[0], FIONREAD, &left) != 0 ||
		    tasks_read_file(waits_for_ever, "/syscall", call, sizeof(call)) <= 0)
			left = 1;
	}
}

static struct dump *whole_dump(void)
{
	struct dump *d = dump_start(false);

	ck_assert_ptr_nonnull(d);
	while (dump_step(d))
		usleep(1000);
	return d;
}

static const struct dump_thread *waiter_of(const struct dump *d)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (d->thread[i].tid != getpid())
			return &d->thread[i];
	ck_abort_msg("the thread is not there");
	return NULL;
}

START_TEST(a_thread_that_has_not_run_is_not_read_again)
{
	const struct dump_thread *t;
	struct dump_thread first;
	struct dump *d;
	uint64_t before;
	pthread_t thread;

	ck_assert_int_eq(pipe(never), 0);
	pthread_create(&thread, NULL, wait_for_ever, NULL);
	until_it_waits();
	d = whole_dump();
	first = *waiter_of(d);
	ck_assert_int_eq(first.how, DUMP_WAITING);
	dump_free(d);
	before = counter_get(COUNTER_DUMP_THREADS_AS_BEFORE);
	d = whole_dump();
	t = waiter_of(d);
	ck_assert_int_eq(t->how, DUMP_WAITING);
	ck_assert(task_call_is_same(&t->call, &first.call));
	ck_assert_uint_gt(d->stacks.list[t->stack]->depth, 1);
	dump_free(d);
	ck_assert_uint_ge(counter_get(COUNTER_DUMP_THREADS_AS_BEFORE), before + 1);
	ck_assert_int_eq(write(never[1], "x", 1), 1); /* it runs, and waits as before */
	until_it_waits();
	before = counter_get(COUNTER_DUMP_THREADS_AS_BEFORE);
	d = whole_dump();
	dump_free(d);
	ck_assert_uint_eq(counter_get(COUNTER_DUMP_THREADS_AS_BEFORE), before);
	ck_assert_int_eq(dump_do_due(sys_now_ns() + 61 * NS_PER_SECOND), INT64_MAX);
	d = whole_dump(); /* nothing is kept */
	dump_free(d);
	ck_assert_uint_eq(counter_get(COUNTER_DUMP_THREADS_AS_BEFORE), before);
}
END_TEST

START_TEST(the_time_in_the_queue_is_found)
{
	ck_assert_int_eq(task_queued_parse("194821 5031 12\n"), 5031);
	ck_assert_int_eq(task_queued_parse("0 0 0\n"), 0);
	ck_assert_int_eq(task_queued_parse("0"), -1);
	ck_assert_int_eq(task_queued_parse(""), -1);
	ck_assert_int_eq(task_queued_parse("1 18446744073709551615 0"), -1);
}
END_TEST

START_TEST(a_name_loses_its_line_end)
{
	char name[TASK_NAME_BYTES];

	task_name_parse("worker\n", name);
	ck_assert_str_eq(name, "worker");
	task_name_parse("a name of 15 ch\n", name);
	ck_assert_str_eq(name, "a name of 15 ch");
	task_name_parse("", name);
	ck_assert_str_eq(name, "");
}
END_TEST

/* ---- waits */

START_TEST(a_futex_is_named_by_who_waits)
{
	struct task_call call = { .state = TASK_IN_CALL, .nr = SYS_futex, .arg = { 0, 128 } };
	struct wait_reason w = wait_reason_of_call(&call);

	ck_assert_str_eq(w.reason, "futex wait");
	ck_assert(!wait_reason_refine(&w, "futex_wait"));
	ck_assert(wait_reason_refine(&w, "___pthread_mutex_lock"));
	ck_assert_int_eq(w.kind, WAIT_MUTEX);
	ck_assert(wait_reason_refine(&w, "pthread_cond_wait")); /* it is decided */
	ck_assert_int_eq(w.kind, WAIT_MUTEX);
}
END_TEST

START_TEST(what_goes_on_after_a_stop_is_named_by_its_function)
{
	struct task_call call = { .state = TASK_IN_CALL, .nr = SYS_restart_syscall };
	struct wait_reason w = wait_reason_of_call(&call), of_mutex = w;

	ck_assert(wait_reason_refine(&w, "__GI___poll"));
	ck_assert_str_eq(w.reason, "poll");
	ck_assert_int_eq(w.kind, WAIT_OTHER);
	ck_assert(wait_reason_refine(&of_mutex, "pthread_mutex_timedlock"));
	ck_assert_int_eq(of_mutex.kind, WAIT_MUTEX);
	ck_assert(of_mutex.timed);
	ck_assert_int_eq(wait_reason_of_futex("restarted wait").kind, WAIT_FUTEX);
}
END_TEST

START_TEST(a_function_of_the_program_names_no_wait)
{
	struct task_call call = { .state = TASK_IN_CALL, .nr = SYS_futex };
	struct wait_reason w = wait_reason_of_call(&call);

	ck_assert(!wait_reason_refine(&w, "my_pthread_mutex_lock"));
	ck_assert(!wait_reason_refine(&w, "semaphore_of_mine"));
	ck_assert_int_eq(w.kind, WAIT_FUTEX);
	ck_assert(wait_reason_refine(&w, "__GI___pthread_rwlock_rdlock"));
	ck_assert_int_eq(w.kind, WAIT_RWLOCK);
}
END_TEST

START_TEST(no_reason_has_what_ends_a_header)
{
	for (int nr = -1; nr < 1000; nr++) {
		struct task_call call = { .state = TASK_IN_CALL, .nr = nr };
		const char *reason = wait_reason_of_call(&call).reason;

		ck_assert_ptr_nonnull(reason);
		ck_assert_ptr_null(strpbrk(reason, ",[]:\n"));
	}
}
END_TEST

/* ---- deadlocks */

#define NONE DEADLOCK_NONE

START_TEST(two_that_wait_for_each_other_are_a_circle)
{
	const uint32_t next[] = { NONE, 3, 1, 1 }; /* 2 waits for it from outside */
	uint32_t circle[4];

	ck_assert_uint_eq(deadlock_find(next, 4, circle), 1);
	ck_assert_uint_eq(circle[0], NONE);
	ck_assert_uint_eq(circle[1], 0);
	ck_assert_uint_eq(circle[2], NONE);
	ck_assert_uint_eq(circle[3], 0);
}
END_TEST

START_TEST(a_queue_is_no_circle)
{
	const uint32_t next[] = { 1, 2, 3, NONE };
	uint32_t circle[4];

	ck_assert_uint_eq(deadlock_find(next, 4, circle), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(circle[i], NONE);
}
END_TEST

START_TEST(one_can_wait_for_itself)
{
	const uint32_t next[] = { 0 };
	uint32_t circle[1];

	ck_assert_uint_eq(deadlock_find(next, 1, circle), 1);
	ck_assert_uint_eq(circle[0], 0);
	ck_assert_uint_eq(deadlock_find(next, 0, circle), 0);
}
END_TEST

/* Against a slow and plain way: i is in a circle when following from i comes back to i. */
START_TEST(circles_are_those_that_come_back)
{
	uint32_t next[40], circle[40];

	srand(_i + 1);
	for (int round = 0; round < 5000; round++) {
		uint32_t count = (uint32_t)rand() % 40;

		for (uint32_t i = 0; i < count; i++)
			next[i] = rand() % 4 == 0 ? NONE : (uint32_t)rand() % count;
		deadlock_find(next, count, circle);
		for (uint32_t i = 0; i < count; i++) {
			uint32_t at = next[i];

			for (uint32_t n = 0; n < count && at != NONE && at != i; n++)
				at = next[at];
			ck_assert_int_eq(at == i, circle[i] != NONE);
			if (circle[i] != NONE)
				ck_assert_uint_eq(circle[i], circle[next[i]]);
		}
	}
}
END_TEST

/* ---- owners */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t table = PTHREAD_RWLOCK_INITIALIZER;

START_TEST(a_mutex_names_its_owner)
{
	struct wait_reason w = { .kind = WAIT_MUTEX };
	struct task_call call = { .arg = { (uint64_t)&lock, FUTEX_WAIT_PRIVATE, 2 } };

	ck_assert_int_eq(lock_owner_read(&w, &call).tid, 0);
	pthread_mutex_lock(&lock);
	ck_assert_int_eq(lock_owner_read(&w, &call).tid, sys_gettid());
	ck_assert_uint_eq(lock_owner_read(&w, &call).lock, (uint64_t)&lock);
	pthread_mutex_unlock(&lock);
	ck_assert_int_eq(lock_owner_read(&w, &call).tid, 0);
}
END_TEST

START_TEST(a_read_write_lock_names_its_writer)
{
	struct wait_reason w = { .kind = WAIT_RWLOCK };
	struct task_call call = { .arg = { (uint64_t)&table + 8, FUTEX_WAIT_PRIVATE } };

	pthread_rwlock_wrlock(&table);
	for (int word = 8; word <= 12; word += 4) {
		call.arg[0] = (uint64_t)&table + (uint64_t)word;
		ck_assert_int_eq(lock_owner_read(&w, &call).tid, sys_gettid());
		ck_assert_uint_eq(lock_owner_read(&w, &call).lock, (uint64_t)&table);
	}
	pthread_rwlock_unlock(&table);
	pthread_rwlock_rdlock(&table);
	ck_assert_int_eq(lock_owner_read(&w, &call).tid, 0);
	pthread_rwlock_unlock(&table);
}
END_TEST

START_TEST(memory_that_is_no_lock_has_no_owner)
{
	static uint32_t words[4] = { 2, 0, UINT32_MAX, 0 };
	struct wait_reason w = { .kind = WAIT_MUTEX };
	struct task_call call = { .arg = { (uint64_t)words, FUTEX_WAIT_PRIVATE, 2 } };

	ck_assert_int_eq(lock_owner_read(&w, &call).tid, 0);
	call.arg[0] = 8; /* unmapped */
	ck_assert_int_eq(lock_owner_read(&w, &call).tid, 0);
}
END_TEST

/* ---- frame pointers of threads that wait */

static struct {
	uint64_t direct[4]; /* return addresses that the thread itself sees, innermost first */
	uint64_t bp;	    /* of wait_in_frame() */
	int fds[2];
	int tid;
	bool by_libc; /* waits in libc's read(), else in a system call of its own */
	bool is_waiting;
} seen;

/* Its read() has a frame of its own, which is found first. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define WITH_FRAME __attribute__((noinline, optimize("no-omit-frame-pointer")))

#pragma GCC diagnostic ignored "-Walloca"

/* BP-based whatever the compiler likes: its size is not known at compile time. */
WITH_FRAME static int wait_in_frame(int size)
{
	volatile char *room = __builtin_alloca((size_t)size);
	char c;

	room[0] = 1;
	seen.bp = (uint64_t)__builtin_frame_address(0);
	seen.direct[0] = (uint64_t)__builtin_return_address(0);
	seen.tid = sys_gettid();
	return (int)(seen.by_libc ? read(seen.fds[0], &c, 1) : sys_read(seen.fds[0], &c, 1)) +
	       room[0];
}

WITH_FRAME static int middle_frame(int size)
{
	seen.direct[1] = (uint64_t)__builtin_return_address(0);
	return wait_in_frame(size) + 1;
}

/* As Ruby's threads have their own stack on the system's. */
WITH_FRAME static int large_frame(size_t size)
{
	volatile char *room = __builtin_alloca(size);

	room[size - 1] = 1;
	seen.direct[2] = (uint64_t)__builtin_return_address(0);
	return middle_frame(64) + room[size - 1];
}

WITH_FRAME static void *large_waiter(void *size)
{
	return (void *)(long)(large_frame((size_t)size) + 1);
}

WITH_FRAME static void *waiter(void *size)
{
	return (void *)(long)(middle_frame((int)(long)size) + 1);
}

static pthread_t thread;
static struct blocked blocked;
static int task_dir;

static void wait_until_blocked(void)
{
	struct task_reader r;
	struct task_call call = { .state = TASK_RUNNING };

	while (call.state != TASK_IN_CALL || call.nr != SYS_read) {
		usleep(1000);
		if (!__atomic_load_n(&seen.tid, __ATOMIC_ACQUIRE))
			continue;
		call = task_reader_open(&r, task_dir, seen.tid);
		task_reader_close(&r);
	}
}

static void start_thread(void *(*fn)(void *size), long size)
{
	seen.tid = 0;
	ck_assert_int_eq(pipe(seen.fds), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, fn, (void *)size), 0);
	wait_until_blocked();
}

static void start_waiter(long size)
{
	start_thread(waiter, size);
}

static void end_waiter(void)
{
	ck_assert_int_eq(write(seen.fds[1], "x", 1), 1);
	pthread_join(thread, NULL);
	close(seen.fds[0]);
	close(seen.fds[1]);
}

static void setup(void)
{
	seen.by_libc = !SANITIZED;
	modules_init();
	code_refresh();
	task_dir = sys_open_read("/proc/self/task");
	ck_assert(blocked_init(&blocked));
}

static void teardown(void)
{
	blocked_release(&blocked);
	sys_close(task_dir);
	learn_release();
}

static bool has_frame(const struct walk *w, uint64_t return_address)
{
	for (uint32_t i = 0; i < w->depth; i++)
		if (w->pc[i] == return_address - 1)
			return true;
	return false;
}

START_TEST(a_waiting_thread_s_stack_is_whole)
{
	seen.by_libc = _i % 2 && !SANITIZED;
	start_waiter(16 << _i / 2);
	ck_assert_int_eq(blocked_take(&blocked, task_dir, seen.tid), BLOCKED_TAKEN);
	ck_assert_int_eq(blocked.call.nr, SYS_read);
	ck_assert_int_eq(blocked.walk.end, WALK_COMPLETE);
	ck_assert(blocked.walk.rooted);
	ck_assert(has_frame(&blocked.walk, seen.direct[0]));
	ck_assert(has_frame(&blocked.walk, seen.direct[1]));
	ck_assert_uint_eq(CAPTURE_BP(blocked.capture), seen.bp);
	end_waiter();
}
END_TEST

START_TEST(a_frame_that_is_larger_than_a_copy_is_stepped_over)
{
	start_thread(large_waiter, 600000L << _i);
	ck_assert_int_eq(blocked_take(&blocked, task_dir, seen.tid), BLOCKED_TAKEN);
	ck_assert_int_eq(blocked.walk.end, WALK_COMPLETE);
	for (int i = 0; i < 3; i++)
		ck_assert(has_frame(&blocked.walk, seen.direct[i]));
	end_waiter();
}
END_TEST

static uint64_t *in_copy(uint64_t addr)
{
	return (uint64_t *)(void *)(blocked.capture->slice + (addr - blocked.capture->slice_at));
}

/* Walks the copy again as if it were new. */
static bool find_again(void)
{
	blocked.capture->bp_unknown = true;
	walk_try(blocked.capture, &blocked.walk);
	ck_assert_int_eq(blocked.walk.end, WALK_NEEDS_BP);
	return find_bp(blocked.capture, &blocked.walk);
}

/* The frame is damaged: there is no other that would do, and none is made up. */
START_TEST(a_stack_whose_frame_is_gone_stays_cut)
{
	start_waiter(64);
	ck_assert_int_eq(blocked_take(&blocked, task_dir, seen.tid), BLOCKED_TAKEN);
	ck_assert(find_again());
	in_copy(seen.bp)[1] = 0x1234;
	ck_assert(!find_again());
	ck_assert_int_eq(blocked.walk.end, WALK_NEEDS_BP);
	ck_assert(!has_frame(&blocked.walk, seen.direct[1]));
	end_waiter();
}
END_TEST

/* What an earlier call of another function left in the frame's room leads to the root as well. */
START_TEST(what_other_calls_left_is_not_taken_for_the_frame)
{
	uint64_t *stale;

	start_waiter(256);
	ck_assert_int_eq(blocked_take(&blocked, task_dir, seen.tid), BLOCKED_TAKEN);
	stale = in_copy(ALIGN_DOWN(seen.bp - 128, 16));
	stale[0] = in_copy(seen.bp)[0]; /* the middle frame's BP, */
	stale[1] = seen.direct[1];	/* and a call, but of middle_frame() */
	ck_assert(find_again());
	ck_assert_uint_eq(CAPTURE_BP(blocked.capture), seen.bp);
	end_waiter();
}
END_TEST

/* Two frames of the same function, and both lead to the root: nobody can know. */
START_TEST(of_two_that_fit_equally_none_is_taken)
{
	uint64_t *stale;

	start_waiter(256);
	ck_assert_int_eq(blocked_take(&blocked, task_dir, seen.tid), BLOCKED_TAKEN);
	stale = in_copy(ALIGN_DOWN(seen.bp - 128, 16));
	stale[0] = in_copy(seen.bp)[0];
	stale[1] = in_copy(seen.bp)[1];
	ck_assert(!find_again());
	end_waiter();
}
END_TEST

START_TEST(a_thread_that_is_gone_is_said_to_be)
{
	ck_assert_int_eq(blocked_take(&blocked, task_dir, 1), BLOCKED_NOT);
	ck_assert_int_eq(blocked.call.state, TASK_GONE);
}
END_TEST

/* No wake-up: the count of the thread's voluntary switches stays as it is. */
START_TEST(looking_wakes_nobody)
{
	char path[64], before[4096], after[4096];

	start_waiter(64);
	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", seen.tid);
	ck_assert_int_gt(sys_read_file(path, before, sizeof(before)), 0);
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(blocked_take(&blocked, task_dir, seen.tid), BLOCKED_TAKEN);
	ck_assert_int_gt(sys_read_file(path, after, sizeof(after)), 0);
	ck_assert_str_eq(before, after);
	end_waiter();
}
END_TEST

START_TEST(a_call_fits_whom_it_calls)
{
	uint64_t callee, wrong = (uint64_t)waiter;

	start_waiter(64);
	callee = (uint64_t)wait_in_frame;
	ck_assert_int_eq(call_site_fit(seen.direct[0], callee), CALL_EXACT);
	ck_assert_int_eq(call_site_fit(seen.direct[0], wrong), CALL_OTHER);
	ck_assert_int_eq(call_site_fit(seen.direct[0] + 1, callee), CALL_NONE);
	ck_assert_int_eq(call_site_fit(64, callee), CALL_NONE);
	ck_assert_uint_eq(learn_function_start(seen.direct[0]), (uint64_t)middle_frame);
	end_waiter();
}
END_TEST

static TCase *pure(void)
{
	TCase *t = tcase_create("pure");

	tcase_add_test(t, a_blocked_thread_s_call_is_read);
	tcase_add_test(t, other_states_are_told_apart);
	tcase_add_loop_test(t, an_unexpected_text_is_refused, 0, ARRAY_SIZE(bad_calls));
	tcase_add_test(t, no_bytes_break_the_parsers);
	tcase_add_test(t, the_time_of_the_last_run_is_found);
	tcase_add_test(t, a_thread_that_has_not_run_is_not_read_again);
	tcase_add_test(t, the_time_in_the_queue_is_found);
	tcase_add_test(t, a_name_loses_its_line_end);
	tcase_add_test(t, a_futex_is_named_by_who_waits);
	tcase_add_test(t, what_goes_on_after_a_stop_is_named_by_its_function);
	tcase_add_test(t, a_function_of_the_program_names_no_wait);
	tcase_add_test(t, no_reason_has_what_ends_a_header);
	tcase_add_test(t, two_that_wait_for_each_other_are_a_circle);
	tcase_add_test(t, a_queue_is_no_circle);
	tcase_add_test(t, one_can_wait_for_itself);
	tcase_add_loop_test(t, circles_are_those_that_come_back, 0, 4);
	tcase_add_test(t, a_mutex_names_its_owner);
	tcase_add_test(t, a_read_write_lock_names_its_writer);
	tcase_add_test(t, memory_that_is_no_lock_has_no_owner);
	return t;
}

static TCase *threads(void)
{
	TCase *t = tcase_create("threads");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, a_waiting_thread_s_stack_is_whole, 0, 24);
	tcase_add_loop_test(t, a_frame_that_is_larger_than_a_copy_is_stepped_over, 0, 3);
	tcase_add_test(t, a_stack_whose_frame_is_gone_stays_cut);
	tcase_add_test(t, what_other_calls_left_is_not_taken_for_the_frame);
	tcase_add_test(t, of_two_that_fit_equally_none_is_taken);
	tcase_add_test(t, a_thread_that_is_gone_is_said_to_be);
	tcase_add_test(t, looking_wakes_nobody);
	tcase_add_test(t, a_call_fits_whom_it_calls);
	return t;
}

int main(void)
{
	Suite *s = suite_create("dump");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, pure());
	suite_add_tcase(s, threads());
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
