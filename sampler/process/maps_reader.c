#include "sampler/process/maps_reader.h"

#include <string.h>

#include "sampler/base/sys.h"

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

static char *parse_hex(char *s, uint64_t *n)
{
	for (*n = 0;; s++) {
		if (*s >= '0' && *s <= '9')
			*n = *n << 4 | (uint64_t)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			*n = *n << 4 | (uint64_t)(*s - 'a' + 10);
		else
			return s;
	}
}

static char *skip_word(char *s)
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
	char *s = parse_hex(line, &m->start);

	if (*s++ != '-')
		return false;
	s = parse_hex(s, &m->limit);
	if (s[0] != ' ' || strlen(s) < 6)
		return false;
	m->writable = s[2] == 'w';
	m->executable = s[3] == 'x';
	s = parse_hex(s + 6, &m->offset);
	m->path = skip_word(skip_word(skip_word(s)));
	return m->start < m->limit;
}

bool maps_open(struct maps_reader *r)
{
	r->fd = sys_open_read("/proc/self/maps");
	r->lines = 0;
	r->at = 0;
	r->len = 0;
	return r->fd >= 0;
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
