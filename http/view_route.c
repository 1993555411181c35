/*
 * /debug/pprof/view: a page that draws the profiles in the browser.  It is one file, the
 * same for everybody; what it shows it fetches as any client does.
 */
#include "http/handlers.h"
#include "http/view_page.h"
#include "proto/encode.h"
#include "sampler/base/cc.h"

/* A client that says what it takes, and does not name gzip. */
static bool refuses_gzip(const struct http_request *r)
{
	const struct http_slice *accepts = http_header(r, "Accept-Encoding");

	return accepts && !slice_lists(*accepts, "gzip") && !slice_lists(*accepts, "*");
}

static void send(struct http_exchange *x, const struct bytes *page, bool zipped)
{
	static const char vary[] = "Vary: Accept-Encoding\r\n",
			  encoding[] = "Content-Encoding: gzip\r\n";
	struct text head = { .size = 1024, .at = arena_alloc(http_arena(x), 1024) };
	struct http_response answer = { .status = 200,
					.content_type = "text/html; charset=utf-8",
					.extra = head.at,
					.body = page->at,
					.body_len = page->len };

	if (!head.at) {
		http_error(x, 500, "Out of memory.");
		return;
	}
	text_str(&head, view_page_policy);
	text_str(&head, vary);
	text_str(&head, zipped ? encoding : "");
	http_respond(x, &answer);
}

void view_route(struct http_exchange *x, const struct http_request *r)
{
	struct bytes page = { view_page, view_page_len };
	bool zipped = !refuses_gzip(r);

	if (!zipped && encode_gunzip(http_arena(x), page, view_page_raw_len, &page) != 0)
		http_error(x, 500, "Out of memory.");
	else
		send(x, &page, zipped);
}
