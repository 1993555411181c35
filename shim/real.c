#include "shim/real.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "shim/cc.h"
#include "shim/lookup.h"

static struct real table;
static atomic_bool ready;

/* Two threads may do this at once: both write the same values. */
static COLD NOINLINE void fill(void)
{
#define X(name, type, parameters) table.name = (type(*) parameters)lookup_next(#name);
	REAL_FUNCTIONS(X)
#undef X
	/* release: whoever sees `ready` sees the table */
	atomic_store_explicit(&ready, true, memory_order_release);
}

const struct real *real(void)
{
	if (UNLIKELY(!atomic_load_explicit(&ready, memory_order_acquire)))
		fill();
	return &table;
}
