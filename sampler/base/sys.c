#include "sampler/base/sys.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

int sys_open_read_at(int dir, const char *path)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

	return (int)sys_call4(SYS_openat, dir, (long)path, flags, 0);
}

int sys_open_read(const char *path)
{
	return sys_open_read_at(AT_FDCWD, path);
}

static long read_until_end(int fd, char *buf, size_t size)
{
	size_t len = 0;

	while (len + 1 < size) {
		long n = sys_read(fd, buf + len, size - 1 - len);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	return (long)len;
}

long sys_read_file(const char *path, char *buf, size_t size)
{
	int fd = sys_open_read(path);
	long n;

	if (fd < 0)
		return fd;
	n = read_until_end(fd, buf, size);
	sys_close(fd);
	return n;
}

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

/* Locked pages: newer kernels give them back too; in older ones they stay. */
void sys_discard(void *p, size_t bytes)
{
	if (sys_call3(SYS_madvise, (long)p, (long)bytes, MADV_DONTNEED) != 0 &&
	    sys_call3(SYS_madvise, (long)p, (long)bytes, MADV_DONTNEED_LOCKED) != 0)
		memset(p, 0, bytes);
}
