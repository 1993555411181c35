#include "sampler/process/maps_reader.h"

#include <string.h>

#include "sampler/base/number.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"

static bool fill(struct maps_reader *r)
{
	long n = sys_read(r->fd, r->buf, sizeof(r->buf));

	r->at = 0;
	r->len = n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* Reads the next line, without its newline; what does not fit is left out. */
static bool read_line(struct maps_reader *r)
{
	size_t len = 0;

	while (r->at < r->len || fill(r)) {
		char c = r->buf[r->at++];

		if (c == '\n') {
			r->line[len] = '\0';
			return true;
		}
		if (len + 1 < sizeof(r->line))
			r->line[len++] = c;
	}
	return false;
}

static const char *skip_word(const char *s)
{
	while (*s && *s != ' ')
		s++;
	while (*s == ' ')
		s++;
	return s;
}

/* "start-limit perms offset device inode   path" */
static bool parse_line(char *line, struct maps_line *m)
{
	const char *s = line;

	m->start = number_take(&s, 16);
	if (*s++ != '-')
		return false;
	m->limit = number_take(&s, 16);
	if (s[0] != ' ' || strlen(s) < 6)
		return false;
	m->writable = s[2] == 'w';
	m->executable = s[3] == 'x';
	s += 6;
	m->offset = number_take(&s, 16);
	s = skip_word(s);
	m->device = number_take(&s, 16) << 32;
	if (*s++ != ':')
		return false;
	m->device |= number_take(&s, 16);
	s = skip_word(s);
	m->inode = number_take(&s, 10);
	m->path = line + (skip_word(s) - line);
	return m->start < m->limit;
}

static bool open_path(struct maps_reader *r, const char *path)
{
	r->fd = sys_open_read(path);
	r->lines = 0;
	r->at = 0;
	r->len = 0;
	return r->fd >= 0;
}

bool maps_open(struct maps_reader *r)
{
	return open_path(r, "/proc/thread-self/maps");
}

bool maps_open_of(struct maps_reader *r, int pid)
{
	char path[32];
	struct text t = TEXT_INIT(path);

	text_str(&t, "/proc/");
	text_i64(&t, pid);
	text_str(&t, "/maps");
	return open_path(r, path);
}

bool maps_next(struct maps_reader *r, struct maps_line *m)
{
	while (r->lines++ < MAPS_LINES_MAX && read_line(r)) {
		if (parse_line(r->line, m))
			return true;
	}
	return false;
}

void maps_close(struct maps_reader *r)
{
	sys_close(r->fd);
}
