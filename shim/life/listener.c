#include "shim/life/listener.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/base/wake.h"
#include "sampler/process/peek.h"
#include "shim/life/life.h"
#include "shim/real/real.h"

/* Room for the demangler's recursion; pages that were never touched cost nothing. */
#define STACK_BYTES   (1UL << 20)
#define START_WAIT_NS (200 * NS_PER_MS)
#define RETRY_MIN_NS  (5 * NS_PER_MS)
#define RETRY_MAX_NS  (500 * NS_PER_MS)
#define STOP_WAIT_NS  NS_PER_SECOND
#define LOOK_EVERY_NS (200 * NS_PER_MS) /* where nobody can wake us */

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static struct {
	uint16_t port;
	const char *key;
	const struct http_service *service;
	uint32_t outcome;  /* futex word, enum listener_outcome */
	volatile int stop; /* futex word */
	int tid;
	pthread_t thread; /* joinable, for the undertaker */
	bool has_thread;  /* not joined yet */
	void *stack;
	int64_t until_ns; /* when to stop trying to have the port */
	void (*on_port)(void), (*on_lost)(void);
	bool (*should_go)(int64_t now_ns, int64_t *again_ns);
	bool no_niceties;
	int wake_fd; /* -errno: nobody can wake us */
} listener;

static __thread uint64_t mask_before;

/* ---- signals */

#define BIT(sig) (1ULL << ((sig)-1))
/* What glibc sends to every thread in set*id, and waits for. */
#define SETXID BIT(33)
/* The same for pthread_cancel; and what a fault in the middle of a hook raises. */
#define CANCEL BIT(32)
#define FAULTS (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGSYS))

uint64_t listener_signals(void)
{
	return ~(SETXID | CANCEL | FAULTS);
}

/*
 * Those of faults too: sent to the process, they are for a thread that waits for
 * them.  A fault of ours ends the process whether they are blocked or not.
 */
void listener_block_signals(void)
{
	uint64_t mask = ~SETXID;

	sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&mask, (long)&mask_before, sizeof(mask));
}

void listener_restore_signals(void)
{
	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask_before, 0, sizeof(mask_before));
}

/* ---- the thread */

static void say(enum listener_outcome outcome)
{
	__atomic_store_n(&listener.outcome, outcome, __ATOMIC_RELEASE);
	sys_futex(&listener.outcome, FUTEX_WAKE_PRIVATE, 1, NULL);
}

static bool close_all_after_unshare(void)
{
	if (sys_call3(SYS_unshare, CLONE_FILES, 0, 0) != 0)
		return false;
	for (int fd = 0; fd < 65536; fd++)
		sys_close(fd);
	return true;
}

/*
 * A table of our own, empty from 0 up: no copy of the target's pipes stays
 * open, and the target may close every number it likes.
 */
static bool take_own_descriptors(void)
{
	if (sys_call3(SYS_close_range, 0, ~0U, CLOSE_RANGE_UNSHARE) == 0)
		return true;
	return close_all_after_unshare();
}

/* The thread that loads the program may be pinned to real time; ours has no claim to that. */
static void be_ordinary(void)
{
	struct sched_param param = { 0 };

	if (listener.no_niceties)
		return;
	sys_call3(SYS_sched_setscheduler, 0, SCHED_OTHER, (long)&param);
	sys_call3(SYS_prctl, PR_SET_NAME, (long)"pprofshim", 0);
}

/* Until it is told to stop, `ns` at most. */
static void sleep_ns(int64_t ns)
{
	struct timespec ts = { ns / NS_PER_SECOND, ns % NS_PER_SECOND };

	sys_call4(SYS_futex, (long)&listener.stop, FUTEX_WAIT_PRIVATE, 0, (long)&ts);
}

/* Whether to go on waiting for a taken port. */
static bool wait_for_port(int64_t ns)
{
	int64_t never = INT64_MAX;

	if (sys_now_ns() >= listener.until_ns)
		return false;
	say(LISTENER_PORT_TAKEN);
	sleep_ns(ns);
	return !listener.stop && !listener.should_go(sys_now_ns(), &never);
}

/* Often at first: who has the port may be about to end. */
static int open_socket(void)
{
	int fd = http_listen(listener.port);

	for (int64_t ns = RETRY_MIN_NS; fd == -EADDRINUSE && wait_for_port(ns);
	     ns = MIN(2 * ns, RETRY_MAX_NS))
		fd = http_listen(listener.port);
	return fd;
}

static int64_t do_due_work(int64_t now_ns)
{
	int64_t again;

	wake_clear(listener.wake_fd);
	if (listener.stop) /* after the clearing: who stops us may have found a signal on its way */
		return now_ns;
	again = listener.service->do_due(now_ns);

	if (listener.should_go(now_ns, &again)) {
		listener.stop = 1;
		return now_ns; /* it is looked at after the poll */
	}
	if (listener.wake_fd < 0)
		return MIN(again, now_ns + LOOK_EVERY_NS);
	/* a filtered thread cannot wake us */
	return sandbox_is_noted() ? MIN(again, now_ns + NS_PER_SECOND) : again;
}

static void serve(int fd)
{
	struct http_service service = *listener.service;

	listener.wake_fd = wake_open();
	service.do_due = do_due_work;
	service.wake_fd = MAX(listener.wake_fd, 0);
	peek_new_descriptors();
	if (listener.on_port)
		listener.on_port();
	say(LISTENER_SERVING);
	http_serve(fd, listener.key, &service, &listener.stop);
	wake_close(listener.wake_fd);
	sys_close(fd);
}

static void *run(void *unused)
{
	int fd;

	listener.tid = sys_gettid();
	be_ordinary();
	fd = take_own_descriptors() ? open_socket() : -EPERM;
	if (fd >= 0)
		serve(fd);
	else if (listener.on_lost)
		listener.on_lost();
	say(LISTENER_REFUSED);
	return unused;
}

/* ---- start */

static bool prepare(pthread_attr_t *attr)
{
	/* glibc links its threads through their stacks, and a forked child follows those links */
	if (!listener.stack)
		listener.stack = sys_map_kept_apart(STACK_BYTES);
	if (!listener.stack || real()->pthread_attr_init(attr) != 0)
		return false;
	real()->pthread_attr_setstack(attr, listener.stack, STACK_BYTES);
	return true;
}

static bool create(void)
{
	pthread_attr_t attr;
	int err;

	listener_join(); /* the stack is the last one's */
	listener.stop = 0;
	if (!prepare(&attr))
		return false;
	listener_block_signals();
	err = real()->pthread_create(&listener.thread, &attr, run, NULL);
	listener_restore_signals();
	real()->pthread_attr_destroy(&attr);
	listener.has_thread = err == 0;
	return err == 0;
}

static enum listener_outcome outcome(void)
{
	return __atomic_load_n(&listener.outcome, __ATOMIC_ACQUIRE);
}

/* Waits while the outcome is `was`, until `until_ns` at most. */
static void wait_while(enum listener_outcome was, int64_t until_ns)
{
	int64_t left;

	while (outcome() == was && (left = until_ns - sys_now_ns()) > 0) {
		struct timespec ts = { left / NS_PER_SECOND, left % NS_PER_SECOND };

		sys_futex(&listener.outcome, FUTEX_WAIT_PRIVATE, was, &ts);
	}
}

enum listener_outcome listener_start(uint16_t port, const char *key,
				     const struct http_service *service)
{
	listener.port = port;
	listener.key = key;
	listener.service = service;
	listener.until_ns = INT64_MAX;
	if (!create()) {
		say(LISTENER_NO_THREAD);
		return LISTENER_NO_THREAD;
	}
	wait_while(LISTENER_PENDING, sys_now_ns() + START_WAIT_NS);
	return outcome();
}

bool listener_take_over(int64_t patience_ns, void (*on_port)(void), void (*on_lost)(void))
{
	listener.until_ns = sys_now_ns() + patience_ns;
	listener.on_port = on_port;
	listener.on_lost = on_lost;
	say(LISTENER_PENDING);
	return create();
}

void listener_end_when(bool (*should_go)(int64_t now_ns, int64_t *again_ns))
{
	listener.should_go = should_go;
}

void listener_after_fork(void)
{
	listener.outcome = LISTENER_REFUSED;
	listener.stop = 0;
	listener.has_thread = false;
}

void listener_skip_niceties(void)
{
	listener.no_niceties = true;
}

bool listener_is_running(void)
{
	enum listener_outcome o = outcome();

	return listener.has_thread && o != LISTENER_REFUSED && life_now() > LIFE_ENTERING;
}

void listener_stop(void)
{
	listener.stop = 1;
	sys_call4(SYS_futex, (long)&listener.stop, FUTEX_WAKE_PRIVATE, 1, 0);
	listener_wake();
}

static void wait_for_end(int64_t until_ns)
{
	for (enum listener_outcome o = outcome(); o != LISTENER_REFUSED && sys_now_ns() < until_ns;
	     o = outcome())
		wait_while(o, until_ns);
}

/* A thread that was joined is on its last instructions in the kernel, and still counted. */
static bool wait_until_unknown(int tid, int64_t until_ns)
{
	while (sys_call3(SYS_tgkill, sys_getpid(), tid, 0) != -ESRCH) {
		if (sys_now_ns() > until_ns)
			return false;
		sys_call3(SYS_sched_yield, 0, 0, 0);
	}
	return true;
}

bool listener_end(void)
{
	int64_t until_ns = sys_now_ns() + STOP_WAIT_NS;

	if (!listener.has_thread)
		return false;
	listener_stop();
	wait_for_end(until_ns);
	if (outcome() != LISTENER_REFUSED)
		return false;
	listener_join();
	return wait_until_unknown(listener.tid, until_ns);
}

void listener_join(void)
{
	if (listener.has_thread)
		real()->pthread_join(listener.thread, NULL);
	listener.has_thread = false;
}

void listener_wake(void)
{
	wake();
}
