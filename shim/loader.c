/*
 * dlclose: tells the heap profile that code may be gone.  dlopen and dlsym are
 * left alone, because ld.so looks at who called them.
 */
#include <dlfcn.h>

#include "sampler/code.h"
#include "sampler/settle.h"
#include "sampler/wake.h"
#include "shim/cc.h"
#include "shim/child.h"
#include "shim/life.h"
#include "shim/real.h"

EXPORT int dlclose(void *handle)
{
	int err;

	if (life_is_child() && !child_records())
		return real()->dlclose(handle);
	settle_before_unload();
	/* meanwhile another thread may load something else at the same address */
	code_unload_begins();
	err = real()->dlclose(handle);
	code_unload_ends();
	wake();
	return err;
}
