/* proto: profiles as files and as text.  May include threads and below. */
/*
 * A profile as text, the form that debug=1 asks for and that pprof reads too:
 * a header, then for each stack its values, addresses and names.
 *
 * Context: listener.
 */
#ifndef PROTO_LEGACY_TEXT_H
#define PROTO_LEGACY_TEXT_H

#include "proto/encode.h"
#include "sampler/base/text.h"

/* What tells the kinds of profile apart. */
struct legacy_form {
	int order_by; /* which value: largest first */
	/* The line before the memory map, which for some kinds must also end the stacks. */
	const char *maps_title;
	/* The line or lines before the stacks; `sum` adds up the values of all. */
	void (*write_header)(struct text *t, const int64_t *sum);
	/* The start of a stack's line, up to the blank before " @". */
	void (*write_values)(struct text *t, const int64_t *value);
};

/*
 * Code that readers find by its name, in the memory map, where a stack has none of
 * its own.  Nobody calls it.
 */
void profiler_knows_no_stack(void);

/*
 * Writes `m` in this form, and the process's memory map behind it, in `a`.
 * Returns 0, or -1 when memory ran out.
 */
int legacy_text(struct arena *a, const struct message *m, const struct legacy_form *form,
		struct bytes *out);

#endif
