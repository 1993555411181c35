#include "sampler/base/turn.h"

#include "sampler/base/cc.h"

bool turn_take(struct turns *t, int64_t now_ns, int64_t interval_ns, int burst)
{
	int64_t due = MAX(atomic_load_explicit(&t->due_ns, memory_order_relaxed), now_ns);

	if (due - now_ns > (burst - 1) * interval_ns)
		return false;
	atomic_store_explicit(&t->due_ns, due + interval_ns, memory_order_relaxed);
	return true;
}
