#include "sampler/base/status.h"

#include <string.h>

#include "sampler/base/number.h"

const char *status_line(const char *status, const char *name)
{
	size_t len = strlen(name);
	const char *at = strchr(status, '\n');

	while (at && (strncmp(at + 1, name, len) != 0 || at[1 + len] != ':'))
		at = strchr(at + 1, '\n');
	if (!at)
		return NULL;
	at += len + 2;
	return at + strspn(at, "\t ");
}

uint64_t status_number(const char *status, const char *name, unsigned base)
{
	const char *at = status_line(status, name);

	return at ? number_take(&at, base) : 0;
}
