#include "shim/life/port.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "http/net.h"
#include "http/server.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/base/wake.h"

#define ASK_WAIT_NS (5 * NS_PER_SECOND)
/* How long a lost wake-up can delay the answer. */
#define WAKE_AGAIN_NS (100 * NS_PER_MS)

/* Ports tried: the next ones, where a user looks first, then here and there. */
#define NEAR_PORTS   16
#define FAR_PORTS    256
#define FAR_DISTANCE 97
#define LOWEST_PORT  1024

/* What forked children share. */
struct port_page {
	atomic_uint port;
	atomic_int holder;  /* the process that has it, 0: none */
	atomic_bool empty;  /* of what is asked: see port_ask() */
	atomic_uint theirs; /* the program has bound it while nobody had it */
	atomic_uint asked;
	atomic_uint answered; /* futex word */
};

static struct port_page unshared, *page = &unshared;
static uint16_t configured;

/* What the listener of this process has; what the page says may be anybody's. */
static uint16_t held;
static unsigned moves;

/* A program that binds one of our ports after the other is none that a user has. */
#define MOVES_MAX 64
/* Hooks that ask at the same time; a larger difference is no question. */
#define ASKED_MAX 1024

void port_init(uint16_t port)
{
	long p;

	if (page != &unshared)
		sys_call3(SYS_munmap, (long)page, PAGE_BYTES, 0);
	page = &unshared;
	p = sys_call6(SYS_mmap, 0, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);

	if (!sys_failed(p))
		page = (struct port_page *)p;
	configured = port;
	atomic_store(&page->port, port);
}

uint16_t port_now(void)
{
	return (uint16_t)atomic_load(&page->port);
}

uint16_t port_configured(void)
{
	return configured;
}

/* Who binds port 0 wants any that is free. */
bool port_is(uint16_t port)
{
	return port && port == port_now();
}

/* ---- the listener's part */

void port_close(int fd)
{
	int ours = sys_getpid();

	atomic_compare_exchange_strong(&page->holder, &ours, 0);
	sys_close(fd);
}

static int open_elsewhere(unsigned left)
{
	for (unsigned i = 1; i <= NEAR_PORTS + FAR_PORTS; i++) {
		unsigned port = left + (i <= NEAR_PORTS ? i : i * FAR_DISTANCE);
		int fd;

		if (port > UINT16_MAX)
			port = LOWEST_PORT + port % (UINT16_MAX - LOWEST_PORT);
		fd = http_listen((uint16_t)port);
		if (fd >= 0)
			atomic_store(&page->port, port);
		if (fd != -EADDRINUSE)
			return fd;
	}
	return -EADDRINUSE;
}

static void name_thread(void)
{
	char name[16];
	struct text t = TEXT_INIT(name);

	text_str(&t, "pprofshim:");
	text_u64(&t, port_now());
	sys_call3(SYS_prctl, PR_SET_NAME, (long)name, 0);
}

int port_open(bool rename)
{
	uint16_t port = port_now();
	int fd = atomic_load(&page->theirs) == port ? open_elsewhere(port) : http_listen(port);

	if (fd < 0)
		return fd;
	held = port_now();
	atomic_store(&page->holder, sys_getpid());
	if (rename && port_now() != configured)
		name_thread();
	return fd;
}

/*
 * The number of the old socket is the lowest that is free, so the new one gets it.
 * Without a new one nobody connects any more, and what is under way goes on.
 */
/*
 * A child under an attacker may write anything to the page.  What is no question is taken
 * back, with all that the page says of the port.
 */
static bool is_asked(unsigned *asked)
{
	*asked = atomic_load(&page->asked);
	if (LIKELY(*asked == atomic_load(&page->answered)))
		return false;
	if (*asked - atomic_load(&page->answered) <= ASKED_MAX && moves < MOVES_MAX &&
	    port_now() == held && atomic_load(&page->holder) == sys_getpid())
		return true;
	atomic_store(&page->port, held);
	atomic_store(&page->holder, sys_getpid());
	atomic_store(&page->answered, *asked);
	counter_add(COUNTER_SHARED_PAGE_MENDED, 1);
	return false;
}

void port_give_way(int fd, bool rename, void (*reset_all)(void *arg), void *arg)
{
	unsigned asked;

	if (!is_asked(&asked))
		return;
	moves++;
	sys_close(fd);
	if (open_elsewhere(held) >= 0 && rename)
		name_thread();
	held = port_now();
	if (atomic_exchange(&page->empty, false))
		reset_all(arg);
	atomic_store(&page->answered, asked);
	sys_call4(SYS_futex, (long)&page->answered, FUTEX_WAKE, INT32_MAX, 0);
}

/* ---- the hook's part */

/*
 * A connection wakes another process's listener, and is closed at once.  A signal would
 * be quicker, and end a thread of the program's that has the listener's number by now.
 */
static void knock(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port_now()) };
	int fd = net_socket();

	if (fd < 0)
		return;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sys_call3(SYS_connect, fd, (long)&at, sizeof(at));
	sys_close(fd);
}

static void wake_holder(int holder)
{
	if (holder == sys_getpid())
		wake();
	else
		knock();
}

static bool is_there(int pid)
{
	return pid && sys_call3(SYS_kill, pid, 0, 0) != -ESRCH;
}

bool port_ask(bool empty)
{
	int64_t until_ns = sys_now_ns() + ASK_WAIT_NS;
	int holder = atomic_load(&page->holder);
	unsigned asked, answered;

	if (!is_there(holder))
		return false;
	if (empty)
		atomic_store(&page->empty, true);
	asked = atomic_fetch_add(&page->asked, 1) + 1;
	while ((int)((answered = atomic_load(&page->answered)) - asked) < 0) {
		const struct timespec ts = { 0, WAKE_AGAIN_NS };

		if (sys_now_ns() >= until_ns)
			return false;
		wake_holder(holder);
		sys_call4(SYS_futex, (long)&page->answered, FUTEX_WAIT, (long)answered, (long)&ts);
	}
	return true;
}

bool port_is_held(void)
{
	return atomic_load(&page->holder) != 0;
}

void port_note_theirs(void)
{
	atomic_store(&page->theirs, port_now());
}

void port_ask_silently(void)
{
	atomic_store(&page->empty, true);
	atomic_fetch_add(&page->asked, 1);
}
