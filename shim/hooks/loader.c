/*
 * dlclose: lets the listener follow what was captured so far, and announces that code
 * may be gone to everybody who walks a stack (heap, block, mutex and CPU profiles alike).
 * dlopen and dlsym are left alone, because ld.so looks at who called them.
 */
#include <dlfcn.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/wake.h"
#include "sampler/cpu/unload.h"
#include "shim/life/after_fork.h"
#include "shim/real/real.h"

EXPORT int dlclose(void *handle)
{
	int err;

	after_fork_enter();
	if (!process_records_heap())
		return real()->dlclose(handle);
	unload_begin();
	err = real()->dlclose(handle);
	unload_end();
	wake();
	return err;
}
