/* /debug/pprof/block and /debug/pprof/mutex. */
#include <string.h>

#include "http/contention_comments.h"
#include "http/snapshot_route.h"
#include "proto/contention_text.h"
#include "sampler/base/cc.h"
#include "sampler/locks/contention.h"
#include "sampler/process/attached.h"

const char *block_refusal(void)
{
	if (block_rate())
		return NULL;
	return attached_refusal() ? attached_refusal()
				  : "block profiling is off: PPROF_BLOCK_RATE is 0" SWITCH_ON;
}

const char *mutex_refusal(void)
{
	if (mutex_fraction())
		return NULL;
	return attached_refusal() ? attached_refusal()
				  : "mutex profiling is off: PPROF_MUTEX_FRACTION is 0" SWITCH_ON;
}

static void fill_head(struct profile_head *head)
{
	static const struct message_value_type types[] = {
		[CONTENTION_VALUE_COUNT] = { "contentions", "count" },
		[CONTENTION_VALUE_NS] = { "delay", "nanoseconds" },
	};

	memcpy(head->sample_type, types, sizeof(types));
	head->sample_type_count = ARRAY_SIZE(types);
	head->period_type = types[CONTENTION_VALUE_COUNT];
	head->period = 1;
}

static void fill_block_head(struct profile_head *head)
{
	fill_head(head);
	head->comment = block_comments(&head->comment_count);
}

static void fill_mutex_head(struct profile_head *head)
{
	fill_head(head);
	head->comment = mutex_comments(&head->comment_count);
}

const struct snapshot_page block_page = {
	.name = "block",
	.delta_name = "block-delta",
	.default_sample_type = "",
	.growing_values = 2,
	.what_they_did = "waited for",
	.refusal = block_refusal,
	.fill_head = fill_block_head,
	.snapshot = block_snapshot,
	.delta_begins = block_everything_begin,
	.delta_ends = block_everything_end,
	.text = block_text,
	.of_other = &block_of_other,
};

void block_route(struct http_exchange *x, const struct http_request *r)
{
	snapshot_route(x, r, &block_page);
}

uint64_t block_stack_count(void)
{
	return snapshot_count(&block_page);
}

const struct snapshot_page mutex_page = {
	.name = "mutex",
	.delta_name = "mutex-delta",
	.default_sample_type = "",
	.growing_values = 2,
	.what_they_did = "waited for",
	.refusal = mutex_refusal,
	.fill_head = fill_mutex_head,
	.snapshot = mutex_snapshot,
	.delta_begins = mutex_everything_begin,
	.delta_ends = mutex_everything_end,
	.text = mutex_text,
	.of_other = &mutex_of_other,
};

void mutex_route(struct http_exchange *x, const struct http_request *r)
{
	snapshot_route(x, r, &mutex_page);
}

uint64_t mutex_stack_count(void)
{
	return snapshot_count(&mutex_page);
}
