#include "proto/growing_text.h"

#define FIRST_TEXT_BYTES   (256UL << 10)
#define LARGEST_TEXT_BYTES (32UL << 20)

int growing_text(struct arena *a, void (*write)(struct text *t, const void *arg), const void *arg,
		 struct bytes *out)
{
	for (size_t size = FIRST_TEXT_BYTES; size <= LARGEST_TEXT_BYTES; size *= 2) {
		struct text t = { .at = arena_alloc(a, size), .size = size };

		if (!t.at)
			return -1;
		write(&t, arg);
		*out = (struct bytes){ (const uint8_t *)t.at, t.len };
		if (!t.cut)
			return 0;
	}
	return 0;
}
