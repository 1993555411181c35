/*
 * mlockall: from then on the kernel would make each of our reserves resident, the
 * untouched pages too (H34).
 */
#include <sys/mman.h>

#include "sampler/sys.h"
#include "shim/cc.h"
#include "shim/life.h"
#include "shim/real.h"

EXPORT int mlockall(int flags)
{
	if (!life_is_borrowed())
		sys_note_locked(flags & MCL_FUTURE);
	return real()->mlockall(flags);
}

EXPORT int munlockall(void)
{
	if (!life_is_borrowed())
		sys_note_locked(false);
	return real()->munlockall();
}
