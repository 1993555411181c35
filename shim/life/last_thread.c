#include "shim/life/last_thread.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "sampler/base/cc.h"
#include "sampler/base/number.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/wake.h"
#include "sampler/cpu/kernel_action.h"
#include "sampler/process/tasks.h"
#include "shim/life/listener.h"

#define LOOK_EVERY_NS	   (20 * NS_PER_MS)
#define LOOK_AFTER_MAIN_NS NS_PER_SECOND

/* Main's remains and the listener. */
#define NOBODY_ELSE 2

/* In no header: a flag of /proc's stat. */
#define PF_EXITING 4

static uint64_t main_thread; /* its control block: known without a system call */
static atomic_bool main_left, left_by_call, main_may_be_killed;

/*
 * Who left last: in the lower half its status, above eight bits of that the signal that the
 * kernel ended it with; in the upper half its id where that is known, else 0.
 */
static _Atomic uint64_t last;

void last_thread_after_fork(void)
{
	main_thread = sys_gettid() == sys_getpid() ? thread_pointer() : 0;
	atomic_store(&main_left, false);
	atomic_store(&left_by_call, false);
	atomic_store(&last, 0);
}

bool last_thread_is_main(void)
{
	return thread_pointer() == main_thread;
}

void last_thread_note_exit(void)
{
	if (last_thread_is_main())
		atomic_store(&main_left, true);
	if (atomic_load(&left_by_call))
		atomic_store(&last, 0);
}

void last_thread_note_call(int status)
{
	/* a filter may be strict */
	uint64_t tid = sandbox_is_noted() ? 0 : (uint64_t)sys_gettid();

	if (last_thread_is_main())
		atomic_store(&main_left, true);
	atomic_store(&last, tid << 32 | (uint8_t)status);
	atomic_store(&left_by_call, true);
	if (atomic_load(&main_left))
		wake();
}

/*
 * Threads of this process, main's remains included: a directory has two links and one
 * each.  Without /proc there are none, and the endpoint is given up: better no profile
 * than a process that stays.
 */
static int64_t count_threads(void)
{
	struct stat st;

	if (sys_call4(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/task", (long)&st, 0) != 0)
		return 0;
	return (int64_t)st.st_nlink - 2;
}

/* The fields of stat(5), counted after the name in parentheses; 0: it has no such field. */
#define FLAGS	  7
#define EXIT_CODE 50

static uint64_t stat_field(const char *stat, int number)
{
	const char *p = strrchr(stat, ')');

	for (int field = 0; p && field < number; field++)
		p = strchr(p + 1, ' ');
	return p ? (p++, number_take(&p, 10)) : 0;
}

/*
 * It is on its way out: the kernel counts it no more, and gives its status to the process
 * if it was the last.
 */
static bool is_exiting(int tid)
{
	char stat[512];

	return tasks_read_file(tid, "/stat", stat, sizeof(stat)) <= 0 ||
	       stat_field(stat, FLAGS) & PF_EXITING;
}

struct search {
	int ours;
	bool found;
};

static void look_whether_it_stays(int tid, void *arg)
{
	struct search *s = arg;

	if (tid != s->ours && !s->found)
		s->found = !is_exiting(tid);
}

/* If it has gone and others stay, one of them will be the last. */
static void look_at_last(void)
{
	struct search s = { sys_gettid(), false };
	uint64_t seen = atomic_load(&last);
	int tid = (int)(seen >> 32);

	if (!tid || !is_exiting(tid))
		return;
	tasks_each(look_whether_it_stays, &s);
	if (s.found)
		atomic_compare_exchange_strong(&last, &seen, 0);
}

/* A filter kills it as the kernel ends a thread: no hook of ours runs, nor libc. */
static void look_after_main(int64_t now_ns, int64_t *again_ns)
{
	int main_tid = sys_getpid();
	char stat[512];
	uint64_t code;

	*again_ns = MIN(*again_ns, now_ns + LOOK_AFTER_MAIN_NS);
	if (tasks_read_file(main_tid, "/stat", stat, sizeof(stat)) <= 0 ||
	    !(stat_field(stat, FLAGS) & PF_EXITING))
		return;
	code = stat_field(stat, EXIT_CODE);
	atomic_store(&last, (uint64_t)main_tid << 32 | (code >> 8 & 0xff) | (code & 0x7f) << 8);
	atomic_store(&left_by_call, true);
	atomic_store(&main_left, true);
}

/* As the thread before us ended, so does the process, which is ours alone by now. */
static void end(void)
{
	uint32_t seen = (uint32_t)atomic_load(&last);
	int sig = (int)(seen >> 8 & 0x7f);

	if (sig)
		kernel_die_of(sig);
	listener_end_with(sig ? 128 + sig : (int)(seen & 0xff));
}

static bool should_go(int64_t now_ns, int64_t *again_ns)
{
	if (atomic_load(&main_may_be_killed) && !atomic_load(&main_left))
		look_after_main(now_ns, again_ns);
	if (!atomic_load(&main_left) || !atomic_load(&left_by_call))
		return false;
	if (count_threads() <= NOBODY_ELSE) {
		end();
		return true;
	}
	look_at_last();
	*again_ns = MIN(*again_ns, now_ns + LOOK_EVERY_NS);
	return false;
}

void last_thread_expect_kill(void)
{
	atomic_store(&main_may_be_killed, true);
}

void last_thread_init(void)
{
	main_thread = sys_gettid() == sys_getpid() ? thread_pointer() : 0;
	listener_end_when(should_go);
}
