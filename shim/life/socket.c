#include "shim/life/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "http/peer.h"
#include "sampler/base/cc.h"
#include "sampler/base/name_pattern.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"

#define RETRY_NS (500 * NS_PER_MS)
/* Numbers above this are no ports. */
#define PORTS 65536

static struct {
	const char *pattern, *program; /* NULL: there is to be none */
	struct name_parts parts;
	char path[PEER_PATH_MAX];
	int error; /* of the last attempt */
	int64_t next_try_ns;
	int holder; /* the process that has the name, 0: none */
	dev_t device;
	ino_t inode; /* of the file; 0 for an abstract name */
} unix_socket = { .error = -ENOENT };

void socket_init(const char *pattern, const char *program)
{
	const char *slash = strrchr(program, '/');

	unix_socket.pattern = pattern;
	unix_socket.parts.program = slash ? slash + 1 : program;
	unix_socket.parts.started_s = sys_clock_ns(CLOCK_REALTIME) / NS_PER_SECOND;
}

bool socket_is_wanted(void)
{
	return unix_socket.pattern != NULL;
}

const char *socket_path(void)
{
	return unix_socket.path;
}

int socket_error(void)
{
	return unix_socket.error;
}

uint32_t socket_tree_id(uint16_t port)
{
	const char *pattern = unix_socket.pattern;

	if (port || !pattern)
		return port;
	return PORTS + (uint32_t)(text_hash_more(TEXT_HASH_INIT, pattern, strlen(pattern)) >> 33);
}

/* ---- a file */

static bool is_abstract(void)
{
	return unix_socket.path[0] == '@';
}

static bool look(struct stat *st)
{
	return sys_call4(SYS_newfstatat, AT_FDCWD, (long)unix_socket.path, (long)st,
			 AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_socket(void)
{
	struct stat st;

	return look(&st) && S_ISSOCK(st.st_mode);
}

/* A queue that is full has somebody behind it, and so has one that lets not everybody in. */
static bool somebody_answers(void)
{
	int fd = peer_connect_to(unix_socket.path);

	if (fd >= 0)
		sys_close(fd);
	return fd != -ECONNREFUSED && fd != -ENOENT;
}

static int replace_stale(void)
{
	long failed;

	if (!is_socket())
		return -EEXIST;
	if (somebody_answers())
		return -EADDRINUSE;
	failed = sys_call3(SYS_unlinkat, AT_FDCWD, (long)unix_socket.path, 0);
	return failed ? (int)failed : peer_listen_at(unix_socket.path);
}

/* The directory, locked; -EADDRINUSE while somebody else has the lock, -ENOENT: go on without. */
static int lock_directory(void)
{
	char path[PEER_PATH_MAX];
	char *slash;
	int fd;

	memcpy(path, unix_socket.path, sizeof(path));
	slash = strrchr(path, '/');
	slash[slash == path] = '\0'; /* the root's own slash stays */
	fd = sys_open_read(path);
	if (fd < 0)
		return -ENOENT;
	if (sys_call3(SYS_flock, fd, LOCK_EX | LOCK_NB, 0) != -EWOULDBLOCK)
		return fd;
	sys_close(fd);
	return -EADDRINUSE;
}

static int open_file(void)
{
	int lock = lock_directory(), fd;

	if (lock == -EADDRINUSE)
		return lock;
	fd = peer_listen_at(unix_socket.path);
	if (fd == -EADDRINUSE)
		fd = replace_stale();
	if (lock >= 0)
		sys_close(lock);
	return fd;
}

/* ---- open and close */

static void note_name(void)
{
	struct stat st;

	unix_socket.inode = 0;
	if (!is_abstract() && look(&st)) {
		unix_socket.device = st.st_dev;
		unix_socket.inode = st.st_ino;
	}
	unix_socket.holder = sys_getpid();
}

int socket_open(void)
{
	struct text t = TEXT_INIT(unix_socket.path);
	int fd;

	unix_socket.parts.pid = sys_getpid();
	name_pattern_write(&t, unix_socket.pattern, &unix_socket.parts);
	if (t.cut)
		fd = -ENAMETOOLONG;
	else
		fd = is_abstract() ? peer_listen_at(unix_socket.path) : open_file();
	unix_socket.error = MIN(fd, 0);
	if (fd >= 0)
		note_name();
	return fd;
}

void socket_close(int fd)
{
	socket_remove();
	sys_close(fd);
}

void socket_keep_open(int *fd, int64_t now_ns, int64_t *again_ns)
{
	if (!unix_socket.pattern || *fd >= 0)
		return;
	if (*fd == SOCKET_UNTRIED || now_ns >= unix_socket.next_try_ns) {
		*fd = socket_open();
		unix_socket.next_try_ns = *fd == -EADDRINUSE ? now_ns + RETRY_NS : INT64_MAX;
	}
	*again_ns = MIN(*again_ns, unix_socket.next_try_ns);
}

/* Of another process's that has replaced it, or of a file that was put there, nothing is taken. */
void socket_remove(void)
{
	struct stat st;

	if (!unix_socket.inode || unix_socket.holder != sys_getpid() || sandbox_is_noted())
		return;
	if (look(&st) && st.st_dev == unix_socket.device && st.st_ino == unix_socket.inode)
		sys_call3(SYS_unlinkat, AT_FDCWD, (long)unix_socket.path, 0);
	unix_socket.inode = 0;
	unix_socket.holder = 0;
}
