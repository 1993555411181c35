#include "sampler/base/name_pattern.h"

#include <stddef.h>
#include <string.h>

bool name_pattern_is_valid(const char *pattern)
{
	for (; (pattern = strchr(pattern, '%')); pattern += 2)
		if (pattern[1] == '\0' || !strchr("pnt%", pattern[1]))
			return false;
	return true;
}

static void write_part(struct text *t, char letter, const struct name_parts *parts)
{
	if (letter == 'p')
		text_i64(t, parts->pid);
	else if (letter == 'n')
		text_str(t, parts->program);
	else if (letter == 't')
		text_i64(t, parts->started_s);
	else
		text_char(t, letter);
}

void name_pattern_write(struct text *t, const char *pattern, const struct name_parts *parts)
{
	for (; *pattern; pattern++) {
		if (*pattern == '%' && pattern[1])
			write_part(t, *++pattern, parts);
		else
			text_char(t, *pattern);
	}
}
