#include "proto/comments.h"

int comments_insert(struct arena *a, const char *const **list, size_t *count, size_t at,
		    const char *one)
{
	const char **all = one ? arena_array(a, *count + 1, sizeof(*all)) : NULL;

	if (!all)
		return one ? -1 : 0;
	for (size_t i = 0; i < *count; i++)
		all[i + (i >= at)] = (*list)[i];
	all[at] = one;
	*list = all;
	++*count;
	return 0;
}
