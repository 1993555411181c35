#include "sampler/process/descriptor_kind.h"

#include <string.h>

#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/process/task_call.h"

static bool starts(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

enum descriptor_kind descriptor_kind_parse(const char *link)
{
	if (starts(link, "socket:"))
		return DESCRIPTOR_SOCKET;
	if (starts(link, "pipe:"))
		return DESCRIPTOR_PIPE;
	if (starts(link, "anon_inode:"))
		return DESCRIPTOR_EVENT;
	if (starts(link, "/dev/"))
		return DESCRIPTOR_DEVICE;
	return *link == '/' ? DESCRIPTOR_FILE : DESCRIPTOR_UNKNOWN;
}

/* A link that does not fit is a path, and its beginning tells that. */
static void read_link(int dir, int tid, uint64_t fd, char *link, size_t size)
{
	char path[64];
	struct text t = TEXT_INIT(path);
	long n;

	text_i64(&t, tid);
	text_str(&t, "/fd/");
	text_u64(&t, fd);
	n = sys_call4(SYS_readlinkat, dir, (long)path, (long)link, (long)size - 1);
	link[n > 0 ? n : 0] = '\0';
}

static bool sleeps_in_pipe(int dir, int tid)
{
	char function[64];

	task_wchan_read(dir, tid, function, sizeof(function));
	return strstr(function, "pipe") != NULL;
}

enum descriptor_kind descriptor_kind_read(int dir, int tid, uint64_t fd)
{
	enum descriptor_kind kind;
	char link[64];

	read_link(dir, tid, fd, link, sizeof(link));
	kind = descriptor_kind_parse(link);
	return kind == DESCRIPTOR_FILE && sleeps_in_pipe(dir, tid) ? DESCRIPTOR_PIPE : kind;
}
