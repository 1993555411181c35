#include "shim/attach/holder.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/status.h"
#include "shim/attach/load.h"
#include "shim/attach/proc.h"
#include "shim/life/family.h"

#define STATUS_BYTES  8192
#define ANCESTORS_MAX 64

static bool has_it(int pid, const struct attach_block *member)
{
	struct target t = { .pid = pid, .inner_pid = proc_inner_number(pid, pid) };
	struct attach_block b;

	return image_find_loaded(&t.library, pid, "libpprofshim") && load_read_block(&t, &b) &&
	       b.pid == t.inner_pid && b.state == ATTACH_SERVING && b.port == member->port &&
	       strcmp(b.socket, member->socket) == 0;
}

static int parent_of(int pid)
{
	char status[STATUS_BYTES];

	return proc_read(pid, "status", status, sizeof(status)) > 0
		       ? (int)status_number(status, "PPid", 10)
		       : 0;
}

static int find_above(int pid, const struct attach_block *member)
{
	int above = parent_of(pid);

	for (int i = 0; i < ANCESTORS_MAX && above > 0; i++, above = parent_of(above)) {
		if (has_it(above, member))
			return above;
	}
	return 0;
}

/* ---- pages that a process shares with all that it forked */

static bool is_family(const struct mapping *m, void *inode)
{
	if (strncmp(m->path, FAMILY_MAPPING, sizeof(FAMILY_MAPPING) - 1) == 0)
		*(uint64_t *)inode = m->inode;
	return !*(uint64_t *)inode;
}

static uint64_t family_of(int pid)
{
	uint64_t inode = 0;

	proc_each_mapping(pid, is_family, &inode);
	return inode;
}

static int find_beside(int pid, const struct attach_block *member)
{
	uint64_t family = family_of(pid);
	DIR *all = family ? opendir("/proc") : NULL;
	struct dirent *entry;
	int found = 0;

	while (all && !found && (entry = readdir(all))) {
		int other = atoi(entry->d_name);

		if (other > 0 && other != pid && family_of(other) == family &&
		    has_it(other, member))
			found = other;
	}
	if (all)
		closedir(all);
	return found;
}

int holder_find(const struct target *t, const struct attach_block *b)
{
	int above = find_above(t->pid, b);

	return above ? above : find_beside(t->pid, b);
}
