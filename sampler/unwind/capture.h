/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * What the signal handler does, and all that it does: copy the registers and
 * the top of the stack into the ring.  The listener walks the copy later.
 */
#ifndef SAMPLER_UNWIND_CAPTURE_H
#define SAMPLER_UNWIND_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/arch/arch.h"
#include "sampler/process/threads.h"
#include "sampler/unwind/ring.h"

#define SLICE_BYTES	    65536U  /* of stack copied at first */
#define SLICE_BYTES_MAX	    524288U /* after the listener met a stack that needed more */
#define FOREIGN_SLICE_BYTES 16384U  /* of a stack that is not known to be the thread's own */

struct site;
struct site_table;

struct capture {
	struct thread *thread;	  /* of a tick */
	struct site *site;	  /* of what a hook records: whose stack this is */
	struct site_table *sites; /* and where it belongs */
	uint64_t site_leaf;	  /* pseudo frame to put before the stack; 0: none */
	unsigned unloads;	  /* code_unloads() before the stack was copied */
	uint64_t tp;		  /* thread pointer: identifies the thread's own stack */
	uint64_t reg[ARCH_REGS];
	int64_t weight_ns; /* CPU time this capture stands for */
	uint32_t slice_len;
	uint64_t slice_at; /* address of slice[0]: SP less the red zone */
	int tid;	   /* of its thread, too: the record may be another's by then */
	bool newborn;	   /* of its thread, which may be gone when this is read */
	bool on_known_stack;
	bool bp_unknown;			     /* CAPTURE_BP() is not that of the thread */
	uint8_t slice[] __attribute__((aligned(8))); /* slice_len bytes from slice_at upwards */
};

#define CAPTURE_SP(c) ((c)->reg[ARCH_REG_SP])
#define CAPTURE_BP(c) ((c)->reg[ARCH_REG_BP])
#define CAPTURE_PC(c) ((c)->reg[ARCH_REG_PC])

/*
 * Copies the interrupted thread into the ring.  Returns false when there was no
 * room (counter cpu_dropped_ring_full; the caller accounts for the time).
 * Context: handler.
 */
bool capture_take(struct ring *r, struct thread *t, const ucontext_t *uc, int64_t weight_ns);

/*
 * As capture_take(), for the calling thread itself: `pc` is the look-up address of the
 * first frame, sp and bp are its registers.  The record is committed when the
 * caller has filled in whose it is; NULL when there was no room.  Context: hook.
 */
struct capture *capture_call(struct ring *r, uint64_t pc, uint64_t sp, uint64_t bp);

/* Copies `len` bytes from c->slice_at on, and sets c->slice_len.  Context: handler, hook. */
void capture_copy(struct capture *c, uint32_t len);

#endif
