/*
 * Paths of source files: the compiler's directory, an include directory and a
 * name, each of which may be absolute and make those before it irrelevant.
 */
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/text.h"
#include "sampler/base/utf8.h"
#include "sampler/symbols/dwarf_line.h"

/* Appends `part` behind a slash; an absolute part starts anew. */
static void append(struct text *path, const char *part)
{
	if (part[0] == '/')
		path->len = 0;
	else if (path->len && part[0])
		text_char(path, '/');
	text_str(path, part);
}

static void append_value(struct text *path, const struct dwarf_unit *u, const struct dwarf_value *v)
{
	char part[DWARF_PATH_BYTES];

	dwarf_text(u, v, part, sizeof(part));
	append(path, part);
}

/* Up to version 4, number 0 is the compiler's directory and the table begins with 1. */
static void append_old_directory(struct text *path, const struct dwarf_lines *t, uint64_t number)
{
	append(path, t->directory);
	if (number && number - 1 < t->dir_count)
		append_value(path, t->u, &t->dir[number - 1].name);
}

/* Later, number 0 repeats the compiler's directory, which may be relative itself. */
static void append_new_directory(struct text *path, const struct dwarf_lines *t, uint64_t number)
{
	if (t->directory[0] == '/')
		append(path, t->directory);
	if (t->dir_count)
		append_value(path, t->u, &t->dir[0].name);
	if (number && number < t->dir_count)
		append_value(path, t->u, &t->dir[number].name);
}

/* Takes the last component away; "" and "../.." have none to take. */
static bool drop_component(char *path, size_t *len)
{
	size_t start = *len;

	while (start && path[start - 1] != '/')
		start--;
	if (start == *len || (*len - start == 2 && memcmp(path + start, "..", 2) == 0))
		return false;
	*len = start > 1 ? start - 1 : start;
	return true;
}

static void keep_component(char *path, size_t *len, const char *part, size_t part_len)
{
	if (*len && path[*len - 1] != '/')
		path[(*len)++] = '/';
	memmove(path + *len, part, part_len);
	*len += part_len;
}

/* Removes empty components, "." and "x/..", in place: what is kept only moves forward. */
static size_t normalize(char *path)
{
	bool is_absolute = path[0] == '/';
	size_t len = is_absolute;
	const char *at = path;

	while (*at) {
		size_t part = strcspn(at, "/");
		bool is_up = part == 2 && at[0] == '.' && at[1] == '.';

		if (part == 0 || (part == 1 && at[0] == '.'))
			;
		else if (!is_up || (!drop_component(path, &len) && !is_absolute))
			keep_component(path, &len, at, part);
		at += part + (at[part] == '/');
	}
	path[len] = '\0';
	return len;
}

/* Writes the path of entry `index` of the table; returns its length. */
static size_t build_path(const struct dwarf_lines *t, uint64_t index, char to[DWARF_PATH_BYTES])
{
	struct text path = { .at = to, .size = DWARF_PATH_BYTES };

	to[0] = '\0';
	if (t->enc.version < 5)
		append_old_directory(&path, t, t->file[index].directory);
	else
		append_new_directory(&path, t, t->file[index].directory);
	append_value(&path, t->u, &t->file[index].name);
	return normalize(to);
}

static NOINLINE const char *intern_path(const struct dwarf_lines *t, struct intern *strings,
					uint64_t index)
{
	char path[DWARF_PATH_BYTES], clean[DWARF_PATH_BYTES];
	size_t len = build_path(t, index, path);

	return intern(strings, clean, utf8_copy(clean, sizeof(clean), path, len));
}

const char *dwarf_line_path(struct dwarf_lines *t, struct intern *strings, uint64_t file)
{
	if (t->enc.version < 5 && file-- == 0)
		return "";
	if (file >= t->file_count)
		return "";
	if (!t->path[file])
		t->path[file] = intern_path(t, strings, file);
	return t->path[file] ? t->path[file] : "";
}
