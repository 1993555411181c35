#include "http/out_kinds.h"

#include <string.h>

const char *out_kind_name(enum out_kind kind)
{
	static const char *const name[] = {
#define X(id, name, ending) name,
		OUT_KINDS(X)
#undef X
	};

	return name[kind];
}

static unsigned kind_of(const char *name, size_t len)
{
	for (int i = 0; i < OUT_KIND_COUNT; i++)
		if (strlen(out_kind_name(i)) == len && memcmp(out_kind_name(i), name, len) == 0)
			return OUT_KIND_BIT(i);
	return 0;
}

unsigned out_kinds_of(const char *list)
{
	unsigned kinds = 0;

	for (;;) {
		size_t len = strcspn(list, ",");
		unsigned kind = kind_of(list, len);

		if (!kind)
			return 0;
		kinds |= kind;
		if (!list[len])
			return kinds;
		list += len + 1;
	}
}
