#include "proto/wire.h"

#include <string.h>

#include "sampler/base/cc.h"

#define FIRST_ROOM 16384

/* ---- writing */

static bool make_room(struct wire_writer *w, size_t len)
{
	size_t room = w->room ? w->room : FIRST_ROOM;
	uint8_t *at;

	if (len <= w->room - w->len)
		return true;
	while (room - w->len < len)
		room *= 2;
	at = arena_grow(w->arena, w->at, w->room, room);
	if (!at)
		return false;
	w->at = at;
	w->room = room;
	return true;
}

void wire_put(struct wire_writer *w, const void *bytes, size_t len)
{
	if (w->failed || !make_room(w, len)) {
		w->failed = true;
		return;
	}
	memcpy(w->at + w->len, bytes, len);
	w->len += len;
}

void wire_put_u32(struct wire_writer *w, uint32_t n)
{
	wire_put(w, &n, sizeof(n));
}

void wire_put_u64(struct wire_writer *w, uint64_t n)
{
	wire_put(w, &n, sizeof(n));
}

void wire_put_block(struct wire_writer *w, const void *bytes, size_t len)
{
	wire_put_u32(w, (uint32_t)len);
	wire_put(w, bytes, len);
}

void wire_put_text(struct wire_writer *w, const char *text)
{
	wire_put_block(w, text, strlen(text));
}

/* ---- reading */

bool wire_take(struct wire_reader *r, void *to, size_t len)
{
	if (r->bad || (size_t)(r->limit - r->at) < len) {
		r->bad = true;
		memset(to, 0, len);
		return false;
	}
	memcpy(to, r->at, len);
	r->at += len;
	return true;
}

uint32_t wire_take_u32(struct wire_reader *r)
{
	uint32_t n;

	wire_take(r, &n, sizeof(n));
	return n;
}

uint64_t wire_take_u64(struct wire_reader *r)
{
	uint64_t n;

	wire_take(r, &n, sizeof(n));
	return n;
}

uint32_t wire_take_count(struct wire_reader *r, size_t least)
{
	uint32_t n = wire_take_u32(r);

	if ((size_t)(r->limit - r->at) / least >= n)
		return n;
	r->bad = true;
	return 0;
}

const void *wire_take_block(struct wire_reader *r, size_t *len)
{
	const void *at;

	*len = wire_take_count(r, 1);
	at = r->at;
	r->at += *len;
	return at;
}

void wire_take_text(struct wire_reader *r, char *to, size_t size)
{
	size_t len;
	const void *at = wire_take_block(r, &len);

	len = MIN(len, size - 1);
	memcpy(to, at, len);
	to[len] = '\0';
}
