/*
 * /debug/pprof/heap and /debug/pprof/allocs: the same samples, another default
 * view.
 *
 * gc=1, which makes a Go program collect its garbage first, is accepted and
 * does nothing: native memory has no collector, and returning free memory to the
 * kernel (malloc_trim) would hold the allocator's locks while the target runs.
 */
#include <string.h>

#include "http/heap_comments.h"
#include "http/snapshot_route.h"
#include "proto/heap_text.h"
#include "proto/trim.h"
#include "sampler/base/cc.h"
#include "sampler/heap/heap.h"
#include "sampler/process/attached.h"

/* In the snapshot taken last. */
static int64_t inuse_bytes;
static int64_t older_s; /* of what age it was; 0: of any */
static bool is_peak;	/* it was of when most was in use: */
static struct heap_peak peak_found;

const char *heap_refusal(void)
{
	if (heap_is_on())
		return NULL;
	if (attached_refusal())
		return attached_refusal();
	if (attached_is() && heap_unseen() & HEAP_UNSEEN_MALLOC)
		return "the program brings its own malloc, which it calls without an import table; "
		       "start it with pprof-inject";
	return "heap profiling is off: PPROF_HEAP_RATE is 0" SWITCH_ON;
}

static void fill_head(struct profile_head *head)
{
	static const struct message_value_type types[] = {
		[HEAP_VALUE_ALLOC_OBJECTS] = { "alloc_objects", "count" },
		[HEAP_VALUE_ALLOC_BYTES] = { "alloc_space", "bytes" },
		[HEAP_VALUE_INUSE_OBJECTS] = { "inuse_objects", "count" },
		[HEAP_VALUE_INUSE_BYTES] = { "inuse_space", "bytes" },
	};

	memcpy(head->sample_type, types, sizeof(types));
	head->sample_type_count = ARRAY_SIZE(types);
	head->period_type = (struct message_value_type){ "space", "bytes" };
	head->period = (int64_t)heap_rate();
	if (is_peak)
		head->comment =
			heap_comments_of_peak(&peak_found, inuse_bytes, &head->comment_count);
	else if (older_s)
		head->comment = heap_comments_of_older(older_s, &head->comment_count);
	else
		head->comment = heap_comments(inuse_bytes, &head->comment_count);
}

static void add_up(const struct stack_table *t)
{
	inuse_bytes = 0;
	for (size_t i = 0; i < t->count; i++)
		inuse_bytes += t->list[i]->value[HEAP_VALUE_INUSE_BYTES];
}

static void snapshot(struct stack_table *t, bool own)
{
	heap_snapshot(t, own);
	older_s = 0;
	is_peak = false;
	add_up(t);
}

static void snapshot_peak(struct stack_table *t)
{
	heap_snapshot_peak(t, &peak_found);
	is_peak = true;
	add_up(t);
}

static void snapshot_older(struct stack_table *t, bool own, int64_t seconds, bool ages)
{
	heap_snapshot_older(t, own, seconds, ages);
	older_s = seconds;
	is_peak = false;
	if (!seconds)
		add_up(t);
}

#define PAGE(page_name, type, older, peak)                                                         \
	{                                                                                          \
		.name = page_name, .delta_name = page_name "-delta", .default_sample_type = type,  \
		.growing_values = 2, .what_they_did = "allocated", .tells_bytes = true,            \
		.refusal = heap_refusal, .fill_head = fill_head, .snapshot = snapshot,             \
		.snapshot_older = older, .trim = trim_operator_new, .snapshot_peak = peak,         \
		.text = heap_text, .of_other = &heap_of_other                                      \
	}

const struct snapshot_page heap_page = PAGE("heap", "", snapshot_older, snapshot_peak);
static const struct snapshot_page allocs = PAGE("allocs", "alloc_space", NULL, NULL);

void heap_route(struct http_exchange *x, const struct http_request *r)
{
	snapshot_route(x, r, &heap_page);
}

void allocs_route(struct http_exchange *x, const struct http_request *r)
{
	snapshot_route(x, r, &allocs);
}

uint64_t heap_stack_count(void)
{
	return snapshot_count(&heap_page);
}

int64_t heap_inuse_bytes(void)
{
	return inuse_bytes;
}
