#include "sampler/base/wake.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/signalfd.h>

#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"

/* Ignored by default, so that even a stray one could do nothing. */
#define WAKE_SIGNAL SIGURG

static atomic_int listener_tid; /* 0: nobody to wake */
static int listener_pid;	/* a vfork child on our memory has another */
static atomic_bool on_its_way;

int wake_open(void)
{
	uint64_t mask = 1ULL << (WAKE_SIGNAL - 1);
	long fd =
		sys_call4(SYS_signalfd4, -1, (long)&mask, sizeof(mask), SFD_CLOEXEC | SFD_NONBLOCK);

	listener_pid = sys_getpid();
	if (fd >= 0)
		atomic_store_explicit(&listener_tid, sys_gettid(), memory_order_release);
	return (int)fd;
}

void wake_after_fork(void)
{
	atomic_store_explicit(&listener_tid, 0, memory_order_release);
	atomic_store_explicit(&on_its_way, false, memory_order_release);
}

void wake_clear(int fd)
{
	struct signalfd_siginfo info;

	if (!atomic_load_explicit(&on_its_way, memory_order_acquire))
		return;
	while (sys_read(fd, &info, sizeof(info)) > 0)
		;
	/* A hook that sees on_its_way set sends no signal.  seq_cst: the data that it wrote
	 * before must be visible to the pass that follows. */
	atomic_store(&on_its_way, false);
}

bool wake(void)
{
	int tid = atomic_load_explicit(&listener_tid, memory_order_acquire);

	if (!tid || sandbox_is_noted())
		return false;
	if (atomic_exchange_explicit(&on_its_way, true, memory_order_acq_rel))
		return true;
	if (sys_call3(SYS_tgkill, listener_pid, tid, WAKE_SIGNAL) == 0)
		return true;
	atomic_store_explicit(&on_its_way, false, memory_order_release);
	return false;
}
