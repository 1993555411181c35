#include "proto/collapsed.h"

#include "proto/growing_text.h"
#include "proto/name_stacks.h"

struct job {
	const struct message *message;
	struct name_stacks stacks;
	size_t value;
};

static void write_name(struct text *t, const char *name)
{
	for (; *name; name++)
		text_char(t, *name == ';' || *name == '\n' || *name == '\r' ? ':' : *name);
}

static void write_lines(struct text *t, const void *arg)
{
	const struct job *j = arg;

	for (size_t i = 0; i < j->stacks.count && !t->cut; i++) {
		int64_t value = j->message->sample[i].value[j->value];

		if (value == 0)
			continue;
		for (uint32_t k = j->stacks.start[i]; k < j->stacks.start[i + 1]; k++) {
			text_str(t, k > j->stacks.start[i] ? ";" : "");
			write_name(t, j->stacks.name[j->stacks.frame[k]]);
		}
		text_char(t, ' ');
		text_i64(t, value);
		text_char(t, '\n');
	}
}

int collapsed_text(struct arena *a, const struct message *m, size_t value, struct bytes *out)
{
	struct job j = { .message = m, .value = value };

	if (name_stacks_of(a, m, &j.stacks) != 0)
		return -1;
	return growing_text(a, write_lines, &j, out);
}
