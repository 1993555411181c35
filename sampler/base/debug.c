/* Below sys.c, which asks debug_refuses_map(): so with bare system calls. */
#include "sampler/base/debug.h"

#ifdef PPROFSHIM_DEBUG

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "sampler/arch/arch.h"
#include "sampler/base/number.h"
#include "sampler/base/text.h"

struct debug_event debug_events[DEBUG_EVENTS];
atomic_uint debug_event_count;

void debug_note(const char *protocol, int from, int to, uint64_t id)
{
	unsigned n = atomic_fetch_add_explicit(&debug_event_count, 1, memory_order_relaxed);
	struct debug_event *e = &debug_events[n % DEBUG_EVENTS];

	*e = (struct debug_event){ .protocol = protocol, .from = from, .to = to, .id = id };
	e->tid = (int)sys_call3(SYS_gettid, 0, 0, 0);
	sys_call3(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&e->at, 0);
}

void debug_failed(const char *condition, const char *file, int line)
{
	char bytes[256];
	struct text t = TEXT_INIT(bytes);

	text_str(&t, "pprofshim: assertion failed: ");
	text_str(&t, condition);
	text_str(&t, " in ");
	text_str(&t, file);
	text_char(&t, ':');
	text_i64(&t, line);
	text_char(&t, '\n');
	sys_call3(SYS_write, 2, (long)bytes, (long)t.len);
	__builtin_trap();
}

#define FAIL_MAP "PPROF_DEBUG_FAIL_MAP="

static long number_at(const char *at)
{
	long n = (long)number_take(&at, 10);

	return *at == '+' ? -n : n;
}

/* 0: none; below 0: the one of that number and all after it. */
static long map_to_fail(void)
{
	static char environment[32768];
	int fd = (int)sys_call4(SYS_openat, AT_FDCWD, (long)"/proc/self/environ", O_RDONLY, 0);
	long len = sys_call3(SYS_read, fd, (long)environment, sizeof(environment) - 1);

	sys_call3(SYS_close, fd, 0, 0);
	for (const char *at = environment; at < environment + len; at += strlen(at) + 1)
		if (strncmp(at, FAIL_MAP, sizeof(FAIL_MAP) - 1) == 0)
			return number_at(at + sizeof(FAIL_MAP) - 1);
	return 0;
}

bool debug_refuses_map(void)
{
	static atomic_long asked, fails;
	static atomic_bool is_read;
	long n, at;

	if (!atomic_exchange(&is_read, true))
		atomic_store(&fails, map_to_fail());
	n = atomic_fetch_add(&asked, 1) + 1;
	at = atomic_load(&fails);
	return at > 0 ? n == at : at < 0 && n >= -at;
}

#endif
