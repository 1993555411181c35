#include "sampler/threads/births.h"

#include <stdatomic.h>

#include "sampler/base/arena.h"
#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sort.h"
#include "sampler/base/sys.h"
#include "sampler/process/modules.h"
#include "sampler/process/tasks.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/site_at.h"

#define SITES_BYTES (8UL << 20)

/* Places for threads come in pieces, as they are needed. */
#define PIECE_BIRTHS 1024
#define PIECES_MAX   64
#define BIRTHS_MAX   (PIECES_MAX * PIECE_BIRTHS)
/* Places of a piece that are looked at for a free one. */
#define PROBES 32

#define TAKEN UINT32_MAX /* instead of a tid: being filled in */

/*
 * `word` is the tid, and above it which process wrote that (`epoch`): what a parent
 * has left is free in its child, so that a fork costs nothing.
 */
struct birth {
	atomic_uint_fast64_t word;
	uint32_t order; /* of two with one tid, the later is right */
	struct site *_Atomic site;
};

SITE_TABLE(sites, SITES_BYTES, COUNTER_THREADCREATE_STACK_TABLE_FULL, COUNTER_THREADCREATE_UNKNOWN);

static struct permanent memory = { .limit = BIRTHS_MAX * sizeof(struct birth) * 2 };
static struct birth *_Atomic piece[PIECES_MAX];
static atomic_uint births_begun;
static atomic_bool is_on;
static int (*tid_from_memory)(void);
static atomic_uint epoch = 1; /* moves with every fork */
static __thread struct birth *mine;
static __thread uint64_t my_word;

void births_turn_on(int (*own_tid)(void))
{
	tid_from_memory = own_tid;
	tasks_know_from(births_each);
	atomic_store_explicit(&is_on, true, memory_order_relaxed);
}

bool births_are_on(void)
{
	return atomic_load_explicit(&is_on, memory_order_relaxed);
}

struct site *birth_site(struct frame_regs caller)
{
	return births_are_on() ? site_at(&sites, 0, &caller) : NULL;
}

/* ---- the thread's own part */

static uint64_t word_of(uint32_t tid)
{
	return (uint64_t)atomic_load_explicit(&epoch, memory_order_relaxed) << 32 | tid;
}

/* The tid of a place, 0 for none. */
static uint32_t tid_of(uint64_t word)
{
	uint32_t tid = (uint32_t)word;

	return word == word_of(tid) && tid != TAKEN ? tid : 0;
}

static bool take_birth(struct birth *b)
{
	uint64_t word = atomic_load_explicit(&b->word, memory_order_relaxed);

	if ((uint32_t)word && word == word_of((uint32_t)word))
		return false;
	return atomic_compare_exchange_strong_explicit(&b->word, &word, word_of(TAKEN),
						       memory_order_acquire, memory_order_relaxed);
}

static bool put_piece(struct birth *p, uint32_t i)
{
	struct birth *none = NULL;

	return atomic_compare_exchange_strong(&piece[i], &none, p);
}

/* Piece `i`, made if it is not there; NULL without memory. */
static struct birth *piece_at(uint32_t i)
{
	struct birth *p = atomic_load_explicit(&piece[i], memory_order_acquire);

	if (p)
		return p;
	p = permanent_alloc(&memory, PIECE_BIRTHS * sizeof(*p));
	/* who comes second has made the one that is needed next */
	for (uint32_t k = i; p && k < PIECES_MAX && !put_piece(p, k); k++)
		;
	return atomic_load_explicit(&piece[i], memory_order_acquire);
}

static struct birth *take_in_piece(struct birth *p, uint32_t first)
{
	for (uint32_t i = 0; i < PROBES; i++) {
		struct birth *b = &p[(first + i) % PIECE_BIRTHS];

		if (take_birth(b))
			return b;
	}
	return NULL;
}

static struct birth *take_place(int tid)
{
	uint32_t first = (uint32_t)tid * 2654435761U >> 8;
	struct birth *p, *b = NULL;

	for (uint32_t i = 0; !b && i < PIECES_MAX && (p = piece_at(i)); i++)
		b = take_in_piece(p, first);
	return b;
}

void birth_begin(struct site *site)
{
	int tid = sandbox_is_noted() ? tid_from_memory() : sys_gettid();

	mine = site && tid ? take_place(tid) : NULL;
	if (!mine) {
		counter_add(COUNTER_THREADCREATE_UNKNOWN, site != NULL);
		return;
	}
	mine->order = atomic_fetch_add_explicit(&births_begun, 1, memory_order_relaxed);
	atomic_store_explicit(&mine->site, site, memory_order_relaxed);
	my_word = word_of((uint32_t)tid);
	/* release: who sees the tid sees the rest */
	atomic_store_explicit(&mine->word, my_word, memory_order_release);
}

/* In a child the place may be another's by now. */
void birth_end(void)
{
	uint64_t word = my_word;
	struct site *site = mine ? atomic_load_explicit(&mine->site, memory_order_relaxed) : NULL;

	if (site && atomic_compare_exchange_strong_explicit(
			    &mine->word, &word, 0, memory_order_release, memory_order_relaxed))
		site_release(site);
	mine = NULL;
}

void births_after_fork(void)
{
	atomic_fetch_add_explicit(&epoch, 1, memory_order_relaxed);
}

/* ---- the list */

/* NULL behind the last. */
static struct birth *birth_at(uint64_t index)
{
	struct birth *p = NULL;

	if (index < BIRTHS_MAX)
		p = atomic_load_explicit(&piece[index / PIECE_BIRTHS], memory_order_acquire);
	return p ? &p[index % PIECE_BIRTHS] : NULL;
}

static uint32_t noted_tid(const struct birth *b)
{
	return tid_of(atomic_load_explicit(&b->word, memory_order_acquire));
}

void births_each(void (*fn)(int tid, void *arg), void *arg)
{
	for (uint32_t i = 0; birth_at(i); i++)
		if (noted_tid(birth_at(i)))
			fn((int)noted_tid(birth_at(i)), arg);
}

/* Whose stack is known, or the record that waits for it. */
static const struct site *site_at_birth(const struct birth *b)
{
	struct site *s = atomic_load_explicit(&b->site, memory_order_relaxed);
	struct site *known = atomic_load_explicit(&s->resolved, memory_order_acquire);

	return known ? known : s;
}

void births_each_site(void (*fn)(int tid, uint32_t order, const struct site *s, void *arg),
		      void *arg)
{
	for (uint32_t i = 0; birth_at(i); i++) {
		uint32_t tid = noted_tid(birth_at(i));

		if (tid)
			fn((int)tid, birth_at(i)->order, site_at_birth(birth_at(i)), arg);
	}
}

/* What is noted, in order of tid; read before the threads are listed. */
struct list {
	struct arena arena;
	struct sort_pair *noted; /* tid, index in births */
	size_t count;
	bool *is_alive; /* of each of them */
	struct stack_table *out;
	int self;
};

static bool read_births(struct list *l)
{
	uint32_t places = 0;

	while (birth_at(places))
		places += PIECE_BIRTHS;
	l->noted = arena_array(&l->arena, places, sizeof(*l->noted));
	l->is_alive = arena_array(&l->arena, places, sizeof(*l->is_alive));
	if (!l->noted || !l->is_alive)
		return false;
	for (uint32_t i = 0; i < places; i++) {
		uint32_t tid = noted_tid(birth_at(i));

		if (tid)
			l->noted[l->count++] = (struct sort_pair){ tid, i };
	}
	sort_pairs(l->noted, l->count);
	return true;
}

/* Where the thread is noted; of two places the later, the earlier is of one that is gone. */
static size_t find_noted(const struct list *l, int tid)
{
	size_t at = sort_find(l->noted, l->count, (uint64_t)tid), best = l->count;

	for (; at < l->count && l->noted[at].key == (uint64_t)tid; at++)
		if (best == l->count || (int32_t)(birth_at(l->noted[at].value)->order -
						  birth_at(l->noted[best].value)->order) > 0)
			best = at;
	return best;
}

static void count_stack(const struct list *l, const uint64_t *frame, uint32_t depth)
{
	struct stack *s = stack_table_add(l->out, frame, depth);

	if (s)
		s->value[0]++;
}

static void count_pseudo(const struct list *l, uint64_t frame)
{
	count_stack(l, &frame, 1);
}

static void count_site(const struct list *l, const struct site *s)
{
	if (s->depth)
		count_stack(l, s->frame, s->depth);
	else
		count_pseudo(l, PSEUDO_UNKNOWN);
}

static void count_thread(int tid, void *arg)
{
	struct list *l = arg;
	size_t at = find_noted(l, tid);

	if (tid == l->self)
		return;
	if (at < l->count) {
		l->is_alive[at] = true;
		count_site(l, site_at_birth(birth_at(l->noted[at].value)));
	} else {
		count_pseudo(l, tid == sys_getpid() ? PSEUDO_MAIN : PSEUDO_UNKNOWN);
	}
}

/* Who is noted and was not listed has ended without telling. */
static void forget_dead(const struct list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		uint64_t word = word_of((uint32_t)l->noted[i].key);
		struct birth *b = birth_at(l->noted[i].value);
		struct site *site = atomic_load_explicit(&b->site, memory_order_relaxed);

		if (!l->is_alive[i] && atomic_compare_exchange_strong(&b->word, &word, 0))
			site_release(site);
	}
}

void births_snapshot(struct stack_table *t)
{
	struct list l = { .arena = ARENA_INIT(4UL << 20), .out = t, .self = sys_gettid() };

	code_refresh();
	site_at_drain_all();
	if (read_births(&l)) {
		if (tasks_each(count_thread, &l)) {
			forget_dead(&l);
		} else { /* without /proc, those that told us (H57) */
			count_thread(sys_getpid(), &l);
			births_each(count_thread, &l);
		}
	}
	arena_release(&l.arena);
}
