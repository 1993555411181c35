#include "shim/attach/request.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "shim/attach/refuse.h"

#define KEY_BYTES_MAX 255
#define PORT_DEFAULT  6060

/* "PPROF_PORT=65535" and its end. */
#define PORT_SETTING_BYTES 24

static const char usage[] =
	"usage: pprof-attach [--port N] [--key-file F] [--hz N] [--hooks] [--tree] PID\n"
	"       pprof-attach --detach [--tree] PID\n"
	"\n"
	"Gives the running process PID /debug/pprof/ on a loopback port.\n"
	"\n"
	"  --port N         port on 127.0.0.1 (default: PPROF_PORT, else 6060)\n"
	"  --key-file F     file that holds the key; without it ADMIN_KEY or ADMIN_KEY_FILE is "
	"used,\n"
	"                   and without those a key is made and printed\n"
	"  --hz N           CPU samples per second and thread, 1 to 1000 (default 100)\n"
	"  --hooks          heap, block and mutex profiles too, from now on (see "
	"docs/PROFILING.md)\n"
	"  --tree           its descendants too, which answer by the same port\n"
	"  --detach         end it: the port is free, nothing is measured any more\n"
	"  --help           this text\n"
	"\n"
	"Exit status: 0 when it is done; 2 when the request makes no sense as it stands,\n"
	"126 when this process cannot be attached to.\n";

/* Those that the library reads, but for the key and PPROF_ONLY: who names a process means it. */
static const char *const passed[] = {
	"PPROF_SOCKET",		"PPROF_HZ",
	"PPROF_HEAP_RATE",	"PPROF_BLOCK_RATE",
	"PPROF_MUTEX_FRACTION", "PPROF_RWLOCK_READERS",
	"PPROF_TREE",
};

/* It needs a program that starts with the library, whose end is seen. */
static const char *const unheeded[] = { "PPROF_OUT" };

static void add_setting(struct request *r, const char *name, const char *value)
{
	size_t left = sizeof(r->settings) - r->settings_bytes - 1 - PORT_SETTING_BYTES;
	int n = snprintf(r->settings + r->settings_bytes, left, "%s=%s", name, value);

	if (n < 0 || (size_t)n >= left)
		refuse(STATUS_REQUEST, "%s is too long; shorten it", name);
	r->settings_bytes += (size_t)n + 1;
	r->settings[r->settings_bytes] = '\0';
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static unsigned number(const char *text, unsigned low, unsigned high, const char *what,
		       const char *how)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n < low || n > high)
		refuse(STATUS_REQUEST, "'%s' is not a %s; %s a number from %u to %u", text, what,
		       how, low, high);
	return (unsigned)n;
}

/* ---- the key */

/* It is read here, and not by the library: the program's user may not be able to. */
static void read_key_file(const char *path, char key[KEY_BYTES_MAX + 65])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, key, KEY_BYTES_MAX + 64);
	size_t mark;

	if (n < 0)
		refuse(STATUS_REQUEST,
		       "the key file %s cannot be read (%s); check its name and permissions", path,
		       strerror(errno));
	close(fd);
	key[n] = '\0';
	mark = strncmp(key, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* of an editor of another system */
	memmove(key, key + mark, (size_t)n - mark + 1);
	key[strcspn(key, "\r\n")] = '\0';
	if (!*key)
		refuse(STATUS_REQUEST, "the key file %s has no key in its first line; write one",
		       path);
}

/* For a first try without thinking: 128 random bits. */
static void make_key(char made[33])
{
	unsigned char random[16];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		refuse(STATUS_REQUEST, "no key, and none could be made; set ADMIN_KEY");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(made + 2 * i, 3, "%02x", random[i]);
}

/* A file named in any way wins over ADMIN_KEY, here as in the library. */
static void read_key(struct request *r)
{
	char key[KEY_BYTES_MAX + 65];
	const char *given = getenv("ADMIN_KEY");

	if (r->key_file) {
		read_key_file(r->key_file, key);
		add_setting(r, "ADMIN_KEY", key);
		explicit_bzero(key, sizeof(key));
	} else if (given) {
		if (!*given)
			refuse(STATUS_REQUEST, "no key; ADMIN_KEY is empty: set it, unset it to "
					       "have a key made, or "
					       "name a file that holds one with --key-file");
		add_setting(r, "ADMIN_KEY", given);
	} else {
		make_key(r->made_key);
		add_setting(r, "ADMIN_KEY", r->made_key);
	}
}

/* ---- options */

enum { PORT = 1, KEY_FILE, HZ, HOOKS, TREE, DETACH, HELP };

static const struct option options[] = {
	{ "port", required_argument, NULL, PORT },
	{ "key-file", required_argument, NULL, KEY_FILE },
	{ "hz", required_argument, NULL, HZ },
	{ "hooks", no_argument, NULL, HOOKS },
	{ "tree", no_argument, NULL, TREE },
	{ "detach", no_argument, NULL, DETACH },
	{ "help", no_argument, NULL, HELP },
	{ NULL, 0, NULL, 0 },
};

static void help(void)
{
	fputs(usage, stdout);
	exit(0);
}

static void take_option(struct request *r, int which, char *value, char **argv)
{
	switch (which) {
	case PORT:
		setenv("PPROF_PORT", value, 1);
		break;
	case KEY_FILE:
		r->key_file = value;
		break;
	case HZ:
		setenv("PPROF_HZ", value, 1);
		break;
	case HOOKS:
		r->hooks = true;
		break;
	case TREE:
		r->tree = true;
		break;
	case DETACH:
		r->detach = true;
		break;
	case HELP:
		help();
		break;
	case ':':
		refuse(STATUS_REQUEST, "%s needs a value; see --help", argv[optind - 1]);
	default:
		refuse(STATUS_REQUEST, "no such option: %s; see --help", argv[optind - 1]);
	}
}

static void read_options(struct request *r, int argc, char **argv)
{
	int which;

	opterr = 0;
	r->key_file = variable("ADMIN_KEY_FILE");
	while ((which = getopt_long(argc, argv, ":", options, NULL)) != -1)
		take_option(r, which, optarg, argv);
	if (optind + 1 != argc)
		refuse(STATUS_REQUEST, "%s; say which, as in: pprof-attach 1234",
		       optind == argc ? "no process given" : "one process at a time");
	r->pid = (int)number(argv[optind], 1, INT_MAX, "process", "give");
}

static void read_settings(struct request *r)
{
	const char *port = variable("PPROF_PORT");

	r->port_is_given = port;
	r->port =
		port ? number(port, 1, 65535, "port", "give --port (or PPROF_PORT)") : PORT_DEFAULT;
	if (variable("PPROF_HZ"))
		number(variable("PPROF_HZ"), 1, 1000, "sampling rate", "give --hz (or PPROF_HZ)");
	for (size_t i = 0; i < ARRAY_SIZE(unheeded); i++)
		if (variable(unheeded[i]))
			note("%s has no effect on a program that runs; the port has the endpoint",
			     unheeded[i]);
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		if (variable(passed[i]))
			add_setting(r, passed[i], variable(passed[i]));
	read_key(r);
}

void request_read(struct request *r, int argc, char **argv)
{
	*r = (struct request){ 0 };
	read_options(r, argc, argv);
	if (!r->detach)
		read_settings(r);
}

size_t request_settings(const struct request *r, unsigned port, char out[ATTACH_SETTINGS_BYTES])
{
	size_t n = (size_t)snprintf(out, PORT_SETTING_BYTES, "PPROF_PORT=%u", port) + 1;

	memcpy(out + n, r->settings, r->settings_bytes + 1);
	return n + r->settings_bytes + 1;
}

/* ---- what is said at the end */

/* The key goes to curl through a pipe: arguments can be seen by everybody. */
void request_tell(const struct request *r, unsigned port, bool may_detach)
{
	char url[64], header[PATH_MAX + 64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/debug/pprof", port);
	if (*r->made_key)
		snprintf(header, sizeof(header), "echo 'Authorization: Bearer %s'", r->made_key);
	else if (r->key_file)
		snprintf(header, sizeof(header), "sed 's/^/Authorization: Bearer /' '%s'",
			 r->key_file);
	else
		snprintf(header, sizeof(header),
			 "printf \"Authorization: Bearer %%s\\n\" \"$ADMIN_KEY\"");
	if (*r->made_key)
		printf("http://pprof:%s@127.0.0.1:%u/debug/pprof/\n", r->made_key, port);
	else
		printf("%s/\n", url);
	printf("  %s | curl -fsS -H @- -o cpu.pb.gz '%s/profile?seconds=5'\n", header, url);
	printf("  go tool pprof -top cpu.pb.gz\n");
	if (may_detach)
		printf("  %s --detach %s%d\n", program_invocation_name, r->tree ? "--tree " : "",
		       r->pid);
}
