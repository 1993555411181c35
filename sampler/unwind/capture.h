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
#include "sampler/unwind/code_stamp.h"
#include "sampler/unwind/ring.h"
#include "sampler/unwind/split_stack.h"

#define SLICE_BYTES	    65536U	 /* of stack copied at first */
#define SLICE_BYTES_MAX	    524288U	 /* after the listener met a stack that needed more */
#define FOREIGN_SLICE_BYTES 16384U	 /* of a stack that is not known to be the thread's own */
#define FOREIGN_REACH	    (64UL << 20) /* glibc's threads have their root below the thread pointer */

struct site;
struct site_table;

/*
 * Of a stack that is deeper than what is copied: what lies at SP, what lies at the root,
 * and two pieces in between where walks have missed something of late, known by their
 * distance from the root.  So frames of any size are stepped over.  Of a stack in pieces
 * (split_stack.h): the older pieces.
 */
#define CAPTURE_MORE	7
#define CAPTURE_WINDOWS 2
#define WINDOW_BYTES	16384U

struct capture_piece {
	uint64_t at;
	uint64_t len; /* 0: none */
};

struct capture {
	struct thread *thread;	  /* of a tick */
	struct site *site;	  /* of what a hook records: whose stack this is */
	struct site_table *sites; /* and where it belongs */
	uint64_t site_leaf;	  /* pseudo frame to put before the stack; 0: none */
	struct code_stamp stamp;
	uint64_t tp; /* thread pointer: identifies the thread's own stack */
	uint64_t reg[ARCH_REGS];
	int64_t weight_ns; /* CPU time this capture stands for */
	uint32_t slice_len;
	uint64_t slice_at;			 /* address of slice[0]: SP less the red zone */
	struct capture_piece more[CAPTURE_MORE]; /* behind the slice, one after the other */
	int tid; /* of its thread, too: the record may be another's by then */
	bool on_known_stack;
	bool is_split;	 /* what is in `more` may lie anywhere, but leads on */
	bool bp_unknown; /* CAPTURE_BP() is not that of the thread */
	uint16_t labels; /* the thread's, see label_set.h */
	uint8_t slice[]
		__attribute__((aligned(8))); /* slice_len bytes from slice_at upwards, more */
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
 * The same at `c`, with at least 64 KiB and with `room` bytes behind it, where anything may
 * have been: all but the stamp, and whose it is.  Context: handler.
 */
void capture_take_at(struct capture *c, uint32_t room, struct thread *t, const ucontext_t *uc,
		     int64_t weight_ns);

/*
 * As capture_take(), for the calling thread itself: `pc` is the look-up address of the
 * first frame, sp and bp are its registers.  The record is committed when the
 * caller has filled in whose it is; NULL when there was no room.  Context: hook.
 */
struct capture *capture_call(struct ring *r, uint64_t pc, uint64_t sp, uint64_t bp);

/*
 * Of a stack at `sp` whose bounds are not known, how much lies above, if its root is
 * below the thread pointer `tp`; 0: that is far away.  Context: handler, hook.
 */
static inline uint64_t capture_guess_above(uint64_t sp, uint64_t tp)
{
	uint64_t above = tp - sp;

	return above < FOREIGN_REACH ? above : 0;
}

/* How much of it to copy: where the root may be, as much again from there. */
static inline uint32_t capture_foreign_wanted(uint64_t above)
{
	return above > FOREIGN_SLICE_BYTES ? 2 * FOREIGN_SLICE_BYTES : FOREIGN_SLICE_BYTES;
}

/* A walk missed what is that far below the root of a known stack.  Context: listener. */
void capture_note_missed(uint64_t below_root);

/* How much room capture_copy() needs, which is asked for `len` bytes.  Context: handler, hook. */
uint32_t capture_room(uint32_t len, uint64_t above);

/*
 * Copies `len` bytes of the stack, of which `above` lie at and above c->slice_at (0: not
 * known): all from there on, or half from there and half at the root, and what was missed.
 * Returns `c`.  Context: handler, hook.
 */
struct capture *capture_copy(struct capture *c, uint32_t len, uint64_t above);

/*
 * Of a stack in pieces: the newest is the slice, the others are c->more, of `room` bytes in all.
 * Context: handler.
 */
void capture_copy_pieces(struct capture *c, uint32_t room, struct split_stack s);

/* The captured word at `addr`; false when it was not copied. */
static inline bool capture_load(const struct capture *c, uint64_t addr, uint64_t *out)
{
	struct capture_piece piece = { c->slice_at, c->slice_len };
	const uint8_t *bytes = c->slice;

	for (int i = 0; piece.len; piece = c->more[i++]) {
		uint64_t at = addr - piece.at;

		if (at < piece.len && piece.len - at >= sizeof(*out)) {
			__builtin_memcpy(out, bytes + at, sizeof(*out));
			return true;
		}
		if (i == CAPTURE_MORE)
			break;
		bytes += piece.len;
	}
	return false;
}

#endif
