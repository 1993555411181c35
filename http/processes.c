#include "http/processes.h"

#include <string.h>
#include <time.h>

#include "http/members.h"
#include "http/routes_config.h"
#include "http/tree_comments.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/process/descendants.h"

#define LIST_BYTES   (16UL << 20)
#define TABLE_MAX    200 /* rows; of more their number is told */
#define TARGET_BYTES 320 /* of one, at most */
#define TICK_NS	     (NS_PER_SECOND / 100)

static void list(struct arena *a, struct process_list *l)
{
	*a = (struct arena)ARENA_INIT(LIST_BYTES);
	descendants_list(a, sys_getpid(), l);
}

/* ---- the table */

static void write_link(struct text *t, const char *page, int pid, const char *name)
{
	text_str(t, "<a href=\"");
	text_str(t, page);
	text_str(t, "pid=");
	text_i64(t, pid);
	text_str(t, "\">");
	text_str(t, name);
	text_str(t, "</a> ");
}

static void write_seconds(struct text *t, int64_t ns)
{
	text_i64(t, ns / NS_PER_SECOND);
	text_char(t, '.');
	text_i64(t, ns / (NS_PER_SECOND / 10) % 10);
	text_str(t, " s");
}

static bool is_joined(const struct process *p)
{
	return tree_is_joined(p->pid) || members_has_answered(p->pid);
}

static const char *state_of(const struct process *p)
{
	if (p->pid == sys_getpid())
		return "has the port";
	if (is_joined(p))
		return "joined";
	if (!tree_was_called() && !tree_known_why_not_in(p))
		return "joins when a profile is asked for, if it has this library";
	return tree_why_not_in(p);
}

/* Without ours. */
static uint64_t threads_of(const struct process *p)
{
	bool has_ours = p->pid == sys_getpid() || is_joined(p);

	return p->threads - (has_ours && p->threads > 1);
}

static void write_row(struct text *t, const struct process *p,
		      void (*write_plain)(struct text *t, const char *bytes, size_t len))
{
	int64_t age = sys_clock_ns(CLOCK_BOOTTIME) - (int64_t)p->start * TICK_NS;

	text_str(t, "<tr><td>");
	text_i64(t, p->pid);
	text_str(t, "</td><td>");
	write_plain(t, p->name, strlen(p->name));
	text_str(t, "</td><td>");
	write_seconds(t, MAX(age, (int64_t)0));
	text_str(t, "</td><td>");
	write_seconds(t, MAX(process_cpu_ns(p->pid), (int64_t)0));
	text_str(t, "</td><td>");
	text_u64(t, p->rss_pages * PAGE_BYTES >> 20);
	text_str(t, " MiB</td><td>");
	text_u64(t, threads_of(p));
	text_str(t, "</td><td>");
	write_link(t, "profile?seconds=5&amp;", p->pid, "profile");
	write_link(t, "heap?", p->pid, "heap");
	write_link(t, "goroutine?debug=2&amp;", p->pid, "threads");
	text_str(t, "</td><td>");
	write_plain(t, state_of(p), strlen(state_of(p)));
	text_str(t, "</td></tr>\n");
}

void processes_write_table(struct text *t,
			   void (*write_plain)(struct text *t, const char *bytes, size_t len))
{
	struct arena a;
	struct process_list l;

	if (!routes_config()->call_members)
		return;
	list(&a, &l);
	if (l.count > 1) {
		text_str(t,
			 "<h2>Processes</h2>\n<p>Profiles have all of them; <code>pid=</code> and "
			 "<code>process=</code> choose.</p>\n<table>\n<tr><th>Process</th>"
			 "<th>Name</th><th>Age</th><th>CPU time</th><th>Resident</th>"
			 "<th>Threads</th><th>Profiles of it</th><th>State</th></tr>\n");
		for (size_t i = 0; i < MIN(l.count, (size_t)TABLE_MAX); i++)
			write_row(t, &l.list[i], write_plain);
		text_str(t, "</table>\n");
	}
	if (l.count > TABLE_MAX) {
		text_str(t, "<p>And ");
		text_u64(t, l.count - TABLE_MAX);
		text_str(t, " more.</p>\n");
	}
	arena_release(&a);
}

/* ---- targets */

static void write_json(struct text *t, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '"' || c == '\\')
			text_char(t, '\\');
		text_char(t, c < ' ' ? '?' : bytes[i]);
	}
}

static void write_target(struct text *t, const struct process *p, struct http_slice host)
{
	text_str(t, "{\"targets\":[\"");
	write_json(t, host.at, MIN(host.len, (size_t)128));
	text_str(t, "\"],\"labels\":{\"__param_pid\":\"");
	text_i64(t, p->pid);
	text_str(t, "\",\"pid\":\"");
	text_i64(t, p->pid);
	text_str(t, "\",\"process\":\"");
	write_json(t, p->name, strlen(p->name));
	text_str(t, "\"}}");
}

void sd_route(struct http_exchange *x, const struct http_request *r)
{
	static const struct http_slice no_host = { "127.0.0.1", sizeof("127.0.0.1") - 1 };
	const struct http_slice *host = http_header(r, "Host");
	struct http_response answer = { .status = 200, .content_type = "application/json" };
	struct text t = { 0 };
	struct arena a;
	struct process_list l;

	list(&a, &l);
	t.size = (l.count + 1) * TARGET_BYTES;
	t.at = arena_alloc(http_arena(x), t.size);
	if (t.at) {
		text_char(&t, '[');
		for (size_t i = 0; i < l.count; i++) {
			text_str(&t, i ? ",\n" : "");
			write_target(&t, &l.list[i], host ? *host : no_host);
		}
		text_str(&t, "]\n");
	}
	arena_release(&a);
	if (!t.at) {
		http_error(x, 500, "Out of memory.");
		return;
	}
	answer.body = t.at;
	answer.body_len = t.len;
	http_respond(x, &answer);
}
