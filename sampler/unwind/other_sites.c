/*
 * Who calls this: http/sleepers.c, step by step.
 *
 * The one structure is `other_sites`.  First the captures in the rings are walked, and noted
 * by the address there of the record that each is of; then come the records of stacks, and
 * those whose stack was not known to a hook: resolved by a listener that it had, or found
 * among the captures.
 */
#include "sampler/unwind/other_sites.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sort.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/process/descendants.h"
#include "sampler/process/label_set.h"
#include "sampler/process/modules.h"
#include "sampler/process/other_modules.h"
#include "sampler/process/other_process.h"
#include "sampler/unwind/code_stamp.h"
#include "sampler/unwind/other_captures.h"
#include "sampler/unwind/site_at.h"
#include "sampler/unwind/walk.h"

#define SLICE_NS     (2 * NS_PER_MS)
#define STACKS_BYTES (4UL << 20) /* as much as a process may have; beyond is [other stacks] */
#define CAPTURES_MAX 4096
#define WALKED	     64 /* captures are mostly of a few stacks; those that are alike are walked once */
#define AT_ONCE	     16	    /* records between two looks at the clock */
#define RECORDS_MAX  131072 /* of one list: a list of more is a circle */
#define VALUE_MAX    (1L << 60)

#define FEW_FRAMES 32 /* are read with the record's head, and most have no more */

enum phase { BEGIN, RINGS, STACKS, UNRESOLVED, HELD, DONE };

/* A record, as it was copied. */
struct record {
	struct site site;
	uint64_t frame[SITE_DEPTH_MAX + 1];
};

/* What of it must not change while it is read. */
struct head {
	enum process_state state;
	uint32_t epoch;
};

struct other_sites {
	int pid;
	const struct other_sites_kind *kind;
	uint32_t nowhere;
	enum phase phase;
	enum other_sites_end end;
	int64_t cpu_ns; /* its clock when it began */
	uint64_t distance;
	struct head head;
	struct site_table there; /* a copy */
	uint64_t closes;	 /* code_shared.closes there */

	int ring;
	struct other_captures captures;
	struct sort_pair known[CAPTURES_MAX]; /* record's address there, stack in `of_captures` */
	size_t known_count;
	struct stack_table of_captures;
	struct walked {
		uint64_t hash;
		const struct stack *stack; /* NULL: none */
	} walked[WALKED];

	uint64_t next; /* of the list */
	uint32_t looked;
	struct record record, resolved;
	bool has_labels; /* some stack, which was read without */
	struct other_modules modules;
	struct walk walk;
	struct stack_table raw;
};

static void nonsense(void)
{
	counter_add(COUNTER_OUTSIDE_NONSENSE, 1);
}

/* ---- the process */

static uint64_t there(const struct other_sites *o, const void *ours)
{
	return (uint64_t)ours + o->distance;
}

static bool read_state(const struct other_sites *o, enum process_state *out)
{
	uint64_t page;
	int state;

	if (!other_read(there(o, &process_state_page), &page, sizeof(page)) ||
	    !other_read(page, &state, sizeof(state)) || state < 0 || state > PROCESS_OURS)
		return false;
	*out = (enum process_state)state;
	return true;
}

static bool read_head(const struct other_sites *o, struct head *h)
{
	return read_state(o, &h->state) &&
	       other_read(there(o, &o->kind->table->epoch), &h->epoch, sizeof(h->epoch));
}

/* It has counted nothing yet; under a filter it never does. */
static enum other_sites_end untouched(const struct other_sites *o)
{
	uint8_t is_filtered;

	if (!other_read(there(o, sandbox_noted_place()), &is_filtered, sizeof(is_filtered)))
		return OTHER_SITES_REFUSED;
	return is_filtered ? OTHER_SITES_NONE : OTHER_SITES_READ;
}

/* What a process counts that has had no hook, or no listener, is its parent's. */
static bool counts(const struct other_sites *o)
{
	if (o->kind->with_listener_only)
		return o->head.state == PROCESS_PAUSED || o->head.state == PROCESS_OURS;
	return o->head.state == PROCESS_YOUNG || o->head.state == PROCESS_PAUSED ||
	       o->head.state == PROCESS_OURS;
}

static enum phase end(struct other_sites *o, enum other_sites_end how)
{
	o->end = how;
	return DONE;
}

static enum phase begin(struct other_sites *o)
{
	if (!other_distance((uint64_t)other_sites_begin, &o->distance))
		return end(o, OTHER_SITES_NONE);
	o->modules.distance = o->distance;
	if (!read_head(o, &o->head) ||
	    !other_read(there(o, o->kind->table), &o->there, sizeof(o->there)) ||
	    !other_read(there(o, &code_shared.closes), &o->closes, sizeof(o->closes)))
		return end(o, OTHER_SITES_REFUSED);
	if (o->head.state <= PROCESS_ENTERING)
		return end(o, untouched(o));
	return counts(o) ? RINGS : end(o, OTHER_SITES_NONE);
}

/* Its own listener moves records about; hooks only add, and count. */
static bool has_moved(const struct other_sites *o)
{
	struct head now;

	if (!read_head(o, &now) || now.state != o->head.state || now.epoch != o->head.epoch)
		return true;
	return now.state == PROCESS_OURS && process_cpu_ns(o->pid) != o->cpu_ns;
}

/* What one that had a listener answered with its labels is better, and must not fall. */
static enum other_sites_end judge(const struct other_sites *o)
{
	if (has_moved(o))
		return OTHER_SITES_MOVED;
	return o->has_labels && o->head.state > PROCESS_YOUNG ? OTHER_SITES_NONE : OTHER_SITES_READ;
}

/* ---- captures */

/* What is in no object there, or in none that is to be had here, is a place of that process. */
static uint64_t frame_nowhere(const struct other_sites *o, uint64_t address)
{
	return o->nowhere ? modules_frame_in(o->nowhere, address) : PSEUDO_UNKNOWN;
}

static bool is_of_no_object(uint64_t frame)
{
	return frame >= FRAME_PSEUDO_LIMIT && !frame_module(frame);
}

/* Something else may have been where this is now. */
static bool is_of_what_may_have_gone(const struct other_sites *o)
{
	for (uint32_t i = 0; i < o->walk.depth; i++) {
		const struct module *m = frame_module(o->walk.pc[i]);

		if (o->walk.pc[i] >= FRAME_PSEUDO_LIMIT && (!m || !m->is_fixed))
			return true;
	}
	return false;
}

static uint64_t pieces_len(const struct capture *c)
{
	uint64_t bytes = c->slice_len;

	for (unsigned i = 0; i < CAPTURE_MORE; i++)
		bytes += c->more[i].len;
	return bytes;
}

static void translate(struct capture *c)
{
	other_translate((uint64_t *)c->slice, pieces_len(c) / sizeof(uint64_t));
	CAPTURE_PC(c) = other_here(CAPTURE_PC(c));
	c->stamp = code_stamp();
}

static void walk(struct other_sites *o)
{
	struct capture *c = other_captures_copy(&o->captures);
	uint64_t leaf = c->site_leaf < PSEUDO_COUNT ? c->site_leaf : 0;
	bool has_unloaded = c->stamp.closes != o->closes;

	translate(c);
	walk_capture(c, &o->walk);
	walk_cut_at_nowhere(&o->walk);
	if (has_unloaded && is_of_what_may_have_gone(o)) {
		o->walk.pc[0] = PSEUDO_UNKNOWN;
		o->walk.depth = 1;
	}
	for (uint32_t i = 0; i < o->walk.depth; i++)
		if (is_of_no_object(o->walk.pc[i]))
			o->walk.pc[i] = frame_nowhere(o, o->walk.pc[i]);
	site_at_finish_walk(&o->walk, leaf);
}

/* Of all that the walk follows. */
static uint64_t hash_of(const struct capture *c)
{
	const uint64_t of[] = {
		CAPTURE_PC(c),
		CAPTURE_SP(c),
		CAPTURE_BP(c),
		c->site_leaf,
		c->stamp.closes,
		stack_hash((const uint64_t *)c->more, 2 * CAPTURE_MORE),
		stack_hash((const uint64_t *)c->slice,
			   (uint32_t)(pieces_len(c) / sizeof(uint64_t))),
	};

	return stack_hash(of, ARRAY_SIZE(of));
}

static const struct stack *walked(struct other_sites *o, const struct capture *c)
{
	uint64_t hash = hash_of(c);
	struct walked *w = &o->walked[hash % WALKED];

	if (!w->stack || w->hash != hash) {
		walk(o);
		w->stack = stack_table_add(&o->of_captures, o->walk.pc, o->walk.depth);
		w->hash = hash;
	}
	return w->stack;
}

static void note_capture(struct other_sites *o)
{
	const struct capture *c = other_captures_copy(&o->captures);
	const struct stack *s;

	if ((uint64_t)c->sites != there(o, o->kind->table) || o->known_count == CAPTURES_MAX)
		return;
	s = walked(o, c);
	if (s)
		o->known[o->known_count++] = (struct sort_pair){ (uint64_t)c->site, s->index };
}

static enum phase read_capture(struct other_sites *o)
{
	bool is_bad;

	if (o->captures.at == o->captures.head) {
		if (o->ring == SITE_AT_RINGS) {
			sort_pairs(o->known, o->known_count);
			return STACKS;
		}
		if (!other_captures_begin(&o->captures, there(o, site_at_ring_place(o->ring++))))
			return end(o, OTHER_SITES_REFUSED);
		return RINGS;
	}
	if (other_captures_next(&o->captures, &is_bad))
		note_capture(o);
	else if (is_bad)
		nonsense();
	return RINGS;
}

/* ---- records */

/* False: there is no record.  One that is a stack has its frames. */
static bool read_record(uint64_t at, struct record *r)
{
	size_t few = sizeof(r->site) + FEW_FRAMES * sizeof(r->frame[0]);
	size_t got = at % sizeof(uint64_t) ? 0 : other_read_some(at, r, few), all;

	if (got < sizeof(r->site) || r->site.depth > ARRAY_SIZE(r->frame))
		return false;
	all = sizeof(r->site) + r->site.depth * sizeof(r->frame[0]);
	return all <= got || other_read(at + got, (char *)r + got, all - got);
}

static bool is_own(const struct other_sites *o, const struct record *r)
{
	return r->site.epoch == o->head.epoch;
}

static uint64_t frame_in(struct other_sites *o, uint32_t number, uint64_t address)
{
	uint32_t ours = other_module(&o->modules, number);

	return ours ? modules_frame_in(ours, address) : OTHER_NOWHERE;
}

static uint64_t frame_at(uint64_t pc)
{
	uint64_t here = other_here(pc);

	return here == OTHER_NOWHERE ? here : modules_frame(here);
}

static uint64_t frame_here(struct other_sites *o, uint64_t theirs)
{
	uint64_t address = theirs & ((1UL << FRAME_SHIFT) - 1), frame;
	uint32_t number = frame_number(theirs);

	if (theirs < FRAME_PSEUDO_LIMIT)
		return theirs && theirs < PSEUDO_COUNT ? theirs : PSEUDO_UNKNOWN;
	frame = number ? frame_in(o, number, address) : frame_at(theirs);
	return is_of_no_object(frame) ? frame_nowhere(o, address) : frame;
}

/* Behind the root may be labels, which are left out. */
static uint32_t make_frames(struct other_sites *o, struct record *r)
{
	uint32_t depth = r->site.depth;

	if (frames_labels(r->frame, depth)) {
		o->has_labels = true;
		depth--;
	}
	for (uint32_t i = 0; i < depth; i++)
		r->frame[i] = frame_here(o, r->frame[i]);
	return depth;
}

static struct stack *stack_of_capture(struct other_sites *o, uint64_t at)
{
	static const uint64_t unknown = PSEUDO_UNKNOWN;
	size_t i = sort_find(o->known, o->known_count, at);
	const struct stack *s;

	if (i == o->known_count || o->known[i].key != at)
		return stack_table_add(&o->raw, &unknown, 1);
	s = o->of_captures.list[o->known[i].value];
	return stack_table_add(&o->raw, s->frame, s->depth);
}

/* The stack of the record at `at`, which was read. */
static struct stack *stack_of(struct other_sites *o, uint64_t at)
{
	struct record *r = &o->record;
	uint64_t resolved = (uint64_t)atomic_load_explicit(&r->site.resolved, memory_order_relaxed);

	if (!r->site.depth) {
		if (!resolved)
			return stack_of_capture(o, at);
		r = &o->resolved;
		if (!read_record(resolved, r) || !r->site.depth)
			return NULL;
	}
	return stack_table_add(&o->raw, r->frame, make_frames(o, r));
}

static bool values_make_sense(const int64_t *value)
{
	for (int k = 0; k < STACK_VALUES_MAX; k++)
		if (value[k] > VALUE_MAX || value[k] < -VALUE_MAX)
			return false;
	return true;
}

/* It may have counted on between two of them. */
static void add_values(struct stack *s, const int64_t *value)
{
	for (int k = 0; k < STACK_VALUES_MAX; k++)
		s->value[k] = MIN(s->value[k] + MAX(value[k], 0L), VALUE_MAX);
}

static void take_record(struct other_sites *o, uint64_t at)
{
	int64_t value[STACK_VALUES_MAX] = { 0 };
	struct stack *s = NULL;

	if (!site_get(&o->record.site, 0))
		return;
	o->kind->values(&o->record.site, value);
	if (values_make_sense(value))
		s = stack_of(o, at);
	if (s)
		add_values(s, value);
	else
		nonsense();
}

/* Reads the next record of the list.  False: there is none that makes sense. */
static bool next_record(struct other_sites *o, uint64_t *at)
{
	*at = o->next;
	if (!*at)
		return false;
	if (o->looked++ < RECORDS_MAX && read_record(*at, &o->record))
		return true;
	nonsense();
	return false;
}

static enum phase go_to_list(struct other_sites *o, enum phase phase, const struct site *first)
{
	o->next = (uint64_t)first;
	o->looked = 0;
	return phase;
}

static enum phase begin_unresolved(struct other_sites *o)
{
	return go_to_list(o, UNRESOLVED,
			  atomic_load_explicit(&o->there.unresolved, memory_order_relaxed));
}

/* Those of the parent are behind its own. */
static enum phase read_stack(struct other_sites *o)
{
	uint64_t at;

	if (!next_record(o, &at) || !is_own(o, &o->record))
		return begin_unresolved(o);
	if (o->record.site.depth)
		take_record(o, at);
	o->next = (uint64_t)o->record.site.older;
	return STACKS;
}

/* Only a listener holds them. */
static enum phase begin_held(struct other_sites *o)
{
	return o->head.state == PROCESS_YOUNG ? end(o, OTHER_SITES_READ)
					      : go_to_list(o, HELD, o->there.held);
}

static void follow(struct other_sites *o)
{
	o->next = (uint64_t)atomic_load_explicit(&o->record.site.next, memory_order_relaxed);
}

static enum phase read_unresolved(struct other_sites *o)
{
	uint64_t at;

	if (!next_record(o, &at) || !is_own(o, &o->record))
		return begin_held(o);
	if (!o->record.site.depth)
		take_record(o, at);
	follow(o);
	return UNRESOLVED;
}

static enum phase read_held(struct other_sites *o)
{
	uint64_t at;

	if (!next_record(o, &at))
		return end(o, OTHER_SITES_READ);
	if (!o->record.site.depth && is_own(o, &o->record))
		take_record(o, at);
	follow(o);
	return HELD;
}

/* ---- steps */

static enum phase do_one(struct other_sites *o)
{
	switch (o->phase) {
	case BEGIN:
		return begin(o);
	case RINGS: {
		enum phase next = read_capture(o);

		return next == STACKS ? go_to_list(o, STACKS,
						   atomic_load_explicit(&o->there.newest,
									memory_order_relaxed))
				      : next;
	}
	case STACKS:
		return read_stack(o);
	case UNRESOLVED:
		return read_unresolved(o);
	case HELD:
		return read_held(o);
	case DONE:
		break;
	}
	return DONE;
}

/* To walk takes longer than to look at the clock. */
static void do_some(struct other_sites *o)
{
	int count = o->phase == RINGS ? 1 : AT_ONCE;

	for (int i = 0; i < count && o->phase != DONE; i++)
		o->phase = do_one(o);
}

/* Who had it open before may have opened another program. */
static bool is_open(const struct other_sites *o)
{
	return o->phase != BEGIN && other_is_open(o->pid);
}

bool other_sites_step(struct other_sites *o)
{
	int64_t until_ns = sys_now_ns() + SLICE_NS;

	if (o->phase != DONE && !is_open(o) && !other_open(o->pid))
		o->phase = end(o, OTHER_SITES_REFUSED);
	while (o->phase != DONE && sys_now_ns() < until_ns)
		do_some(o);
	if (o->phase == DONE && o->end == OTHER_SITES_READ)
		o->end = judge(o);
	return o->phase != DONE;
}

/* ---- life */

struct other_sites *other_sites_begin(int pid, const struct other_sites_kind *kind,
				      uint32_t nowhere)
{
	struct other_sites *o = sys_map(sizeof(*o));

	if (!o)
		return NULL;
	o->pid = pid;
	o->kind = kind;
	o->nowhere = nowhere;
	o->end = OTHER_SITES_LATE;
	o->cpu_ns = process_cpu_ns(pid);
	stack_table_init(&o->of_captures, STACKS_BYTES);
	stack_table_init(&o->raw, STACKS_BYTES);
	o->captures.record = sys_map(OTHER_RECORD_BYTES);
	if (o->captures.record)
		return o;
	other_sites_free(o);
	return NULL;
}

enum other_sites_end other_sites_take(struct other_sites *o, struct stack_table *out)
{
	if (o->end == OTHER_SITES_READ)
		o->kind->finish(&o->raw, out);
	return o->end;
}

void other_sites_free(struct other_sites *o)
{
	stack_table_release(&o->of_captures);
	stack_table_release(&o->raw);
	if (o->captures.record)
		sys_unmap(o->captures.record, OTHER_RECORD_BYTES);
	sys_unmap(o, sizeof(*o));
}
