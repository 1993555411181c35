/*
 * Go's traceback form, for people and for the programs that read it (gostackparse,
 * panicparse): an integer id, a state without comma, function names without
 * parentheses of their own, and a path with a line behind each.
 *
 * panicparse takes paths of Go, C and assembly only, and stops at the first other.  So
 * any other is followed by " .c:LINE", and machine code by " .s:0": to it the whole is
 * a path that it knows, to people and gostackparse the path ends before.
 */
#include <string.h>

#include "proto/threads.h"
#include "sampler/base/cc.h"

#define LARGEST_TEXT_BYTES (32UL << 20)
#define NS_PER_MINUTE	   (60 * 1000000000LL)
#define FRAMES_MAX	   100 /* Go's limit for one goroutine */

struct writer {
	struct text *text;
	const struct message *message;
};

/* Whatever would end the text early for a reader becomes something that does not. */
static void write_clean(struct text *t, const char *s, const char *from, const char *to)
{
	for (; *s; s++) {
		const char *bad = strchr(from, *s);

		text_char(t, (unsigned char)*s < ' ' ? '?' : bad ? to[bad - from] : *s);
	}
}

static void write_holder(struct text *t, const struct thread_entry *e)
{
	if (e->lock) {
		text_str(t, " 0x");
		text_hex(t, e->lock);
	}
	if (!e->owner && e->readers) {
		text_str(t, " held by ");
		text_u64(t, e->readers);
		text_str(t, e->readers == 1 ? " reader" : " readers");
	}
	if (!e->owner)
		return;
	text_str(t, e->lock ? " held by " : " of ");
	text_i64(t, e->owner);
	if (e->owner_pid) {
		text_str(t, " of process ");
		text_i64(t, e->owner_pid);
	}
	text_str(t, e->owner_is_gone ? " which is gone" : "");
}

#define LABEL_FROM ",[]{}\"\\"
#define LABEL_TO   ".()()''"

static void write_label(struct text *t, const char *before, const char *key, const char *text)
{
	text_str(t, before);
	text_char(t, '"');
	write_clean(t, key, LABEL_FROM, LABEL_TO);
	text_str(t, "\": \"");
	write_clean(t, text, LABEL_FROM, LABEL_TO);
	text_char(t, '"');
}

/* No comma: where there is one, readers of Go's tracebacks look for a time. */
static void write_labels(struct text *t, const struct thread_entry *e,
			 const struct message_sample *s)
{
	const char *before = " labels:{";

	if (*e->name)
		write_label(t, before, "thread", e->name);
	for (uint32_t i = 0; i < s->label_count; i++)
		write_label(t, i || *e->name ? "; " : before, s->label[i].key, s->label[i].text);
	if (*e->name || s->label_count)
		text_char(t, '}');
}

/* goroutine 4711 [mutex wait 0x55d0 held by 4712 labels:{"thread": "worker"}, 5 minutes]: */
static void write_header(struct text *t, const struct thread_entry *e,
			 const struct message_sample *s)
{
	text_str(t, "goroutine ");
	text_i64(t, e->tid);
	text_str(t, " [");
	text_str(t, e->reason ? e->reason : e->state);
	write_holder(t, e);
	write_labels(t, e, s);
	if (e->idle_ns >= NS_PER_MINUTE) {
		text_str(t, ", ");
		text_i64(t, e->idle_ns / NS_PER_MINUTE);
		text_str(t, " minutes");
	}
	text_str(t, "]:\n");
}

static const char *path_of(const struct writer *w, const struct message_location *l,
			   const struct message_function *f)
{
	if (*f->file)
		return f->file;
	if (l->mapping != MESSAGE_NONE && *w->message->mapping[l->mapping].file)
		return w->message->mapping[l->mapping].file;
	return "[unknown]";
}

static uint64_t offset_of(const struct writer *w, const struct message_location *l)
{
	return l->mapping == MESSAGE_NONE ? 0 : l->address - w->message->mapping[l->mapping].start;
}

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s), end_len = strlen(end);

	return len > end_len && strcmp(s + len - end_len, end) == 0;
}

static bool is_path_of_go(const char *path)
{
	return ends_with(path, ".go") || ends_with(path, ".c") || ends_with(path, ".s");
}

static void write_line_of(struct text *t, const char *path, int64_t line)
{
	write_clean(t, path, "", "");
	text_char(t, ':');
	text_i64(t, line);
}

static void write_path(const struct writer *w, const struct message_location *l,
		       const struct message_function *f, int64_t line)
{
	const char *path = path_of(w, l, f);

	write_line_of(w->text, path, line);
	if (!is_path_of_go(path))
		write_line_of(w->text, line ? " .c" : " .s", line);
}

/*
 * panicparse takes '/' for the end of a package, which has a dot behind it, and '%' for
 * an escape; both are in names of C++ operators.  These look the same.
 */
static void write_name(struct text *t, const char *name)
{
	char c[2] = { 0 };

	for (; *name; name++) {
		*c = *name;
		if (*c == '%')
			text_str(t, "\uff05");
		else if (*c == '/' && !strchr(name, '.'))
			text_str(t, "\u2215");
		else
			write_clean(t, c, "()", "{}");
	}
}

static void write_frame(const struct writer *w, const struct message_location *l,
			const struct message_line *line, const char *after_name)
{
	const struct message_function *f = &w->message->function[line->function];

	write_name(w->text, f->name);
	text_str(w->text, after_name);
	text_str(w->text, "\n\t");
	write_path(w, l, f, line->line);
	text_str(w->text, " +0x");
	text_hex(w->text, offset_of(w, l));
	text_char(w->text, '\n');
}

static void write_stack(const struct writer *w, const struct message_sample *s)
{
	uint32_t frames = 0;

	for (uint32_t i = 0; i < s->location_count; i++) {
		const struct message_location *l = &w->message->location[s->location[i]];

		for (uint32_t k = 0; k < l->line_count; k++, frames++)
			if (frames < FRAMES_MAX)
				write_frame(w, l, &l->line[k], "(...)");
	}
	if (frames > FRAMES_MAX)
		text_str(w->text, "...additional frames elided...\n");
}

static void write_creator(const struct writer *w, const struct thread_entry *e)
{
	if (!e->creator)
		return;
	text_str(w->text, "created by ");
	write_frame(w, e->creator, &e->creator->line[0], "");
}

static void write_all(const struct writer *w, const struct thread_list *l, const char *preface)
{
	text_str(w->text, preface);
	if (*preface)
		text_char(w->text, '\n');
	for (uint32_t i = 0; i < l->count; i++) {
		if (i)
			text_char(w->text, '\n');
		write_header(w->text, &l->entry[i], &w->message->sample[l->entry[i].sample]);
		write_stack(w, &w->message->sample[l->entry[i].sample]);
		write_creator(w, &l->entry[i]);
	}
}

/* More than the text of one frame takes beside its texts. */
#define FRAME_ROOM  96
#define NAME_GROWTH 3 /* bytes of a character that stands for another */
#define HEADER_ROOM 256
#define LABEL_ROOM  16

static size_t frames_room(const struct writer *w, const struct message_location *l)
{
	size_t room = 0;

	for (uint32_t k = 0; k < l->line_count; k++) {
		const struct message_function *f = &w->message->function[l->line[k].function];

		room += NAME_GROWTH * strlen(f->name) + strlen(path_of(w, l, f)) + FRAME_ROOM;
	}
	return room;
}

static size_t stack_room(const struct writer *w, const struct message_sample *s)
{
	size_t room = HEADER_ROOM;

	for (uint32_t i = 0; i < s->location_count; i++)
		room += frames_room(w, &w->message->location[s->location[i]]);
	for (uint32_t i = 0; i < s->label_count; i++)
		room += strlen(s->label[i].key) + strlen(s->label[i].text) + LABEL_ROOM;
	return room;
}

static size_t room_for_all(const struct writer *w, const struct thread_list *l, const char *preface)
{
	size_t room = strlen(preface) + HEADER_ROOM;

	for (uint32_t i = 0; i < l->count; i++) {
		room += stack_room(w, &w->message->sample[l->entry[i].sample]);
		room += l->entry[i].creator ? frames_room(w, l->entry[i].creator) : 0;
	}
	return room;
}

/* Go's dump is cut at 64 MiB without a word; ours says so, after the last whole line. */
static void mark_cut(struct text *t)
{
	static const char mark[] =
		"\n# The dump is longer than this text may be; it is cut here.\n";

	t->len = t->len > sizeof(mark) ? t->len - sizeof(mark) : 0;
	while (t->len && t->at[t->len - 1] != '\n')
		t->len--;
	text_str(t, mark);
}

int threads_text(struct arena *a, const struct message *m, const struct thread_list *l,
		 const char *preface, struct bytes *out)
{
	struct text t = { 0 };
	struct writer w = { &t, m };

	t.size = MIN(room_for_all(&w, l, preface), LARGEST_TEXT_BYTES);
	t.at = arena_alloc(a, t.size);
	if (!t.at)
		return -1;
	write_all(&w, l, preface);
	if (t.cut)
		mark_cut(&t);
	*out = (struct bytes){ (const uint8_t *)t.at, t.len };
	return 0;
}
