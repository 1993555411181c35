#include "proto/trim.h"

#include <string.h>

/* The C++ ABI's names of operator new and operator new[], whatever their parameters. */
static bool is_operator_new(const char *system_name)
{
	return strncmp(system_name, "_Znw", 4) == 0 || strncmp(system_name, "_Zna", 4) == 0;
}

/* Since glibc 2.41 every call that may be cancelled is made in here. */
static bool is_cancellable_call(const char *system_name)
{
	return strncmp(system_name, "__syscall_cancel", 16) == 0 ||
	       strcmp(system_name, "__internal_syscall_cancel") == 0;
}

static void trim(const struct message *m, struct message_sample *s,
		 bool (*is_inner)(const char *system_name))
{
	for (; s->location_count > 1; s->location++, s->location_count--) {
		const struct message_location *l = &m->location[s->location[0]];
		const struct message_line *physical = &l->line[l->line_count - 1];

		if (!is_inner(m->function[physical->function].system_name))
			return;
	}
}

static void trim_all(struct arena *a, struct message *m, bool (*is_inner)(const char *system_name))
{
	struct message_sample *sample;

	if (m->sample_count == 0)
		return;
	sample = arena_array(a, m->sample_count, sizeof(*sample));
	if (!sample)
		return;
	memcpy(sample, m->sample, m->sample_count * sizeof(*sample));
	for (size_t i = 0; i < m->sample_count; i++)
		trim(m, &sample[i], is_inner);
	m->sample = sample;
}

void trim_operator_new(struct arena *a, struct message *m)
{
	trim_all(a, m, is_operator_new);
}

void trim_cancellable_call(struct arena *a, struct message *m)
{
	trim_all(a, m, is_cancellable_call);
}
