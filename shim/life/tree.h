/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * Who belongs to the tree of the process that has the port: its descendants, children
 * whose parent has ended included as long as they share its pages (family.h).
 *
 * Context: listener, but tree_init().
 */
#ifndef SHIM_LIFE_TREE_H
#define SHIM_LIFE_TREE_H

#include <stdbool.h>

/* `any`: every process with our port in the name of its socket belongs to it.  Context: init. */
void tree_init(bool any);

/* Process `pid`, which has a member's socket, is one of the tree. */
bool tree_has(int pid);

/* All members are wanted; `l` has the tree's processes, NULL: not known. */
struct process_list;
void tree_call(const struct process_list *l);

/* It says that it is a member. */
bool tree_has_joined(int pid);

/* Why this process of the tree is no member now, as a part of a sentence; "": it did not say. */
const char *tree_why_not(int pid);

#endif
