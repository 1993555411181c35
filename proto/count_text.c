#include "proto/count_text.h"

#include <string.h>

#include "proto/legacy_text.h"

static void write_total(struct text *t, const char *name, const int64_t *sum)
{
	text_str(t, name);
	text_str(t, " profile: total ");
	text_i64(t, sum[0]);
	text_char(t, '\n');
}

static void write_goroutine_total(struct text *t, const int64_t *sum)
{
	write_total(t, "goroutine", sum);
}

static void write_threadcreate_total(struct text *t, const int64_t *sum)
{
	write_total(t, "threadcreate", sum);
}

static void write_count(struct text *t, const int64_t *value)
{
	text_i64(t, value[0]);
}

/* Readers of this form know no other line before a memory map. */
#define MAPS_TITLE "--- Memory map: ---"

int count_text(struct arena *a, const struct message *m, const char *name, struct bytes *out)
{
	static const struct legacy_form goroutine = { 0, MAPS_TITLE, write_goroutine_total,
						      write_count },
					threadcreate = { 0, MAPS_TITLE, write_threadcreate_total,
							 write_count };
	bool is_goroutine = strcmp(name, "goroutine") == 0;

	return legacy_text(a, m, is_goroutine ? &goroutine : &threadcreate, out);
}
