/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Raw system calls.  Nobody can interpose them under us, and they leave errno
 * alone: each returns the kernel's value, -errno on failure.
 *
 * Context: any role, including handler.
 */
#ifndef SAMPLER_BASE_SYS_H
#define SAMPLER_BASE_SYS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

#include "sampler/arch/arch.h" /* sys_call3() and its like */

#ifndef MADV_WIPEONFORK /* Linux 4.14 */
#define MADV_WIPEONFORK 18
#endif

static inline bool sys_failed(long ret)
{
	return ret < 0 && ret >= -4095;
}

#define NS_PER_SECOND 1000000000LL
#define NS_PER_MS     1000000LL

static inline int64_t sys_clock_ns(int clock)
{
	struct timespec ts = { 0 };

	if (sys_call3(SYS_clock_gettime, clock, (long)&ts, 0) != 0)
		return 0;
	return ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

/*
 * The kernel's encoding of "the CPU clock of thread TID" (pthread_getcpuclockid
 * makes the same number): ~tid << 3, 4 = one thread, 2 = what the scheduler measured.
 */
static inline int sys_thread_clock(int tid)
{
	return (int)(~(unsigned)tid << 3 | 6U);
}

/* CLOCK_MONOTONIC in ns. */
static inline int64_t sys_now_ns(void)
{
	return sys_clock_ns(CLOCK_MONOTONIC);
}

static inline int sys_gettid(void)
{
	return (int)sys_call3(SYS_gettid, 0, 0, 0);
}

static inline int sys_getpid(void)
{
	return (int)sys_call3(SYS_getpid, 0, 0, 0);
}

/*
 * Blocks every signal for the calling thread, so that no handler of the program runs
 * (and forks) in the middle of what follows; and puts the mask back.
 */
static inline uint64_t sys_block_signals(void)
{
	uint64_t all = ~0ULL, before = 0;

	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof(all));
	return before;
}

static inline void sys_restore_signals(uint64_t before)
{
	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof(before));
}

/* Opens for reading only, never blocking on a FIFO, never a controlling terminal. */
int sys_open_read(const char *path);

/* As sys_open_read(), relative to an open directory. */
int sys_open_read_at(int dir, const char *path);

static inline int sys_close(int fd)
{
	return (int)sys_call3(SYS_close, fd, 0, 0);
}

static inline long sys_read(int fd, void *buf, size_t len)
{
	return sys_call3(SYS_read, fd, (long)buf, (long)len);
}

static inline long sys_pread(int fd, void *buf, size_t len, uint64_t offset)
{
	return sys_call4(SYS_pread64, fd, (long)buf, (long)len, (long)offset);
}

static inline long sys_write(int fd, const void *buf, size_t len)
{
	return sys_call3(SYS_write, fd, (long)buf, (long)len);
}

static inline long sys_futex(uint32_t *word, int op, uint32_t val, const struct timespec *timeout)
{
	return sys_call4(SYS_futex, (long)word, op, val, (long)timeout);
}

/*
 * Reads a whole small file (/proc) into buf and ends it with NUL.  Returns the
 * bytes read (at most size - 1), or -errno.
 */
long sys_read_file(const char *path, char *buf, size_t size);

/* The pages are given back and read as zero from now on. */
void sys_discard(void *p, size_t bytes);

#endif
