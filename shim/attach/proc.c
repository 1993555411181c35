#include "shim/attach/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/status.h"

void proc_path(char path[PROC_PATH_MAX], int pid, const char *name)
{
	snprintf(path, PROC_PATH_MAX, "/proc/%d/%s", pid, name);
}

/* /proc gives a file in pieces. */
static ssize_t read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) != 0) {
		if (n < 0)
			return -1;
		len += (size_t)n;
	}
	text[len] = '\0';
	return (ssize_t)len;
}

ssize_t proc_read(int pid, const char *name, char *text, size_t size)
{
	char path[PROC_PATH_MAX];
	ssize_t n;
	int fd, saved;

	text[0] = '\0';
	proc_path(path, pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read_all(fd, text, size);
	saved = errno;
	close(fd);
	errno = saved;
	return n;
}

ssize_t proc_read_task(int pid, int tid, const char *name, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "task/%d/%s", tid, name);
	return proc_read(pid, path, text, size);
}

const char *status_field(const char *status, const char *name)
{
	static char value[512];
	const char *found = status_line(status, name);

	snprintf(value, sizeof(value), "%.*s", found ? (int)strcspn(found, "\n") : 0,
		 found ? found : "");
	return value;
}

/* Kernels that have no such line have one namespace for all, as far as this tool goes. */
int proc_inner_number(int pid, int tid)
{
	char status[8192];
	const char *numbers, *last;

	if (proc_read_task(pid, tid, "status", status, sizeof(status)) <= 0)
		return 0;
	numbers = status_field(status, "NSpid");
	last = strrchr(numbers, '\t');
	return *numbers ? atoi(last ? last + 1 : numbers) : tid;
}

bool proc_each_thread(int pid, bool (*fn)(int tid, void *arg), void *arg)
{
	char path[PROC_PATH_MAX];
	struct dirent *entry;
	bool goes_on = true;
	DIR *tasks;

	proc_path(path, pid, "task");
	tasks = opendir(path);
	if (!tasks)
		return false;
	while (goes_on && (entry = readdir(tasks))) {
		if (entry->d_name[0] != '.')
			goes_on = fn(atoi(entry->d_name), arg);
	}
	closedir(tasks);
	return goes_on;
}

/* ---- mappings */

/* The path is the rest of the line, blanks included. */
static bool parse_mapping(char *line, struct mapping *m)
{
	char permissions[5];
	int path_at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %" SCNu64 " %n", &m->start,
		   &m->limit, permissions, &m->offset, &m->inode, &path_at) < 5)
		return false;
	m->is_readable = permissions[0] == 'r';
	m->is_writable = permissions[1] == 'w';
	m->is_executable = permissions[2] == 'x';
	snprintf(m->path, sizeof(m->path), "%.*s", (int)strcspn(line + path_at, "\n"),
		 line + path_at);
	return true;
}

bool proc_each_mapping(int pid, bool (*fn)(const struct mapping *m, void *arg), void *arg)
{
	char path[PROC_PATH_MAX], line[PROC_PATH_MAX + 128];
	struct mapping m;
	FILE *maps;

	proc_path(path, pid, "maps");
	maps = fopen(path, "re");
	if (!maps)
		return false;
	while (fgets(line, sizeof(line), maps)) {
		if (parse_mapping(line, &m) && !fn(&m, arg))
			break;
	}
	fclose(maps);
	return true;
}

struct search {
	uint64_t at;
	struct mapping *out;
	bool found;
};

static bool holds(const struct mapping *m, void *arg)
{
	struct search *s = arg;

	if (s->at < m->start || s->at >= m->limit)
		return true;
	*s->out = *m;
	s->found = true;
	return false;
}

bool proc_mapping_at(int pid, uint64_t at, struct mapping *out)
{
	struct search s = { at, out, false };

	proc_each_mapping(pid, holds, &s);
	return s.found;
}

/* ---- memory */

bool memory_read(int pid, uint64_t from, void *to, size_t bytes)
{
	struct iovec here = { to, bytes }, there = { (void *)from, bytes };

	return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)bytes;
}

bool memory_write(int pid, uint64_t to, const void *from, size_t bytes)
{
	struct iovec here = { (void *)(uintptr_t)from, bytes }, there = { (void *)to, bytes };

	return process_vm_writev(pid, &here, 1, &there, 1, 0) == (ssize_t)bytes;
}

/* In pieces that do not cross a page: what lies behind the string may not be there. */
bool memory_read_string(int pid, uint64_t from, char *to, size_t size)
{
	for (size_t len = 0; len < size;) {
		size_t piece = MIN(size - len, 4096 - (from + len) % 4096);

		if (!memory_read(pid, from + len, to + len, piece))
			return false;
		if (memchr(to + len, '\0', piece))
			return true;
		len += piece;
	}
	return false;
}
