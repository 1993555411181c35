#include "proto/contention_text.h"

#include "proto/legacy_text.h"
#include "sampler/locks/contention.h"

/* Readers go on with stacks until a line begins with three dashes. */
#define MAPS_TITLE "--- Memory map: ---"

static void write_values(struct text *t, const int64_t *v)
{
	text_i64(t, v[CONTENTION_VALUE_NS]);
	text_char(t, ' ');
	text_i64(t, v[CONTENTION_VALUE_COUNT]);
}

static void write_block_header(struct text *t, const int64_t *sum)
{
	(void)sum;
	text_str(t, "--- contention:\ncycles/second=1000000000\n");
}

static void write_mutex_header(struct text *t, const int64_t *sum)
{
	(void)sum;
	text_str(t, "--- mutex:\ncycles/second=1000000000\nsampling period=1\n");
}

int block_text(struct arena *a, const struct message *m, struct bytes *out)
{
	static const struct legacy_form form = { CONTENTION_VALUE_NS, MAPS_TITLE,
						 write_block_header, write_values };

	return legacy_text(a, m, &form, out);
}

int mutex_text(struct arena *a, const struct message *m, struct bytes *out)
{
	static const struct legacy_form form = { CONTENTION_VALUE_NS, MAPS_TITLE,
						 write_mutex_header, write_values };

	return legacy_text(a, m, &form, out);
}
