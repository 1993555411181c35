#include "shim/late_hooks.h"

#include <dlfcn.h>
#include <stddef.h>

#include "sampler/base/cc.h"
#include "sampler/heap/heap.h"
#include "shim/hooks/allocator.h"
#include "shim/hooks/locks.h"
#include "shim/hooks/stub.h"
#include "shim/hooks/thread.h"
#include "shim/profiler.h"
#include "shim/real/real.h"
#include "shim/real/slots.h"

/* In shim/arch: a look at what is new, then a jump. */
void *late_dlopen(const char *path, int mode) HIDDEN;
void *late_dlsym(void *handle, const char *name) HIDDEN;
void *late_dlvsym(void *handle, const char *name, const char *version) HIDDEN;

/* Before them all of us that makes system calls ends. */
int late_prctl(int option, ...) HIDDEN;
long late_syscall(long number, ...) HIDDEN;

static const struct slots_function always[] = {
	{ "dlopen", (void *)late_dlopen },
	{ "dlsym", (void *)late_dlsym },
	{ "dlvsym", (void *)late_dlvsym },
	{ "dlclose", (void *)dlclose },
	{ "prctl", (void *)late_prctl },
	{ "syscall", (void *)late_syscall },
	{ "pthread_create", (void *)late_pthread_create },
	{ "pthread_exit", (void *)late_pthread_exit },
};

static const struct slots_function of_waits[] = {
#define X(name, ...) { #name, (void *)name },
	LOCK_FUNCTIONS(X)
#undef X
};

#define FUNCTIONS_MAX (ALLOCATOR_FUNCTIONS_MAX + ARRAY_SIZE(always) + ARRAY_SIZE(of_waits))

static size_t add(struct slots_function *to, size_t count, const struct slots_function *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[count + i] = f[i];
	return count + n;
}

/* The tables behind the hooks are filled before anybody comes to one. */
void late_hooks_begin(void)
{
	static struct slots_function f[FUNCTIONS_MAX];
	size_t count = add(f, 0, always, ARRAY_SIZE(always));

	if (slots_found()->ours)
		slots_give_back(); /* a parent's, or those that could not be given back; the choice
				      may differ */
	profiler_hooks_begin();
	real();
	if (heap_is_on()) {
		count += allocator_list_family(f + count);
		count += allocator_list_counted(f + count);
	}
	if (block_rate() || mutex_fraction())
		count = add(f, count, of_waits, ARRAY_SIZE(of_waits));
	slots_choose(f, count);
	slots_take();
	slots_take(); /* what was bound while the first look was under way */
}

void late_hooks_end(void)
{
	slots_give_back();
	profiler_hooks_end();
}
