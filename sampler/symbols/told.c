#include "sampler/symbols/told.h"

#include <string.h>

#include "sampler/base/counters.h"
#include "sampler/base/intern.h"
#include "sampler/base/text.h"

#define FIRST_ROOM 1024 /* names; a power of two */

/* Apart from each other, and above all pseudo frames, as addresses are. */
#define FIRST_ADDRESS 0x10000UL
#define ADDRESS_STEP  16UL

static struct {
	struct arena arena;
	struct intern strings;
	struct symbol_frame *frame; /* number n is at n - 1; texts are interned */
	uint32_t *slot;		    /* numbers, 0 while free; twice `room` */
	size_t count, room;
} told;

static bool open_table(void)
{
	if (told.slot)
		return true;
	told.arena.limit = TOLD_BYTES;
	told.strings = (struct intern)INTERN_INIT(&told.arena, &told.arena);
	told.room = FIRST_ROOM;
	told.frame = arena_array(&told.arena, told.room, sizeof(*told.frame));
	told.slot = told.frame ? arena_array(&told.arena, 2 * told.room, sizeof(*told.slot)) : NULL;
	return told.slot;
}

/* Texts that are interned are equal where their pointers are. */
static bool is_same(const struct symbol_frame *a, const struct symbol_frame *b)
{
	return a->name == b->name && a->file == b->file && a->line == b->line;
}

/* The slot of the frame, or the free one where it belongs. */
static uint32_t *slot_of(const struct symbol_frame *f)
{
	uint64_t hash =
		((uintptr_t)f->name ^ (uintptr_t)f->file << 1 ^ f->line) * 0x9e3779b97f4a7c15;
	size_t i = hash >> 32;

	while (told.slot[i & (2 * told.room - 1)] &&
	       !is_same(&told.frame[told.slot[i & (2 * told.room - 1)] - 1], f))
		i++;
	return &told.slot[i & (2 * told.room - 1)];
}

static bool make_room(void)
{
	size_t size = sizeof(*told.frame), room = 2 * told.room;
	struct symbol_frame *frame;
	uint32_t *slot;

	if (told.count < told.room)
		return true;
	slot = arena_array(&told.arena, 2 * room, sizeof(*slot));
	frame = slot ? arena_grow(&told.arena, told.frame, told.room * size, room * size) : NULL;
	if (!frame)
		return false;
	told.frame = frame;
	told.slot = slot;
	told.room = room;
	for (uint32_t i = 0; i < told.count; i++)
		*slot_of(&frame[i]) = i + 1;
	return true;
}

static uint32_t add(const char *name, const char *file, uint32_t line)
{
	struct symbol_frame f = { .name = name, .system_name = name, .file = file, .line = line };
	uint32_t *slot = slot_of(&f);

	if (*slot)
		return *slot;
	if (!make_room())
		return 0;
	slot = slot_of(&f);
	told.frame[told.count] = f;
	*slot = (uint32_t)++told.count;
	return *slot;
}

uint32_t told_number(const struct symbol_frame *f)
{
	const char *name, *file;
	uint32_t number;

	name = open_table() ? intern(&told.strings, f->name, strlen(f->name)) : NULL;
	file = name ? intern(&told.strings, f->file, strlen(f->file)) : NULL;
	number = file ? add(name, file, f->line) : 0;
	if (!number)
		counter_add(COUNTER_TOLD_NAMES_DROPPED, 1);
	return number;
}

uint64_t told_address(uint32_t number)
{
	return FIRST_ADDRESS + number * ADDRESS_STEP;
}

bool told_is_module(const struct module *m)
{
	return m->file.size == MODULE_FILE_TOLD;
}

/* Modules are as other processes say, and so may the address be. */
static const struct symbol_frame *find(uint64_t pc)
{
	uint64_t number = pc < FIRST_ADDRESS ? 0 : (pc - FIRST_ADDRESS) / ADDRESS_STEP;

	return number && number <= told.count ? &told.frame[number - 1] : NULL;
}

static struct symbol_frame unknown_frame(struct arena *a, const struct module *m)
{
	size_t size = strlen(m->path) + 3;
	struct text t = { .at = arena_alloc(a, size), .size = size };

	if (!t.at)
		return (struct symbol_frame){ 0 };
	text_char(&t, '[');
	text_str(&t, m->path);
	text_char(&t, ']');
	return (struct symbol_frame){ .name = t.at, .system_name = t.at, .file = "" };
}

int told_resolve(struct arena *a, const struct module *m, const uint64_t *pc, size_t count,
		 struct symbol *out)
{
	struct symbol_frame *frame = arena_array(a, count, sizeof(*frame));

	for (size_t i = 0; frame && i < count; i++) {
		const struct symbol_frame *known = find(pc[i]);

		frame[i] = known ? *known : unknown_frame(a, m);
		if (!frame[i].name)
			return -1;
		out[i] = (struct symbol){ &frame[i], 1 };
	}
	return frame || !count ? 0 : -1;
}

void told_after_fork(void)
{
	memset(&told, 0, sizeof(told));
}
