#include "sampler/base/monotonic.h"

#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"

static clock_function vdso;   /* NULL: none, or one that is a system call itself */
static clock_function coarse; /* NULL: none; never a system call, and reads no cycles */

bool monotonic_lacks_cycles;

static int64_t read_through(clock_function fn, clockid_t clock)
{
	struct timespec ts = { 0 };

	if (fn(clock, &ts) != 0)
		return 0;
	return ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

static int call_kernel(clockid_t clock, struct timespec *ts)
{
	return (int)sys_call3(SYS_clock_gettime, clock, (long)ts, 0);
}

/* The least time from one reading to the next. */
static int64_t price_of(clock_function fn)
{
	int64_t least = INT64_MAX;

	for (int i = 0; i < 16; i++) {
		int64_t before = read_through(fn, CLOCK_MONOTONIC);

		least = MIN(least, read_through(fn, CLOCK_MONOTONIC) - before);
	}
	return least;
}

/* Where user space cannot read the machine's clock, the vdso asks the kernel. */
static bool is_cheap(clock_function fn)
{
	return read_through(fn, CLOCK_MONOTONIC) > 0 && price_of(fn) < price_of(call_kernel) / 2;
}

/* The vdso reads the same register. */
void monotonic_avoid_cycles(void)
{
	monotonic_lacks_cycles = true;
	vdso = NULL;
}

void monotonic_use(clock_function fn)
{
	vdso = fn && !monotonic_lacks_cycles && is_cheap(fn) ? fn : NULL;
	coarse = fn;
}

uint64_t monotonic_instead_of_cycles(void)
{
	return (uint64_t)monotonic_ns() * ARCH_CYCLES_25_US / 25000;
}

/* The vdso asks the kernel where the clock cannot be read at this moment; of the coarse one never.
 */
int64_t monotonic_ns(void)
{
	if (UNLIKELY(sandbox_is_noted()))
		return coarse ? read_through(coarse, CLOCK_MONOTONIC_COARSE) : 0;
	return LIKELY(vdso != NULL) ? read_through(vdso, CLOCK_MONOTONIC) : sys_now_ns();
}

int64_t monotonic_since(clockid_t clock, const struct timespec *then)
{
	int64_t now_ns;

	if (UNLIKELY(sandbox_is_noted()) || then->tv_sec < 0 || then->tv_sec > INT32_MAX)
		return -1;
	now_ns = vdso ? read_through(vdso, clock) : sys_clock_ns(clock);
	return MAX(now_ns - (then->tv_sec * NS_PER_SECOND + then->tv_nsec), -1);
}

int64_t monotonic_coarse_ns(void)
{
	return LIKELY(coarse != NULL) ? read_through(coarse, CLOCK_MONOTONIC_COARSE)
				      : monotonic_ns();
}
