/*
 * /debug/pprof/: what a person sees first.  What the program is and what it takes now, then
 * each profile with the ways to it.  All of it works without scripts.
 */
#include <string.h>

#include "http/handlers.h"
#include "http/processes.h"
#include "http/view_page.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/utf8.h"
#include "sampler/process/tasks.h"
#include "sampler/process/usage.h"

#define INDEX_BYTES	  (64UL << 10)
#define COMMAND_BYTES_MAX 1024 /* of the command line; /debug/pprof/cmdline has all of it */

/* ---- pieces of text */

/* Others chose it: its characters mean nothing. */
static void write_plain(struct text *t, const char *bytes, size_t len)
{
	char clean[COMMAND_BYTES_MAX];

	utf8_copy(clean, sizeof(clean), bytes, len);
	for (const char *c = clean; *c; c++) {
		if (*c == '<')
			text_str(t, "&lt;");
		else if (*c == '&')
			text_str(t, "&amp;");
		else if (*c == '"')
			text_str(t, "&quot;");
		else
			text_char(t, *c);
	}
}

static void write_bytes(struct text *t, uint64_t bytes)
{
	bool is_small = bytes < 10UL << 20;

	text_u64(t, bytes >> (is_small ? 10 : 20));
	text_str(t, is_small ? " KiB" : " MiB");
}

static void write_time(struct text *t, int64_t ns)
{
	uint64_t s = ns > 0 ? (uint64_t)(ns / NS_PER_SECOND) : 0;

	if (s >= 86400) {
		text_u64(t, s / 86400);
		text_str(t, " days ");
	}
	if (s >= 3600) {
		text_u64(t, s / 3600 % 24);
		text_str(t, " h ");
	}
	if (s >= 60) {
		text_u64(t, s / 60 % 60);
		text_str(t, " min ");
	}
	text_u64(t, s % 60);
	text_str(t, " s");
}

/* ---- facts */

static void fact(struct text *t, const char *name)
{
	text_str(t, "<tr><th scope=\"row\">");
	text_str(t, name);
	text_str(t, "</th><td>");
}

/* As in a shell; the others are not quoted. */
static void write_argument(struct text *t, const char *bytes, size_t len)
{
	if (len)
		write_plain(t, bytes, len);
	else
		text_str(t, "''");
}

static void write_command(struct text *t)
{
	const char *line = routes_config()->cmdline;
	size_t len = MIN(routes_config()->cmdline_len, (size_t)COMMAND_BYTES_MAX);
	const char *limit = line + len, *end;

	fact(t, "Command");
	text_str(t, "<code>");
	for (; (end = memchr(line, '\0', (size_t)(limit - line))); line = end + 1) {
		write_argument(t, line, (size_t)(end - line));
		text_char(t, ' ');
	}
	write_argument(t, line, (size_t)(limit - line));
	text_str(t, len < routes_config()->cmdline_len ? "...</code>" : "</code>");
}

static void write_place(struct text *t)
{
	char name[256];
	long n = sys_read_file("/proc/sys/kernel/hostname", name, sizeof(name));

	fact(t, "Process");
	text_i64(t, sys_getpid());
	fact(t, "Host");
	if (n > 1)
		write_plain(t, name, (size_t)n - 1);
}

static void write_share(struct text *t, int64_t cpu_ns, int64_t of_ns)
{
	text_u64(t, of_ns > 0 && cpu_ns > 0 ? (uint64_t)(cpu_ns * 100 / of_ns) : 0);
	text_str(t, " % of a processor");
}

/* Now is what was used since somebody looked last; a forked process has not been looked at. */
static void write_cpu(struct text *t, const struct usage *u)
{
	static struct {
		int pid;
		int64_t age_ns, cpu_ns;
	} last;

	fact(t, "CPU");
	if (last.pid == sys_getpid() && u->age_ns > last.age_ns) {
		write_share(t, u->cpu_ns - last.cpu_ns, u->age_ns - last.age_ns);
		text_str(t, " in the last ");
		write_time(t, u->age_ns - last.age_ns + NS_PER_SECOND - 1);
		text_str(t, " (since this page was asked for), ");
	}
	write_share(t, u->cpu_ns, u->age_ns);
	text_str(t, " since the start");
	last.pid = sys_getpid();
	last.age_ns = u->age_ns;
	last.cpu_ns = u->cpu_ns;
}

static void write_memory(struct text *t, const struct usage *u)
{
	fact(t, "Memory");
	write_bytes(t, u->rss);
	text_str(t, " resident, ");
	write_bytes(t, u->rss_anon);
	text_str(t, " of it anonymous; ");
	if (heap_refusal()) {
		text_str(t, "heap in use: not known, ");
		text_str(t, heap_refusal());
		return;
	}
	write_bytes(t, (uint64_t)MAX(heap_inuse_bytes(), (int64_t)0));
	text_str(t, " in use, as the heap profile knows it");
}

static void write_facts(struct text *t)
{
	struct usage u;

	usage_read(&u);
	text_str(t, "<table>\n");
	fact(t, "Program");
	write_plain(t, routes_config()->program, strlen(routes_config()->program));
	write_command(t);
	write_place(t);
	fact(t, "Uptime");
	write_time(t, u.age_ns);
	write_cpu(t, &u);
	write_memory(t, &u);
	fact(t, "Threads");
	text_u64(t, tasks_count());
	fact(t, "Descriptors");
	text_u64(t, u.descriptors);
	text_str(t, " of ");
	text_u64(t, u.descriptors_max);
	fact(t, "Profiler");
	text_str(t, "pprofshim ");
	text_str(t, routes_config()->version);
	text_str(t, "; <a href=\"shim\">state and counters</a>\n</table>\n");
}

/* ---- profiles */

static void link_begin(struct text *t, const struct route *route)
{
	text_str(t, "<a href=\"");
	text_str(t, route->name);
}

static void seconds_of(struct text *t, const struct route *route, const char *before)
{
	if (!route->seconds)
		return;
	text_str(t, before);
	text_str(t, "seconds=");
	text_u64(t, (uint64_t)route->seconds);
}

static void write_links(struct text *t, const struct route *route)
{
	text_str(t, "<td><a href=\"view?profile=");
	text_str(t, route->name);
	seconds_of(t, route, "&amp;");
	text_str(t, "\">view</a></td><td>");
	link_begin(t, route);
	seconds_of(t, route, "?");
	text_str(t, "\">download</a></td><td>");
	link_begin(t, route);
	text_str(t, route->text ? route->text : "?format=text");
	seconds_of(t, route, "&amp;");
	text_str(t, "\">text</a></td>");
}

static void write_address(struct text *t, const struct route *route, const char *user,
			  struct http_slice host)
{
	text_str(t, " 'http://");
	text_str(t, user);
	write_plain(t, host.at, host.len);
	text_str(t, "/debug/pprof/");
	text_str(t, route->name);
	seconds_of(t, route, "?");
	text_str(t, "'</code>");
}

/* curl asks for the key; go tool pprof cannot. */
static void write_commands(struct text *t, const struct route *route, struct http_slice host)
{
	text_str(t, "<td class=\"wide\"><code>curl -u pprof -OJ");
	write_address(t, route, "", host);
	text_str(t, "<br><code>go tool pprof");
	write_address(t, route, "pprof:KEY@", host);
	text_str(t, "</td>");
}

static void write_row(struct text *t, const struct route *route, struct http_slice host)
{
	const char *off = route->refusal ? route->refusal() : NULL;

	text_str(t, "<tr><td>");
	if (route->count)
		text_u64(t, route->count());
	else if (route->is_profile)
		text_str(t, "on request");
	text_str(t, "</td><td><a href=\"");
	text_str(t, route->link);
	text_str(t, "\">");
	text_str(t, route->name);
	text_str(t, "</a></td>");
	if (off) {
		text_str(t, "<td colspan=\"4\">dormant: ");
		write_plain(t, off, strlen(off));
		text_str(t, "</td>");
	} else if (route->is_profile) {
		write_links(t, route);
		write_commands(t, route, host);
	}
	text_str(t, "</tr>\n");
}

static void write_description(struct text *t, const struct route *route)
{
	text_str(t, "<li><b>");
	text_str(t, route->name);
	text_str(t, "</b>: ");
	text_str(t, route->description);
	text_str(t, "</li>\n");
}

static void write_page(struct text *t, const struct route *route, size_t count,
		       const struct text *rows)
{
	text_str(t, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		    "<meta name=\"viewport\" content=\"width=device-width\">\n"
		    "<title>/debug/pprof/</title>\n<style>");
	text_str(t, index_style);
	text_str(t, "</style>\n</head>\n<body>\n<h1>/debug/pprof/</h1>\n");
	write_facts(t);
	processes_write_table(t, write_plain);
	text_str(t, "<h2>Profiles</h2>\n<table>\n<tr><th>Count</th><th>Profile</th>"
		    "<th colspan=\"3\">Look at it</th><th class=\"wide\">From a shell</th></tr>\n");
	text_bytes(t, rows->at, rows->len);
	text_str(t, "</table>\n<h2>What they show</h2>\n<ul>\n");
	for (size_t i = 0; i < count; i++)
		if (route[i].link)
			write_description(t, &route[i]);
	text_str(t, "</ul>\n</body>\n</html>\n");
}

/* The rows come first: their counting takes the snapshot of which the facts tell. */
void index_page(struct http_exchange *x, const struct http_request *r, const struct route *route,
		size_t count)
{
	static const struct http_slice no_host = { "127.0.0.1", sizeof("127.0.0.1") - 1 };
	const struct http_slice *host = http_header(r, "Host");
	struct text rows = { .at = arena_alloc(http_arena(x), INDEX_BYTES), .size = INDEX_BYTES };
	struct text t = { .at = arena_alloc(http_arena(x), INDEX_BYTES), .size = INDEX_BYTES };
	struct http_response answer = { .status = 200,
					.content_type = "text/html; charset=utf-8",
					.extra = index_policy,
					.body = t.at };

	if (!rows.at || !t.at) {
		http_error(x, 500, "Out of memory.");
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (route[i].link)
			write_row(&rows, &route[i], host ? *host : no_host);
	write_page(&t, route, count, &rows);
	answer.body_len = t.len;
	http_respond(x, &answer);
}
