#include "shim/life/ancestor.h"

#include <stddef.h>
#include <string.h>

#include "sampler/base/number.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "shim/life/family.h"

#define GENERATIONS_MAX 8

static void proc_path(char *buf, size_t size, int pid, const char *file)
{
	struct text t = { .at = buf, .size = size };

	text_str(&t, "/proc/");
	text_i64(&t, pid);
	text_str(&t, file);
}

/* Looks for the family's page in the process's maps, across the borders of the pieces read. */
static bool maps_name_family(int pid)
{
	char path[64], piece[2048 + sizeof(FAMILY_MAPPING)];
	size_t kept = 0;
	bool found = false;
	long n;
	int fd;

	proc_path(path, sizeof(path), pid, "/maps");
	fd = sys_open_read(path);
	if (fd < 0)
		return false;
	while (!found && (n = sys_read(fd, piece + kept, 2048)) > 0) {
		size_t len = kept + (size_t)n;

		found = memmem(piece, len, FAMILY_MAPPING, sizeof(FAMILY_MAPPING) - 1) != NULL;
		kept = len < sizeof(FAMILY_MAPPING) ? len : sizeof(FAMILY_MAPPING);
		memmove(piece, piece + len - kept, kept);
	}
	sys_close(fd);
	return found;
}

/* The fourth field of stat; the second, the name in parentheses, may hold anything. */
static int parent_of(int pid)
{
	char path[64], stat[512];
	const char *p;

	proc_path(path, sizeof(path), pid, "/stat");
	if (sys_read_file(path, stat, sizeof(stat)) <= 0)
		return 0;
	p = strrchr(stat, ')');
	if (!p || strlen(p) < 5)
		return 0;
	p += 4;
	return (int)number_take(&p, 10);
}

bool ancestor_has_us(void)
{
	int pid = sys_getpid();

	for (int i = 0; i < GENERATIONS_MAX; i++) {
		pid = parent_of(pid);
		if (pid <= 1)
			return false;
		if (maps_name_family(pid))
			return true;
	}
	return false;
}
