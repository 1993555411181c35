#include "http/routes.h"

#include <string.h>

#include "http/handlers.h"
#include "http/processes.h"
#include "sampler/base/cc.h"
#include "sampler/cpu/cpu.h"
#include "sampler/process/tasks.h"

#define PREFIX "/debug/pprof/"

/*
 * pprof sends all addresses of a mapping in one POST, some 15 bytes each; this
 * is room for 250,000.
 */
#define SYMBOL_BODY_MAX (4UL << 20)

static const struct route routes[] = {
	{ .name = "allocs",
	  .description = "All past memory allocations, sampled by bytes. <code>seconds</code> asks "
			 "for what was allocated during that time.",
	  .serve = allocs_route,
	  .link = "allocs?debug=1",
	  .count = heap_stack_count,
	  .is_profile = true,
	  .refusal = heap_refusal },
	{ .name = "block",
	  .description =
		  "Where threads waited: for locks, conditions, semaphores, barriers, ends of "
		  "threads and futexes. <code>seconds</code> records everything during that "
		  "time.",
	  .serve = block_route,
	  .link = "block?debug=1",
	  .count = block_stack_count,
	  .is_profile = true,
	  .refusal = block_refusal },
	{ .name = "cmdline",
	  .description = "The command line of this program, its arguments separated by NUL.",
	  .serve = cmdline_route,
	  .link = "cmdline" },
	{ .name = "goroutine",
	  .description = "The stacks of all threads, where each waits or runs; no thread is woken. "
			 "<a href=\"goroutine?debug=2\">full thread stack dump</a>, with deadlocks "
			 "named at the top.",
	  .serve = goroutine_route,
	  .link = "goroutine?debug=1",
	  .count = tasks_count,
	  .is_profile = true,
	  .text = "?debug=2" },
	{ .name = "heap",
	  .description = "Memory that is allocated and not freed, sampled by bytes. "
			 "<code>gc</code> is accepted and does nothing: there is no garbage.",
	  .serve = heap_route,
	  .link = "heap?debug=1",
	  .count = heap_stack_count,
	  .is_profile = true,
	  .refusal = heap_refusal },
	{ .name = "mutex",
	  .description =
		  "Who kept others waiting: unlocks of mutexes and read-write locks, with the "
		  "time that all waiters lost. <code>seconds</code> records everything during "
		  "that time.",
	  .serve = mutex_route,
	  .link = "mutex?debug=1",
	  .count = mutex_stack_count,
	  .is_profile = true,
	  .refusal = mutex_refusal },
	{ .name = "profile",
	  .description = "CPU profile. <code>seconds</code> sets how long it is taken (default 30, "
			 "at most 3600), <code>hz</code> how often it looks (1 to 1000). "
			 "Open the file with <code>go tool pprof</code>.",
	  .serve = cpu_route,
	  .link = "profile?seconds=5",
	  .is_profile = true,
	  .seconds = 5,
	  .refusal = cpu_refusal },
	{ .name = "sd",
	  .description =
		  "The processes of the tree as targets for scrapers (Prometheus's http_sd).",
	  .serve = sd_route,
	  .link = "sd" },
	{ .name = "shim",
	  .description = "State, settings and counters of the profiler itself, "
			 "with everything it could not measure.",
	  .serve = shim_route,
	  .link = "shim" },
	{ .name = "symbol",
	  .description =
		  "Names of the functions at given addresses: "
		  "<code>symbol?0x4011d0+0x4011f8</code>, or the same in the body of a POST.",
	  .serve = symbol_route,
	  .link = "symbol" },
	{ .name = "threadcreate",
	  .description = "The call of pthread_create that made each thread that is alive.",
	  .serve = threadcreate_route,
	  .link = "threadcreate?debug=1",
	  .count = tasks_count,
	  .is_profile = true },
	{ .name = "wall",
	  .description = "Where the time of all threads goes: running, waiting for a processor, or "
			 "blocked. "
			 "No thread is woken. <code>seconds</code> sets how long it is taken, "
			 "<code>state</code> and <code>thread</code> what is shown.",
	  .serve = wall_route,
	  .link = "wall?seconds=5",
	  .is_profile = true,
	  .seconds = 5,
	  .refusal = cpu_refusal },
	{ .name = "fgprof", .serve = wall_route },
	{ .name = "stop", .serve = stop_route },
	{ .name = "trace", .serve = trace_route },
	{ .name = "view", .serve = view_route },
};

static bool is_symbol(const struct http_request *r)
{
	return slice_equals(r->path, PREFIX "symbol");
}

size_t routes_body_limit(const struct http_request *r)
{
	return slice_equals(r->method, "POST") && is_symbol(r) ? SYMBOL_BODY_MAX : 0;
}

/* It changes something, which a link must not do. */
static bool is_stop(const struct http_request *r)
{
	return slice_equals(r->path, PREFIX "stop");
}

static bool method_allowed(const struct http_request *r)
{
	if (slice_equals(r->method, "POST"))
		return is_symbol(r) || is_stop(r);
	return !is_stop(r) && (slice_equals(r->method, "GET") || slice_equals(r->method, "HEAD"));
}

static void refuse_method(struct http_exchange *x, const struct http_request *r)
{
	const char *allow = is_symbol(r) ? "Allow: GET, HEAD, POST\r\n"
			    : is_stop(r) ? "Allow: POST\r\n"
					 : "Allow: GET, HEAD\r\n";

	http_error_extra(x, 405, "This method is not allowed here.", allow);
}

static void redirect(struct http_exchange *x, int status, const char *path, struct http_slice query)
{
	static const char body[] = "The page is at the address in the header Location.\n";
	size_t size = strlen(path) + query.len + 32;
	struct text t = { .at = arena_alloc(http_arena(x), size), .size = size };
	const struct http_response r = {
		.status = status,
		.extra = t.at,
		.body = body,
		.body_len = sizeof(body) - 1,
	};

	if (!t.at) {
		http_error(x, 500, "Out of memory.");
		return;
	}
	text_str(&t, "Location: ");
	text_str(&t, path);
	text_str(&t, query.len ? "?" : "");
	text_bytes(&t, query.at, query.len);
	text_str(&t, "\r\n");
	http_respond(x, &r);
}

static void drop_last_segment(struct text *t)
{
	while (t->len && t->at[--t->len] != '/')
		;
}

static void add_segment(struct text *t, struct http_slice segment)
{
	if (segment.len == 0 || slice_equals(segment, "."))
		return;
	if (slice_equals(segment, "..")) {
		drop_last_segment(t);
		return;
	}
	text_char(t, '/');
	text_bytes(t, segment.at, segment.len);
}

/* The path without empty, "." and ".." segments; a slash at its end stays. */
static void clean_path(struct text *t, struct http_slice path)
{
	size_t start = 0;

	for (size_t i = 0; i <= path.len; i++) {
		if (i < path.len && path.at[i] != '/')
			continue;
		add_segment(t, (struct http_slice){ path.at + start, i - start });
		start = i + 1;
	}
	if (t->len == 0 || path.at[path.len - 1] == '/')
		text_char(t, '/');
	t->at[t->len] = '\0';
}

static bool starts(const char *path, const char *start)
{
	return strncmp(path, start, strlen(start)) == 0;
}

static void not_found(struct http_exchange *x)
{
	http_error(x, 404, "Nothing is here; the profiles are at /debug/pprof/");
}

static void serve_elsewhere(struct http_exchange *x, const struct http_request *r,
			    const char *clean)
{
	if (strcmp(clean, "/debug/fgprof") == 0)
		wall_route(x, r);
	else if (strcmp(clean, "/debug/pprof") == 0)
		redirect(x, 301, PREFIX, r->query);
	else if (strcmp(clean, "/") == 0)
		redirect(x, 302, PREFIX, r->query);
	else if (starts(clean, PREFIX))
		redirect(x, 301, clean, r->query);
	else
		not_found(x);
}

static void serve_name(struct http_exchange *x, const struct http_request *r, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (strcmp(routes[i].name, name) == 0) {
			routes[i].serve(x, r);
			return;
		}
	}
	http_error(x, 404, "Unknown profile");
}

static void serve_below(struct http_exchange *x, const struct http_request *r)
{
	struct http_slice rest = slice_from(r->path, strlen(PREFIX));
	char name[64];

	http_decode(rest, false, name, sizeof(name));
	if (name[0])
		serve_name(x, r, name);
	else
		index_page(x, r, routes, ARRAY_SIZE(routes));
}

/*
 * Redirects lead to pages of ours only: "//host" must not send a browser to that
 * host.  No page has a path that does not fit the buffer.
 */
void routes_serve(struct http_exchange *x, const struct http_request *r)
{
	char buffer[256];
	struct text clean = TEXT_INIT(buffer);

	if (!method_allowed(r)) {
		refuse_method(x, r);
		return;
	}
	clean_path(&clean, r->path);
	if (clean.cut)
		not_found(x);
	else if (slice_equals(r->path, clean.at) && starts(clean.at, PREFIX))
		serve_below(x, r);
	else
		serve_elsewhere(x, r, clean.at);
}
