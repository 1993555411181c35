#include "shim/real/real.h"

#include "sampler/base/cc.h"
#include "shim/real/lookup.h"
#include "shim/real/next.h"

struct real real_table;
atomic_bool real_is_filled;

#define X(...) NEXT_MISSING(real_table, real_fill, __VA_ARGS__)
REAL_LATE_FUNCTIONS(X)
#undef X

/* Two threads may do this at once: both write the same values. */
COLD NOINLINE void real_fill(void)
{
#define X(name, type, parameters) NEXT_FIND(real_table, name, type, parameters)
	REAL_FUNCTIONS(X)
#undef X
#define X(name, type, parameters, ...) NEXT_FIND_LATE(real_table, name, type, parameters)
	REAL_LATE_FUNCTIONS(X)
#undef X
	/* release: whoever sees it filled sees the table */
	atomic_store_explicit(&real_is_filled, true, memory_order_release);
}

long (*real_syscall(void))(long, ...)
{
	return real()->syscall;
}

bool real_has_threads(void)
{
	return real()->pthread_create != missing_pthread_create;
}
