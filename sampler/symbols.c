/*
 * Addresses are worked off in slices, so that any number of them fits into the
 * memory set aside for the work.
 */
#include "sampler/symbols.h"

#include "sampler/objects.h"
#include "sampler/resolve.h"
#include "shim/cc.h"

#define SLICE 65536 /* addresses worked on at once */

/* Subtracts the load bias from a slice of addresses. */
static void subtract_bias(uint64_t *addr, const uint64_t *pc, size_t count, uint64_t bias)
{
	for (size_t i = 0; i < count; i++)
		addr[i] = pc[i] - bias;
}

static bool resolve_slices(struct arena *a, struct resolve_request *r, uint64_t *addr,
			   const uint64_t *pc, size_t count, struct symbol *out)
{
	for (size_t done = 0; done < count; done += r->count) {
		r->addr = addr;
		r->count = MIN(count - done, (size_t)SLICE);
		subtract_bias(addr, pc + done, r->count, r->m->bias);
		if (!resolve_addresses(a, r, out + done))
			return false;
	}
	return true;
}

int symbols_resolve(struct arena *a, const struct module *m, const uint64_t *pc, size_t count,
		    enum symbols_detail detail, int64_t deadline_ns, struct symbol *out)
{
	struct arena tables = ARENA_INIT(RESOLVE_MEMORY_MAX / 4);
	uint64_t *addr = arena_array(&tables, MIN(count, (size_t)SLICE), sizeof(*addr));
	struct objects objects;
	struct resolve_request r = {
		.m = m, .objects = &objects, .detail = detail, .deadline_ns = deadline_ns
	};
	bool ok;

	objects_open(&objects, &tables, m);
	ok = addr && resolve_slices(a, &r, addr, pc, count, out);
	objects_close(&objects);
	arena_release(&tables);
	return ok ? 0 : -1;
}
