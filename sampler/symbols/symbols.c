/*
 * Addresses are worked off in slices, so that any number of them fits into the
 * memory set aside for the work.  Of each slice, files are asked only about what
 * the cache does not know.
 */
#include "sampler/symbols/symbols.h"

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/symbols/objects.h"
#include "sampler/symbols/patience.h"
#include "sampler/symbols/resolve.h"
#include "sampler/symbols/symbol_cache.h"

#define SLICE 65536 /* addresses worked on at once */

struct work {
	struct arena *out;
	struct arena scratch;
	struct intern strings; /* of what comes from the cache */
	struct objects objects;
	bool is_open; /* the objects */
	struct resolve_request r;
	uint64_t *addr;	       /* those of the slice that nobody knows, */
	uint32_t *place;       /* where they are in it, */
	struct symbol *symbol; /* and what they are found to be */
};

static bool get_room(struct work *w, size_t count)
{
	w->r.addr = w->addr = arena_array(&w->scratch, count, sizeof(*w->addr));
	w->place = arena_array(&w->scratch, count, sizeof(*w->place));
	w->symbol = arena_array(&w->scratch, count, sizeof(*w->symbol));
	return w->addr && w->place && w->symbol;
}

/* Only names that stand for a module have brackets. */
static void count_unknown(const struct symbol *s, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (s[i].frame[s[i].frame_count - 1].name[0] == '[')
			counter_add(COUNTER_SYMBOL_NAMES_UNKNOWN, 1);
}

static bool is_known(struct work *w, uint64_t addr, enum symbol_source source, struct symbol *s)
{
	return symbol_cache_find(w->r.m, addr, source, w->out, &w->strings, s);
}

/* Those of the list that `source` does not know stay in it. */
static void take_known(struct work *w, enum symbol_source source, struct symbol *out)
{
	size_t count = w->r.count;

	w->r.count = 0;
	for (size_t i = 0; i < count; i++) {
		if (!is_known(w, w->addr[i], source, &out[w->place[i]])) {
			w->addr[w->r.count] = w->addr[i];
			w->place[w->r.count++] = w->place[i];
		}
	}
}

static void list_unknown(struct work *w, const uint64_t *pc, uint32_t count, struct symbol *out)
{
	w->r.count = count;
	for (uint32_t i = 0; i < count; i++) {
		w->addr[i] = pc[i] - w->r.m->bias;
		w->place[i] = i;
	}
	if (w->r.detail == SYMBOLS_LINES)
		take_known(w, SYMBOL_OF_DEBUG_FILE, out);
}

static void open_objects(struct work *w)
{
	if (!w->is_open && !patience_is_over())
		objects_open(&w->objects, &w->scratch, w->r.m);
	w->is_open = true;
}

static void remember(struct work *w)
{
	enum symbol_source source = w->r.is_whole ? SYMBOL_OF_DEBUG_FILE : SYMBOL_OF_MINI;

	if (!w->r.is_whole && (!w->objects.has_mini || w->objects.has_debug))
		return;
	for (size_t i = 0; i < w->r.count; i++)
		symbol_cache_add(w->r.m, w->addr[i], source, &w->symbol[i]);
}

static bool ask_files(struct work *w, struct symbol *out)
{
	open_objects(w);
	if (w->objects.wants_mini)
		take_known(w, SYMBOL_OF_MINI, out);
	if (w->r.count == 0)
		return true;
	objects_open_mini(&w->objects);
	if (!resolve_addresses(w->out, &w->r, w->symbol))
		return false;
	for (size_t i = 0; i < w->r.count; i++)
		out[w->place[i]] = w->symbol[i];
	remember(w);
	return true;
}

static bool resolve_slices(struct work *w, const uint64_t *pc, size_t count, struct symbol *out)
{
	for (size_t done = 0, n; done < count; done += n) {
		n = MIN(count - done, (size_t)SLICE);
		list_unknown(w, pc + done, (uint32_t)n, out + done);
		if (w->r.count && !ask_files(w, out + done))
			return false;
		count_unknown(out + done, n);
	}
	return true;
}

int symbols_resolve(struct arena *a, const struct module *m, const uint64_t *pc, size_t count,
		    enum symbols_detail detail, int64_t deadline_ns, struct symbol *out)
{
	struct work w = {
		.out = a,
		.scratch = ARENA_INIT(RESOLVE_MEMORY_MAX / 4),
		.r = { .m = m, .detail = detail, .deadline_ns = deadline_ns },
	};
	bool ok;

	w.r.objects = &w.objects;
	w.strings = (struct intern)INTERN_INIT(a, &w.scratch);
	ok = get_room(&w, MIN(count, (size_t)SLICE)) && resolve_slices(&w, pc, count, out);
	if (w.is_open)
		objects_close(&w.objects);
	arena_release(&w.scratch);
	return ok ? 0 : -1;
}
