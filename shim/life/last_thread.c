#include "shim/life/last_thread.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/stat.h>

#include "sampler/base/sys.h"
#include "shim/life/listener.h"
#include "shim/real/real.h"

#define LOOK_EVERY_NS (20 * NS_PER_MS)

static uint64_t main_thread; /* its pthread_t */
static atomic_bool leaving, main_left;

static void *undertaker(void *unused)
{
	listener_join();
	return unused;
}

static bool start_undertaker(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	if (real()->pthread_attr_init(&attr) != 0)
		return false;
	real()->pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	listener_block_signals();
	err = real()->pthread_create(&thread, &attr, undertaker, NULL);
	listener_restore_signals();
	real()->pthread_attr_destroy(&attr);
	return err == 0;
}

/* Threads of this process, the main thread's remains included; a directory has 2 links and one
 * each. */
static int64_t count_threads(void)
{
	struct stat st;

	if (sys_call4(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/task", (long)&st, 0) != 0)
		return INT64_MAX;
	return (int64_t)st.st_nlink - 2;
}

/*
 * Without an undertaker, or without /proc to count threads in, the endpoint is
 * given up: better no profile than a process that stays.
 */
static void main_leaves(void)
{
	if (atomic_exchange(&leaving, true) || !listener_is_running())
		return;
	if (!start_undertaker() || count_threads() == INT64_MAX)
		listener_stop();
	atomic_store_explicit(&main_left, true, memory_order_release);
	listener_wake();
}

bool last_thread_is_leaving(void)
{
	return atomic_load(&leaving);
}

void last_thread_after_fork(void)
{
	main_thread = sys_gettid() == sys_getpid() ? thread_pointer() : 0;
	atomic_store(&leaving, false);
	atomic_store(&main_left, false);
}

void last_thread_note_exit(void)
{
	if (sys_gettid() == sys_getpid())
		main_leaves();
}

void last_thread_note_cancel(uint64_t thread)
{
	if (thread == main_thread)
		main_leaves();
}

/* Main's remains, the undertaker and the listener. */
#define NOBODY_ELSE 3

static bool should_go(int64_t now_ns, int64_t *again_ns)
{
	if (!atomic_load_explicit(&main_left, memory_order_acquire))
		return false;
	if (count_threads() <= NOBODY_ELSE)
		return true;
	if (now_ns + LOOK_EVERY_NS < *again_ns)
		*again_ns = now_ns + LOOK_EVERY_NS;
	return false;
}

void last_thread_init(void)
{
	main_thread = thread_pointer();
	listener_end_when(should_go);
}
