#include "shim/settings.h"

#include <signal.h>
#include <string.h>

#include "http/out_kinds.h"
#include "sampler/base/cc.h"
#include "sampler/base/error_text.h"
#include "sampler/base/name_pattern.h"
#include "sampler/base/number.h"
#include "sampler/base/pattern.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/cpu.h"
#include "sampler/heap/heap.h"
#include "sampler/locks/contention.h"
#include "shim/unknown_settings.h"

static const char *find_variable(char *const *environment, const char *name)
{
	size_t len = strlen(name);

	for (; environment && *environment; environment++) {
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return *environment + len + 1;
	}
	return NULL;
}

/* Unset and empty are the same to a user: the default. */
static const char *find_set(char *const *environment, const char *name)
{
	const char *value = find_variable(environment, name);

	return value && *value ? value : NULL;
}

static bool parse_number(const char *s, long lowest, long highest, long *out)
{
	const char *end = s;
	uint64_t n = number_take(&end, 10);

	if (end == s || *end || n < (uint64_t)lowest || n > (uint64_t)highest)
		return false;
	*out = (long)n;
	return true;
}

#define VALUE_SHOWN 200 /* bytes of it in a sentence */

static bool complain(struct text *t, const char *name, const char *value, const char *wanted)
{
	text_str(t, name);
	text_str(t, " is \"");
	text_begin_of(t, value, VALUE_SHOWN);
	text_str(t, "\" but must be ");
	text_str(t, wanted);
	return false;
}

static bool read_number(char *const *environment, const char *name, long lowest, long highest,
			const char *wanted, long *out, struct text *complaint)
{
	const char *value = find_set(environment, name);

	if (!value || parse_number(value, lowest, highest, out))
		return true;
	return complain(complaint, name, value, wanted);
}

/* As programs see them: two below are libc's. */
#define REAL_TIME_MIN 34
#define SIGNALS_MAX   64

/* "+3" behind RTMIN, "-3" behind RTMAX, or nothing. */
static int real_time_signal(const char *s, char sign, int from)
{
	long n = 0;

	if (*s && (*s != sign || !parse_number(s + 1, 0, SIGNALS_MAX - REAL_TIME_MIN, &n)))
		return 0;
	return sign == '+' ? from + (int)n : from - (int)n;
}

/*
 * The number of a signal that programs leave to their users, by its name with or without
 * SIG, or by its number; 0: it is none of these.
 */
static int signal_number(const char *s)
{
	long n = 0;
	bool is_number = parse_number(s, 1, SIGNALS_MAX, &n);

	if (strncmp(s, "SIG", 3) == 0)
		s += 3;
	if (strcmp(s, "USR1") == 0 || n == SIGUSR1)
		return SIGUSR1;
	if (strcmp(s, "USR2") == 0 || n == SIGUSR2)
		return SIGUSR2;
	if (strncmp(s, "RTMIN", 5) == 0)
		return real_time_signal(s + 5, '+', REAL_TIME_MIN);
	if (strncmp(s, "RTMAX", 5) == 0)
		return real_time_signal(s + 5, '-', SIGNALS_MAX);
	return is_number && n >= REAL_TIME_MIN ? (int)n : 0;
}

/* What could be chosen as long as programs saw the signal of the ticks. */
static const char *const signal_names[] = {
	"PROF", "VTALRM", "STKFLT", "URG", "PWR", "IO", "WINCH",
};

static bool is_signal(const char *s)
{
	long n;

	if (strncmp(s, "SIG", 3) == 0)
		s += 3;
	for (size_t i = 0; i < ARRAY_SIZE(signal_names); i++) {
		if (strcmp(s, signal_names[i]) == 0)
			return true;
	}
	return parse_number(s, REAL_TIME_MIN, SIGNALS_MAX, &n);
}

/* An old setting, without an effect today: ticks come by a signal that is no program's. */
static bool check_signal(char *const *environment, struct text *complaint)
{
	const char *value = find_set(environment, "PPROF_SIGNAL");

	if (!value || is_signal(value))
		return true;
	return complain(complaint, "PPROF_SIGNAL", value,
			"PROF, VTALRM, STKFLT, URG, PWR, IO, WINCH or a real-time signal's number");
}

static const char *const tree_names[] = { "0", "1", "any" };

static bool read_tree(struct settings *s, char *const *environment, struct text *complaint)
{
	const char *value = find_set(environment, "PPROF_TREE");

	s->tree = SETTINGS_TREE_OWN;
	if (!value)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(tree_names); i++) {
		if (strcmp(value, tree_names[i]) == 0) {
			s->tree = (enum settings_tree)i;
			return true;
		}
	}
	return complain(complaint, "PPROF_TREE", value,
			"0 (this process alone), 1 (its descendants too) or any (all processes "
			"of this user with this port)");
}

/* A key is sent in a header, so it has no control characters and no blanks at its ends. */
static bool is_usable_key(const char *key, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f)
			return false;
	}
	return len > 0 && key[0] != ' ' && key[len - 1] != ' ';
}

static bool take_key(struct settings *s, const char *key, size_t len, const char *from,
		     struct text *complaint)
{
	s->key_from = from;
	text_str(complaint, from);
	if (len > KEY_BYTES_MAX) {
		text_str(complaint, " holds a key longer than 255 bytes");
		return false;
	}
	if (!is_usable_key(key, len)) {
		text_str(complaint,
			 len ? " holds a key with control characters or blanks at its ends"
			     : " holds no key");
		return false;
	}
	memcpy(s->key, key, len);
	return true;
}

/* Bytes that an editor of another system puts in front of UTF-8. */
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static size_t mark_length(const char *content, size_t len)
{
	size_t n = sizeof(BYTE_ORDER_MARK) - 1;

	return len >= n && memcmp(content, BYTE_ORDER_MARK, n) == 0 ? n : 0;
}

static size_t first_line(const char *content, size_t len)
{
	size_t n = 0;

	while (n < len && content[n] != '\r' && content[n] != '\n')
		n++;
	return n;
}

static bool read_key_file(struct settings *s, const char *path, struct text *complaint)
{
	char content[KEY_BYTES_MAX + 64];
	long n = sys_read_file(path, content, sizeof(content));
	size_t mark;
	bool ok;

	if (n < 0) {
		text_str(complaint, "ADMIN_KEY_FILE \"");
		text_begin_of(complaint, path, VALUE_SHOWN);
		text_str(complaint, "\" cannot be read: ");
		text_error_of_reading(complaint, (int)n);
		return false;
	}
	mark = mark_length(content, (size_t)n);
	ok = take_key(s, content + mark, first_line(content + mark, (size_t)n - mark),
		      "ADMIN_KEY_FILE", complaint);
	memset(content, 0, sizeof(content));
	__asm__ volatile("" : : "r"(content) : "memory"); /* the key stays in one place */
	return ok;
}

static bool read_key(struct settings *s, char *const *environment, struct text *complaint)
{
	const char *path = find_set(environment, "ADMIN_KEY_FILE");
	const char *key = find_set(environment, "ADMIN_KEY");

	if (path)
		return read_key_file(s, path, complaint);
	if (key)
		return take_key(s, key, strlen(key), "ADMIN_KEY", complaint);
	s->key_from = "nowhere: only this user and root are let in, by the socket";
	if (!s->port)
		return true;
	text_str(complaint, "ADMIN_KEY is not set, and without a key nobody could be let in; set "
			    "ADMIN_KEY or ADMIN_KEY_FILE");
	return false;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The kernel's marks: a file in memory has "memfd:" before its name, one without a name this behind
 * it. */
static bool is_called(const char *only, const char *program)
{
	static const char deleted[] = " (deleted)", in_memory[] = "memfd:";
	char buf[256];
	struct text name = TEXT_INIT(buf);

	text_str(&name, base_name(program));
	if (name.len >= sizeof(deleted) - 1 &&
	    strcmp(buf + name.len - (sizeof(deleted) - 1), deleted) == 0)
		buf[name.len - (sizeof(deleted) - 1)] = '\0';
	return pattern_matches(only, buf) || (strncmp(buf, in_memory, sizeof(in_memory) - 1) == 0 &&
					      pattern_matches(only, buf + sizeof(in_memory) - 1));
}

static bool is_meant(char *const *environment, const char *program)
{
	const char *only = find_set(environment, "PPROF_ONLY");

	return !only || is_called(only, program);
}

static bool has_key(char *const *environment)
{
	return find_set(environment, "ADMIN_KEY") || find_set(environment, "ADMIN_KEY_FILE");
}

static bool read_out_kinds(struct settings *s, char *const *environment, struct text *complaint)
{
	const char *value = find_set(environment, "PPROF_OUT_PROFILES");

	if (value)
		s->out_kinds = out_kinds_of(value);
	else
		s->out_kinds = s->toggle ? 0 : OUT_KINDS_DEFAULT;
	if (!value || (s->out_kinds && s->out))
		return true;
	return complain(complaint, "PPROF_OUT_PROFILES", value,
			s->out_kinds ? "left out where no PPROF_OUT says where files go"
				     : "a list of cpu, heap, block, mutex, wall and top, with "
				       "commas between them");
}

static bool read_toggle(struct settings *s, char *const *environment, struct text *complaint)
{
	const char *value = find_set(environment, "PPROF_TOGGLE");

	s->toggle = value ? signal_number(value) : 0;
	if (!value || (s->toggle && s->out))
		return true;
	return complain(complaint, "PPROF_TOGGLE", value,
			s->toggle ? "left out where no PPROF_OUT says where files go"
				  : "USR1, USR2, RTMIN+n, RTMAX-n or the number of one of these");
}

static bool read_out(struct settings *s, char *const *environment, struct text *complaint)
{
	const char *value = find_set(environment, "PPROF_OUT");

	if (value && (strlen(value) > OUT_PATTERN_MAX || !name_pattern_is_valid(value)))
		return complain(
			complaint, "PPROF_OUT", value,
			"a path of 1000 bytes at most, with %p, %n and %t for process, program "
			"and time, and %% for %");
	if (value)
		s->out = memcpy(s->out_copy, value, strlen(value) + 1);
	return read_toggle(s, environment, complaint) && read_out_kinds(s, environment, complaint);
}

/* Without a port and without a key, for those who want files, there is no endpoint. */
static bool read_port(struct settings *s, char *const *environment, struct text *complaint)
{
	const char *value = find_set(environment, "PPROF_PORT");
	long port = 6060;

	if (value ? strcmp(value, "off") == 0 : s->out && !has_key(environment))
		port = 0;
	else if (!read_number(environment, "PPROF_PORT", 1, 65535,
			      "a port number, 1 to 65535, or off", &port, complaint))
		return false;
	s->port = (uint16_t)port;
	return true;
}

/* The program may change its directory before the socket is made again. */
static bool is_socket_name(const char *value)
{
	return (*value == '/' || *value == '@') && value[1] &&
	       strlen(value) <= SOCKET_PATTERN_MAX && name_pattern_is_valid(value);
}

static bool read_socket(struct settings *s, char *const *environment, struct text *complaint)
{
	const char *value = find_set(environment, "PPROF_SOCKET");

	if (value && !is_socket_name(value))
		return complain(complaint, "PPROF_SOCKET", value,
				"a path from the root, or @ and a name, of 90 bytes at most, with "
				"%p, %n and %t for process, program and time, and %% for %");
	if (value)
		s->socket = memcpy(s->socket_copy, value, strlen(value) + 1);
	if (s->port || s->socket || s->out)
		return true;
	text_str(complaint,
		 "PPROF_PORT is off, and neither PPROF_SOCKET nor PPROF_OUT is set, so that "
		 "nobody could see a profile");
	return false;
}

static bool read_numbers(struct settings *s, char *const *environment, struct text *complaint)
{
	long hz = 100, heap_rate = HEAP_RATE_DEFAULT; /* Go's defaults */
	long block_rate = BLOCK_RATE_DEFAULT, mutex_fraction = MUTEX_FRACTION_DEFAULT, readers = 0;
	long mappings = 0;

	if (!read_number(environment, "PPROF_HZ", CPU_HZ_MIN, CPU_HZ_MAX,
			 "samples per second, 1 to 1000", &hz, complaint) ||
	    !read_number(environment, "PPROF_HEAP_RATE", 0, 1L << 40,
			 "bytes per sample, 0 (off) or more", &heap_rate, complaint) ||
	    !read_number(environment, "PPROF_HEAP_MMAP", 0, 1, "0 (off) or 1", &mappings,
			 complaint) ||
	    !read_number(environment, "PPROF_BLOCK_RATE", 0, BLOCK_RATE_MAX,
			 "nanoseconds, 0 (off) to 100 s", &block_rate, complaint) ||
	    !read_number(environment, "PPROF_MUTEX_FRACTION", 0, MUTEX_FRACTION_MAX,
			 "a number, 0 (off) to a million", &mutex_fraction, complaint) ||
	    !read_number(environment, "PPROF_RWLOCK_READERS", 0, 1, "0 (off) or 1", &readers,
			 complaint))
		return false;
	s->heap_rate = (uint64_t)heap_rate;
	s->heap_mmap = mappings != 0;
	s->block_rate = (uint64_t)block_rate;
	s->mutex_fraction = (uint64_t)mutex_fraction;
	s->rwlock_readers = readers != 0;
	s->hz = (int)hz;
	return true;
}

enum settings_result settings_read(struct settings *s, char *const *environment,
				   const char *program, struct text *complaint)
{
	struct text unknown = { .at = s->unknown, .size = sizeof(s->unknown) };

	memset(s, 0, sizeof(*s));
	if (!is_meant(environment, program))
		return SETTINGS_NOT_MEANT;
	unknown_settings_write(environment, &unknown);
	if (!read_out(s, environment, complaint) || !read_port(s, environment, complaint) ||
	    !read_socket(s, environment, complaint) || !read_numbers(s, environment, complaint) ||
	    !check_signal(environment, complaint) || !read_tree(s, environment, complaint) ||
	    !read_key(s, environment, complaint))
		return SETTINGS_BAD;
	return SETTINGS_OK;
}

static void write_out(const struct settings *s, struct text *t)
{
	const char *comma = "\nPPROF_OUT_PROFILES=";

	if (!s->out)
		return;
	text_str(t, "\nPPROF_OUT=");
	text_str(t, s->out);
	for (int i = 0; i < OUT_KIND_COUNT; i++) {
		if (!(s->out_kinds & OUT_KIND_BIT(i)))
			continue;
		text_str(t, comma);
		text_str(t, out_kind_name(i));
		comma = ",";
	}
	if (s->toggle) {
		text_str(t, "\nPPROF_TOGGLE=");
		text_i64(t, s->toggle);
	}
}

static void write_port(const struct settings *s, struct text *t)
{
	text_str(t, "PPROF_PORT=");
	if (s->port)
		text_u64(t, s->port);
	else
		text_str(t, "off");
	if (s->socket) {
		text_str(t, "\nPPROF_SOCKET=");
		text_str(t, s->socket);
	}
	write_out(s, t);
}

void settings_write(const struct settings *s, struct text *t)
{
	write_port(s, t);
	text_str(t, "\nPPROF_HZ=");
	text_i64(t, s->hz);
	text_str(t, "\nPPROF_HEAP_RATE=");
	text_u64(t, s->heap_rate);
	text_str(t, "\nPPROF_HEAP_MMAP=");
	text_u64(t, s->heap_mmap);
	text_str(t, "\nPPROF_BLOCK_RATE=");
	text_u64(t, s->block_rate);
	text_str(t, "\nPPROF_MUTEX_FRACTION=");
	text_u64(t, s->mutex_fraction);
	text_str(t, "\nPPROF_RWLOCK_READERS=");
	text_u64(t, s->rwlock_readers);
	text_str(t, "\nPPROF_TREE=");
	text_str(t, tree_names[s->tree]);
	text_str(t, "\nkey from ");
	text_str(t, s->key_from);
	if (s->unknown[0]) {
		text_str(t, "\nunknown, without effect: ");
		text_str(t, s->unknown);
	}
	text_str(t, "\n");
}
