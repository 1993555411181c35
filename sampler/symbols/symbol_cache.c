/*
 * Open addressing by module and address.  All of it lives in one arena, which is
 * released whole: there is no telling which entry is the oldest, and all that a
 * running program still uses is back after the next profile.
 */
#include "sampler/symbols/symbol_cache.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/process/modules_kept.h"

#define FIRST_ROOM 512 /* slots; a power of two */

struct slot {
	uint64_t key; /* 0: free */
	struct symbol symbol;
};

static struct {
	struct arena arena;
	struct intern strings;
	struct slot *slot;
	size_t room, count;
	bool was_asked;	  /* since symbol_cache_do_due() looked last */
	int64_t asked_ns; /* when it found so */
} cache;

static void release(void)
{
	arena_release(&cache.arena);
	memset(&cache, 0, sizeof(cache));
}

static bool open_cache(void)
{
	if (cache.slot)
		return true;
	cache.arena.limit = SYMBOL_CACHE_BYTES;
	cache.strings = (struct intern)INTERN_INIT(&cache.arena, &cache.arena);
	cache.room = FIRST_ROOM;
	cache.slot = arena_array(&cache.arena, cache.room, sizeof(*cache.slot));
	return cache.slot;
}

#define SOURCE_SHIFT (FRAME_SHIFT - 1) /* no file has code at such addresses */

/* 0: nothing is kept of this module. */
static uint64_t key_of(const struct module *m, uint64_t addr, enum symbol_source source)
{
	return m->build_id_len && addr >> SOURCE_SHIFT == 0
		       ? (uint64_t)m->number << FRAME_SHIFT | (uint64_t)source << SOURCE_SHIFT |
				 addr
		       : 0;
}

/* The slot of a key, or the free one where it belongs. */
static struct slot *slot_for(uint64_t key)
{
	size_t i = key * 0x9e3779b97f4a7c15 >> 32;

	while (cache.slot[i & (cache.room - 1)].key && cache.slot[i & (cache.room - 1)].key != key)
		i++;
	return &cache.slot[i & (cache.room - 1)];
}

static bool grow(void)
{
	struct slot *old = cache.slot;
	size_t old_room = cache.room;
	struct slot *fresh = arena_array(&cache.arena, old_room * 2, sizeof(*fresh));

	if (!fresh)
		return false;
	cache.slot = fresh;
	cache.room = old_room * 2;
	for (size_t i = 0; i < old_room; i++)
		if (old[i].key)
			*slot_for(old[i].key) = old[i];
	return true;
}

static bool copy_text(struct intern *strings, const char **text)
{
	*text = intern(strings, *text, strlen(*text));
	return *text;
}

static bool copy_frame(struct intern *strings, struct symbol_frame *f)
{
	return copy_text(strings, &f->name) && copy_text(strings, &f->system_name) &&
	       copy_text(strings, &f->file);
}

static bool copy(struct symbol *to, const struct symbol *from, struct arena *a,
		 struct intern *strings)
{
	bool ok;

	to->frame_count = from->frame_count;
	to->frame = arena_array(a, from->frame_count, sizeof(*to->frame));
	ok = to->frame;
	for (uint32_t i = 0; ok && i < from->frame_count; i++) {
		to->frame[i] = from->frame[i];
		ok = copy_frame(strings, &to->frame[i]);
	}
	return ok;
}

bool symbol_cache_find(const struct module *m, uint64_t addr, enum symbol_source source,
		       struct arena *a, struct intern *strings, struct symbol *out)
{
	uint64_t key = key_of(m, addr, source);
	const struct slot *s = key && cache.slot ? slot_for(key) : NULL;

	cache.was_asked = true;
	return s && s->key && copy(out, &s->symbol, a, strings);
}

static bool add_symbol(const struct module *m, uint64_t key, const struct symbol *found)
{
	struct slot *s;

	if (!open_cache() || (cache.count * 2 >= cache.room && !grow()))
		return false;
	s = slot_for(key);
	if (s->key)
		return true;
	if (!copy(&s->symbol, found, &cache.arena, &cache.strings))
		return false;
	s->key = key;
	modules_keep(m->number);
	cache.count++;
	cache.was_asked = true;
	return true;
}

void symbol_cache_add(const struct module *m, uint64_t addr, enum symbol_source source,
		      const struct symbol *s)
{
	uint64_t key = key_of(m, addr, source);

	if (key && !add_symbol(m, key, s))
		release();
}

int64_t symbol_cache_do_due(int64_t now_ns)
{
	if (!cache.slot)
		return INT64_MAX;
	if (cache.was_asked)
		cache.asked_ns = now_ns;
	cache.was_asked = false;
	if (now_ns < cache.asked_ns + SYMBOL_CACHE_NS)
		return cache.asked_ns + SYMBOL_CACHE_NS;
	release();
	return INT64_MAX;
}

void symbol_cache_after_fork(void)
{
	memset(&cache, 0, sizeof(cache));
}
