/*
 * Labels by the program: what include/pprofshim.h calls, where this library is loaded.  They
 * may be called at any time, on any thread, in signal handlers too.
 */
#include <stdint.h>

#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/process/label_place.h"
#include "sampler/process/label_set.h"
#include "shim/hooks/locks.h"

/* As in the header. */
unsigned pprofshim_label_set(const char *key, const char *value);
unsigned pprofshim_labels_get(void);
void pprofshim_labels_put(unsigned labels);

/* In a sandbox only libc may be asked. */
static int own_tid(void)
{
	int tid = locks_own_tid();

	return tid || sandbox_is_noted() ? tid : sys_gettid();
}

/* Where nothing changes nothing is written. */
static void become(uint32_t set)
{
	if (set != label_set_mine)
		label_place_set(set, own_tid);
}

EXPORT unsigned pprofshim_label_set(const char *key, const char *value)
{
	uint32_t before = label_set_mine;

	become(label_set_with(before, key, value));
	return before;
}

EXPORT unsigned pprofshim_labels_get(void)
{
	return label_set_mine;
}

/* Any number may come: one that was never given out is not taken. */
EXPORT void pprofshim_labels_put(unsigned labels)
{
	if (label_set_exists(labels))
		become(labels);
}
