#include "sampler/process/other_modules.h"

#include <stdbool.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/process/modules.h"
#include "sampler/process/other_process.h"

static bool read_path(struct other_modules *o, uint64_t at)
{
	size_t len = other_read_some(at, o->path, sizeof(o->path));

	return memchr(o->path, '\0', len);
}

/* Its pointers lead to copies; what it says of where it is loaded stays. */
static bool read_module(struct other_modules *o, uint64_t at, struct module *m)
{
	struct module there;

	if (!other_read(at, &there, sizeof(there)) || there.range_count > MODULE_RANGES_MAX ||
	    there.build_id_len > BUILD_ID_MAX)
		return false;
	*m = (struct module){ .path = o->path,
			      .build_id = o->build_id,
			      .build_id_len = there.build_id_len,
			      .file = there.file,
			      .bias = there.bias,
			      .phdr_count = there.phdr_count,
			      .range_count = there.range_count,
			      .range = o->range,
			      .image_start = there.image_start,
			      .image_limit = there.image_limit,
			      .eh_frame_hdr = there.eh_frame_hdr };
	return read_path(o, (uint64_t)there.path) &&
	       other_read((uint64_t)there.build_id, o->build_id, m->build_id_len) &&
	       other_read((uint64_t)there.range, o->range, m->range_count * sizeof(*m->range));
}

static uint32_t meet(struct other_modules *o, uint32_t number)
{
	struct modules_place place = modules_place();
	uint64_t list, at;
	uint32_t count;
	struct module m;

	if (!other_read((uint64_t)place.count + o->distance, &count, sizeof(count)) ||
	    number > count ||
	    !other_read((uint64_t)place.list + o->distance, &list, sizeof(list)) ||
	    !other_read(list + number * sizeof(at), &at, sizeof(at)))
		return 0;
	return read_module(o, at, &m) ? modules_meet(&m) : 0;
}

uint32_t other_module(struct other_modules *o, uint32_t number)
{
	uint32_t i = number % OTHER_MODULES_CACHED;

	if (o->cached[i].theirs != number) {
		o->cached[i].ours = meet(o, number);
		o->cached[i].theirs = number;
	}
	return o->cached[i].ours;
}
