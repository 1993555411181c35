#include "sampler/process/mapped_file.h"

#include <string.h>

#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/process/kept_files.h"
#include "sampler/process/maps_reader.h"

static bool copy_path(char to[MODULE_PATH_MAX], const char *path)
{
	struct text t = { .at = to, .size = MODULE_PATH_MAX };

	to[0] = '\0';
	text_str(&t, path);
	return !t.cut && to[0] == '/';
}

/* A file's mappings follow one another; the last that began with its first byte counts. */
static void note_head(struct mapped_file *f, const struct maps_line *m)
{
	if (m->offset != 0 && strcmp(f->path, m->path) == 0)
		return;
	f->head = m->offset == 0 && copy_path(f->path, m->path) ? m->start : 0;
}

static bool search(struct maps_reader *r, uint64_t addr, struct mapped_file *out)
{
	struct maps_line m;

	while (maps_next(r, &m) && m.start <= addr) {
		if (m.path[0] == '/')
			note_head(out, &m);
		if (addr < m.limit)
			return copy_path(out->path, m.path);
	}
	return false;
}

bool mapped_file_at(uint64_t addr, struct mapped_file *out)
{
	struct maps_reader r;
	bool found;

	memset(out, 0, sizeof(*out));
	if (!maps_open(&r))
		return false;
	found = search(&r, addr, out);
	maps_close(&r);
	return found;
}

static int open_mapping(const struct maps_line *m)
{
	char path[80];
	struct text t = TEXT_INIT(path);

	text_str(&t, "/proc/self/map_files/");
	text_hex(&t, m->start);
	text_char(&t, '-');
	text_hex(&t, m->limit);
	return kept_root_open_read(path);
}

int mapped_file_open(uint64_t addr)
{
	struct maps_reader r;
	struct maps_line m;
	int fd = -1;

	if (!maps_open(&r))
		return -1;
	while (maps_next(&r, &m) && m.start <= addr)
		if (addr < m.limit)
			fd = open_mapping(&m);
	maps_close(&r);
	return fd;
}
