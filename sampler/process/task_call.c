#include "sampler/process/task_call.h"

#include <errno.h>
#include <string.h>

#include "sampler/base/number.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"

/* ---- parsers */

/* Digits at *text; false when there is none. */
static bool take_digits(const char **text, unsigned base, uint64_t *out)
{
	const char *first = *text;

	*out = number_take(text, base);
	return *text != first;
}

static bool take_char(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

/* " 0x" and hexadecimal digits. */
static bool take_hex(const char **text, uint64_t *out)
{
	return take_char(text, ' ') && take_char(text, '0') && take_char(text, 'x') &&
	       take_digits(text, 16, out);
}

static bool take_registers(const char **text, struct task_call *c)
{
	bool ok = true;

	for (int i = 0; c->state == TASK_IN_CALL && i < 6; i++)
		ok = ok && take_hex(text, &c->arg[i]);
	return ok && take_hex(text, &c->sp) && take_hex(text, &c->pc) && take_char(text, '\n');
}

struct task_call task_call_parse(const char *text)
{
	static const struct task_call refused = { .state = TASK_REFUSED };
	struct task_call c = { .state = TASK_IN_CALL };
	bool negative = take_char(&text, '-');
	uint64_t nr;

	if (strcmp(text, "running\n") == 0 && !negative)
		return (struct task_call){ .state = TASK_RUNNING };
	if (!take_digits(&text, 10, &nr))
		return refused;
	c.nr = negative ? -(int64_t)nr : (int64_t)nr;
	c.state = negative ? TASK_STOPPED : TASK_IN_CALL;
	if (!take_registers(&text, &c))
		return refused;
	if (c.sp == 0)
		c.state = TASK_NO_STACK;
	return c;
}

bool task_call_is_same(const struct task_call *a, const struct task_call *b)
{
	return a->state == b->state && a->nr == b->nr && a->sp == b->sp && a->pc == b->pc &&
	       memcmp(a->arg, b->arg, sizeof(a->arg)) == 0;
}

int64_t task_exec_start_parse(const char *text)
{
	const char *at = strstr(text, "\nse.exec_start");
	uint64_t ms, fraction;

	at = at ? strchr(at, ':') : NULL;
	if (!at)
		return -1;
	for (at++; *at == ' ';)
		at++;
	if (!take_digits(&at, 10, &ms) || !take_char(&at, '.') || !take_digits(&at, 10, &fraction))
		return -1;
	return (int64_t)(ms * NS_PER_MS + fraction);
}

int64_t task_queued_parse(const char *text)
{
	uint64_t ran, queued;

	if (!take_digits(&text, 10, &ran) || !take_char(&text, ' ') ||
	    !take_digits(&text, 10, &queued) || queued > INT64_MAX)
		return -1;
	return (int64_t)queued;
}

void task_name_parse(const char *text, char name[TASK_NAME_BYTES])
{
	size_t len = strnlen(text, TASK_NAME_BYTES - 1);

	if (len && text[len - 1] == '\n')
		len--;
	memcpy(name, text, len);
	name[len] = '\0';
}

/* ---- files */

static int open_file(int dir, int tid, const char *file)
{
	char path[48];
	struct text t = TEXT_INIT(path);

	text_i64(&t, tid);
	text_str(&t, file);
	return sys_open_read_at(dir, path);
}

static bool read_file(int dir, int tid, const char *file, char *buf, size_t size)
{
	int fd = open_file(dir, tid, file);
	long n = fd < 0 ? fd : sys_read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		sys_close(fd);
	return n > 0;
}

static struct task_call failed(long err)
{
	bool gone = err == -ENOENT || err == -ESRCH;

	return (struct task_call){ .state = gone ? TASK_GONE : TASK_REFUSED };
}

static long read_call_text(int fd, char *text)
{
	long n = sys_pread(fd, text, TASK_CALL_TEXT - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return n;
}

struct task_call task_reader_open(struct task_reader *r, int dir, int tid)
{
	struct task_call c;
	long n;

	r->fd = open_file(dir, tid, "/syscall");
	if (r->fd < 0)
		return failed(r->fd);
	n = read_call_text(r->fd, r->text);
	c = n > 0 ? task_call_parse(r->text) : failed(n);
	if (n <= 0)
		task_reader_close(r);
	return c;
}

bool task_reader_unmoved(const struct task_reader *r)
{
	char now[TASK_CALL_TEXT];

	return r->fd >= 0 && read_call_text(r->fd, now) > 0 && strcmp(now, r->text) == 0;
}

void task_reader_close(struct task_reader *r)
{
	if (r->fd >= 0)
		sys_close(r->fd);
	r->fd = -1;
}

bool task_is_running(int dir, int tid)
{
	struct task_reader r;
	struct task_call c = task_reader_open(&r, dir, tid);

	task_reader_close(&r);
	return c.state == TASK_RUNNING;
}

void task_name_read(int dir, int tid, char name[TASK_NAME_BYTES])
{
	char text[64];

	read_file(dir, tid, "/comm", text, sizeof(text));
	task_name_parse(text, name);
}

int64_t task_exec_start(int dir, int tid)
{
	char text[512];

	return read_file(dir, tid, "/sched", text, sizeof(text)) ? task_exec_start_parse(text) : -1;
}

int64_t task_queued_ns(int dir, int tid)
{
	char text[96];

	return read_file(dir, tid, "/schedstat", text, sizeof(text)) ? task_queued_parse(text) : -1;
}

void task_wchan_read(int dir, int tid, char *name, size_t size)
{
	if (!read_file(dir, tid, "/wchan", name, size) || strcmp(name, "0") == 0)
		name[0] = '\0';
}
