#include "proto/heap_text.h"

#include <string.h>

#include "sampler/heap.h"
#include "sampler/stacks.h"
#include "sampler/sys.h"
#include "sampler/text.h"
#include "shim/cc.h"

#define FIRST_TEXT_BYTES   (256UL << 10)
#define LARGEST_TEXT_BYTES (32UL << 20)

static void write_values(struct text *t, const int64_t *v)
{
	text_i64(t, v[HEAP_VALUE_INUSE_OBJECTS]);
	text_str(t, ": ");
	text_i64(t, v[HEAP_VALUE_INUSE_BYTES]);
	text_str(t, " [");
	text_i64(t, v[HEAP_VALUE_ALLOC_OBJECTS]);
	text_str(t, ": ");
	text_i64(t, v[HEAP_VALUE_ALLOC_BYTES]);
	text_str(t, "] @");
}

static void write_header(struct text *t, const struct message *m)
{
	int64_t sum[MESSAGE_VALUES_MAX] = { 0 };

	for (size_t i = 0; i < m->sample_count; i++) {
		for (size_t k = 0; k < MESSAGE_VALUES_MAX; k++)
			sum[k] += m->sample[i].value[k];
	}
	text_str(t, "heap profile: ");
	write_values(t, sum);
	text_str(t, " heap/2\n");
}

/* Readers take 1 off what they read here, so a pc is written as its return address. */
static void write_addresses(struct text *t, const struct message *m, const struct message_sample *s)
{
	for (uint32_t i = 0; i < s->location_count; i++) {
		text_str(t, " 0x");
		text_hex(t, m->location[s->location[i]].address + 1);
	}
	text_char(t, '\n');
}

static void write_line(struct text *t, const struct message *m, uint64_t pc,
		       const struct message_line *line)
{
	const struct message_function *f = &m->function[line->function];

	text_str(t, "#\t0x");
	text_hex(t, pc);
	text_char(t, '\t');
	text_str(t, f->name);
	if (*f->file) {
		text_char(t, '\t');
		text_str(t, f->file);
		text_char(t, ':');
		text_i64(t, line->line);
	}
	text_char(t, '\n');
}

static void write_frames(struct text *t, const struct message *m, const struct message_sample *s)
{
	for (uint32_t i = 0; i < s->location_count; i++) {
		const struct message_location *l = &m->location[s->location[i]];

		for (uint32_t k = 0; k < l->line_count; k++)
			write_line(t, m, l->address, &l->line[k]);
	}
	text_char(t, '\n');
}

/* MAPPED_LIBRARIES: lets pprof find files and offsets behind the addresses. */
static void write_maps(struct text *t)
{
	int fd = sys_open_read("/proc/self/maps");
	char piece[4096];
	long n;

	text_str(t, "\nMAPPED_LIBRARIES:\n");
	if (fd < 0)
		return;
	while ((n = sys_read(fd, piece, sizeof(piece))) > 0)
		text_bytes(t, piece, (size_t)n);
	sys_close(fd);
}

static void write_all(struct text *t, const struct message *m, const uint32_t *order)
{
	write_header(t, m);
	for (size_t i = 0; i < m->sample_count; i++) {
		const struct message_sample *s = &m->sample[order[i]];

		write_values(t, s->value);
		write_addresses(t, m, s);
		write_frames(t, m, s);
	}
	write_maps(t);
}

static int64_t in_use(const struct message *m, uint32_t i)
{
	return m->sample[i].value[HEAP_VALUE_INUSE_BYTES];
}

/* Largest first: shell sort, which needs no memory and no recursion. */
static void sort_order(const struct message *m, uint32_t *order)
{
	for (size_t gap = m->sample_count / 2; gap; gap /= 2) {
		for (size_t i = gap; i < m->sample_count; i++) {
			uint32_t moving = order[i];
			size_t k = i;

			for (; k >= gap && in_use(m, order[k - gap]) < in_use(m, moving); k -= gap)
				order[k] = order[k - gap];
			order[k] = moving;
		}
	}
}

static uint32_t *make_order(struct arena *a, const struct message *m)
{
	uint32_t *order = arena_array(a, m->sample_count, sizeof(*order));

	for (uint32_t i = 0; order && i < m->sample_count; i++)
		order[i] = i;
	if (order)
		sort_order(m, order);
	return order;
}

int heap_text(struct arena *a, const struct message *m, struct bytes *out)
{
	uint32_t *order = make_order(a, m);

	for (size_t size = FIRST_TEXT_BYTES; order && size <= LARGEST_TEXT_BYTES; size *= 2) {
		struct text t = { .at = arena_alloc(a, size), .size = size };

		if (!t.at)
			return -1;
		write_all(&t, m, order);
		*out = (struct bytes){ (const uint8_t *)t.at, t.len };
		if (!t.cut)
			return 0;
	}
	return order ? 0 : -1;
}
