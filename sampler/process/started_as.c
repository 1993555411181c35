#include "sampler/process/started_as.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/process/modules.h"

static char started[MODULE_PATH_MAX];

static bool is_running_file(const char *name)
{
	struct stat a, b;

	return sys_call4(SYS_newfstatat, AT_FDCWD, (long)name, (long)&a, 0) == 0 &&
	       sys_call4(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/exe", (long)&b, 0) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void started_as_init(const char *name)
{
	struct text t = TEXT_INIT(started);

	if (!is_running_file(name))
		return;
	if (*name != '/') {
		long n = sys_call4(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/cwd", (long)started,
				   sizeof(started) - 1);

		t.len = n > 0 ? (size_t)n : 0;
		text_char(&t, '/');
	}
	text_str(&t, strncmp(name, "./", 2) == 0 ? name + 2 : name);
	if (t.cut || started[0] != '/')
		started[0] = '\0';
}

/* Of directories alone, the real ones: that is where debug files are looked for. */
const char *started_as(const char *path)
{
	bool is_link = *started && strcmp(last_name(started), last_name(path)) != 0;

	return is_link ? started : path;
}
