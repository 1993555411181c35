#include "proto/heap_text.h"

#include "proto/legacy_text.h"
#include "sampler/heap/heap.h"

static void write_values(struct text *t, const int64_t *v)
{
	text_i64(t, v[HEAP_VALUE_INUSE_OBJECTS]);
	text_str(t, ": ");
	text_i64(t, v[HEAP_VALUE_INUSE_BYTES]);
	text_str(t, " [");
	text_i64(t, v[HEAP_VALUE_ALLOC_OBJECTS]);
	text_str(t, ": ");
	text_i64(t, v[HEAP_VALUE_ALLOC_BYTES]);
	text_char(t, ']');
}

/*
 * "heapprofile" tells readers that the values are what happened, scaled up already.
 * By Go's "heap/2" the readers of gperftools and jemalloc would divide by the objects
 * in use of each stack, which may be none, and by "heap_v2/1" by something that is 0
 * for objects of no size.
 */
static void write_header(struct text *t, const int64_t *sum)
{
	text_str(t, "heap profile: ");
	write_values(t, sum);
	text_str(t, " @ heapprofile\n");
}

int heap_text(struct arena *a, const struct message *m, struct bytes *out)
{
	static const struct legacy_form form = { HEAP_VALUE_INUSE_BYTES,
						 "MAPPED_LIBRARIES:", write_header, write_values };

	return legacy_text(a, m, &form, out);
}
