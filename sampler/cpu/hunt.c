#include "sampler/cpu/hunt.h"

#include <time.h>

#include "sampler/base/cc.h"
#include "sampler/cpu/roster.h"

/* With as many threads a scan takes 0.1 ms. */
#define THREADS_FEW	  256
#define SCAN_OFTEN_NS	  (10 * NS_PER_MS)
#define SCAN_OFTEN_FOR_NS (2 * NS_PER_SECOND)
/* A scan of many is worth so many times its cost in rest. */
#define SCAN_REST      500
#define SCAN_SELDOM_NS (5 * NS_PER_SECOND)
/* A scan reads clocks one after the other, so that a little is always unknown. */
#define NOISE_NS    NS_PER_MS
#define NOISE_SHARE 50

static struct {
	int64_t used_ns, known_ns; /* by the process, and by known threads, at the last scan */
	int64_t often_until_ns;
} hunt;

/* By the process without us. */
static int64_t used_now(void)
{
	return sys_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - sys_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void hunt_begin(void)
{
	hunt.used_ns = used_now();
	hunt.known_ns = roster_known_ns();
	hunt.often_until_ns = 0;
}

int64_t hunt_next_scan(int64_t now_ns, int64_t cost_ns)
{
	int64_t now = used_now(), known = roster_known_ns();
	int64_t used = now - hunt.used_ns, unknown = used - (known - hunt.known_ns);

	hunt.used_ns = now;
	hunt.known_ns = known;
	if (unknown > NOISE_NS && unknown > used / NOISE_SHARE)
		hunt.often_until_ns = now_ns + SCAN_OFTEN_FOR_NS;
	if (now_ns < hunt.often_until_ns && roster_count().armed < THREADS_FEW)
		return now_ns + SCAN_OFTEN_NS;
	return now_ns + MIN(MAX(cost_ns * SCAN_REST, SCAN_EVERY_NS), SCAN_SELDOM_NS);
}
