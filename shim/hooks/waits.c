/*
 * Calls in which a program waits: here a child looks after its parent, and one that
 * outlived it starts its listener (takeover.h).  A hook looks before the one real call
 * and does nothing else: what cancels it, interrupts it or restores a mask meets libc.
 * In a process with a listener each is a look at one word and a jump.
 */
#include <stdint.h>
#include <sys/wait.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "shim/life/after_fork.h"
#include "shim/life/takeover.h"
#include "shim/real/real.h"

/* From here on a wait is long: a child would not look again for as long. */
#define LONG_MS 1000

static inline void look(bool is_long)
{
	if (LIKELY(process_is_ours()))
		return;
	after_fork_enter();
	if (takeover_is_to_look())
		takeover_look(is_long);
}

/* The same before a call in which servers wait for their work. */
static inline void look_served(bool is_long)
{
	look(is_long);
	if (is_long)
		takeover_note_server();
}

static inline bool is_long_ms(int timeout)
{
	return timeout < 0 || timeout >= LONG_MS;
}

static inline bool is_long_ts(const struct timespec *ts)
{
	return !ts || ts->tv_sec >= LONG_MS / 1000;
}

static inline bool is_long_tv(const struct timeval *tv)
{
	return !tv || tv->tv_sec >= LONG_MS / 1000;
}

/* In no header: what poll and ppoll are in programs compiled with _FORTIFY_SOURCE. */
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *ts, const sigset_t *mask,
		size_t size);

/* X(name, return type, parameters, arguments, whether this one is long): servers wait in these */
#define SERVERS_WAITS(X)                                                                           \
	X(epoll_wait, int, (int fd, struct epoll_event *events, int max, int timeout),             \
	  (fd, events, max, timeout), is_long_ms(timeout))                                         \
	X(epoll_pwait, int,                                                                        \
	  (int fd, struct epoll_event *events, int max, int timeout, const sigset_t *mask),        \
	  (fd, events, max, timeout, mask), is_long_ms(timeout))                                   \
	X(poll, int, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout),      \
	  is_long_ms(timeout))                                                                     \
	X(__poll_chk, int, (struct pollfd * fds, nfds_t count, int timeout, size_t size),          \
	  (fds, count, timeout, size), is_long_ms(timeout))                                        \
	X(ppoll, int,                                                                              \
	  (struct pollfd * fds, nfds_t count, const struct timespec *ts, const sigset_t *mask),    \
	  (fds, count, ts, mask), is_long_ts(ts))                                                  \
	X(__ppoll_chk, int,                                                                        \
	  (struct pollfd * fds, nfds_t count, const struct timespec *ts, const sigset_t *mask,     \
	   size_t size),                                                                           \
	  (fds, count, ts, mask, size), is_long_ts(ts))                                            \
	X(select, int, (int count, fd_set *in, fd_set *out, fd_set *other, struct timeval *tv),    \
	  (count, in, out, other, tv), is_long_tv(tv))                                             \
	X(pselect, int,                                                                            \
	  (int count, fd_set *in, fd_set *out, fd_set *other, const struct timespec *ts,           \
	   const sigset_t *mask),                                                                  \
	  (count, in, out, other, ts, mask), is_long_ts(ts))                                       \
	X(sigsuspend, int, (const sigset_t *mask), (mask), true)                                   \
	X(pause, int, (void), (), true)                                                            \
	X(accept, int, (int fd, struct sockaddr *from, socklen_t *len), (fd, from, len), true)     \
	X(accept4, int, (int fd, struct sockaddr *from, socklen_t *len, int flags),                \
	  (fd, from, len, flags), true)                                                            \
	X(sigwait, int, (const sigset_t *set, int *sig), (set, sig), true)                         \
	X(sigwaitinfo, int, (const sigset_t *set, siginfo_t *info), (set, info), true)             \
	X(sigtimedwait, int, (const sigset_t *set, siginfo_t *info, const struct timespec *ts),    \
	  (set, info, ts), is_long_ts(ts))

#define X(name, type, parameters, arguments, is_long)                                              \
	EXPORT type name parameters                                                                \
	{                                                                                          \
		look_served(is_long);                                                              \
		return real()->name arguments;                                                     \
	}
SERVERS_WAITS(X)
#undef X

/* The same for calls in which the parent of a daemon may wait as well. */
#define OTHER_WAITS(X)                                                                             \
	X(listen, int, (int fd, int backlog), (fd, backlog), false)                                \
	X(wait, pid_t, (int *status), (status), true)                                              \
	X(waitpid, pid_t, (pid_t pid, int *status, int options), (pid, status, options),           \
	  !(options & WNOHANG))                                                                    \
	X(waitid, int, (idtype_t type, id_t id, siginfo_t * info, int options),                    \
	  (type, id, info, options), !(options & WNOHANG))                                         \
	X(wait3, pid_t, (int *status, int options, struct rusage *usage),                          \
	  (status, options, usage), !(options & WNOHANG))                                          \
	X(wait4, pid_t, (pid_t pid, int *status, int options, struct rusage *usage),               \
	  (pid, status, options, usage), !(options & WNOHANG))                                     \
	X(nanosleep, int, (const struct timespec *ts, struct timespec *left), (ts, left),          \
	  is_long_ts(ts))                                                                          \
	X(clock_nanosleep, int,                                                                    \
	  (clockid_t clock, int flags, const struct timespec *ts, struct timespec *left),          \
	  (clock, flags, ts, left), true)                                                          \
	X(sleep, unsigned, (unsigned seconds), (seconds), seconds > 0)                             \
	X(usleep, int, (useconds_t us), (us), us / 1000 >= LONG_MS)

#define X(name, type, parameters, arguments, is_long)                                              \
	EXPORT type name parameters                                                                \
	{                                                                                          \
		look(is_long);                                                                     \
		return real()->name arguments;                                                     \
	}
OTHER_WAITS(X)
#undef X

/* Came to libc with glibc 2.35: where it is not there, the kernel's answer to an unknown call. */
EXPORT int epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *ts,
			const sigset_t *mask)
{
	look_served(is_long_ts(ts));
	if (real()->epoll_pwait2)
		return real()->epoll_pwait2(fd, events, max, ts, mask);
	errno = ENOSYS;
	return -1;
}
