#include "sampler/process/kept_files.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/resource.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/process/peek.h"

#define FILES_MAX 128 /* 0.5 ms of opening; behind those a program's own libraries seldom are */

static struct {
	uint64_t link_map[FILES_MAX]; /* the loader's records of what the program began with */
	int fd[FILES_MAX];	      /* -1: could not be opened */
	size_t count;
	bool is_listed;
	int root; /* 0: none */
} kept;

/* Once: what is loaded later may be unloaded, and must not keep a file system busy. */
static void list_objects(void)
{
	uint64_t at = (uint64_t)_r_debug.r_map;
	struct link_map l;

	kept.is_listed = true;
	for (; at && kept.count < FILES_MAX && peek(at, &l, sizeof(l)); at = (uint64_t)l.l_next)
		kept.link_map[kept.count++] = at;
}

/* The program has no name in the loader's list. */
static int open_object(size_t i)
{
	char path[MODULE_PATH_MAX] = "";
	struct link_map l;

	if (peek(kept.link_map[i], &l, sizeof(l)))
		peek_string((uint64_t)l.l_name, path, sizeof(path));
	if (i == 0 && !path[0])
		return sys_open_read("/proc/thread-self/exe");
	return path[0] == '/' ? sys_open_read(path) : -1;
}

static int descriptors_max(void)
{
	struct rlimit limit;

	if (sys_call4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit) != 0)
		return 0;
	return (int)MIN(limit.rlim_cur / 2, (uint64_t)INT32_MAX);
}

void kept_files_open(void)
{
	int most = descriptors_max();

	if (!kept.is_listed)
		list_objects();
	kept.root = (int)sys_call4(SYS_openat, AT_FDCWD, (long)"/",
				   O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	for (size_t i = 0; i < kept.count; i++) {
		kept.fd[i] = open_object(i);
		if (kept.fd[i] > most) {
			sys_close(kept.fd[i]);
			kept.fd[i] = -1;
		}
	}
}

int kept_file_of(const struct module *m)
{
	for (size_t i = 0; i < kept.count; i++)
		if (kept.link_map[i] == m->link_map && kept.fd[i] > 0)
			return (int)sys_call3(SYS_fcntl, kept.fd[i], F_DUPFD_CLOEXEC, 0);
	return -1;
}

int kept_root_open_read(const char *path)
{
	int fd = sys_open_read(path);

	if (fd >= 0 || path[0] != '/' || kept.root <= 0)
		return fd;
	return sys_open_read_at(kept.root, path + strspn(path, "/"));
}

bool kept_root_read_link(const char *path, char *to, size_t size)
{
	long n = sys_call4(SYS_readlinkat, AT_FDCWD, (long)path, (long)to, (long)size - 1);

	if (n < 0 && path[0] == '/' && kept.root > 0)
		n = sys_call4(SYS_readlinkat, kept.root, (long)(path + strspn(path, "/")), (long)to,
			      (long)size - 1);
	to[n > 0 ? n : 0] = '\0';
	return n > 0;
}
