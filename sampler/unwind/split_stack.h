/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * Stacks in pieces, as gcc's -fsplit-stack makes them: where a function does not fit into the
 * piece, __morestack takes another one for it.  Each piece begins with what libgcc notes
 * of it (struct stack_segment of generic-morestack.c), and the thread's control block has
 * a limit that lies in the first page of the piece in use.
 *
 * The kernel copies what is read: nothing of it need be there.
 * Context: handler.
 */
#ifndef SAMPLER_UNWIND_SPLIT_STACK_H
#define SAMPLER_UNWIND_SPLIT_STACK_H

#include <stdbool.h>
#include <stdint.h>

/* What is copied of all pieces together. */
#define SPLIT_BYTES 131072U

struct split_stack {
	uint64_t piece; /* the next one; 0: the thread's own stack */
	uint64_t at;	/* from where on it is in use */
	bool ends;	/* there is no more */
};

/* Of the thread whose thread pointer is `tp`; false: `at` is on no such stack. */
bool split_stack_begin(struct split_stack *s, uint64_t tp, uint64_t at);

/*
 * What of the next piece is in use, from the newest on.  Of the thread's own stack, which is
 * the last, the end is not known: *len is SPLIT_BYTES.  False: there was no more.
 */
bool split_stack_next(struct split_stack *s, uint64_t *at, uint64_t *len);

#endif
