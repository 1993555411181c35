/* The headers of a request by name. */
#include "http/parse.h"

const struct http_slice *http_header_count(const struct http_request *r, const char *name,
					   size_t *count)
{
	const struct http_slice *first = NULL;

	*count = 0;
	for (size_t i = 0; i < r->header_count; i++) {
		if (!slice_equals_nocase(r->header[i].name, name))
			continue;
		if ((*count)++ == 0)
			first = &r->header[i].value;
	}
	return first;
}

const struct http_slice *http_header(const struct http_request *r, const char *name)
{
	size_t count;

	return http_header_count(r, name, &count);
}
