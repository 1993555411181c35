/*
 * A table by thread number, in which a thread writes its own entry.  An entry lies in
 * one of a few slots from where its number points to, so nothing has to be moved when
 * one is taken out.
 */
#include "sampler/cpu/alternate_stacks.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/process/peek.h"

#define SLOTS	4096U
#define WINDOW	32U
#define LOOKS	32U
#define BUCKETS 4096U /* of tops; two in one cost a search */

/* What our handler needs beside the kernel's frame, twice over. */
#define HANDLER_BYTES 1024
/* Of a kernel that does not say how large its frame is (before 5.14): with AVX-512. */
#define FRAME_BYTES 4096
/* With SSE alone, and with AVX-512 and what may be added to that. */
#define SMALLEST_FRAME_BYTES 1024
#define LARGEST_FRAME_BYTES  6144

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

/*
 * A stack of ours, and what it stands for.  It is the thread's to its end: a handler that
 * returns brings back the stack that was there when it began.
 */
struct stand_in {
	void *at; /* NULL: there is none */
	size_t bytes;
	stack_t set;
};

struct slot {
	atomic_int tid; /* 0: free */
	_Atomic uint64_t top;
	_Atomic uint64_t bytes;
	_Atomic uint64_t claim; /* the top of what the program set, 0: nothing */
	struct stand_in ours;	/* the thread's alone */
};

static struct slot slot[SLOTS];
static atomic_uint claims[BUCKETS];
static atomic_uint used;      /* slots */
static atomic_bool stand_ins; /* there are, or were */
static atomic_bool lost_one;  /* a stack that is too small found no slot */

/* Of frames that are as large as those of today but for what is given on request. */
static bool has_registers_on_request(uint64_t frame)
{
	return frame >= ARCH_FRAME_ON_REQUEST + SMALLEST_FRAME_BYTES &&
	       frame <= ARCH_FRAME_ON_REQUEST + LARGEST_FRAME_BYTES;
}

/*
 * A stack that is smaller than the largest frame is that of a process without those registers:
 * with them the kernel would have refused it.  On one that is not, a frame has room, and our
 * handler returns at once if it has none.
 */
uint64_t alternate_stack_bytes_needed(uint64_t frame)
{
	if (!frame)
		frame = FRAME_BYTES;
	if (has_registers_on_request(frame))
		frame -= ARCH_FRAME_ON_REQUEST;
	return frame + HANDLER_BYTES;
}

static uint64_t bytes_needed(void)
{
	static atomic_uint_fast64_t known;
	uint64_t needed = atomic_load_explicit(&known, memory_order_relaxed);

	if (!needed) {
		needed = alternate_stack_bytes_needed(getauxval(AT_MINSIGSTKSZ));
		atomic_store_explicit(&known, needed, memory_order_relaxed);
	}
	return needed;
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

/* ---- one for several threads */

static uint64_t top_of(const stack_t *stack)
{
	return (uint64_t)stack->ss_sp + stack->ss_size;
}

static atomic_uint *bucket_of(uint64_t top)
{
	return &claims[(top * 0x9e3779b97f4a7c15U) >> 52];
}

static void claim(struct slot *s, uint64_t top)
{
	uint64_t old = atomic_exchange(&s->claim, top);

	if (top)
		atomic_fetch_add(bucket_of(top), 1);
	if (old)
		atomic_fetch_sub(bucket_of(old), 1);
}

static void give_back(struct slot *s)
{
	claim(s, 0);
	if (s->ours.at)
		sys_unmap_kept(s->ours.at, s->ours.bytes);
	s->ours.at = NULL;
	atomic_store(&s->bytes, 0);
	atomic_store(&s->tid, 0);
	atomic_fetch_sub(&used, 1);
}

/* ---- threads that ended without a word */

/* Whoever began since then, with the same number, does not find the slot while it is looked at. */
#define LOOKED_AT (-1)

/* Whose threads these are: in a forked child they are its parent's, until it is put in order. */
static atomic_int owner;

/* Nothing but the one answer that says so. */
static bool is_gone(int tid)
{
	int self = sandbox_is_noted() ? 0 : sys_getpid();

	return self && self == atomic_load(&owner) && sys_call3(SYS_tgkill, self, tid, 0) == -ESRCH;
}

/*
 * Its thread is not there any more, and now it is free.  In a child that nobody asked no end
 * of a thread is seen.
 */
static bool was_left_behind(struct slot *s)
{
	int tid = atomic_load(&s->tid);

	if (tid <= 0 || !is_gone(tid) || !atomic_compare_exchange_strong(&s->tid, &tid, LOOKED_AT))
		return false;
	if (is_gone(tid))
		give_back(s);
	else
		atomic_store(&s->tid, tid);
	return !atomic_load(&s->tid);
}

/* Its size is 0 until it is written: too small. */
static NOINLINE struct slot *take_free(int tid)
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

/* Of stacks of ours, with each entry that is taken, so that what is left behind stays little. */
static NOINLINE void look_at_some(void)
{
	static atomic_uint next;
	unsigned first = atomic_fetch_add(&next, LOOKS);

	for (unsigned i = 0; i < LOOKS; i++)
		was_left_behind(&slot[(first + i) % SLOTS]);
}

static NOINLINE void look_where_it_belongs(int tid)
{
	for (uint32_t i = 0; i < WINDOW; i++)
		was_left_behind(slot_at(tid, i));
}

static struct slot *take(int tid)
{
	struct slot *s;

	if (!atomic_load(&owner) && !sandbox_is_noted())
		atomic_store(&owner, sys_getpid());
	if (atomic_load(&stand_ins))
		look_at_some();
	s = take_free(tid);
	if (s)
		return s;
	look_where_it_belongs(tid);
	return take_free(tid);
}

/* ---- */

/* Of two that claim at once the second to count in the bucket finds the first one's slot. */
static bool is_claimed_by_another(const struct slot *self, uint64_t top)
{
	if (atomic_load(bucket_of(top)) < (self ? 2 : 1))
		return false;
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct slot *s = &slot[i];

		if (s != self && atomic_load(&s->claim) == top && !was_left_behind(s))
			return true;
	}
	return false;
}

/* What runs on it may be a handler that ends in a core file. */
static bool has_stand_in(struct stand_in *s, size_t bytes)
{
	if (s->at)
		return s->bytes >= bytes;
	s->bytes = ALIGN_UP(MAX(bytes, bytes_needed()), PAGE_BYTES);
	s->at = sys_map_kept(s->bytes);
	if (!s->at)
		return false;
	atomic_store(&stand_ins, true);
	sys_call3(SYS_madvise, (long)s->at, (long)s->bytes, MADV_DODUMP);
	return true;
}

static bool is_in_force(const struct stand_in *s, const stack_t *now)
{
	return s->at && !is_disabled(now) && now->ss_sp == s->at;
}

/* ---- */

static void forget(int tid)
{
	struct slot *s = find(tid);

	if (!s)
		return;
	give_back(s);
}

/* One that began with the number of a thread that ended without a word has its entry, too. */
void alternate_stack_forget_self(void)
{
	if (atomic_load(&used) && !sandbox_is_noted())
		forget(sys_gettid());
}

/* Not for one that ends in a handler: it stands on it. */
static void leave(struct stand_in *s)
{
	static const stack_t none = { .ss_flags = SS_DISABLE };
	stack_t now;

	if (!s->at || sys_call3(SYS_sigaltstack, 0, (long)&now, 0) != 0)
		return;
	if (is_in_force(s, &now) && sys_call3(SYS_sigaltstack, (long)&none, 0, 0) != 0)
		s->at = NULL;
}

void alternate_stack_end_self(void)
{
	struct slot *s;

	if (!atomic_load(&used) || sandbox_is_noted())
		return;
	s = find(sys_gettid());
	if (s)
		leave(&s->ours);
	forget(sys_gettid());
}

bool alternate_stack_is_shared(int tid, const stack_t *stack, stack_t *ours)
{
	struct slot *s;

	if (is_disabled(stack) || alternate_stack_is_too_small(stack))
		return false;
	s = find(tid);
	s = s ? s : take(tid);
	if (s)
		claim(s, top_of(stack));
	if (!is_claimed_by_another(s, top_of(stack)))
		return false;
	*ours = (stack_t){ .ss_flags = SS_DISABLE };
	if (s && has_stand_in(&s->ours, stack->ss_size))
		*ours = (stack_t){ s->ours.at, stack->ss_flags, s->ours.bytes };
	return true;
}

void alternate_stack_settle(int tid, const stack_t *now, const stack_t *set)
{
	struct slot *s;

	alternate_stack_note(tid, now);
	s = find(tid);
	if (!s)
		return;
	if (set && is_in_force(&s->ours, now))
		s->ours.set = *set;
	if (is_disabled(now))
		claim(s, 0);
	else
		claim(s, top_of(is_in_force(&s->ours, now) ? &s->ours.set : now));
}

/* In a forked child it may still be in the entry of the thread that forked. */
static const struct slot *find_in_force(int tid, const stack_t *now)
{
	const struct slot *s = find(tid);

	if (s && is_in_force(&s->ours, now))
		return s;
	for (uint32_t i = 0; atomic_load(&stand_ins) && i < SLOTS; i++)
		if (atomic_load(&slot[i].tid) && is_in_force(&slot[i].ours, now))
			return &slot[i];
	return NULL;
}

void alternate_stack_show(int tid, stack_t *read)
{
	const struct slot *s = find_in_force(tid, read);

	if (!s)
		return;
	read->ss_sp = s->ours.set.ss_sp;
	read->ss_size = s->ours.set.ss_size;
}

/* Who looks meanwhile finds one that is too small. */
static void write_bounds(struct slot *s, const stack_t *stack)
{
	atomic_store(&s->bytes, 0);
	atomic_store(&s->top, top_of(stack));
	atomic_store(&s->bytes, stack->ss_size);
}

void alternate_stack_note(int tid, const stack_t *stack)
{
	struct slot *s = find(tid);
	stack_t ours;

	if (is_disabled(stack) && !(s && s->ours.at)) {
		forget(tid);
		return;
	}
	if (is_disabled(stack)) { /* it may have it again, and until then any will do */
		ours = (stack_t){ .ss_sp = s->ours.at, .ss_size = s->ours.bytes };
		stack = &ours;
	}
	s = s ? s : take(tid);
	if (!s) {
		if (alternate_stack_is_too_small(stack))
			atomic_store(&lost_one, true);
		return;
	}
	write_bounds(s, stack);
}

bool alternate_stack_holds(int tid, uint64_t sp)
{
	const struct slot *s = find(tid);

	return s && atomic_load(&s->top) - sp <= atomic_load(&s->bytes);
}

bool alternate_stack_of(int tid, uint64_t *lo, uint64_t *hi)
{
	const struct slot *s = find(tid);

	*hi = s ? atomic_load(&s->top) : 0;
	*lo = s ? *hi - atomic_load(&s->bytes) : 0;
	return *lo < *hi;
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

/* What others had of ours stays: a child is no place to give memory back. */
static struct stand_in empty(const stack_t *now)
{
	struct stand_in found = { 0 };

	for (uint32_t i = 0; i < SLOTS; i++) {
		if (!atomic_load(&slot[i].tid)) /* nor is the page to be copied */
			continue;
		if (is_in_force(&slot[i].ours, now))
			found = slot[i].ours;
		slot[i].ours.at = NULL;
		atomic_store(&slot[i].claim, 0);
		atomic_store(&slot[i].tid, 0);
	}
	for (uint32_t i = 0; i < BUCKETS; i++)
		if (atomic_load(&claims[i]))
			atomic_store(&claims[i], 0);
	atomic_store(&used, 0);
	return found;
}

static bool can_be_read(uint64_t at, int pid)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { (void *)at, 1 };

	return sys_call6(SYS_process_vm_readv, pid, (long)&here, 1, (long)&there, 1, 0) == 1;
}

/* peek() is the listener's. */
bool alternate_stack_is_usable_here(int tid)
{
	const struct slot *s = find(tid);
	uint64_t top = s ? atomic_load(&s->top) : 0, at = top - bytes_needed();
	bool there = alternate_stack_has_room(tid);

	for (; s && there && at < top; at += PAGE_BYTES)
		there = can_be_read(at, tid);
	return there && (!s || can_be_read(top - 1, tid));
}

/* The kernel tells of the calling thread only; for another one the worst is assumed. */
void alternate_stacks_after_fork(void)
{
	const stack_t unknown = { .ss_size = 0 };
	int pid = sys_getpid();
	struct stand_in kept;
	struct slot *s;
	stack_t now;

	atomic_store(&owner, pid);
	if (!atomic_load(&used))
		return;
	if (sys_gettid() != pid || sys_call3(SYS_sigaltstack, 0, (long)&now, 0) != 0)
		now = unknown;
	kept = empty(&now);
	s = is_disabled(&now) ? NULL : take_free(pid); /* all are free now */
	if (!s)
		return;
	write_bounds(s, &now);
	s->ours = kept;
}
