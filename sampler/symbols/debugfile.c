#include "sampler/symbols/debugfile.h"

#include <string.h>
#include <zlib.h>

#include "sampler/base/cc.h"
#include "sampler/base/text.h"

#define DEBUG_ROOT	  "/usr/lib/debug"
#define PATH_BYTES	  (2 * MODULE_PATH_MAX)
#define LINK_NAME_BYTES	  256
#define CHECKSUM_BLOCK	  65536
#define CHECKSUM_FILE_MAX (256UL << 20) /* a larger file takes too long to sum up */

/* What .gnu_debuglink says. */
struct debuglink {
	char name[LINK_NAME_BYTES];
	uint32_t checksum;
};

static bool has_build_id(const struct elf *d, const uint8_t *id, size_t len)
{
	uint8_t other[BUILD_ID_MAX];

	return elf_build_id(d, other) == len && memcmp(other, id, len) == 0;
}

static void text_hex_byte(struct text *t, uint8_t byte)
{
	text_char(t, "0123456789abcdef"[byte >> 4]);
	text_char(t, "0123456789abcdef"[byte & 15]);
}

bool debugfile_open_by_id(struct elf *d, struct arena *a, const uint8_t *id, size_t len)
{
	char buf[sizeof(DEBUG_ROOT "/.build-id//.debug") + 2 * BUILD_ID_MAX];
	struct text path = TEXT_INIT(buf);

	text_str(&path, DEBUG_ROOT "/.build-id/");
	for (size_t i = 0; i < len; i++) {
		text_hex_byte(&path, id[i]);
		if (i == 0)
			text_char(&path, '/');
	}
	text_str(&path, ".debug");
	if (path.cut || !elf_open(d, a, buf))
		return false;
	if (has_build_id(d, id, len))
		return true;
	elf_close(d);
	return false;
}

/* The section holds a file name, padding to 4 bytes, and a checksum. */
static bool read_debuglink(const struct elf *e, struct debuglink *link)
{
	const Elf64_Shdr *s = elf_section(e, ".gnu_debuglink");
	size_t len;

	memset(link, 0, sizeof(*link));
	if (!s || !elf_section_is_whole(e, s))
		return false;
	elf_read_some(&e->in, s->sh_offset, link->name, MIN(s->sh_size, LINK_NAME_BYTES - 1UL));
	len = strlen(link->name);
	if (len == 0 || strchr(link->name, '/') || ALIGN_UP(len + 1, 4) + 4 > s->sh_size)
		return false;
	return elf_read(&e->in, s->sh_offset + ALIGN_UP(len + 1, 4), &link->checksum,
			sizeof(link->checksum));
}

static bool has_checksum(const struct elf *d, struct arena *a, uint32_t want)
{
	uint8_t *block = arena_alloc(a, CHECKSUM_BLOCK);
	uLong sum = crc32(0, NULL, 0);

	if (!block || d->in.size > CHECKSUM_FILE_MAX)
		return false;
	for (uint64_t at = 0; at < d->in.size;) {
		size_t n = elf_read_some(&d->in, at, block, CHECKSUM_BLOCK);

		if (n == 0)
			return false;
		sum = crc32(sum, block, (uInt)n);
		at += n;
	}
	return sum == want;
}

static bool is_debug_file_of(const struct elf *d, struct arena *a, const struct elf *e,
			     uint32_t checksum)
{
	uint8_t id[BUILD_ID_MAX];
	size_t len = elf_build_id(e, id);

	return len ? has_build_id(d, id, len) : has_checksum(d, a, checksum);
}

/* Tries <before><directory of path><after><name>. */
static bool open_linked(struct elf *d, struct arena *a, const struct elf *e, const char *path,
			const struct debuglink *link, const char *before, const char *after)
{
	const char *slash = strrchr(path, '/');
	char buf[PATH_BYTES];
	struct text t = TEXT_INIT(buf);

	if (path[0] != '/')
		return false;
	text_str(&t, before);
	text_bytes(&t, path, (size_t)(slash - path));
	text_str(&t, after);
	text_str(&t, link->name);
	if (t.cut || !elf_open(d, a, buf))
		return false;
	if (is_debug_file_of(d, a, e, link->checksum))
		return true;
	elf_close(d);
	return false;
}

static bool open_by_link(struct elf *d, struct arena *a, const struct elf *e, const char *path)
{
	struct debuglink link;

	return read_debuglink(e, &link) && (open_linked(d, a, e, path, &link, "", "/") ||
					    open_linked(d, a, e, path, &link, "", "/.debug/") ||
					    open_linked(d, a, e, path, &link, DEBUG_ROOT, "/"));
}

bool debugfile_open(struct elf *d, struct arena *a, const struct elf *e, const char *path)
{
	uint8_t id[BUILD_ID_MAX];
	size_t len = elf_build_id(e, id);

	memset(d, 0, sizeof(*d));
	return (len > 1 && debugfile_open_by_id(d, a, id, len)) || open_by_link(d, a, e, path);
}
