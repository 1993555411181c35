#include "http/download.h"

#include <string.h>
#include <time.h>

#include "http/routes_config.h"
#include "sampler/base/sys.h"

#define NAME_BYTES    160
#define PROGRAM_BYTES 64 /* of its name */
#define DAY_SECONDS   86400

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '+' || c == '-';
}

/* The last part of the path; what a shell or a header could take for something else is '_'. */
static void write_program(struct text *t, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	for (int i = 0; name[i] && i < PROGRAM_BYTES; i++)
		text_char(t, is_plain(name[i]) && (i || name[i] != '.') ? name[i] : '_');
	text_str(t, *name ? "-" : "");
}

static bool is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static void write_two(struct text *t, int n)
{
	text_str(t, n < 10 ? "0" : "");
	text_i64(t, n);
}

/* 20261129T0710Z; libc's functions would read the time zone. */
static void write_time(struct text *t, int64_t s)
{
	static const int month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int64_t day = s / DAY_SECONDS, in_day = s % DAY_SECONDS;
	int year = 1970, month = 0;

	for (; day >= 365 + is_leap(year); year++)
		day -= 365 + is_leap(year);
	for (; day >= month_days[month] + (month == 1 && is_leap(year)); month++)
		day -= month_days[month] + (month == 1 && is_leap(year));
	text_i64(t, year);
	write_two(t, month + 1);
	write_two(t, (int)day + 1);
	text_char(t, 'T');
	write_two(t, (int)(in_day / 3600));
	write_two(t, (int)(in_day / 60 % 60));
	text_char(t, 'Z');
}

struct http_response download_of(struct http_exchange *x, const char *kind)
{
	struct text t = { .at = arena_alloc(http_arena(x), NAME_BYTES), .size = NAME_BYTES };

	if (t.at) {
		write_program(&t, routes_config()->program);
		text_i64(&t, sys_getpid());
		text_char(&t, '-');
		text_str(&t, kind);
		text_char(&t, '-');
		write_time(&t, sys_clock_ns(CLOCK_REALTIME) / NS_PER_SECOND);
		text_str(&t, ".pb.gz");
	}
	return (struct http_response){ .status = 200,
				       .content_type = "application/octet-stream",
				       .filename = t.at ? t.at : kind };
}
