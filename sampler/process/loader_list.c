#include "sampler/process/loader_list.h"

#include <stddef.h>
#include <string.h>

#include "sampler/process/attached.h"
#include "sampler/process/module.h"
#include "sampler/process/peek.h"

/* glibc's limit. */
#define NAMESPACES_MAX 16

/* The loader's public record, with the namespaces of glibc 2.35 (r_version 2) behind it. */
struct loader_record {
	struct r_debug base;
	uint64_t next;
};

/* The loader's record of the last object in each namespace. */
struct tails {
	uint64_t last[NAMESPACES_MAX];
	size_t count;
};

static struct {
	uint64_t last_fixed; /* record of the last object that was there at init */
	struct tails tails;  /* of the last whole look */
	bool may_be_stuck;   /* in a child, until the list was seen at rest */
} list;

/* Of a program that runs already only itself: what it loaded later looks like the rest. */
void loader_list_init(void)
{
	const struct link_map *l = _r_debug.r_map;

	while (l && l->l_next && !attached_is_late())
		l = l->l_next;
	list.last_fixed = (uint64_t)l;
}

struct look {
	bool (*fn)(const struct loader_object *o, void *arg);
	void *arg;
	struct tails tails;
	bool is_readable, in_change;
};

static void read_namespace(struct look *k, uint64_t first, bool is_first_namespace)
{
	struct loader_object o = { .link_map = first, .is_fixed = is_first_namespace };
	uint64_t last = 0;

	for (size_t i = 0; o.link_map && i < MODULES_LOADED_MAX; i++) {
		if (!peek(o.link_map, &o.record, sizeof(o.record))) {
			k->is_readable = false;
			return;
		}
		o.is_main = is_first_namespace && i == 0;
		if (!k->fn(&o, k->arg))
			break;
		o.is_fixed &= o.link_map != list.last_fixed;
		last = o.link_map;
		o.link_map = (uint64_t)o.record.l_next;
	}
	if (last && k->tails.count < NAMESPACES_MAX)
		k->tails.last[k->tails.count++] = last;
}

/* The loader's state now; anything but consistent if it cannot be read. */
static int peek_state(uint64_t at)
{
	struct r_debug d = { .r_state = RT_ADD };

	peek(at, &d, sizeof(d));
	return d.r_state;
}

bool loader_list_each(bool (*fn)(const struct loader_object *o, void *arg), void *arg)
{
	struct look k = { .fn = fn, .arg = arg, .is_readable = true };
	bool is_first = true;

	for (uint64_t at = (uint64_t)&_r_debug; at; is_first = false) {
		struct loader_record r = { .next = 0 };

		if (!peek(at, &r, sizeof(r)) && !peek(at, &r.base, sizeof(r.base)))
			break;
		k.in_change |= r.base.r_state != RT_CONSISTENT;
		read_namespace(&k, (uint64_t)r.base.r_map, is_first);
		k.in_change |= peek_state(at) != RT_CONSISTENT;
		at = r.base.r_version >= 2 ? r.next : 0;
	}
	list.may_be_stuck &= k.in_change;
	if (!k.is_readable || (k.in_change && !list.may_be_stuck))
		return false;
	list.tails = k.tails;
	return true;
}

void loader_list_after_fork(void)
{
	list.may_be_stuck = true;
}

bool loader_list_has_grown(void)
{
	for (size_t i = 0; i < list.tails.count; i++) {
		uint64_t next = 0;

		peek(list.tails.last[i] + offsetof(struct link_map, l_next), &next, sizeof(next));
		if (next)
			return true;
	}
	return false;
}
