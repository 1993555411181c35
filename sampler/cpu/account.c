#include "sampler/cpu/account.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/hunt.h"
#include "sampler/cpu/look.h"
#include "sampler/cpu/timers.h"

/* libc's and the kernel's part of a thread's end. */
#define TAIL_NS (NS_PER_MS / 10)
/* Threads that are looked at when a window ends, so that the answer comes soon. */
#define LOOKS_AT_END 256

/* ---- while the window is open */

static struct thread_use *use_of(const struct cpu_profile *p, const struct thread *t)
{
	return &p->book->use[thread_index(t)];
}

static bool has_ended(const struct thread *t)
{
	return atomic_load_explicit(&t->state, memory_order_acquire) == THREAD_ENDED;
}

static int64_t clock_of(const struct thread *t)
{
	int64_t now = has_ended(t) ? -1 : thread_cpu_ns(t->tid);

	return now >= 0 ? now : MAX(t->final_ns, t->cpu_seen_ns);
}

static int64_t lost_of(const struct thread *t)
{
	return atomic_load_explicit(&t->lost_ns, memory_order_relaxed);
}

static void begin_thread(struct thread *t, void *profile)
{
	struct thread_use *u = use_of(profile, t);

	u->base_ns = clock_of(t);
	u->base_lost_ns = lost_of(t);
}

void account_begin(struct cpu_profile *p)
{
	p->start_ns = sys_now_ns();
	p->start_epoch_ns = sys_clock_ns(CLOCK_REALTIME);
	p->process_cpu_ns = sys_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	p->listener_cpu_ns = sys_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	threads_each(begin_thread, p);
}

/* The label that the stack has: none, when there are too many threads or stacks. */
static uint32_t add(struct cpu_profile *p, const uint64_t *pc, uint32_t depth, int tid,
		    enum cpu_value value, int64_t ns)
{
	uint32_t label = tid ? cpu_label_of(&p->labels, &p->stacks.arena, tid) : 0;
	struct stack *s = stack_table_add_labelled(&p->stacks, pc, depth, label);

	if (!s)
		return 0;
	s->value[value] += ns;
	return s->label;
}

void account_tick(struct cpu_profile *p, const struct capture *c, const struct walk *w)
{
	uint32_t label = add(p, w->pc, w->depth, c->tid, CPU_VALUE_NS, c->weight_ns);
	struct thread_use *u = use_of(p, c->thread);

	p->book->group[label].sampled += c->weight_ns;
	if (c->thread->tid != c->tid)
		return; /* a stray: the record is another thread's by now */
	if (label)
		u->label = label;
	*(label ? &u->sampled_ns : &u->unlabelled_ns) += c->weight_ns;
}

void account_look(struct cpu_profile *p, const struct thread *t, const struct walk *w, int64_t ns)
{
	uint32_t label = add(p, w->pc, w->depth, t->tid, CPU_VALUE_LOOKED_NS, ns);

	p->book->group[label].looked += ns;
	if (label)
		use_of(p, t)->label = label;
}

/* ---- what each thread used */

static bool is_small(const struct cpu_profile *p, int64_t used)
{
	return balance_is_small(used, p->draw_ns);
}

/* A few of many threads do not make a group blind: libc blocks all signals while it starts one. */
#define BLIND_PART 8

static bool is_blind(const struct cpu_group *g)
{
	return g->blind > g->used / BLIND_PART;
}

/* To its label; what it has at stacks without one goes to all of these together. */
static void book_labelled(struct cpu_profile *p, const struct thread *t, struct thread_use *u,
			  int64_t used)
{
	struct cpu_group *own = &p->book->group[u->label], *others = &p->book->group[0];
	int64_t elsewhere = balance_scale(used, u->unlabelled_ns, u->sampled_ns + u->unlabelled_ns);

	own->used += used - elsewhere;
	if (t->counted || atomic_load_explicit(&t->state, memory_order_relaxed) == THREAD_PAUSED)
		own->blind += used - elsewhere;
	own->is_blind = is_blind(own);
	own->is_late |= t->late && u->label;
	others->used += elsewhere;
}

static void book_thread(struct cpu_profile *p, const struct thread *t, int64_t now)
{
	struct thread_use *u = use_of(p, t);
	int64_t used = MAX(now - u->base_ns, 0), lost = lost_of(t) - u->base_lost_ns;

	p->book->group[u->label].lost += lost;
	if (t->late && !u->label && !u->unlabelled_ns)
		p->late_ns += used;
	else if (u->label || u->unlabelled_ns || lost || is_small(p, used))
		book_labelled(p, t, u, used);
	else
		p->unmet_ns += used;
}

void account_thread_end(struct cpu_profile *p, const struct thread *t)
{
	if (p->thread_ended)
		p->thread_ended(p->arg, t);
	p->tails_ns += t->gone ? SCAN_EVERY_NS : TAIL_NS;
	book_thread(p, t, clock_of(t));
	*use_of(p, t) = (struct thread_use){ 0 };
}

static void book_live(struct thread *t, void *profile)
{
	if (!t->dump_id && !t->accounted)
		book_thread(profile, t, clock_of(t));
}

/* ---- the end */

enum pool { POOL_SMALL, POOL_LATE, POOLS };

struct ending {
	struct cpu_profile *p;
	struct cpu_group pool[POOLS];
	struct balance of_pool[POOLS];
	int64_t lost, missing;
};

static void add_group(struct cpu_group *to, const struct cpu_group *g)
{
	to->used += g->used;
	to->sampled += g->sampled;
	to->lost += g->lost;
	to->looked += g->looked;
	to->blind += g->blind;
	to->is_blind = is_blind(to);
}

/* NULL: weighed by itself. */
static struct cpu_group *pool_of(struct ending *e, uint32_t label)
{
	const struct cpu_group *g = &e->p->book->group[label];

	if (g->is_late)
		return &e->pool[POOL_LATE];
	return label == 0 || is_small(e->p, g->used) ? &e->pool[POOL_SMALL] : NULL;
}

static void fill_pools(struct ending *e)
{
	memset(e->pool, 0, sizeof(e->pool));
	for (uint32_t label = 0; label <= e->p->labels.count; label++) {
		struct cpu_group *pool = pool_of(e, label);

		if (pool)
			add_group(pool, &e->p->book->group[label]);
	}
	e->pool[POOL_LATE].used += e->p->late_ns;
	e->pool[POOL_LATE].is_late = true;
}

/* Of a pool, each thread that no tick met; of one by itself, the first time. */
static bool wants_look(struct ending *e, const struct thread_use *u)
{
	const struct cpu_group *pool = pool_of(e, u->label);
	struct balance b = balance_of(pool ? pool : &e->p->book->group[u->label], e->p->draw_ns);

	return pool ? b.looks + b.missing > 0 && !u->sampled_ns && !u->unlabelled_ns
		    : b.missing > 0;
}

/* A thread that ticks met too seldom: the time that they missed lies before where it sleeps. */
static void look_at_thread(struct thread *t, void *ending)
{
	struct ending *e = ending;
	struct thread_use *u = use_of(e->p, t);
	int64_t used = clock_of(t) - u->base_ns;
	bool is_unmet = !u->label && !u->unlabelled_ns && !is_small(e->p, used);
	const struct walk *w;

	if (t->dump_id || has_ended(t) || used <= 0 || !(is_unmet || wants_look(e, u)))
		return;
	w = look_at(t);
	if (!w)
		return;
	account_look(e->p, t, w, used);
	if (is_unmet && u->label) {
		e->p->unmet_ns -= used;
		e->p->book->group[u->label].used += used;
	}
}

/* Where there are ticks that can stand for it. */
static int64_t give_to_pool(struct cpu_group *pool, int64_t ns)
{
	if (!pool->sampled)
		return 0;
	pool->used += ns;
	return ns;
}

/*
 * What the process used and no thread that is known.  Threads that ended used some on
 * their way out; the rest was used by threads that came and went unseen.
 */
static void book_unknown(struct ending *e, int64_t used)
{
	int64_t left = used - e->p->unmet_ns - e->p->late_ns;

	for (uint32_t label = 0; label <= e->p->labels.count; label++)
		left -= e->p->book->group[label].used;
	if (left <= 0)
		return;
	left -= give_to_pool(&e->pool[POOL_SMALL], MIN(left, e->p->tails_ns));
	left -= give_to_pool(&e->pool[POOL_LATE], left);
	e->missing += left;
}

static void weigh_group(struct ending *e, const struct cpu_group *g, struct balance b)
{
	e->lost += balance_scale(g->lost, b.ticks, g->sampled + g->lost);
	e->missing += b.missing;
}

static void weigh_stack(struct ending *e, struct stack *s)
{
	struct cpu_group *pool = pool_of(e, s->label), *g = &e->p->book->group[s->label];
	struct balance b = pool ? e->of_pool[pool - e->pool] : balance_of(g, e->p->draw_ns);

	g = pool ? pool : g;
	s->value[CPU_VALUE_NS] =
		balance_scale(s->value[CPU_VALUE_NS], b.ticks, g->sampled + g->lost) +
		balance_scale(s->value[CPU_VALUE_LOOKED_NS], b.looks, g->looked);
}

static void weigh(struct ending *e)
{
	for (int i = 0; i < POOLS; i++) {
		e->of_pool[i] = balance_of(&e->pool[i], e->p->draw_ns);
		weigh_group(e, &e->pool[i], e->of_pool[i]);
	}
	for (uint32_t label = 0; label <= e->p->labels.count; label++) {
		const struct cpu_group *g = &e->p->book->group[label];

		if (!pool_of(e, label))
			weigh_group(e, g, balance_of(g, e->p->draw_ns));
	}
	for (size_t i = 0; i < e->p->stacks.count; i++)
		weigh_stack(e, e->p->stacks.list[i]);
}

static void add_pseudo(struct cpu_profile *p, uint64_t frame, int64_t ns)
{
	if (ns > 0)
		add(p, &frame, 1, 0, CPU_VALUE_NS, ns);
}

static void count_samples(struct cpu_profile *p)
{
	for (size_t i = 0; i < p->stacks.count; i++) {
		struct stack *s = p->stacks.list[i];

		s->value[CPU_VALUE_SAMPLES] = balance_samples(s->value[CPU_VALUE_NS], p->period_ns);
	}
}

void account_end(struct cpu_profile *p)
{
	struct ending e = { .p = p };
	int64_t used = sys_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - p->process_cpu_ns -
		       (sys_clock_ns(CLOCK_THREAD_CPUTIME_ID) - p->listener_cpu_ns);

	p->duration_ns = sys_now_ns() - p->start_ns;
	threads_each(book_live, p);
	fill_pools(&e);
	look_allow(LOOKS_AT_END);
	threads_each(look_at_thread, &e);
	fill_pools(&e);
	book_unknown(&e, used);
	weigh(&e);
	add_pseudo(p, PSEUDO_LOST, e.lost);
	e.missing += p->unmet_ns;
	add_pseudo(p, PSEUDO_UNSAMPLED, e.missing > used / 1000 ? e.missing : 0);
	count_samples(p);
}
