#include "proto/share.h"

#include <string.h>

#include "proto/made_code.h"
#include "proto/wire.h"
#include "sampler/base/cc.h"
#include "sampler/base/utf8.h"
#include "sampler/process/label_set.h"
#include "sampler/process/modules.h"
#include "sampler/symbols/demangle.h"
#include "sampler/symbols/told.h"

/* Changes with every change of what is written, so that two versions do not misread each other. */
#define MAGIC 0x36726873 /* "shr6" */

#define FRAME_ADDRESS	 ((1UL << FRAME_SHIFT) - 1)
#define MODULES_SENT_MAX 4096
#define NUMBER_OF_NAME	 0xfffeU /* in place of a module's: what follows is the number of a name */
#define NAMES_SENT_MAX	 65536
#define NAME_BYTES_LEAST 12 /* of one in what is written */
#define OWNER_TEXT_MAX	 64 /* bytes; longer ones are cut */
#define RECEIVER_BYTES	 (1UL << 20)

/* ---- writing */

struct sender {
	struct wire_writer w;
	uint16_t *number; /* of each module in what is written, from 1; by its number here */
	uint32_t count;
	uint32_t sent[MODULES_SENT_MAX]; /* their numbers here */
	struct made_code made;
	uint32_t *name; /* of each of it, its number in what is written, from 1; 0: none */
	uint32_t name_count;
	uint16_t set[LABEL_SETS_MAX]; /* of each set of labels, the same */
	uint32_t set_count;
};

/* The module of a frame, and the address in it. */
static const struct module *split(uint64_t frame, uint64_t *address)
{
	const struct module *m = frame_module(frame);

	*address = m ? frame_address(frame) - m->bias : frame & FRAME_ADDRESS;
	return m;
}

static bool note_module(struct sender *s, const struct module *m)
{
	if (s->number[m->number])
		return true;
	if (s->count == MODULES_SENT_MAX)
		return false;
	s->sent[s->count] = m->number;
	s->number[m->number] = (uint16_t)++s->count;
	return true;
}

static void note_modules(struct sender *s, const struct stack_table *stacks)
{
	uint64_t address;

	for (size_t i = 0; i < stacks->count; i++)
		for (uint32_t k = 0; k < stacks->list[i]->depth; k++) {
			uint64_t frame = made_code_original(stacks->list[i]->frame[k]);
			const struct module *m = split(frame, &address);

			if (m)
				note_module(s, m);
		}
}

static bool number_names(struct sender *s, struct arena *a)
{
	s->name = arena_array(a, s->made.count + 1, sizeof(*s->name));
	for (size_t i = 0; s->name && i < s->made.count; i++)
		if (s->made.told[i].name && s->name_count < NAMES_SENT_MAX)
			s->name[i] = ++s->name_count;
	return s->name;
}

static void put_names(struct sender *s)
{
	wire_put_u32(&s->w, s->name_count);
	for (size_t i = 0; i < s->made.count; i++) {
		if (!s->name[i])
			continue;
		wire_put_text(&s->w, s->made.told[i].name);
		wire_put_text(&s->w, s->made.told[i].file);
		wire_put_u32(&s->w, s->made.told[i].line);
	}
}

/* The sets of labels that stacks have behind their roots. */
static void number_sets(struct sender *s, const struct stack_table *stacks)
{
	for (size_t i = 0; i < stacks->count; i++) {
		uint32_t set = frames_labels(stacks->list[i]->frame, stacks->list[i]->depth);

		if (set && !s->set[set - FRAME_OF_LABELS])
			s->set[set - FRAME_OF_LABELS] = (uint16_t)++s->set_count;
	}
}

static void put_set(struct wire_writer *w, uint32_t set)
{
	struct label_set all;

	label_set_get(set, &all);
	wire_put_u32(w, all.count);
	for (uint32_t i = 0; i < all.count; i++) {
		wire_put_text(w, all.key[i]);
		wire_put_text(w, all.value[i]);
	}
}

/* In order of the numbers that they have in what is written. */
static void put_sets(struct sender *s, struct arena *a)
{
	uint32_t *by_number = arena_array(a, s->set_count + 1, sizeof(*by_number));

	s->w.failed |= !by_number;
	if (!by_number)
		return;
	for (uint32_t i = 0; i < LABEL_SETS_MAX; i++)
		by_number[s->set[i]] = FRAME_OF_LABELS + i;
	wire_put_u32(&s->w, s->set_count);
	for (uint32_t i = 1; i <= s->set_count; i++)
		put_set(&s->w, by_number[i]);
}

static void put_module(struct wire_writer *w, const struct module *m)
{
	wire_put_text(w, m->path);
	wire_put_block(w, m->build_id, m->build_id_len);
	wire_put_u64(w, m->file.size);
	wire_put_u64(w, (uint64_t)m->file.changed_ns);
	wire_put_u64(w, m->bias);
	wire_put_u64(w, m->image_start);
	wire_put_u64(w, m->image_limit);
	wire_put_u64(w, m->eh_frame_hdr);
	wire_put_u32(w, m->phdr_count);
	wire_put_block(w, m->range, m->range_count * sizeof(*m->range));
}

static uint64_t frame_to_send(const struct sender *s, uint64_t frame)
{
	uint64_t address;
	const struct module *m;
	long made;

	if (frame_is_labels(frame))
		return FRAME_OF_LABELS - 1 + s->set[frame - FRAME_OF_LABELS];
	if (frame < FRAME_PSEUDO_LIMIT)
		return frame;
	made = made_code_index(&s->made, frame);
	if (made >= 0 && s->name[made])
		return (uint64_t)NUMBER_OF_NAME << FRAME_SHIFT | s->name[made];
	frame = made_code_original(frame);
	m = split(frame, &address);
	if (m && s->number[m->number])
		return (uint64_t)s->number[m->number] << FRAME_SHIFT | (address & FRAME_ADDRESS);
	return (uint64_t)FRAME_OF_NO_MODULE << FRAME_SHIFT | (frame_address(frame) & FRAME_ADDRESS);
}

static void put_stack(struct sender *s, const struct stack *stack, uint32_t values)
{
	wire_put_u32(&s->w, stack->label);
	wire_put_u32(&s->w, stack->depth);
	wire_put(&s->w, stack->value, values * sizeof(stack->value[0]));
	for (uint32_t i = 0; i < stack->depth; i++)
		wire_put_u64(&s->w, frame_to_send(s, stack->frame[i]));
}

static void put_owners(struct wire_writer *w, const struct owner_table *t)
{
	wire_put_u32(w, t ? t->count : 0);
	for (uint32_t i = 0; t && i < t->count; i++) {
		wire_put_u32(w, (uint32_t)t->list[i].tid);
		wire_put_u32(w, t->list[i].is_idle);
		wire_put_u32(w, t->list[i].is_newborn ? 1 + (uint32_t)t->list[i].pid : 0);
		wire_put_text(w, t->list[i].is_newborn ? t->list[i].process : "");
		wire_put_u32(w, (uint32_t)t->list[i].age_s);
		wire_put_text(w, t->list[i].thread);
		wire_put_text(w, t->list[i].state);
		wire_put_text(w, t->list[i].wait_reason);
	}
}

static void put_comments(struct wire_writer *w, const struct share_head *head)
{
	size_t count = MIN(head->comment_count, (size_t)SHARE_COMMENTS_MAX);

	wire_put_u32(w, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		wire_put_text(w, head->comment[i]);
}

int share_write(struct arena *a, const struct share_head *head, const struct stack_table *stacks,
		const struct owner_table *owners, struct bytes *out)
{
	struct sender *s = arena_alloc(a, sizeof(*s));

	if (!s)
		return -1;
	s->w.arena = a;
	s->number = arena_array(a, MODULES_MAX + 2, sizeof(*s->number));
	made_code_find(a, stacks, &s->made);
	if (!s->number || !number_names(s, a))
		return -1;
	note_modules(s, stacks);
	number_sets(s, stacks);
	wire_put_u32(&s->w, MAGIC);
	wire_put_u32(&s->w, 0); /* the length: see below */
	wire_put_u32(&s->w, head->values);
	wire_put_u64(&s->w, (uint64_t)head->own_ns);
	wire_put_u64(&s->w, (uint64_t)head->born);
	wire_put_u64(&s->w, (uint64_t)head->ended);
	wire_put_u64(&s->w, (uint64_t)head->ended_ns);
	wire_put_u64(&s->w, (uint64_t)head->tails_ns);
	put_comments(&s->w, head);
	wire_put_u32(&s->w, s->count);
	for (uint32_t i = 0; i < s->count; i++)
		put_module(&s->w, module_at(s->sent[i] - 1));
	put_names(s);
	put_sets(s, a);
	put_owners(&s->w, owners);
	wire_put_u32(&s->w, (uint32_t)stacks->count);
	for (size_t i = 0; i < stacks->count; i++)
		put_stack(s, stacks->list[i], head->values);
	if (s->w.failed || s->w.len > UINT32_MAX)
		return -1;
	memcpy(s->w.at + sizeof(uint32_t), &(uint32_t){ (uint32_t)s->w.len }, sizeof(uint32_t));
	*out = (struct bytes){ s->w.at, s->w.len };
	return 0;
}

/* ---- reading */

struct receiver {
	struct wire_reader r;
	struct stack_table *into;
	struct owner_table *owners;
	uint32_t nowhere; /* see share_place_of() */
	int pid;
	const char *process;
	uint32_t module_count, name_count, owner_count;
	uint32_t names_module; /* see told.h */
	uint32_t *name;	       /* our numbers; 0: it could not be kept */
	uint32_t set_count;
	uint32_t set[LABEL_SETS_MAX];	   /* our frames; 0: it has no label that can be */
	uint32_t module[MODULES_SENT_MAX]; /* our numbers; 0: it is not known here */
	uint64_t bias[MODULES_SENT_MAX];
	uint32_t owner[OWNERS_MAX + 1]; /* our numbers; [0] is of stacks of no thread */
	bool is_newborn[OWNERS_MAX + 1];
	uint64_t frame[STACK_DEPTH_MAX];
};

static void take_ranges(struct wire_reader *r, struct module *m)
{
	size_t len;
	const void *ranges = wire_take_block(r, &len);

	m->range_count = (uint32_t)MIN(len / sizeof(*m->range), (size_t)MODULE_RANGES_MAX);
	memcpy(m->range, ranges, m->range_count * sizeof(*m->range));
}

static void take_build_id(struct wire_reader *r, struct module *m)
{
	size_t len;
	const void *id = wire_take_block(r, &len);

	m->build_id_len = (uint8_t)MIN(len, (size_t)BUILD_ID_MAX);
	memcpy(m->build_id, id, m->build_id_len);
}

static uint32_t take_module(struct wire_reader *r)
{
	char path[MODULE_PATH_MAX];
	uint8_t build_id[BUILD_ID_MAX];
	struct module_range range[MODULE_RANGES_MAX];
	struct module m = { .path = path, .build_id = build_id, .range = range };

	wire_take_text(r, path, sizeof(path));
	take_build_id(r, &m);
	m.file.size = wire_take_u64(r);
	m.file.changed_ns = (int64_t)wire_take_u64(r);
	m.bias = wire_take_u64(r);
	m.image_start = wire_take_u64(r);
	m.image_limit = wire_take_u64(r);
	m.eh_frame_hdr = wire_take_u64(r);
	m.phdr_count = wire_take_u32(r);
	take_ranges(r, &m);
	return r->bad ? 0 : modules_meet(&m);
}

static void take_modules(struct receiver *v)
{
	uint32_t count = wire_take_u32(&v->r);

	v->r.bad |= count > MODULES_SENT_MAX;
	for (uint32_t i = 0; i < count && !v->r.bad; i++)
		v->module[v->module_count++] = take_module(&v->r);
}

static void take_text(struct wire_reader *r, char *to, size_t size)
{
	char raw[NAME_MAX_BYTES + 1];

	wire_take_text(r, raw, MIN(size, sizeof(raw)));
	utf8_copy(to, size, raw, strlen(raw));
}

/*
 * What stands for code of the other process that is in no object, or in none that could
 * be kept: its addresses mean nothing here, and are not to be taken for code of ours.  Of
 * that whose names were told, which are places in it, the file is MODULE_FILE_TOLD.
 */
static uint32_t module_of_process(const char *process, uint64_t file)
{
	static struct module_range all = { 0, 1UL << FRAME_SHIFT, 0 };
	uint8_t no_id[1] = { 0 };
	const struct module m = { .path = process,
				  .build_id = no_id,
				  .file = { .size = file },
				  .range = &all,
				  .range_count = 1,
				  .image_limit = all.limit };

	return modules_meet(&m);
}

uint32_t share_place_of(const char *process)
{
	return module_of_process(process, 0);
}

static uint32_t take_name(struct wire_reader *r)
{
	char name[NAME_MAX_BYTES + 1], file[NAME_MAX_BYTES + 1];
	struct symbol_frame f = { .name = name, .file = file };

	take_text(r, name, sizeof(name));
	take_text(r, file, sizeof(file));
	f.line = wire_take_u32(r);
	return r->bad || !*name ? 0 : told_number(&f);
}

static void take_names(struct receiver *v, struct arena *a)
{
	uint32_t count = wire_take_count(&v->r, NAME_BYTES_LEAST);

	v->r.bad |= count > NAMES_SENT_MAX;
	if (v->r.bad || !count)
		return;
	v->names_module = module_of_process(v->process, MODULE_FILE_TOLD);
	v->name = v->names_module ? arena_array(a, count, sizeof(*v->name)) : NULL;
	for (uint32_t i = 0; i < count && !v->r.bad; i++) {
		uint32_t number = take_name(&v->r);

		if (v->name)
			v->name[v->name_count++] = number;
	}
}

/* Of a process that it forked a member tells what it did; others are the member's own threads. */
static void take_process(struct receiver *v, struct owner *o, char process[OWNER_TEXT_MAX])
{
	uint32_t newborn = wire_take_u32(&v->r);

	take_text(&v->r, process, OWNER_TEXT_MAX);
	o->is_newborn = newborn != 0;
	o->pid = newborn ? (int)(newborn - 1) : v->pid;
	o->process = newborn ? process : v->process;
	v->r.bad |= o->pid < 0;
}

static uint32_t take_set(struct wire_reader *r)
{
	char key[LABEL_PAIRS_MAX][LABEL_KEY_MAX + 1], value[LABEL_PAIRS_MAX][LABEL_VALUE_MAX + 1];
	struct label_set all = { .count = wire_take_u32(r) };

	r->bad |= all.count > LABEL_PAIRS_MAX;
	for (uint32_t i = 0; i < all.count && !r->bad; i++) {
		wire_take_text(r, key[i], sizeof(key[i]));
		wire_take_text(r, value[i], sizeof(value[i]));
		all.key[i] = key[i];
		all.value[i] = value[i];
	}
	return r->bad ? 0 : label_set_meet(&all);
}

static void take_sets(struct receiver *v)
{
	uint32_t count = wire_take_count(&v->r, sizeof(uint32_t));

	v->r.bad |= count > LABEL_SETS_MAX;
	for (uint32_t i = 0; i < count && !v->r.bad; i++)
		v->set[v->set_count++] = take_set(&v->r);
}

static void take_owners(struct receiver *v)
{
	uint32_t count = wire_take_u32(&v->r);
	struct owner o = {
		.pid = v->pid, .process = v->process, .thread = "", .state = "", .wait_reason = ""
	};
	char process[OWNER_TEXT_MAX];
	char thread[OWNER_TEXT_MAX], state[OWNER_TEXT_MAX], wait_reason[OWNER_TEXT_MAX];

	v->owner[0] = owner_number(v->owners, &o);
	o.thread = thread;
	o.state = state;
	o.wait_reason = wait_reason;
	v->r.bad |= count > OWNERS_MAX;
	for (uint32_t i = 1; i <= count && !v->r.bad; i++) {
		o.tid = (int)wire_take_u32(&v->r);
		o.is_idle = wire_take_u32(&v->r) == 1;
		take_process(v, &o, process);
		o.age_s = wire_take_u32(&v->r);
		take_text(&v->r, thread, sizeof(thread));
		take_text(&v->r, state, sizeof(state));
		take_text(&v->r, wait_reason, sizeof(wait_reason));
		v->owner[i] = owner_number(v->owners, &o);
		v->is_newborn[i] = o.is_newborn;
		v->owner_count = i;
	}
}

static uint64_t frame_received(const struct receiver *v, uint64_t sent)
{
	uint64_t number = sent >> FRAME_SHIFT, address = sent & FRAME_ADDRESS;

	if (number == NUMBER_OF_NAME && address && address <= v->name_count && v->name[address - 1])
		return modules_frame_in(v->names_module, told_address(v->name[address - 1]));
	if (number == 0)
		return address < PSEUDO_COUNT && address ? address : PSEUDO_UNKNOWN;
	if (number > v->module_count || !v->module[number - 1])
		return v->nowhere ? modules_frame_in(v->nowhere, address) : PSEUDO_UNKNOWN;
	return modules_frame_in(v->module[number - 1], address);
}

/* What others send may be any number. */
static int64_t sum_of(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* The labels behind the root, which only there mean anything; returns what is left. */
static uint32_t put_labels(struct receiver *v, uint64_t root, uint32_t depth)
{
	uint64_t number = root - FRAME_OF_LABELS;
	uint32_t set = number < v->set_count ? v->set[number] : 0;

	if (depth < 2 || !frame_is_labels(root))
		return depth;
	v->frame[depth - 1] = set;
	return set ? depth : depth - 1;
}

static bool take_stack(struct receiver *v, struct share_result *out)
{
	uint32_t owner = wire_take_u32(&v->r), depth = wire_take_u32(&v->r);
	int64_t value[STACK_VALUES_MAX] = { 0 };
	uint64_t sent = 0;
	struct stack *s;

	wire_take(&v->r, value, out->head.values * sizeof(value[0]));
	if (v->r.bad || depth > STACK_DEPTH_MAX || owner > v->owner_count)
		return false;
	for (uint32_t i = 0; i < depth; i++) {
		sent = wire_take_u64(&v->r);
		v->frame[i] = frame_received(v, sent);
	}
	depth = put_labels(v, sent, depth);
	s = v->r.bad ? NULL : stack_table_add_labelled(v->into, v->frame, depth, v->owner[owner]);
	for (uint32_t k = 0; s && k < out->head.values; k++) {
		s->value[k] = sum_of(s->value[k], value[k]);
		if (!v->is_newborn[owner])
			out->total[k] = sum_of(out->total[k], value[k]);
	}
	return s != NULL;
}

static bool take_stacks(struct receiver *v, struct share_result *out)
{
	uint32_t count = wire_take_u32(&v->r);

	for (uint32_t i = 0; i < count && !v->r.bad; i++)
		if (!take_stack(v, out))
			return false;
	return !v->r.bad;
}

static void take_comments(struct receiver *v, struct share_result *out)
{
	uint32_t count = wire_take_u32(&v->r);

	v->r.bad |= count > SHARE_COMMENTS_MAX;
	for (uint32_t i = 0; i < count && !v->r.bad; i++)
		take_text(&v->r, out->comment[out->comment_count++], SHARE_COMMENT_BYTES);
}

static bool take_head(struct receiver *v, struct share_result *out)
{
	if (wire_take_u32(&v->r) != MAGIC)
		return false;
	wire_take_u32(&v->r); /* see last_of() */
	out->head.values = wire_take_u32(&v->r);
	out->head.own_ns = (int64_t)wire_take_u64(&v->r);
	out->head.born = (int64_t)wire_take_u64(&v->r);
	out->head.ended = (int64_t)wire_take_u64(&v->r);
	out->head.ended_ns = (int64_t)wire_take_u64(&v->r);
	out->head.tails_ns = (int64_t)wire_take_u64(&v->r);
	take_comments(v, out);
	return !v->r.bad && out->head.values <= STACK_VALUES_MAX;
}

/* The last that is whole; what makes no sense as it is. */
static struct wire_reader last_of(struct bytes bytes)
{
	struct wire_reader r = { bytes.at, bytes.at + bytes.len, false }, next = r;
	struct wire_reader last = r;

	while (wire_take_u32(&next) == MAGIC) {
		uint32_t len = wire_take_u32(&next);

		if (next.bad || len < 2 * sizeof(uint32_t) || len > (size_t)(r.limit - r.at))
			break;
		last = (struct wire_reader){ r.at, r.at + len, false };
		r.at += len;
		next = r;
	}
	return last;
}

bool share_add(struct stack_table *into, struct owner_table *owners, int pid, const char *process,
	       struct bytes bytes, struct share_result *out)
{
	struct arena scratch = ARENA_INIT(RECEIVER_BYTES);
	struct receiver *v = arena_alloc(&scratch, sizeof(*v));
	bool ok = false;

	*out = (struct share_result){ 0 };
	if (!v)
		return false;
	v->r = last_of(bytes);
	v->into = into;
	v->owners = owners;
	v->pid = pid;
	v->process = process;
	v->nowhere = share_place_of(process);
	if (take_head(v, out)) {
		take_modules(v);
		take_names(v, &scratch);
		take_sets(v);
		take_owners(v);
		ok = take_stacks(v, out);
	}
	arena_release(&scratch);
	return ok;
}

static struct owner owner_of(const struct stack *s, const struct owner_table *owners)
{
	if (s->label && owners)
		return owners->list[s->label - 1];
	return (struct owner){ .process = "", .thread = "", .state = "", .wait_reason = "" };
}

static void add_one(struct stack_table *into, const struct stack *s, uint32_t label)
{
	stack_add_values(stack_table_add_labelled(into, s->frame, s->depth, label), s);
}

void share_add_own(struct stack_table *into, struct owner_table *owners, int pid,
		   const char *process, const struct stack_table *from,
		   const struct owner_table *from_owners)
{
	for (size_t i = 0; i < from->count; i++) {
		struct owner o = owner_of(from->list[i], from_owners);

		if (process && !o.is_newborn) {
			o.pid = pid;
			o.process = process;
		}
		add_one(into, from->list[i], owner_number(owners, &o));
	}
}

void share_add_newborns(struct stack_table *into, struct owner_table *owners,
			const struct stack_table *from, const struct owner_table *from_owners)
{
	for (size_t i = 0; i < from->count; i++) {
		struct owner o = owner_of(from->list[i], from_owners);

		if (o.is_newborn)
			add_one(into, from->list[i], owner_number(owners, &o));
	}
}
