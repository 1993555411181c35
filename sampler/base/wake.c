#include "sampler/base/wake.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/signalfd.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/monotonic.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"

/*
 * The first real-time signal, which libc keeps to itself to cancel threads: no
 * program can block it, wait for it or set what it does, and nobody cancels ours.
 */
#define WAKE_SIGNAL 32
#define WAKE_BIT    (1ULL << (WAKE_SIGNAL - 1))

/* A wake-up that was discarded on its way is sent again when it is this old. */
#define LOST_AFTER_NS (100 * NS_PER_MS)
/* A hook whose thread left it by a jump is inside for ever. */
#define CLOSE_WAIT_NS (100 * NS_PER_MS)

static atomic_int listener_tid; /* 0: nobody to wake */
static int listener_pid;	/* a vfork child on our memory has another */
static atomic_int inside;	/* hooks that may be about to send */
static _Atomic int64_t sent_ns; /* when the one that is on its way was sent; 0: none is */

static long send_to(int tid)
{
	return sys_call3(SYS_tgkill, listener_pid, tid, WAKE_SIGNAL);
}

/* Sends one to see whether it arrives: a user may have no room left for queued signals. */
static bool try_once(int fd)
{
	struct signalfd_siginfo info;

	return send_to(sys_gettid()) == 0 && sys_read(fd, &info, sizeof(info)) > 0;
}

int wake_open(void)
{
	uint64_t mask = WAKE_BIT;
	long fd;

	sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&mask, 0, sizeof(mask));
	fd = sys_call4(SYS_signalfd4, -1, (long)&mask, sizeof(mask), SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return (int)fd;
	listener_pid = sys_getpid();
	if (!try_once((int)fd)) {
		sys_close((int)fd);
		return -EAGAIN;
	}
	atomic_store_explicit(&sent_ns, 0, memory_order_relaxed);
	/* seq_cst: see wake_close() */
	atomic_store(&listener_tid, sys_gettid());
	return (int)fd;
}

void wake_after_fork(void)
{
	atomic_store(&listener_tid, 0);
	atomic_store(&inside, 0);
	atomic_store(&sent_ns, 0);
}

void wake_clear(int fd)
{
	struct signalfd_siginfo info;

	while (fd >= 0 && sys_read(fd, &info, sizeof(info)) > 0)
		;
	/* A hook that sees one on its way sends none.  seq_cst: the data that it wrote before
	 * must be visible to the pass that follows. */
	atomic_store(&sent_ns, 0);
}

/*
 * seq_cst: either a hook sees that nobody is there, or we see the hook.  Its signal
 * would end a thread of the target's that got our number.
 */
void wake_close(int fd)
{
	const struct timespec moment = { 0, 20000 };
	int64_t until = sys_now_ns() + CLOSE_WAIT_NS;

	atomic_store(&listener_tid, 0);
	while (atomic_load(&inside) && sys_now_ns() < until)
		sys_call4(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&moment, 0);
	/* what is left would end the thread as soon as it lets the signal through */
	wake_clear(fd);
	if (fd >= 0)
		sys_close(fd);
}

/*
 * True: the caller is to send one.  False: one is on its way, so the listener has yet to
 * look, and will see what the caller wrote before.  The fence: either we see that the
 * listener is about to look (0), or it sees that.
 */
static bool begin_sending(int64_t now)
{
	int64_t sent;

	atomic_thread_fence(memory_order_seq_cst);
	sent = atomic_load(&sent_ns);
	if (sent && now - sent < LOST_AFTER_NS)
		return false;
	return atomic_compare_exchange_strong(&sent_ns, &sent, now);
}

static bool send_one(void)
{
	int tid = atomic_load(&listener_tid);

	if (!tid)
		return false;
	if (!begin_sending(MAX(monotonic_coarse_ns(), 1)) || send_to(tid) == 0)
		return true;
	atomic_store(&sent_ns, 0);
	counter_add(COUNTER_WAKES_REFUSED, 1);
	return false;
}

bool wake(void)
{
	bool sent;

	if (sandbox_is_noted() || !atomic_load_explicit(&listener_tid, memory_order_relaxed))
		return false;
	atomic_fetch_add(&inside, 1);
	sent = send_one();
	atomic_fetch_sub(&inside, 1);
	return sent;
}
