#include "shim/life/listener.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "http/bell.h"
#include "http/net.h"
#include "http/out.h"
#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/base/wake.h"
#include "sampler/cpu/cpu.h"
#include "sampler/cpu/look.h"
#include "sampler/process/kept_files.h"
#include "sampler/process/peek.h"
#include "sampler/process/task_call.h"
#include "sampler/process/tasks.h"
#include "shim/life/family.h"
#include "shim/life/member.h"
#include "shim/life/own_thread.h"
#include "shim/life/port.h"
#include "shim/life/socket.h"

#define START_WAIT_NS  (200 * NS_PER_MS)
#define RETRY_MIN_NS   (5 * NS_PER_MS)
#define RETRY_MAX_NS   (500 * NS_PER_MS)
#define STOP_WAIT_NS   NS_PER_SECOND
#define MAKER_WAIT_NS  (20 * NS_PER_MS)
#define FINISH_WAIT_NS (50 * NS_PER_MS)
#define FINISH_LOOK_NS (NS_PER_MS / 4)
#define CALLED_NS      (20 * NS_PER_MS)	 /* from the bell to the question, at most */
#define LOOK_EVERY_NS  (200 * NS_PER_MS) /* where nobody can wake us */
/* From the listener's last word to its end in the kernel. */
#define LAST_MOMENT_NS (20 * NS_PER_MS)
/* How often a listener that is to wait asks whether it still is. */
#define ASK_MIN_NS NS_PER_MS
#define ASK_MAX_NS (50 * NS_PER_MS)

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static struct {
	int fd; /* of the listening socket: of the port, or where there is none the unix one */
	int socket_fd; /* of the unix one beside a port, negative: there is none now */
	const char *key;
	const struct http_service *service;
	struct own_thread thread;
	atomic_bool changing; /* somebody starts or ends the thread */
	uint32_t outcome;     /* futex word, enum listener_outcome */
	volatile int stop;    /* futex word */
	int64_t until_ns;     /* when to stop trying to have the port */
	struct listener_succession succession;
	bool (*should_go)(int64_t now_ns, int64_t *again_ns);
	int status; /* what the thread ends with */
	void (*refused)(const char *call);
	void (*at_end)(void);
	volatile int hurry;
	uint32_t under_way;	 /* futex word: answers of a member */
	uint32_t under_way_here; /* of who has the port, whose end nobody waits for */
	bool no_niceties;
	bool has_members;
	bool records;	  /* as long as the process lives */
	bool gave_up;	  /* it goes on without an endpoint, to record */
	uint32_t is_made; /* futex word: who made the thread goes on */
	int wake_fd;	  /* -errno: nobody can wake us */
} listener;

static struct {
	volatile int is_over;
	volatile int serves;
	int port_fd; /* why: the socket of the port, or -errno */
	int64_t next_try_ns;
	bool was_called;	 /* a CPU profile was being taken when it was looked last */
	int64_t asked_before_ns; /* until when who made the thread waits for its question */
} member;

/* ---- the thread */

static void say(enum listener_outcome outcome)
{
	__atomic_store_n(&listener.outcome, outcome, __ATOMIC_RELEASE);
	sys_futex(&listener.outcome, FUTEX_WAKE_PRIVATE, 1, NULL);
}

static enum listener_outcome outcome(void)
{
	return __atomic_load_n(&listener.outcome, __ATOMIC_ACQUIRE);
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
	sys_call3(SYS_prctl, PR_SET_NAME, (long)TASK_OUR_NAME, 0);
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

/* False: there is to be no listener here. */
static bool wait_until_wanted(void)
{
	int64_t ns = ASK_MIN_NS;

	if (!listener.succession.wish)
		return true;
	for (;;) {
		enum listener_wish wish = listener.succession.wish();

		if (wish != LISTENER_WAIT || listener.stop)
			return wish == LISTENER_GO && !listener.stop;
		sleep_ns(ns);
		ns = MIN(2 * ns, ASK_MAX_NS);
	}
}

static bool may_rename(void)
{
	return !listener.no_niceties && !sandbox_is_noted();
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

static int64_t do_due_work_of_endpoint(int64_t now_ns)
{
	int64_t again = do_due_work(now_ns);

	if (port_configured())
		socket_keep_open(&listener.socket_fd, now_ns, &again);
	return again;
}

static void before_poll(void (*reset_all)(void *arg), void *arg)
{
	if (port_configured() && !listener.gave_up)
		port_give_way(listener.fd, may_rename(), reset_all, arg);
}

static bool is_nowhere(void)
{
	return listener.gave_up || (!port_configured() && !socket_is_wanted());
}

/*
 * Who has it answers for all.  Where nobody can ask, it is a socket that nothing comes to; so
 * it is where files are to be written and the endpoint is refused.
 */
static int open_endpoint(void)
{
	int fd = -EBADF;

	if (!is_nowhere())
		fd = port_configured() ? port_open(may_rename()) : socket_open();
	if (fd < 0 && fd != -EADDRINUSE && listener.records)
		listener.gave_up = true;
	return is_nowhere() ? net_socket() : fd;
}

static void close_endpoint(int fd)
{
	if (listener.socket_fd >= 0)
		socket_close(listener.socket_fd);
	if (is_nowhere())
		sys_close(fd);
	else if (port_configured())
		port_close(fd);
	else
		socket_close(fd);
}

/* Until *stop, or until the kernel refuses a call: then that is returned. */
static const char *serve(int fd, struct http_service *service, void (*on_serving)(void),
			 const volatile int *stop)
{
	const char *refused;

	listener.wake_fd = wake_open();
	listener.fd = fd;
	service->wake_fd = MAX(listener.wake_fd, 0);
	peek_new_descriptors();
	tasks_new_descriptors();
	kept_files_open(); /* before the program goes on, which may shut itself in at once */
	if (on_serving)
		on_serving();
	refused = http_serve(fd, listener.key, service, stop);
	out_end();
	wake_close(listener.wake_fd);
	return refused;
}

/*
 * Who made this thread had its signals blocked meanwhile, and a thread that blocks them is
 * sampled late: recording begins when it is done with that.
 */
static void begin_recording(void)
{
	const struct timespec most = { 0, MAKER_WAIT_NS };

	if (listener.records && !__atomic_load_n(&listener.is_made, __ATOMIC_ACQUIRE))
		sys_futex(&listener.is_made, FUTEX_WAIT_PRIVATE, 0, &most);
	out_begin();
}

/* The maker's part. */
static void note_made(void)
{
	__atomic_store_n(&listener.is_made, 1, __ATOMIC_RELEASE);
	if (listener.records)
		sys_futex(&listener.is_made, FUTEX_WAKE_PRIVATE, 1, NULL);
}

static void on_port(void)
{
	int64_t again = INT64_MAX;

	if (listener.succession.on_port)
		listener.succession.on_port();
	if (port_configured())
		socket_keep_open(&listener.socket_fd, sys_now_ns(), &again);
	begin_recording();
	say(LISTENER_SERVING);
}

static void serve_port(int fd)
{
	struct http_service service = *listener.service;
	const char *refused;

	listener.socket_fd = SOCKET_UNTRIED;
	service.do_due = do_due_work_of_endpoint;
	service.before_poll = before_poll;
	service.socket_fd = &listener.socket_fd;
	service.hurry = &listener.hurry;
	service.under_way = &listener.under_way_here;
	refused = serve(is_nowhere() ? -1 : fd, &service, on_port, &listener.stop);
	listener.under_way_here = 0;
	close_endpoint(fd);
	if (refused)
		listener.refused(refused);
}

/* ---- as a member */

static bool may_have_port(void)
{
	return !listener.succession.may_have_port || listener.succession.may_have_port();
}

/* -EAGAIN: it stays a member. */
static int look_for_port(int64_t now_ns)
{
	int fd;

	if (listener.stop)
		return -EINTR;
	if (listener.succession.joins && !listener.succession.stays && !listener.records &&
	    !family_is_asked())
		return -ETIME;
	if (now_ns < member.next_try_ns)
		return -EAGAIN;
	member.next_try_ns = now_ns + RETRY_MAX_NS;
	if (!may_have_port())
		return -EAGAIN;
	fd = open_endpoint();
	return fd == -EADDRINUSE ? -EAGAIN : fd;
}

/* The constructor of a program that is executed in a profile waits until it is in it. */
static void wait_for_question(int64_t now_ns, int64_t *again_ns)
{
	if (!member.asked_before_ns)
		return;
	*again_ns = MIN(*again_ns, member.asked_before_ns);
	if (!listener.under_way && now_ns < member.asked_before_ns)
		return;
	member.asked_before_ns = 0;
	say(LISTENER_PORT_TAKEN);
}

static int64_t do_due_work_of_member(int64_t now_ns)
{
	int64_t again = do_due_work(now_ns);

	wait_for_question(now_ns, &again);
	member.port_fd = look_for_port(now_ns);
	member.is_over = member.port_fd != -EAGAIN;
	return member.is_over ? now_ns : MIN(again, member.next_try_ns);
}

/* The process with the port is to ask at once.  False: there is no reason to. */
static bool ring(void)
{
	bool is_waited_for = outcome() == LISTENER_PENDING;

	if (!member.was_called || !bell_ring(socket_tree_id(port_configured())) || !is_waited_for)
		return false;
	cpu_expect_short_life();
	member.asked_before_ns = sys_now_ns() + CALLED_NS;
	return true;
}

/* The constructor of an executed program waits until it is recorded. */
static void on_member(void)
{
	if (listener.succession.on_member)
		listener.succession.on_member();
	begin_recording();
	if (!listener.succession.joins && !ring())
		say(LISTENER_PORT_TAKEN);
}

/* Returns the socket of the port, once it has it; or -errno. */
static int serve_as_member(void)
{
	struct http_service service = *listener.service;
	int fd = listener.has_members && !sandbox_is_noted()
			 ? member_open(socket_tree_id(port_configured()))
			 : -EOPNOTSUPP;
	const char *refused;

	if (fd < 0)
		return fd;
	member.next_try_ns = sys_now_ns() + RETRY_MIN_NS;
	member.is_over = 0;
	service.do_due = do_due_work_of_member;
	service.by_peer = true;
	service.hurry = &listener.hurry;
	service.under_way = &listener.under_way;
	member.serves = 1;
	refused = serve(fd, &service, on_member, &member.is_over);
	member.serves = 0;
	sys_close(fd);
	listener.under_way = 0;
	if (refused)
		listener.refused(refused);
	return refused ? -EINTR : member.port_fd;
}

/* ---- which of them */

/* Another process has the port, and takes a CPU profile. */
static bool is_called(void)
{
	return listener.has_members && !listener.records &&
	       bell_ring(socket_tree_id(port_configured()));
}

/* Often at first: who has the port may be about to end. */
static int open_socket(void)
{
	int fd = open_endpoint();

	member.was_called = fd == -EADDRINUSE && is_called();
	if (fd == -EADDRINUSE && (listener.records || member.was_called) &&
	    (fd = serve_as_member()) == -EOPNOTSUPP)
		fd = -EADDRINUSE;
	for (int64_t ns = RETRY_MIN_NS; fd == -EADDRINUSE && wait_for_port(ns);
	     ns = MIN(2 * ns, RETRY_MAX_NS)) {
		member.was_called = is_called();
		if ((ns == RETRY_MAX_NS || member.was_called) && (fd = serve_as_member()) >= 0)
			break;
		fd = open_endpoint();
	}
	return fd;
}

static int have_socket(void)
{
	if (!take_own_descriptors())
		return -EPERM;
	if (!wait_until_wanted())
		return -ECANCELED;
	if (listener.succession.joins)
		return serve_as_member();
	listener.until_ns = sys_now_ns() + listener.succession.patience_ns;
	return open_socket();
}

static int run(void *unused)
{
	int fd;

	(void)unused;
	be_ordinary();
	fd = have_socket();
	if (fd >= 0)
		serve_port(fd);
	else if (listener.succession.on_lost)
		listener.succession.on_lost(listener.stop ? -EINTR : fd);
	say(LISTENER_REFUSED);
	if (listener.at_end)
		listener.at_end();
	return listener.status;
}

/* ---- start and end */

static bool create(void)
{
	listener.stop = 0;
	listener.hurry = 0;
	listener.is_made = 0;
	member.serves = 0;
	return own_thread_start(&listener.thread, run, NULL);
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
	port_init(port);
	listener.key = key;
	listener.service = service;
	listener.succession.patience_ns = LISTENER_FOR_EVER;
	if (!create()) {
		say(LISTENER_NO_THREAD);
		return LISTENER_NO_THREAD;
	}
	note_made();
	wait_while(LISTENER_PENDING, sys_now_ns() + START_WAIT_NS);
	return outcome();
}

/* Held by hooks, in slow paths; a signal handler may find its own thread there. */
static NOINLINE bool begin_change(int64_t until_ns)
{
	while (atomic_exchange(&listener.changing, true)) {
		if (sys_now_ns() >= until_ns)
			return false;
		sys_call3(SYS_sched_yield, 0, 0, 0);
	}
	return true;
}

static void end_change(void)
{
	atomic_store(&listener.changing, false);
}

static bool succeed(const struct listener_succession *succession)
{
	if (!own_thread_join(&listener.thread, sys_now_ns() + LAST_MOMENT_NS))
		return false;
	listener.succession = *succession;
	say(LISTENER_PENDING);
	if (create())
		return true;
	say(LISTENER_NO_THREAD);
	return false;
}

/* Signals are blocked: a handler that forked in here would go on in its child. */
bool listener_take_over(const struct listener_succession *succession)
{
	uint64_t mask;
	bool ok;

	/* Each thread of haproxy forbids all of them threads: one may be about to make ours. */
	if (!begin_change(succession->stays ? sys_now_ns() + LAST_MOMENT_NS : 0))
		return true; /* somebody else does */
	mask = sys_block_signals();
	ok = listener_is_running() || succeed(succession);
	sys_restore_signals(mask);
	note_made();
	end_change();
	return ok;
}

bool listener_begin(uint16_t port, const char *key, const struct http_service *service,
		    const struct listener_succession *succession)
{
	port_init(port);
	listener.key = key;
	listener.service = service;
	return listener_take_over(succession);
}

bool listener_was_called(void)
{
	return member.was_called;
}

void listener_call_at_end(void (*at_end)(void))
{
	listener.at_end = at_end;
}

int listener_thread(void)
{
	return listener.thread.tid;
}

void listener_end_when(bool (*should_go)(int64_t now_ns, int64_t *again_ns))
{
	listener.should_go = should_go;
}

void listener_end_with(int status)
{
	listener.status = status;
}

void listener_report_refusal(void (*refused)(const char *call))
{
	listener.refused = refused;
}

static uint32_t answers_under_way(void)
{
	return __atomic_load_n(&listener.under_way, __ATOMIC_ACQUIRE);
}

/* Nobody wakes us: the listener tells how many are left whenever it goes to sleep. */
void listener_finish(void)
{
	const struct timespec ts = { 0, FINISH_LOOK_NS };
	int64_t until_ns;
	uint32_t left = answers_under_way();

	if (left == 0 || !listener_is_running())
		return;
	until_ns = sys_now_ns() + FINISH_WAIT_NS;
	look_spare(sys_gettid());
	listener.hurry = 1;
	wake();
	while ((left = answers_under_way()) && sys_now_ns() < until_ns)
		sys_futex(&listener.under_way, FUTEX_WAIT_PRIVATE, left, &ts);
	look_spare(0);
}

unsigned listener_hurry(void)
{
	listener.hurry = 1;
	return answers_under_way() + listener.under_way_here;
}

void listener_enable_members(void)
{
	listener.has_members = true;
}

void listener_keep_recording(void)
{
	listener.records = true;
}

void listener_after_fork(void)
{
	listener.outcome = LISTENER_REFUSED;
	listener.stop = 0;
	listener.changing = false;
	listener.hurry = 0;
	listener.under_way = listener.under_way_here = 0;
	own_thread_forget(&listener.thread);
}

void listener_skip_niceties(void)
{
	listener.no_niceties = true;
}

bool listener_is_running(void)
{
	return own_thread_is_alive(&listener.thread) && outcome() != LISTENER_REFUSED;
}

bool listener_has_endpoint(void)
{
	return !listener.gave_up;
}

bool listener_is_serving(void)
{
	return outcome() == LISTENER_SERVING && listener_is_running();
}

bool listener_is_attentive(void)
{
	return listener_is_running() &&
	       (outcome() == LISTENER_SERVING || member.serves || listener.succession.joins);
}

int64_t listener_cpu_ns(void)
{
	const int of_thread = 6; /* CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED */

	return sys_clock_ns((int)(~(unsigned)listener.thread.tid << 3) | of_thread);
}

bool listener_end(void)
{
	int64_t until_ns = sys_now_ns() + STOP_WAIT_NS;
	bool ended;

	if (!own_thread_is_alive(&listener.thread) || !begin_change(until_ns))
		return false;
	listener.stop = 1;
	sys_call4(SYS_futex, (long)&listener.stop, FUTEX_WAKE_PRIVATE, 1, 0);
	wake();
	ended = own_thread_join(&listener.thread, until_ns);
	end_change();
	return ended;
}
