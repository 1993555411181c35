/* /debug/pprof/threadcreate: the call that created each thread that is alive. */
#include "http/snapshot_route.h"
#include "proto/count_text.h"
#include "sampler/threads/births.h"

static const char *refusal(void)
{
	return NULL;
}

static void fill_head(struct profile_head *head)
{
	head->sample_type[0] = (struct message_value_type){ "threadcreate", "count" };
	head->sample_type_count = 1;
	head->period_type = (struct message_value_type){ "threadcreate", "count" };
	head->period = 1;
}

static int text(struct arena *a, const struct message *m, struct bytes *out)
{
	return count_text(a, m, "threadcreate", out);
}

static void snapshot(struct stack_table *t, bool own)
{
	(void)own;
	births_snapshot(t);
}

void threadcreate_route(struct http_exchange *x, const struct http_request *r)
{
	static const struct snapshot_page page = { .name = "threadcreate",
						   .delta_name = "threadcreate-delta",
						   .default_sample_type = "",
						   .refusal = refusal,
						   .fill_head = fill_head,
						   .snapshot = snapshot,
						   .text = text };

	snapshot_route(x, r, &page);
}
