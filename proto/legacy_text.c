#include "proto/legacy_text.h"

#include <string.h>

#include "proto/growing_text.h"
#include "proto/order.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/unwind/stacks.h"

/* What is written, again and again until it fits. */
struct job {
	const struct message *message;
	const struct legacy_form *form;
	uint32_t *order; /* of the samples, largest first */
};

static void add_up(const struct message *m, int64_t *sum)
{
	memset(sum, 0, MESSAGE_VALUES_MAX * sizeof(*sum));
	for (size_t i = 0; i < m->sample_count; i++) {
		for (size_t k = 0; k < MESSAGE_VALUES_MAX; k++)
			sum[k] += m->sample[i].value[k];
	}
}

/* Readers take 1 off what they read here, so a pc is written as its return address. */
static void write_address(struct text *t, uint64_t pc)
{
	text_str(t, " 0x");
	text_hex(t, pc + 1);
}

NOINLINE void profiler_knows_no_stack(void)
{
	__asm__ volatile("");
}

/* Made-up frames are no addresses: they are in the lines below only. */
static void write_addresses(struct text *t, const struct message *m, const struct message_sample *s)
{
	bool is_made_up = true;

	for (uint32_t i = 0; i < s->location_count; i++) {
		uint64_t pc = m->location[s->location[i]].address;

		if (pc < PSEUDO_LIMIT)
			continue;
		write_address(t, pc);
		is_made_up = false;
	}
	if (is_made_up)
		write_address(t, (uint64_t)(uintptr_t)profiler_knows_no_stack);
	text_char(t, '\n');
}

/* Quotes and backslashes escaped; control characters and broken UTF-8 are gone already, or nearly.
 */
static void write_quoted(struct text *t, const char *s)
{
	text_char(t, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			text_char(t, '\\');
		text_char(t, (unsigned char)*s < ' ' ? '?' : *s);
	}
	text_char(t, '"');
}

static void write_value(struct text *t, const struct message_label *l)
{
	if (l->text) {
		write_quoted(t, l->text);
		return;
	}
	text_char(t, '"');
	text_i64(t, l->number);
	text_char(t, '"');
}

/* # labels: {"pid":"10", "thread":"worker"}; all as texts, the only ones that Go has. */
static void write_labels(struct text *t, const struct message_sample *s)
{
	const char *before = "# labels: {";

	for (uint32_t i = 0; i < s->label_count; i++) {
		text_str(t, before);
		write_quoted(t, s->label[i].key);
		text_char(t, ':');
		write_value(t, &s->label[i]);
		before = ", ";
	}
	if (*before == ',')
		text_str(t, "}\n");
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

/* Lets pprof find files and offsets behind the addresses. */
static void write_maps(struct text *t, const char *title)
{
	int fd = sys_open_read("/proc/thread-self/maps");
	char piece[4096];
	long n;

	text_char(t, '\n');
	text_str(t, title);
	text_char(t, '\n');
	if (fd < 0)
		return;
	while ((n = sys_read(fd, piece, sizeof(piece))) > 0)
		text_bytes(t, piece, (size_t)n);
	sys_close(fd);
}

static void write_all(struct text *t, const void *arg)
{
	const struct job *j = arg;
	const struct message *m = j->message;
	int64_t sum[MESSAGE_VALUES_MAX];

	add_up(m, sum);
	j->form->write_header(t, sum);
	for (size_t i = 0; i < m->sample_count; i++) {
		const struct message_sample *s = &m->sample[j->order[i]];

		j->form->write_values(t, s->value);
		text_str(t, " @");
		write_addresses(t, m, s);
		write_labels(t, s);
		write_frames(t, m, s);
	}
	write_maps(t, j->form->maps_title);
}

static bool is_larger(const void *arg, uint32_t a, uint32_t b)
{
	const struct job *j = arg;
	const struct message_sample *s = j->message->sample;

	return s[a].value[j->form->order_by] > s[b].value[j->form->order_by];
}

int legacy_text(struct arena *a, const struct message *m, const struct legacy_form *form,
		struct bytes *out)
{
	struct job j = { m, form, arena_array(a, m->sample_count, sizeof(*j.order)) };

	if (!j.order)
		return -1;
	order_by(j.order, m->sample_count, is_larger, &j);
	return growing_text(a, write_all, &j, out);
}
