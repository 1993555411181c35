/*
 * Handler path: nothing here calls into a library.  A build gate looks at what the
 * files called *_handler.c refer to outside themselves.
 */
#include "sampler/unwind/capture.h"

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/process/label_place.h"
#include "sampler/process/threads_handler.h"
#include "sampler/unwind/kernel_copy.h"

/* Bytes of the known stack at and above `at`; 0 when that is not on it. */
static uint64_t known_above(const struct thread *t, uint64_t at)
{
	/* hi first: pairs with the listener's release store of hi, after lo */
	uint64_t hi = atomic_load_explicit(&t->stack_hi, memory_order_acquire);
	uint64_t lo = atomic_load_explicit(&t->stack_lo, memory_order_relaxed);

	if (UNLIKELY(atomic_load_explicit(&thread_stacks_have_holes, memory_order_relaxed)))
		return 0;
	return at >= lo && at < hi ? hi - at : 0;
}

static uint32_t slice_wanted(const struct thread *t, uint64_t above)
{
	uint64_t limit = atomic_load_explicit(&t->slice_limit, memory_order_relaxed);

	return (uint32_t)ALIGN_DOWN(MIN(above, limit), 8);
}

/*
 * A stack whose bounds nobody knows (a coroutine, an alternate stack, a thread
 * seen for the first time): the kernel copies, and stops where memory ends.
 */
static NOINLINE uint32_t copy_foreign(void *to, uint64_t at, uint32_t len)
{
	long n = sandbox_is_noted() ? 0 : kernel_copy(to, at, len);

	if (n > 0)
		return (uint32_t)ALIGN_DOWN(n, 8);
	counter_add(COUNTER_CPU_COPIES_FAULTED, 1);
	return 0;
}

/* Distances from the root; 0: none.  The listener writes one after the other. */
static atomic_uint_fast64_t missed[CAPTURE_WINDOWS];

void capture_note_missed(uint64_t below_root)
{
	static unsigned next;

	for (unsigned i = 0; i < CAPTURE_WINDOWS; i++)
		if (atomic_load_explicit(&missed[i], memory_order_relaxed) == below_root)
			return;
	atomic_store_explicit(&missed[next++ % CAPTURE_WINDOWS], below_root, memory_order_relaxed);
}

uint32_t capture_room(uint32_t len, uint64_t above)
{
	uint64_t most = len + CAPTURE_WINDOWS * WINDOW_BYTES;

	return (uint32_t)(above > len ? MIN(ALIGN_DOWN(above, 8), most) : len);
}

/* Adds a piece, if it can be read. */
static NOINLINE struct capture_piece *add_piece(struct capture *c, struct capture_piece *piece,
						uint8_t *to, uint64_t at, uint32_t len)
{
	if (c->on_known_stack)
		arch_copy_words(to, (const void *)at, len / 8);
	else if (kernel_copy(to, at, len) != len)
		return piece;
	*piece = (struct capture_piece){ at, len };
	return piece + 1;
}

/* Each lies whole in the hole between the two pieces. */
static void copy_windows(struct capture *c, uint64_t root, uint64_t above)
{
	uint64_t low = c->slice_at + c->slice_len, high = c->more[0].at;
	uint8_t *to = c->slice + c->slice_len + c->more[0].len;
	struct capture_piece *piece = &c->more[1];

	for (unsigned i = 0; i < CAPTURE_WINDOWS; i++) {
		uint64_t below = atomic_load_explicit(&missed[i], memory_order_relaxed);

		if (below < above && root - below >= low && root - below + WINDOW_BYTES <= high) {
			piece = add_piece(c, piece, to, root - below, WINDOW_BYTES);
			to = c->slice + c->slice_len + c->more[0].len +
			     (piece - &c->more[1]) * WINDOW_BYTES;
		}
	}
}

struct capture *capture_copy(struct capture *c, uint32_t len, uint64_t above)
{
	uint32_t room = capture_room(len, above); /* a little more than `len`: no hole */
	uint32_t low = above > room + 7 ? ALIGN_DOWN(len / 2, 8) : room;
	uint32_t high = above > room + 7 ? len - low : 0;
	uint64_t root = ALIGN_DOWN(c->slice_at + above, 8);

	if (c->on_known_stack) {
		arch_copy_words(c->slice, (const void *)c->slice_at, low / 8);
		c->slice_len = low;
	} else {
		c->slice_len = copy_foreign(c->slice, c->slice_at, low);
	}
	if (high && c->slice_len == low)
		add_piece(c, &c->more[0], c->slice + low, root - high, high);
	if (c->more[0].len)
		copy_windows(c, root, above);
	return c;
}

void capture_copy_pieces(struct capture *c, uint32_t room, struct split_stack s)
{
	uint32_t used = 0;
	uint64_t at, len;
	long n = 1;

	c->is_split = true;
	for (int i = -1; i < CAPTURE_MORE && n > 0 && used < room; i++) {
		if (!split_stack_next(&s, &at, &len))
			break;
		n = kernel_copy(c->slice + used, at, (uint32_t)MIN(len, (uint64_t)room - used));
		n = n > 0 ? (long)ALIGN_DOWN(n, 8) : 0;
		if (i >= 0)
			c->more[i] = (struct capture_piece){ at, (uint64_t)n };
		else
			c->slice_at = at;
		c->slice_len = i >= 0 ? c->slice_len : (uint32_t)n;
		used += (uint32_t)n;
	}
}

/* Where the interrupted thread's stack is, and how much of it to copy. */
struct plan {
	uint64_t at, tp, known, above;
	bool is_split; /* its pieces, then: */
	struct split_stack split;
	uint32_t len;
};

static struct plan plan_for(const struct thread *t, const ucontext_t *uc)
{
	struct plan p = { .at = arch_interrupted_sp(uc) - RED_ZONE_BYTES,
			  .tp = arch_bare_thread_pointer() };

	p.known = p.at % 8 ? 0 : known_above(t, p.at);
	p.is_split = !p.known && split_stack_begin(&p.split, p.tp, p.at);
	if (p.is_split) {
		p.len = SPLIT_BYTES;
		return p;
	}
	p.above = p.known ? p.known : capture_guess_above(p.at, p.tp);
	p.len = p.known ? slice_wanted(t, p.known) : capture_foreign_wanted(p.above);
	return p;
}

static void fill(struct capture *c, const struct plan *p, struct thread *t, const ucontext_t *uc,
		 int64_t weight_ns)
{
	c->thread = t;
	c->tp = p->tp;
	c->weight_ns = weight_ns;
	c->tid = t->tid;
	c->labels = (uint16_t)label_place_of(t->tid);
	c->slice_at = p->at;
	c->on_known_stack = p->known != 0;
	arch_copy_registers(c->reg, uc);
	if (p->is_split)
		capture_copy_pieces(c, p->len, p->split);
	else
		capture_copy(c, p->len, p->above);
}

bool capture_take(struct ring *r, struct thread *t, const ucontext_t *uc, int64_t weight_ns)
{
	struct plan p = plan_for(t, uc);
	struct capture *c = ring_reserve(r, sizeof(*c) + capture_room(p.len, p.above));

	if (!c) {
		counter_add(COUNTER_CPU_DROPPED_RING_FULL, 1);
		return false;
	}
	c->stamp = code_stamp_in_ring();
	fill(c, &p, t, uc, weight_ns);
	ring_commit(c);
	return true;
}

/* What was there before is whatever it is. */
void capture_take_at(struct capture *c, uint32_t room, struct thread *t, const ucontext_t *uc,
		     int64_t weight_ns)
{
	struct plan p = plan_for(t, uc);

	p.len = MIN(p.len, ALIGN_DOWN(room - CAPTURE_WINDOWS * WINDOW_BYTES, 8));
	for (unsigned i = 0; i < CAPTURE_MORE; i++)
		c->more[i] = (struct capture_piece){ 0 };
	c->bp_unknown = false;
	c->is_split = false;
	c->site_leaf = 0;
	fill(c, &p, t, uc, weight_ns);
	c->labels = (uint16_t)label_place_common(c->labels);
}
