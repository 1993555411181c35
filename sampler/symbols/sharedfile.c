#include "sampler/symbols/sharedfile.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/text.h"
#include "sampler/symbols/debugfile.h"
#include "sampler/symbols/dwarf_cursor.h"

#define PATH_BYTES MODULE_PATH_MAX
#define LINK_BYTES (PATH_BYTES + 64)

/* What the object says about the file. */
struct link {
	uint8_t bytes[LINK_BYTES];
	const char *name;
	const uint8_t *id; /* its build id, or for DWARF 5 its checksum */
	size_t id_len;
	bool is_standard; /* DWARF 5's */
};

static struct dwarf_cursor read_section(const struct elf *e, const char *name,
					uint8_t bytes[LINK_BYTES])
{
	const Elf64_Shdr *s = elf_section(e, name);
	size_t len = 0;

	if (s && elf_section_is_whole(e, s) && s->sh_size <= LINK_BYTES)
		len = elf_read_some(&e->in, s->sh_offset, bytes, s->sh_size);
	return (struct dwarf_cursor){ .at = bytes, .end = bytes + len };
}

/* A name, and the build id as the rest of the section. */
static bool read_gnu(struct link *l, const struct elf *e)
{
	struct dwarf_cursor c = read_section(e, ".gnu_debugaltlink", l->bytes);

	l->name = dwarf_string_here(&c);
	l->id = c.at;
	l->id_len = dwarf_left(&c);
	return l->name[0] && l->id_len;
}

/* Version, whether this is the shared file itself, its name, a checksum. */
static bool read_standard(struct link *l, const struct elf *e, bool of_shared)
{
	struct dwarf_cursor c = read_section(e, ".debug_sup", l->bytes);
	bool is_shared;

	dwarf_u16(&c);
	is_shared = dwarf_u8(&c);
	l->name = dwarf_string_here(&c);
	l->id_len = dwarf_uleb(&c);
	l->id = dwarf_skip(&c, l->id_len);
	l->is_standard = true;
	return l->id && l->id_len && is_shared == of_shared && (of_shared || l->name[0]);
}

static bool is_asked_for(const struct elf *d, const struct link *l)
{
	uint8_t id[BUILD_ID_MAX];
	struct link own;

	if (l->is_standard)
		return read_standard(&own, d, true) && own.id_len == l->id_len &&
		       memcmp(own.id, l->id, l->id_len) == 0;
	return elf_build_id(d, id) == l->id_len && memcmp(id, l->id, l->id_len) == 0;
}

static bool open_asked_for(struct elf *d, struct arena *a, const char *path, const struct link *l)
{
	if (!elf_open(d, a, path))
		return false;
	if (is_asked_for(d, l))
		return true;
	elf_close(d);
	return false;
}

/* Beside the file that refers to it. */
static bool open_relative(struct elf *d, struct arena *a, const struct elf *e, const struct link *l)
{
	char path[2 * PATH_BYTES];
	struct text t = TEXT_INIT(path);

	if (!elf_path(e, path, PATH_BYTES))
		return false;
	t.len = (size_t)(strrchr(path, '/') + 1 - path);
	text_str(&t, l->name);
	return !t.cut && open_asked_for(d, a, path, l);
}

static bool open_by_name(struct elf *d, struct arena *a, const struct elf *e, const struct link *l)
{
	if (l->name[0] == '/')
		return open_asked_for(d, a, l->name, l);
	return open_relative(d, a, e, l);
}

static bool open_by_id(struct elf *d, struct arena *a, const struct link *l)
{
	return !l->is_standard && l->id_len > 1 && l->id_len <= BUILD_ID_MAX &&
	       debugfile_open_by_id(d, a, l->id, l->id_len);
}

enum sharedfile sharedfile_open(struct elf *d, struct arena *a, const struct elf *e)
{
	struct link l = { 0 };

	memset(d, 0, sizeof(*d));
	if (!read_gnu(&l, e) && !read_standard(&l, e, false))
		return SHAREDFILE_NONE;
	return open_by_name(d, a, e, &l) || open_by_id(d, a, &l) ? SHAREDFILE_OPEN
								 : SHAREDFILE_MISSING;
}
