#include "shim/life/privileges.h"

#include <stddef.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/status.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"

#define LOOK_EVERY_NS (100 * NS_PER_MS)

static uint64_t noted;
static int64_t next_look_ns;
static bool changed;

static const char *const lines[] = { "Uid",    "Gid",	 "Groups", "CapInh",	 "CapPrm",
				     "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp" };

static uint64_t add_line(uint64_t hash, const char *status, const char *name)
{
	const char *line = status_line(status, name);

	return line ? text_hash_more(hash, line, strcspn(line, "\n") + 1) : hash;
}

/* 0: it cannot be read. */
static uint64_t look(void)
{
	static char status[8192];
	char path[64];
	struct text t = TEXT_INIT(path);
	uint64_t hash = TEXT_HASH_INIT;

	text_str(&t, "/proc/self/task/");
	text_i64(&t, sys_getpid());
	text_str(&t, "/status");
	if (sys_read_file(path, status, sizeof(status)) <= 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		hash = add_line(hash, status, lines[i]);
	return hash;
}

void privileges_note(void)
{
	noted = look();
	changed = false;
}

bool privileges_have_changed(void)
{
	changed = changed || look() != noted;
	return changed;
}

bool privileges_seem_changed(int64_t now_ns)
{
	if (now_ns < next_look_ns)
		return changed;
	next_look_ns = now_ns + LOOK_EVERY_NS;
	return privileges_have_changed();
}
