#include "shim/life/last_thread.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/stat.h>

#include "sampler/base/sys.h"
#include "sampler/base/wake.h"
#include "shim/life/listener.h"

#define LOOK_EVERY_NS (20 * NS_PER_MS)

/* Main's remains and the listener. */
#define NOBODY_ELSE 2

static uint64_t main_thread; /* its control block: known without a system call */
static atomic_bool main_left, left_by_call;

void last_thread_after_fork(void)
{
	main_thread = sys_gettid() == sys_getpid() ? thread_pointer() : 0;
	atomic_store(&main_left, false);
	atomic_store(&left_by_call, false);
}

bool last_thread_is_main(void)
{
	return thread_pointer() == main_thread;
}

void last_thread_note_exit(void)
{
	if (last_thread_is_main())
		atomic_store(&main_left, true);
}

void last_thread_note_call(void)
{
	last_thread_note_exit();
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

static bool should_go(int64_t now_ns, int64_t *again_ns)
{
	if (!atomic_load(&main_left) || !atomic_load(&left_by_call))
		return false;
	if (count_threads() <= NOBODY_ELSE)
		return true;
	if (now_ns + LOOK_EVERY_NS < *again_ns)
		*again_ns = now_ns + LOOK_EVERY_NS;
	return false;
}

void last_thread_init(void)
{
	main_thread = sys_gettid() == sys_getpid() ? thread_pointer() : 0;
	listener_end_when(should_go);
}
