#include "http/params.h"

#include <string.h>

#include "http/tree.h"
#include "sampler/base/cc.h"
#include "sampler/base/number.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/cpu/cpu.h"
#include "sampler/wall/wall.h"

/* ---- numbers */

struct number {
	const char *name;
	int64_t lowest, highest;
	const char *refusal, *too_high; /* NULL: the same */
};

#define REFUSAL(name, wanted) "invalid value for \"" name "\" - must be " wanted

/* The sentence of `seconds` is Go's. */
#define SECONDS(lowest)                                                                            \
	{                                                                                          \
		"seconds", lowest, PARAMS_SECONDS_MAX, REFUSAL("seconds", "a positive integer"),   \
			REFUSAL("seconds", "at most 3600")                                         \
	}

static const struct number seconds_of_cpu = SECONDS(0), seconds_of_delta = SECONDS(1);

static const struct number debug_form = {
	.name = "debug",
	.lowest = INT32_MIN,
	.highest = INT32_MAX,
	.refusal = REFUSAL("debug", "0 (a file), 1 (text) or, for goroutine, 2 (tracebacks)"),
};

static const struct number hz_of_cpu = {
	.name = "hz",
	.lowest = CPU_HZ_MIN,
	.highest = CPU_HZ_MAX,
	.refusal = REFUSAL("hz", "a number from 1 to 1000"),
};

static const struct number hz_of_wall = {
	.name = "hz",
	.lowest = WALL_HZ_MIN,
	.highest = WALL_HZ_MAX,
	.refusal = REFUSAL("hz", "a number from 1 to 100"),
};

static const struct number lines_wanted = {
	.name = "lines",
	.highest = 1,
	.refusal = REFUSAL("lines", "0 (without) or 1 (with)"),
};

static const struct number labels_wanted = {
	.name = "labels",
	.highest = 1,
	.refusal = REFUSAL("labels", "0 (without) or 1 (with)"),
};

static const struct number peak_wanted = {
	.name = "peak",
	.highest = 1,
	.refusal = REFUSAL("peak", "0 (as it is now) or 1 (when most was in use)"),
};

static const struct number ages_wanted = {
	.name = "ages",
	.highest = 1,
	.refusal = REFUSAL("ages", "0 (without) or 1 (with the label age)"),
};

static const struct number gc_wanted = {
	.name = "gc",
	.lowest = INT32_MIN,
	.highest = INT32_MAX,
	.refusal = REFUSAL("gc", "an integer"),
};

/* NULL, or what is wrong.  *out stays as it is when nothing is asked. */
static const char *read_number(const struct http_request *r, const struct number *n, int64_t *out)
{
	char text[2];
	int64_t value;

	if (!http_query(r, n->name, text, sizeof(text)))
		return NULL;
	if (!http_query_number(r, n->name, &value) || value < n->lowest)
		return n->refusal;
	if (value > n->highest)
		return n->too_high ? n->too_high : n->refusal;
	*out = value;
	return NULL;
}

/* ---- names */

static const char *const known[] = { "seconds", "debug",	"hz",	"lines", "labels",  "gc",
				     "format",	"sample_index", "id",	"pid",	 "process", "state",
				     "thread",	"older",	"peak", "ages" };

/* Between processes of ours (params.share). */
static const char *const internal[] = { "share", "window_ms" };

/* What else people call them. */
static const struct {
	const char *name, *meant;
} aliases[] = {
	{ "sec", "seconds" },	   { "secs", "seconds" }, { "time", "seconds" },
	{ "duration", "seconds" }, { "freq", "hz" },	  { "frequency", "hz" },
	{ "age", "ages" },	   { "peaks", "peak" },	  { "pids", "pid" },
	{ "fmt", "format" },
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

#define NAME_MAX_BYTES 15 /* longer ones are nobody's slip of a key */

/* How many letters to insert, drop or change; by rows of the usual table. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_BYTES + 1], len = strlen(b);

	for (size_t k = 0; k <= len; k++)
		row[k] = k;
	for (size_t i = 0; a[i]; i++) {
		size_t corner = row[0]++;

		for (size_t k = 0; k < len; k++) {
			size_t change = corner + (lower(a[i]) != b[k]);

			corner = row[k + 1];
			row[k + 1] = MIN(change, MIN(row[k], row[k + 1]) + 1);
		}
	}
	return row[len];
}

/* How far a slip may be from this name.  Scrapers send "rate", which is close to "state". */
static size_t slack(const char *name)
{
	return strlen(name) < 5 ? 0 : strcmp(name, "state") == 0 ? 1 : 2;
}

/* The parameter that was meant by this name, which is none; NULL: no idea. */
static const char *meant_by(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (distance(name, aliases[i].name) == 0)
			return aliases[i].meant;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (distance(name, known[i]) <= slack(known[i]))
			return known[i];
	return NULL;
}

static bool is_among(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static bool is_known(const char *name)
{
	return is_among(name, known, ARRAY_SIZE(known)) ||
	       is_among(name, internal, ARRAY_SIZE(internal));
}

static const char *check_names(const struct http_request *r, struct arena *a)
{
	struct http_slice rest = r->query, key, value;
	char name[NAME_MAX_BYTES + 2];
	const char *meant;
	struct text t = { .size = 128 };

	while (http_query_next(&rest, &key, &value)) {
		if (http_decode(key, true, name, sizeof(name)) > NAME_MAX_BYTES || is_known(name))
			continue;
		meant = meant_by(name);
		if (!meant)
			continue;
		t.at = arena_alloc(a, t.size);
		if (!t.at)
			return "unknown parameter";
		text_str(&t, "unknown parameter - did you mean \"");
		text_str(&t, meant);
		text_str(&t, "\"?");
		return t.at;
	}
	return NULL;
}

/* ---- all of it */

static const char *read_format(const struct http_request *r, struct params *p)
{
	static const char *const names[] = {
		[FORMAT_FILE] = "pprof", [FORMAT_TEXT] = "text", [FORMAT_COLLAPSED] = "collapsed"
	};
	char name[16];

	if (!http_query(r, "format", name, sizeof(name)))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		p->format = (enum format)i;
		return p->debug ? "format and debug params are incompatible" : NULL;
	}
	return REFUSAL("format",
		       "pprof (a file), text (a list and a tree) or collapsed (a line for "
		       "each stack)");
}

/* "90", "90s", "5m", "1h", up to a year. */
static const char *read_older(const struct http_request *r, struct params *p)
{
	static const char refusal[] = REFUSAL("older", "a time as 90s, 5m or 1h");
	const int64_t year_s = 365LL * 86400;
	char text[16];
	const char *at = text;
	int64_t n, unit;

	if (!http_query(r, "older", text, sizeof(text)))
		return NULL;
	n = (int64_t)number_take(&at, 10);
	unit = *at == 'h' ? 3600 : *at == 'm' ? 60 : 1;
	if (at == text || (*at && (!strchr("smh", *at) || at[1])) || n < 1 || n > year_s / unit)
		return refusal;
	p->older_s = n * unit;
	if (p->seconds)
		return "older and seconds params are incompatible";
	return NULL;
}

/* Of which threads: their state, and a pattern of their names. */
static const char *read_threads(const struct http_request *r, enum params_of what, struct params *p)
{
	static const char *const states[] = { "running", "runnable", "blocked" };

	http_query(r, "state", p->state, sizeof(p->state));
	if (*p->state && !is_among(p->state, states, ARRAY_SIZE(states)))
		return REFUSAL("state", "running, runnable or blocked");
	http_query(r, "thread", p->thread, sizeof(p->thread));
	if (strlen(p->thread) == sizeof(p->thread) - 1)
		return REFUSAL("thread", "shorter than 63 bytes");
	if (*p->state && what != PARAMS_OF_WALL)
		return "state is a param of wall";
	if (*p->thread && what == PARAMS_OF_SNAPSHOT)
		return "thread is a param of profile and wall; go tool pprof -tagfocus thread=NAME "
		       "shows one of the others";
	return NULL;
}

#define ID_BYTES 64

/* Whoever knows it may end the profile; it is compared and nothing else. */
static const char *read_id(struct http_exchange *x, const struct http_request *r, struct params *p)
{
	char id[ID_BYTES + 1];

	if (!http_query(r, "id", id, sizeof(id)))
		return NULL;
	if (strlen(id) == ID_BYTES)
		return REFUSAL("id", "shorter than 64 bytes");
	p->id = arena_strndup(http_arena(x), id, strlen(id));
	return NULL;
}

bool params_read(struct http_exchange *x, const struct http_request *r, enum params_of what,
		 struct params *p)
{
	const bool is_timed = what != PARAMS_OF_SNAPSHOT;
	int64_t gc = 0, peak = 0, ages = 0, lines = 1, labels = 1, hz = 0, share = 0;
	const char *why;

	*p = (struct params){ 0 };
	if ((why = check_names(r, http_arena(x))) ||
	    (why = read_number(r, is_timed ? &seconds_of_cpu : &seconds_of_delta, &p->seconds)) ||
	    (why = read_number(r, &debug_form, &p->debug)) ||
	    (why = read_number(r, what == PARAMS_OF_WALL ? &hz_of_wall : &hz_of_cpu, &hz)) ||
	    (why = read_number(r, &lines_wanted, &lines)) ||
	    (why = read_number(r, &labels_wanted, &labels)) ||
	    (why = read_number(r, &peak_wanted, &peak)) ||
	    (why = read_number(r, &ages_wanted, &ages)) ||
	    (why = read_number(r, &gc_wanted, &gc)) || (why = read_format(r, p)) ||
	    (why = read_id(x, r, p)) || (why = read_threads(r, what, p)) ||
	    (why = read_older(r, p)) || (why = tree_query_read(r, &p->tree)))
		http_error(x, 400, why);
	else if (!tree_has_asked(x, &p->tree))
		http_error(x, 404, TREE_HAS_NOT);
	else if (!is_timed && p->seconds && p->debug)
		http_error(x, 400, "seconds and debug params are incompatible");
	else if (peak && (p->seconds || p->older_s || ages))
		http_error(x, 400, "peak goes neither with seconds nor with older or ages");
	else if (ages && p->seconds)
		http_error(x, 400, "ages and seconds params are incompatible");
	else
		why = "";
	http_query(r, "sample_index", p->value, sizeof(p->value));
	if (is_timed && p->debug)
		p->format = FORMAT_TEXT;
	if (http_is_trusted(x)) {
		http_query_number(r, "share", &share);
		http_query_number(r, "window_ms", &p->window_ms);
	}
	p->share = share;
	p->hz = (int)hz;
	p->labels = labels;
	p->peak = peak;
	p->ages = ages;
	p->detail = lines ? SYMBOLS_LINES : SYMBOLS_NAMES;
	return why && !*why;
}

bool params_value(struct http_exchange *x, const struct params *p, const struct profile_head *head,
		  int *value)
{
	struct text t = { .size = 256 };

	*value = format_value(head, p->value);
	if (*value != MESSAGE_VALUES_MAX)
		return true;
	t.at = arena_alloc(http_arena(x), t.size);
	if (!t.at) {
		http_error(x, 400, "invalid value for \"sample_index\"");
		return false;
	}
	text_str(&t, REFUSAL("sample_index", "one of"));
	for (size_t i = 0; i < head->sample_type_count; i++) {
		text_char(&t, ' ');
		text_str(&t, head->sample_type[i].type);
	}
	http_error(x, 400, t.at);
	return false;
}

int64_t params_window_ns(const struct params *p)
{
	return p->window_ms ? p->window_ms * NS_PER_MS : p->seconds * NS_PER_SECOND;
}
