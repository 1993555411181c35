/* symbols: names and lines of addresses.  May include process and below. */
/*
 * The functions of a unit that cover given addresses, and the calls inlined in
 * them.  Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_DWARF_TREE_H
#define SAMPLER_SYMBOLS_DWARF_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/symbols/dwarf_unit.h"

#define DWARF_NO_NODE UINT32_MAX

/* A function, or a call that was inlined into its parent. */
struct dwarf_node {
	uint64_t entry;	    /* the one that leads to its name; UINT64_MAX: none does */
	uint32_t parent;    /* DWARF_NO_NODE: this is the function itself */
	uint32_t call_line; /* where it was called in its parent */
	uint64_t call_file;
};

struct dwarf_tree {
	struct dwarf_node *node;
	uint32_t count;
	uint32_t room;
	uint32_t *innermost; /* by address: the last node that covers it, or DWARF_NO_NODE */
	const uint64_t *addr;
	size_t addr_count;
};

/* An empty tree for `count` ascending addresses.  False when memory ran out. */
bool dwarf_tree_init(struct dwarf_tree *t, struct arena *a, const uint64_t *addr, size_t count);

/*
 * Reads the entries of `u`, which must be loaded and have its abbreviations.
 * False when memory or time ran out or the entries are damaged; what was found
 * until then is there.
 */
bool dwarf_tree_read(struct dwarf_tree *t, const struct dwarf_unit *u, struct arena *a);

#endif
