#include "shim/unknown_settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "sampler/base/cc.h"

#define PREFIX	   "PPROF_"
#define NAME_SHOWN 40 /* bytes */

static const char *const known[] = {
	"PORT",
	"SOCKET",
	"OUT",
	"OUT_PROFILES",
	"TOGGLE",
	"HZ",
	"HEAP_RATE",
	"HEAP_MMAP",
	"BLOCK_RATE",
	"MUTEX_FRACTION",
	"RWLOCK_READERS",
	"TREE",
	"ONLY",
	"SIGNAL",
	"DEBUG_FAIL_MAP", /* sampler/base/debug.c */
	/* of go tool pprof, google-pprof and the tests of gperftools */
	"TMPDIR",
	"TOOLS",
	"BINARY_PATH",
	"PATH",
};

static bool is_known(const char *rest, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strlen(known[i]) == len && memcmp(known[i], rest, len) == 0)
			return true;
	}
	return false;
}

static void write_name(struct text *t, const char *name, size_t len)
{
	if (t->len)
		text_str(t, ", ");
	text_bytes(t, name, len < NAME_SHOWN ? len : NAME_SHOWN);
	if (len > NAME_SHOWN)
		text_str(t, "...");
}

void unknown_settings_write(char *const *environment, struct text *t)
{
	const size_t prefix = sizeof(PREFIX) - 1;

	for (; environment && *environment; environment++) {
		size_t len = strcspn(*environment, "=");

		if (strncmp(*environment, PREFIX, prefix) == 0 &&
		    !is_known(*environment + prefix, len - prefix))
			write_name(t, *environment, len);
	}
}
