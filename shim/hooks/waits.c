/*
 * Calls in which a server waits: the safe points at which a child that outlived
 * its parent starts its listener (child.h).  In every other process each is one
 * look and a jump.
 *
 * A daemon's child may come to its one endless wait an instant before its parent
 * is gone, and then nothing would ever bring it here again.  So a child in its
 * first seconds waits in pieces while its parent is there.  All signals are
 * blocked between the pieces and let through in them, as the kernel does in
 * ppoll, so that none is missed that the one long call would have seen.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "shim/life/child.h"
#include "shim/life/life.h"
#include "shim/life/listener.h"
#include "shim/real/real.h"

/* ---- waiting in pieces */

/* Longer than the scheduler's tick: a timer that is the next to fire costs microseconds. */
#define FIRST_PIECE_NS	 (16 * NS_PER_MS)
#define LONGEST_PIECE_NS (500 * NS_PER_MS)
#define FOREVER		 INT64_MAX

/* By raw system calls: the unwinding of a cancelled thread would find every signal blocked. */
struct vigil {
	uint64_t let_through; /* the mask during the wait */
	uint64_t before;
	const uint64_t *blocked; /* for child_chance() */
	int64_t piece_ns;	 /* FOREVER: the last one */
};

static void begin_vigil(struct vigil *v, const sigset_t *mask)
{
	v->piece_ns = FIRST_PIECE_NS;
	v->before = listener_signals();
	sys_call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&v->before, (long)&v->before,
		  sizeof(v->before));
	v->let_through = v->before;
	v->blocked = mask ? &child_no_handler : &v->before;
	if (mask) /* libc's set begins with the kernel's */
		memcpy(&v->let_through, mask, sizeof(v->let_through));
}

/* What the call returns; a thread that was cancelled meanwhile ends here. */
static int end_vigil(const struct vigil *v, long n)
{
	sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&v->before, 0, sizeof(v->before));
	if (n == -EINTR && real()->pthread_testcancel)
		real()->pthread_testcancel();
	if (n >= 0)
		return (int)n;
	errno = (int)-n;
	return -1;
}

/* After a piece that ended without anything; false when it was the last. */
static bool go_on(struct vigil *v)
{
	if (v->piece_ns == FOREVER)
		return false;
	child_chance(v->blocked);
	v->piece_ns = child_keeps_watch() ? MIN(2 * v->piece_ns, LONGEST_PIECE_NS) : FOREVER;
	return true;
}

static long piece_ms(const struct vigil *v)
{
	return v->piece_ns == FOREVER ? -1 : (long)(v->piece_ns / NS_PER_MS);
}

static long piece(const struct vigil *v, struct timespec *room)
{
	*room = (struct timespec){ 0, v->piece_ns };
	return v->piece_ns == FOREVER ? 0 : (long)room;
}

static COLD NOINLINE int epoll_in_pieces(int fd, struct epoll_event *events, int max,
					 const sigset_t *mask)
{
	struct vigil v;
	long n;

	begin_vigil(&v, mask);
	do
		n = sys_call6(SYS_epoll_pwait, fd, (long)events, max, piece_ms(&v),
			      (long)&v.let_through, sizeof(v.let_through));
	while (n == 0 && go_on(&v));
	return end_vigil(&v, n);
}

static COLD NOINLINE int poll_in_pieces(struct pollfd *fds, nfds_t count, const sigset_t *mask)
{
	struct vigil v;
	struct timespec room;
	long n;

	begin_vigil(&v, mask);
	do
		n = sys_call6(SYS_ppoll, (long)fds, (long)count, piece(&v, &room),
			      (long)&v.let_through, sizeof(v.let_through), 0);
	while (n == 0 && go_on(&v));
	return end_vigil(&v, n);
}

/* The sets are filled in again for each piece: an empty answer clears them. */
struct sets {
	fd_set *set[3], wanted[3];
};

static void keep_sets(struct sets *s, fd_set *in, fd_set *out, fd_set *other)
{
	*s = (struct sets){ .set = { in, out, other } };
	for (int i = 0; i < 3; i++)
		if (s->set[i])
			s->wanted[i] = *s->set[i];
}

static void refill_sets(const struct sets *s)
{
	for (int i = 0; i < 3; i++)
		if (s->set[i])
			*s->set[i] = s->wanted[i];
}

static long select_piece(int count, const struct sets *s, const struct vigil *v)
{
	const struct {
		const uint64_t *mask;
		size_t size;
	} mask = { &v->let_through, sizeof(v->let_through) };
	struct timespec room;

	refill_sets(s);
	return sys_call6(SYS_pselect6, count, (long)s->set[0], (long)s->set[1], (long)s->set[2],
			 piece(v, &room), (long)&mask);
}

static COLD NOINLINE int select_in_pieces(int count, fd_set *in, fd_set *out, fd_set *other,
					  const sigset_t *mask)
{
	struct sets s;
	struct vigil v;
	long n;

	keep_sets(&s, in, out, other);
	begin_vigil(&v, mask);
	do
		n = select_piece(count, &s, &v);
	while (n == 0 && go_on(&v));
	return end_vigil(&v, n);
}

/* ---- the calls */

#define LOOKS UNLIKELY(life_is_child()) && child_is_to_look()

/* A place to take the port over, and whether the wait that comes is to be cut in pieces. */
static NOINLINE bool look(bool is_endless)
{
	child_chance(NULL);
	return is_endless && child_keeps_watch();
}

/* The same in a call that brings a mask: no signal handler makes it. */
static NOINLINE bool look_masked(const sigset_t *mask, bool is_endless)
{
	child_chance(mask ? &child_no_handler : NULL);
	return is_endless && child_keeps_watch();
}

EXPORT int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	if (LOOKS && look(timeout < 0))
		return epoll_in_pieces(fd, events, max, NULL);
	return real()->epoll_wait(fd, events, max, timeout);
}

EXPORT int epoll_pwait(int fd, struct epoll_event *events, int max, int timeout,
		       const sigset_t *mask)
{
	if (LOOKS && look_masked(mask, timeout < 0))
		return epoll_in_pieces(fd, events, max, mask);
	return real()->epoll_pwait(fd, events, max, timeout, mask);
}

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	if (LOOKS && look(timeout < 0))
		return poll_in_pieces(fds, count, NULL);
	return real()->poll(fds, count, timeout);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
		 const sigset_t *mask)
{
	if (LOOKS && look_masked(mask, !timeout))
		return poll_in_pieces(fds, count, mask);
	return real()->ppoll(fds, count, timeout, mask);
}

EXPORT int select(int count, fd_set *in, fd_set *out, fd_set *other, struct timeval *timeout)
{
	/* programs with more descriptors bring larger sets than ours */
	if (LOOKS && look(!timeout && count <= FD_SETSIZE))
		return select_in_pieces(count, in, out, other, NULL);
	return real()->select(count, in, out, other, timeout);
}

EXPORT int pselect(int count, fd_set *in, fd_set *out, fd_set *other,
		   const struct timespec *timeout, const sigset_t *mask)
{
	if (LOOKS && look_masked(mask, !timeout && count <= FD_SETSIZE))
		return select_in_pieces(count, in, out, other, mask);
	return real()->pselect(count, in, out, other, timeout, mask);
}

/* Both return only with EINTR, as a wait for nothing does. */
EXPORT int sigsuspend(const sigset_t *mask)
{
	if (LOOKS && look_masked(mask, true))
		return poll_in_pieces(NULL, 0, mask);
	return real()->sigsuspend(mask);
}

EXPORT int pause(void)
{
	if (LOOKS && look(true))
		return poll_in_pieces(NULL, 0, NULL);
	return real()->pause();
}

/* X(name, return type, parameters, arguments): these end by themselves, or cannot be cut. */
#define OTHER_WAITS(X)                                                                             \
	X(listen, int, (int fd, int backlog), (fd, backlog))                                       \
	X(accept, int, (int fd, struct sockaddr *from, socklen_t *len), (fd, from, len))           \
	X(accept4, int, (int fd, struct sockaddr *from, socklen_t *len, int flags),                \
	  (fd, from, len, flags))                                                                  \
	X(sigwait, int, (const sigset_t *set, int *sig), (set, sig))                               \
	X(sigwaitinfo, int, (const sigset_t *set, siginfo_t *info), (set, info))                   \
	X(sigtimedwait, int, (const sigset_t *set, siginfo_t *info, const struct timespec *ts),    \
	  (set, info, ts))                                                                         \
	X(wait, pid_t, (int *status), (status))                                                    \
	X(waitpid, pid_t, (pid_t pid, int *status, int options), (pid, status, options))           \
	X(nanosleep, int, (const struct timespec *ts, struct timespec *left), (ts, left))          \
	X(clock_nanosleep, int,                                                                    \
	  (clockid_t clock, int flags, const struct timespec *ts, struct timespec *left),          \
	  (clock, flags, ts, left))                                                                \
	X(sleep, unsigned, (unsigned seconds), (seconds))                                          \
	X(usleep, int, (useconds_t us), (us))

#define X(name, type, parameters, arguments)                                                       \
	EXPORT type name parameters                                                                \
	{                                                                                          \
		if (LOOKS)                                                                         \
			child_chance(NULL);                                                        \
		return real()->name arguments;                                                     \
	}
OTHER_WAITS(X)
#undef X
