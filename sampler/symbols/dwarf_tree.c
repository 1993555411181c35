#include "sampler/symbols/dwarf_tree.h"

#include "sampler/base/cc.h"
#include "sampler/base/sort.h"
#include "sampler/symbols/dwarf_codes.h"
#include "sampler/symbols/dwarf_range.h"

#define DEPTH_MAX   256 /* of nested entries; deeper code is not looked at */
#define FIRST_NODES 64
#define NODES_MAX   (1U << 20)

/* The walk through a unit's entries, parents before children. */
struct walk {
	struct dwarf_tree *t;
	const struct dwarf_unit *u;
	struct arena *a;
	struct dwarf_cursor c;
	unsigned depth;
	uint32_t within[DEPTH_MAX]; /* by depth: the node around the entries there */
};

/* Gives the addresses of one entry to its node. */
struct cover {
	struct dwarf_tree *t;
	struct dwarf_effort *effort;
	uint32_t parent;
	uint32_t node;
	bool is_function; /* takes addresses from whoever has them */
	bool hit;
};

static void cover_range(void *opaque, uint64_t start, uint64_t limit)
{
	struct cover *c = opaque;
	struct dwarf_tree *t = c->t;

	for (size_t i = sort_lower_bound(t->addr, t->addr_count, start);
	     i < t->addr_count && t->addr[i] < limit; i++) {
		if (c->is_function || t->innermost[i] == c->parent) {
			t->innermost[i] = c->node;
			c->hit = true;
		}
		if (!dwarf_spend(c->effort, 1))
			return;
	}
}

static bool make_room(struct dwarf_tree *t, struct arena *a)
{
	uint32_t room = t->room ? t->room * 2 : FIRST_NODES;
	struct dwarf_node *node;

	if (t->count < t->room)
		return true;
	if (room > NODES_MAX)
		return false;
	node = arena_grow(a, t->node, t->room * sizeof(*node), room * sizeof(*node));
	if (!node)
		return false;
	t->node = node;
	t->room = room;
	return true;
}

/* An inlined call is named after its origin; so are all calls of that function. */
static uint64_t naming_entry(const struct walk *w, const struct dwarf_entry *e)
{
	uint64_t entry;

	if (e->tag == TAG_SUBPROGRAM)
		return e->entry;
	return dwarf_reference(w->u, &e->slot[SLOT_ORIGIN], &entry) ? entry : UINT64_MAX;
}

static struct dwarf_node node_of(const struct walk *w, const struct dwarf_entry *e, uint32_t parent)
{
	return (struct dwarf_node){
		.entry = naming_entry(w, e),
		.parent = e->tag == TAG_SUBPROGRAM ? DWARF_NO_NODE : parent,
		.call_file = e->slot[SLOT_CALL_FILE].n,
		.call_line = (uint32_t)e->slot[SLOT_CALL_LINE].n,
	};
}

/* Adds a node if the entry covers an address; returns it or DWARF_NO_NODE. */
static uint32_t add_node(struct walk *w, const struct dwarf_entry *e, uint32_t parent)
{
	struct dwarf_tree *t = w->t;
	struct cover c = { .t = t,
			   .effort = w->u->d->effort,
			   .parent = parent,
			   .node = t->count,
			   .is_function = e->tag == TAG_SUBPROGRAM };

	if (!make_room(t, w->a)) {
		w->c.bad = true;
		return DWARF_NO_NODE;
	}
	dwarf_ranges(w->u, e, cover_range, &c);
	if (!c.hit)
		return DWARF_NO_NODE;
	t->node[t->count++] = node_of(w, e, parent);
	return c.node;
}

static void skip_values(struct walk *w, const struct dwarf_abbrev *abbrev)
{
	const struct dwarf_spec *spec = w->u->abbrevs.spec + abbrev->first;
	struct dwarf_value unused;

	if (abbrev->size != DWARF_SIZE_VARIES) {
		dwarf_skip(&w->c, abbrev->size);
		return;
	}
	for (uint32_t i = 0; i < abbrev->count && !w->c.bad; i++)
		dwarf_form_read(&w->c, spec[i].form, 0, &w->u->enc, &unused);
}

static uint64_t entry_at(const struct walk *w, const uint8_t *at)
{
	return w->u->d->base | (w->u->first + (uint64_t)(at - w->u->bytes));
}

/* Reads one entry; returns the node around its children. */
static uint32_t read_entry(struct walk *w, const struct dwarf_abbrev *abbrev, const uint8_t *start)
{
	uint32_t around = w->depth ? w->within[w->depth - 1] : DWARF_NO_NODE;
	bool is_function = abbrev->tag == TAG_SUBPROGRAM;
	struct dwarf_entry e;

	if (!is_function && (abbrev->tag != TAG_INLINED_SUBROUTINE || around == DWARF_NO_NODE)) {
		skip_values(w, abbrev);
		return around;
	}
	dwarf_entry_values(w->u, &w->c, abbrev, w->u->abbrevs.spec + abbrev->first, &e);
	e.entry = entry_at(w, start);
	return w->c.bad ? DWARF_NO_NODE : add_node(w, &e, around);
}

static bool step_entry(struct walk *w)
{
	const uint8_t *start = w->c.at;
	uint64_t code = dwarf_uleb(&w->c);
	const struct dwarf_abbrev *abbrev;
	uint32_t node;

	if (code == 0)
		return w->depth && --w->depth;
	abbrev = dwarf_abbrev(&w->u->abbrevs, code);
	if (!abbrev || w->depth == DEPTH_MAX)
		return false;
	node = read_entry(w, abbrev, start);
	if (abbrev->has_children)
		w->within[w->depth++] = node;
	return w->depth && !w->c.bad;
}

bool dwarf_tree_init(struct dwarf_tree *t, struct arena *a, const uint64_t *addr, size_t count)
{
	*t = (struct dwarf_tree){ .addr = addr, .addr_count = count };
	t->innermost = arena_array(a, count, sizeof(*t->innermost));
	for (size_t i = 0; t->innermost && i < count; i++)
		t->innermost[i] = DWARF_NO_NODE;
	return t->innermost;
}

bool dwarf_tree_read(struct dwarf_tree *t, const struct dwarf_unit *u, struct arena *a)
{
	struct walk w = { .t = t, .u = u, .a = a };

	w.c = (struct dwarf_cursor){ .at = u->bytes, .end = u->bytes + (u->end - u->first) };
	while (step_entry(&w))
		if (!dwarf_spend(u->d->effort, 1))
			return false;
	return !w.c.bad;
}
