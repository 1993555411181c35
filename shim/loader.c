/*
 * dlclose: tells the heap profile that code may be gone.  dlopen and dlsym are
 * left alone, because ld.so looks at who called them.
 */
#include <dlfcn.h>

#include "sampler/code.h"
#include "sampler/wake.h"
#include "shim/cc.h"
#include "shim/life.h"
#include "shim/real.h"

EXPORT int dlclose(void *handle)
{
	int err;

	/*
	 * Before too: whose stack is taken in what goes now must not be looked up in what
	 * comes next.
	 */
	if (!life_is_child())
		code_note_unload();
	err = real()->dlclose(handle);
	if (!life_is_child()) {
		code_note_unload();
		wake();
	}
	return err;
}
