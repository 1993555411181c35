/* http: the server and its pages.  May include proto and below. */
/*
 * Raw socket calls in the manner of sampler/base/sys.h: the kernel's value, -errno
 * on failure, errno untouched.  No descriptor survives an exec, none blocks, and
 * no write raises SIGPIPE.
 *
 * Context: listener.
 */
#ifndef HTTP_NET_H
#define HTTP_NET_H

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "sampler/base/sys.h"

static inline int net_socket(void)
{
	return (int)sys_call3(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static inline int net_bind(int fd, const struct sockaddr_in *at)
{
	return (int)sys_call3(SYS_bind, fd, (long)at, sizeof(*at));
}

static inline int net_listen(int fd, int backlog)
{
	return (int)sys_call3(SYS_listen, fd, backlog, 0);
}

static inline int net_accept(int fd, struct sockaddr_in *peer)
{
	socklen_t len = sizeof(*peer);

	return (int)sys_call4(SYS_accept4, fd, (long)peer, (long)&len,
			      SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static inline int net_set(int fd, int level, int option, const void *value, socklen_t len)
{
	return (int)sys_call6(SYS_setsockopt, fd, level, option, (long)value, len, 0);
}

static inline int net_set_flag(int fd, int level, int option)
{
	int on = 1;

	return net_set(fd, level, option, &on, sizeof(on));
}

static inline long net_receive(int fd, void *to, size_t len)
{
	return sys_call6(SYS_recvfrom, fd, (long)to, (long)len, MSG_DONTWAIT, 0, 0);
}

/* As net_receive(), and the bytes stay. */
static inline long net_peek(int fd, void *to, size_t len)
{
	return sys_call6(SYS_recvfrom, fd, (long)to, (long)len, MSG_DONTWAIT | MSG_PEEK, 0, 0);
}

static inline long net_send(int fd, struct iovec *part, size_t count)
{
	struct msghdr m = { .msg_iov = part, .msg_iovlen = count };

	return sys_call3(SYS_sendmsg, fd, (long)&m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static inline int net_end_sending(int fd)
{
	return (int)sys_call3(SYS_shutdown, fd, SHUT_WR, 0);
}

/* The other side is told at once that it is over; what is on its way there is lost. */
static inline void net_reset_at_close(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	net_set(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

/* Waits until `until_ns` (CLOCK_MONOTONIC, seen from `now_ns`); INT64_MAX is for ever. */
static inline int net_poll(struct pollfd *fds, size_t count, int64_t now_ns, int64_t until_ns)
{
	int64_t wait = until_ns > now_ns ? until_ns - now_ns : 0;
	struct timespec t = { .tv_sec = wait / NS_PER_SECOND, .tv_nsec = wait % NS_PER_SECOND };
	long timeout = until_ns == INT64_MAX ? 0 : (long)&t;

	return (int)sys_call6(SYS_ppoll, (long)fds, (long)count, timeout, 0, 0, 0);
}

#endif
