#include "http/peer.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "http/net.h"
#include "sampler/base/cc.h"

#define BACKLOG 64

void peer_write_prefix(struct text *t, uint16_t port)
{
	text_str(t, "pprofshim-");
	text_u64(t, port);
	text_char(t, '-');
}

/* Abstract names begin with a NUL, and have their length beside them. */
static socklen_t make_address(struct sockaddr_un *at, const char *name)
{
	size_t len = MIN(strlen(name), sizeof(at->sun_path) - 1);

	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(at->sun_path + 1, name, len);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
}

static int open_socket(void)
{
	return (int)sys_call3(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* The socket, or the error, and then no socket. */
static int unless_failed(int fd, long result)
{
	if (result >= 0)
		return fd;
	sys_close(fd);
	return (int)result;
}

int peer_listen(const char *name)
{
	struct sockaddr_un at;
	socklen_t len = make_address(&at, name);
	int fd = open_socket();
	long result;

	if (fd < 0)
		return fd;
	result = sys_call3(SYS_bind, fd, (long)&at, len);
	if (result >= 0)
		result = net_listen(fd, BACKLOG);
	return unless_failed(fd, result);
}

int peer_connect(const char *name)
{
	struct sockaddr_un at;
	socklen_t len = make_address(&at, name);
	int fd = open_socket();

	return fd < 0 ? fd : unless_failed(fd, sys_call3(SYS_connect, fd, (long)&at, len));
}

bool peer_of(int fd, struct ucred *out)
{
	socklen_t len = sizeof(*out);

	return sys_call6(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, (long)out, (long)&len, 0) ==
	       0;
}

bool peer_is_ours(int fd)
{
	struct ucred peer;

	return peer_of(fd, &peer) &&
	       (peer.uid == 0 || peer.uid == (uid_t)sys_call3(SYS_geteuid, 0, 0, 0));
}
