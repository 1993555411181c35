/*
 * POST /debug/pprof/stop?id=NAME: ends a profile that is being taken, and what there is
 * by then is sent to who asked for it.  Only who began it can: it is found by the id that
 * it was asked for with.
 */
#include "http/handlers.h"

void stop_route(struct http_exchange *x, const struct http_request *r)
{
	static const char done[] = "The profile ends now.\n";
	const struct http_response answer = { .status = 200,
					      .body = done,
					      .body_len = sizeof(done) - 1 };
	char id[128];

	if (!http_query(r, "id", id, sizeof(id)))
		http_error(x, 400,
			   "Say which profile: stop?id=NAME ends the one that was asked for "
			   "with id=NAME.");
	else if (http_hasten(x, id))
		http_respond(x, &answer);
	else
		http_error(x, 404, "No profile with this id is being taken.");
}
