/*
 * The order of work: stacks become samples of distinct places (places, samples);
 * places get names and mappings (names, functions, mappings, sampler/maps); the
 * message that holds all of it is written and compressed (encode, gzip).
 */
#include "proto/build.h"

#include <string.h>

#include "proto/comments.h"
#include "proto/names.h"
#include "proto/other_share.h"
#include "proto/program_labels.h"
#include "proto/samples.h"
#include "proto/trim.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/process/attached.h"
#include "sampler/symbols/patience.h"

/* For all files and lines of one profile, on a busy machine too; names take what they take. */
#define LINES_NS NS_PER_SECOND

static void fill_head(struct message *m, const struct profile_head *head)
{
	memcpy(m->sample_type, head->sample_type, sizeof(m->sample_type));
	m->sample_type_count = head->sample_type_count;
	m->default_sample_type = head->default_sample_type ? head->default_sample_type : "";
	m->period_type = head->period_type;
	m->period = head->period;
	m->time_ns = head->time_ns;
	m->duration_ns = head->duration_ns;
}

/* The head's own, and what the stacks say. */
static int fill_comments(struct message *m, struct arena *a, const struct stack_table *t,
			 const struct profile_head *head)
{
	m->comment = head->comment;
	m->comment_count = head->comment_count;
	if (comments_insert(a, &m->comment, &m->comment_count, m->comment_count,
			    program_labels_comment(a)) != 0)
		return -1;
	return comments_insert(a, &m->comment, &m->comment_count, m->comment_count,
			       other_share(a, t, head->sample_type, head->sample_type_count));
}

/* What is true of each profile of a program that we came to later stands before the rest. */
static int add_since(struct message *m, struct arena *a)
{
	return comments_insert(a, &m->comment, &m->comment_count, 0, attached_comment());
}

static void fill_tables(struct message *m, const struct namer *n, const struct sample_table *s)
{
	m->mapping = n->mappings.mapping;
	m->mapping_count = n->mappings.count;
	m->function = n->functions.function;
	m->function_count = n->functions.count;
	m->location = n->location;
	m->location_count = n->places->count;
	m->sample = s->sample;
	m->sample_count = s->count;
}

/* NULL: all were read. */
static const char *files_comment(struct arena *a, uint64_t refused)
{
	char text[256];
	struct text t = TEXT_INIT(text);

	if (!refused)
		return NULL;
	text_str(&t, "Some functions are shown as [module], or without a line: files of ");
	text_u64(&t, refused);
	text_str(&t, " loaded objects are gone, were changed, or cannot be read from where the "
		     "process is (chroot, another user).  pprof finds them if it has the files.");
	return arena_strndup(a, text, t.len);
}

/* Names that were left out are told in the profile itself: because the process is about to end, or
 * for want of `refused` files. */
static void tell_missing_names(struct arena *a, struct message *m, uint64_t refused)
{
	comments_insert(a, &m->comment, &m->comment_count, m->comment_count,
			files_comment(a, refused));
	if (patience_was_over())
		comments_insert(
			a, &m->comment, &m->comment_count, m->comment_count,
			"Some functions are shown as [module]: the program was about to end, "
			"and did not wait for their names.  pprof finds them if it has the "
			"files.");
}

static uint64_t files_refused(void)
{
	return counter_get(COUNTER_SYMBOL_FILES_REFUSED);
}

int build_file(struct arena *a, const struct message *m, struct bytes *out)
{
	struct bytes plain;

	if (encode_message(a, m, &plain) != 0)
		return -1;
	return encode_gzip(a, plain, out);
}

int build_message_of(struct arena *a, const struct stack_table *t, const struct profile_head *head,
		     enum symbols_detail detail, struct message *out, const uint32_t **of_stack)
{
	struct place_table places;
	struct sample_table samples;
	struct namer namer = { .arena = a, .places = &places, .detail = detail };
	uint64_t refused = files_refused();

	namer.deadline_ns = patience_for_lines(sys_now_ns() + LINES_NS);
	if (place_table_init(&places, a) != 0)
		return -1;
	if (sample_table_fill(&samples, a, t, head->sample_type_count, head->labels, &places) != 0)
		return -1;
	if (namer_run(&namer) != 0)
		return -1;
	*out = (struct message){ 0 };
	fill_head(out, head);
	if (fill_comments(out, a, t, head) != 0)
		return -1;
	fill_tables(out, &namer, &samples);
	tell_missing_names(a, out, files_refused() - refused);
	*of_stack = samples.of_stack;
	return add_since(out, a);
}

int build_message(struct arena *a, const struct stack_table *t, const struct profile_head *head,
		  enum symbols_detail detail, struct message *out)
{
	const uint32_t *of_stack;

	return build_message_of(a, t, head, detail, out, &of_stack);
}

int build_profile(struct arena *a, const struct stack_table *t, const struct profile_head *head,
		  enum symbols_detail detail, struct bytes *out)
{
	struct message m;

	if (build_message(a, t, head, detail, &m) != 0)
		return -1;
	trim_cancellable_call(a, &m);
	return build_file(a, &m, out);
}
