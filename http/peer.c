#include "http/peer.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "http/net.h"
#include "sampler/base/cc.h"
#include "sampler/base/status.h"
#include "sampler/process/tasks.h"

#define BACKLOG	     64	  /* of a member */
#define BACKLOG_OPEN 4096 /* of one that anybody may come to */

void peer_write_prefix(struct text *t, uint32_t tree_id)
{
	text_str(t, "pprofshim-");
	text_u64(t, tree_id);
	text_char(t, '-');
}

/* Abstract names begin with a NUL, and have their length beside them; the others end with one. */
static socklen_t make_address(struct sockaddr_un *at, char first, const char *rest)
{
	size_t len = MIN(strlen(rest), sizeof(at->sun_path) - 2);

	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	at->sun_path[0] = first;
	memcpy(at->sun_path + 1, rest, len);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len + (first != '\0'));
}

static socklen_t make_address_at(struct sockaddr_un *at, const char *path)
{
	return make_address(at, *path == '@' ? '\0' : *path, path + 1);
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

static int bind_and_listen(int fd, const struct sockaddr_un *at, socklen_t len, int backlog)
{
	long result = fd < 0 ? fd : sys_call3(SYS_bind, fd, (long)at, len);

	if (result >= 0)
		result = net_listen(fd, backlog);
	return fd < 0 ? fd : unless_failed(fd, result);
}

static int connect_to(const struct sockaddr_un *at, socklen_t len)
{
	int fd = open_socket();

	return fd < 0 ? fd : unless_failed(fd, sys_call3(SYS_connect, fd, (long)at, len));
}

int peer_listen(const char *name)
{
	struct sockaddr_un at;
	socklen_t len = make_address(&at, '\0', name);

	return bind_and_listen(open_socket(), &at, len, BACKLOG);
}

/* The file gets the socket's mode as it is made: at no moment may somebody else open it. */
int peer_listen_at(const char *path)
{
	struct sockaddr_un at;
	socklen_t len = make_address_at(&at, path);
	int fd = open_socket();
	long failed = fd < 0 ? 0 : sys_call3(SYS_fchmod, fd, 0600, 0);

	return failed ? unless_failed(fd, failed) : bind_and_listen(fd, &at, len, BACKLOG_OPEN);
}

int peer_connect(const char *name)
{
	struct sockaddr_un at;
	socklen_t len = make_address(&at, '\0', name);

	return connect_to(&at, len);
}

int peer_connect_to(const char *path)
{
	struct sockaddr_un at;
	socklen_t len = make_address_at(&at, path);

	return connect_to(&at, len);
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

/* Of "Uid: real effective saved fs" in its status. */
static bool may_be_root(int pid)
{
	char status[1024];
	const char *ids;

	if (process_read_status(pid, status, sizeof(status)) <= 0)
		return false;
	ids = status_line(status, "Uid");
	if (!ids)
		return false;
	if (strncmp(ids, "0\t", 2) == 0)
		return true;
	ids = strchr(ids, '\t');
	ids = ids ? strchr(ids + 1, '\t') : NULL;
	return ids && strncmp(ids, "\t0\t", 3) == 0;
}

/* Its number is nobody else's for as long as it is our parent, so it is asked twice. */
bool peer_is_privileged_parent(int fd)
{
	struct ucred peer;

	return peer_of(fd, &peer) && peer.pid > 0 && peer.pid == sys_call3(SYS_getppid, 0, 0, 0) &&
	       may_be_root(peer.pid) && peer.pid == sys_call3(SYS_getppid, 0, 0, 0);
}
