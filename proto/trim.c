#include "proto/trim.h"

#include <string.h>

/* The C++ ABI's names of operator new and operator new[], whatever their parameters. */
static bool is_operator_new(const char *system_name)
{
	return strncmp(system_name, "_Znw", 4) == 0 || strncmp(system_name, "_Zna", 4) == 0;
}

static bool is_wrapper(const struct message *m, uint32_t location)
{
	const struct message_location *l = &m->location[location];
	const struct message_line *physical = &l->line[l->line_count - 1];

	return is_operator_new(m->function[physical->function].system_name);
}

static void trim(const struct message *m, struct message_sample *s)
{
	while (s->location_count > 1 && is_wrapper(m, s->location[0])) {
		s->location++;
		s->location_count--;
	}
}

void trim_operator_new(struct arena *a, struct message *m)
{
	struct message_sample *sample;

	if (m->sample_count == 0)
		return;
	sample = arena_array(a, m->sample_count, sizeof(*sample));
	if (!sample)
		return;
	memcpy(sample, m->sample, m->sample_count * sizeof(*sample));
	for (size_t i = 0; i < m->sample_count; i++)
		trim(m, &sample[i]);
	m->sample = sample;
}
