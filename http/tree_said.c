#include "http/tree_said.h"

#include <string.h>

#include "proto/comments.h"
#include "sampler/base/text.h"

#define WHOSE_BYTES 96

static struct said *find(struct tree_said *t, const char *sentence)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->list[i].sentence, sentence) == 0)
			return &t->list[i];
	return NULL;
}

void tree_said_one(struct tree_said *t, struct arena *a, int pid, const char *process,
		   const char *sentence)
{
	struct said *old = find(t, sentence);
	struct said s = { .pid = pid };

	if (old) {
		old->others++;
		return;
	}
	if (t->count < SAID_MAX) {
		s.sentence = arena_strndup(a, sentence, strlen(sentence));
		s.process = arena_strndup(a, process, strlen(process));
	}
	if (s.sentence && s.process)
		t->list[t->count++] = s;
	else
		t->left_out++;
}

void tree_said_add(struct tree_said *t, struct arena *a, int pid, const char *process,
		   const struct share_result *of)
{
	for (size_t i = 0; i < of->comment_count; i++)
		tree_said_one(t, a, pid, process, of->comment[i]);
}

static void tell(struct arena *a, struct profile_head *head, const char *sentence)
{
	if (sentence)
		comments_insert(a, &head->comment, &head->comment_count, head->comment_count,
				sentence);
}

/* "worker 17 and 2 others: ..." */
static const char *with_name(const struct said *s, struct arena *a)
{
	struct text t = { .size = strlen(s->sentence) + WHOSE_BYTES };

	t.at = arena_alloc(a, t.size);
	if (!t.at)
		return NULL;
	text_str(&t, s->process);
	text_char(&t, ' ');
	text_i64(&t, s->pid);
	if (s->others) {
		text_str(&t, " and ");
		text_u64(&t, s->others);
		text_str(&t, s->others == 1 ? " other" : " others");
	}
	text_str(&t, ": ");
	text_str(&t, s->sentence);
	return t.at;
}

static const char *left_out(size_t count, struct arena *a)
{
	struct text t = { .at = arena_alloc(a, WHOSE_BYTES), .size = WHOSE_BYTES };

	if (!t.at)
		return NULL;
	text_u64(&t, count);
	text_str(&t, " sentences more of other processes are left out.");
	return t.at;
}

void tree_said_tell(const struct tree_said *t, struct arena *a, struct profile_head *head)
{
	for (size_t i = 0; i < t->count; i++)
		tell(a, head, with_name(&t->list[i], a));
	if (t->left_out)
		tell(a, head, left_out(t->left_out, a));
}
