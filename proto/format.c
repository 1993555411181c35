#include "proto/format.h"

#include <string.h>

#include "proto/collapsed.h"
#include "proto/top_text.h"

int format_value(const struct profile_head *head, const char *name)
{
	if (!*name)
		return FORMAT_DEFAULT_VALUE;
	for (size_t i = 0; i < head->sample_type_count; i++)
		if (strcmp(head->sample_type[i].type, name) == 0)
			return (int)i;
	return MESSAGE_VALUES_MAX;
}

static size_t default_value(const struct message *m)
{
	for (size_t i = 0; i < m->sample_type_count; i++)
		if (strcmp(m->sample_type[i].type, m->default_sample_type) == 0)
			return i;
	return m->sample_type_count - 1;
}

int format_write(struct arena *a, const struct message *m, enum format format, int value,
		 struct bytes *out)
{
	size_t shown = value == FORMAT_DEFAULT_VALUE ? default_value(m) : (size_t)value;

	if (format == FORMAT_TEXT)
		return top_text(a, m, shown, out);
	return format == FORMAT_COLLAPSED ? collapsed_text(a, m, shown, out)
					  : build_file(a, m, out);
}
