/*
 * bind: the program's own wish for our port goes first (port.h).  A server that is to
 * listen on it would not start because of us.
 *
 * The real bind is made first, and is all that happens when it works or fails for any
 * other reason.
 */
#include <netinet/in.h>
#include <string.h>

#include "sampler/base/monotonic.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "shim/life/port.h"
#include "shim/life/tell.h"
#include "shim/real/real.h"

/* A listener that nobody can wake looks by itself once a second. */
#define FILTERED_WAIT_NS (1500 * NS_PER_MS)

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* Where 127.0.0.1 may be meant: itself, every address, and both as IPv6 writes them. */
static bool takes_loopback4(uint32_t address)
{
	return address == htonl(INADDR_ANY) || address == htonl(INADDR_LOOPBACK);
}

static bool takes_loopback6(const struct in6_addr *a)
{
	uint32_t v4;

	memcpy(&v4, a->s6_addr + 12, sizeof(v4));
	return IN6_IS_ADDR_UNSPECIFIED(a) || (IN6_IS_ADDR_V4MAPPED(a) && takes_loopback4(v4));
}

/* The kernel has read the address, so it can be read. */
static bool is_our_address(const struct sockaddr *at, socklen_t len)
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	if (at->sa_family == AF_INET6 && len >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
		memcpy(&v6, at, offsetof(struct sockaddr_in6, sin6_scope_id));
		return port_is(ntohs(v6.sin6_port)) && takes_loopback6(&v6.sin6_addr);
	}
	if ((at->sa_family != AF_INET && at->sa_family != AF_UNSPEC) || len < sizeof(v4))
		return false;
	memcpy(&v4, at, sizeof(v4));
	return port_is(ntohs(v4.sin_port)) && takes_loopback4(v4.sin_addr.s_addr);
}

static int option(int fd, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	sys_call6(SYS_getsockopt, fd, SOL_SOCKET, name, (long)&value, (long)&len, 0);
	return value;
}

static bool shares_our_ports(int fd)
{
	int protocol = option(fd, SO_PROTOCOL);

	return option(fd, SO_TYPE) == SOCK_STREAM &&
	       (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

static NOINLINE void tell_new_port(uint16_t theirs)
{
	char buf[160];
	struct text t = TEXT_INIT(buf);

	text_str(&t, "the program takes port ");
	text_u64(&t, theirs);
	text_str(&t, " for itself; the endpoint is at 127.0.0.1:");
	text_u64(&t, port_now());
	text_str(&t, " from now on");
	tell_port_late(buf);
}

/* A filtered thread makes the program's own call and no other. */
static int bind_until_free(int fd, const struct sockaddr *at, socklen_t len)
{
	int64_t until_ns = monotonic_ns() + FILTERED_WAIT_NS;
	int failed;

	port_ask_silently();
	do
		failed = real()->bind(fd, at, len);
	while (failed && errno == EADDRINUSE && monotonic_ns() < until_ns);
	return failed;
}

/* Without SO_REUSEADDR the kernel minds connections on the port too. */
static COLD NOINLINE int bind_again(int fd, const struct sockaddr *at, socklen_t len, int saved)
{
	uint16_t theirs = port_now();
	int failed = -1;

	if (!is_our_address(at, len))
		return -1;
	if (sandbox_is_noted()) {
		failed = bind_until_free(fd, at, len);
	} else if (shares_our_ports(fd) && port_ask(!option(fd, SO_REUSEADDR))) {
		failed = real()->bind(fd, at, len);
		tell_new_port(theirs);
	}
	if (!failed)
		errno = saved;
	return failed;
}

EXPORT int bind(int fd, const struct sockaddr *at, socklen_t len)
{
	int saved = errno;
	int failed = real()->bind(fd, at, len);

	if (!failed && !port_is_held() && is_our_address(at, len) &&
	    (sandbox_is_noted() || shares_our_ports(fd)))
		port_note_theirs();
	return UNLIKELY(failed && errno == EADDRINUSE) ? bind_again(fd, at, len, saved) : failed;
}
