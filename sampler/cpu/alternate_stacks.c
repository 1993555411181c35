/*
 * A table by thread number, in which a thread writes its own entry.  An entry lies in
 * one of a few slots from where its number points to, so nothing has to be moved when
 * one is taken out.
 */
#include "sampler/cpu/alternate_stacks.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>

#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/process/peek.h"

#define SLOTS  4096U
#define WINDOW 32U

/* What our handler needs beside the kernel's frame, twice over. */
#define HANDLER_BYTES 1024
/* Of a kernel that does not say how large its frame is (before 5.14): with AVX-512. */
#define FRAME_BYTES 4096

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

struct slot {
	atomic_int tid; /* 0: free */
	_Atomic uint64_t top;
	_Atomic uint64_t bytes;
};

static struct slot slot[SLOTS];
static atomic_uint used;     /* slots */
static atomic_bool lost_one; /* a stack that is too small found no slot */

static uint64_t bytes_needed(void)
{
	static atomic_uint_fast64_t known;
	uint64_t frame = atomic_load_explicit(&known, memory_order_relaxed);

	if (!frame) {
		frame = getauxval(AT_MINSIGSTKSZ);
		frame = frame ? frame : FRAME_BYTES;
		atomic_store_explicit(&known, frame, memory_order_relaxed);
	}
	return frame + HANDLER_BYTES;
}

static bool is_disabled(const stack_t *stack)
{
	return stack->ss_flags & SS_DISABLE;
}

bool alternate_stack_is_too_small(const stack_t *stack)
{
	return !is_disabled(stack) && stack->ss_size < bytes_needed();
}

static struct slot *slot_at(int tid, uint32_t i)
{
	return &slot[((uint32_t)tid * 2654435761U + i) % SLOTS];
}

static struct slot *find(int tid)
{
	for (uint32_t i = 0; atomic_load(&used) && i < WINDOW; i++) {
		if (atomic_load(&slot_at(tid, i)->tid) == tid)
			return slot_at(tid, i);
	}
	return NULL;
}

/* Its size is 0 until it is written: too small. */
static struct slot *take(int tid)
{
	for (uint32_t i = 0; i < WINDOW; i++) {
		struct slot *s = slot_at(tid, i);
		int expected = 0;

		if (atomic_compare_exchange_strong(&s->tid, &expected, tid)) {
			atomic_fetch_add(&used, 1);
			return s;
		}
	}
	return NULL;
}

static void forget(int tid)
{
	struct slot *s = find(tid);

	if (!s)
		return;
	atomic_store(&s->bytes, 0);
	atomic_store(&s->tid, 0);
	atomic_fetch_sub(&used, 1);
}

/* One that began with the number of a thread that ended without a word has its entry, too. */
void alternate_stack_forget_self(void)
{
	if (atomic_load(&used) && !sandbox_is_noted())
		forget(sys_gettid());
}

void alternate_stack_note(int tid, const stack_t *stack)
{
	struct slot *s = find(tid);

	if (is_disabled(stack)) {
		forget(tid);
		return;
	}
	s = s ? s : take(tid);
	if (!s) {
		if (alternate_stack_is_too_small(stack))
			atomic_store(&lost_one, true);
		return;
	}
	atomic_store(&s->bytes, 0);
	atomic_store(&s->top, (uint64_t)stack->ss_sp + stack->ss_size);
	atomic_store(&s->bytes, stack->ss_size);
}

bool alternate_stack_has_room(int tid)
{
	const struct slot *s = find(tid);

	return !atomic_load(&lost_one) && (!s || atomic_load(&s->bytes) >= bytes_needed());
}

/* A look at the first byte of each page, and at the last. */
static bool is_there(uint64_t from, uint64_t limit)
{
	char byte;

	for (uint64_t at = from; at < limit; at = ALIGN_DOWN(at, PAGE_BYTES) + PAGE_BYTES) {
		if (!peek(at, &byte, 1))
			return false;
	}
	return peek(limit - 1, &byte, 1);
}

bool alternate_stack_is_usable(int tid)
{
	const struct slot *s = find(tid);
	uint64_t top = s ? atomic_load(&s->top) : 0;

	return alternate_stack_has_room(tid) && (!s || is_there(top - bytes_needed(), top));
}

/* The kernel tells of the calling thread only; for another one the worst is assumed. */
void alternate_stacks_after_fork(void)
{
	const stack_t unknown = { .ss_size = 0 };
	int pid = sys_getpid();
	stack_t now;

	if (!atomic_load(&used))
		return;
	for (uint32_t i = 0; i < SLOTS; i++)
		atomic_store(&slot[i].tid, 0);
	atomic_store(&used, 0);
	if (sys_gettid() == pid && sys_call3(SYS_sigaltstack, 0, (long)&now, 0) == 0)
		alternate_stack_note(pid, &now);
	else
		alternate_stack_note(pid, &unknown);
}
