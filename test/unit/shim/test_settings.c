/* What the user set, and what is said when it makes no sense. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/out_kinds.h"
#include "sampler/base/cc.h"
#include "sampler/locks/contention.h"
#include "shim/settings.h"

#define KEY "ADMIN_KEY=secret"

static struct settings settings;
static char complaint[512];

/* Reads an environment of up to three more variables beside the key. */
static enum settings_result read_with(const char *key, const char *a, const char *b)
{
	const char *environment[] = { "PATH=/bin", key, a, b, NULL };
	struct text t = TEXT_INIT(complaint);

	complaint[0] = '\0';
	return settings_read(&settings, (char **)(uintptr_t)environment, "/usr/bin/redis-server",
			     &t);
}

static void expect_ok(const char *variable)
{
	ck_assert_msg(read_with(KEY, variable, NULL) == SETTINGS_OK, "%s: %s", variable, complaint);
	ck_assert_str_eq(settings.unknown, "");
}

/* The complaint is one sentence that names variable and value. */
static void expect_bad(const char *variable)
{
	char name[64] = "", quoted[512];

	ck_assert_msg(read_with(KEY, variable, NULL) == SETTINGS_BAD, "%s", variable);
	ck_assert_str_eq(settings.unknown, "");
	memcpy(name, variable, strcspn(variable, "="));
	snprintf(quoted, sizeof(quoted), "\"%s\"", strchr(variable, '=') + 1);
	ck_assert_msg(strncmp(complaint, name, strlen(name)) == 0, "%s", complaint);
	ck_assert_msg(strstr(complaint, quoted) != NULL, "%s", complaint);
	ck_assert_ptr_null(strchr(complaint, '\n'));
}

START_TEST(settings__defaults_are_those_of_go)
{
	ck_assert_int_eq(read_with(KEY, NULL, NULL), SETTINGS_OK);
	ck_assert_uint_eq(settings.port, 6060);
	ck_assert_int_eq(settings.hz, 100);
	ck_assert_uint_eq(settings.heap_rate, 512 << 10);
	ck_assert_uint_eq(settings.block_rate, BLOCK_RATE_DEFAULT);
	ck_assert_uint_eq(settings.mutex_fraction, MUTEX_FRACTION_DEFAULT);
	ck_assert_str_eq(settings.key, "secret");
	ck_assert_str_eq(settings.key_from, "ADMIN_KEY");
}
END_TEST

START_TEST(settings__every_good_value_is_taken)
{
	expect_ok("PPROF_PORT=1");
	ck_assert_uint_eq(settings.port, 1);
	expect_ok("PPROF_PORT=65535");
	ck_assert_uint_eq(settings.port, 65535);
	expect_ok("PPROF_PORT=08080");
	ck_assert_uint_eq(settings.port, 8080);
	ck_assert_int_eq(read_with(KEY, "PPROF_PORT=off", "PPROF_SOCKET=/run/s"), SETTINGS_OK);
	ck_assert_uint_eq(settings.port, 0);
	expect_ok("PPROF_HZ=1");
	ck_assert_int_eq(settings.hz, 1);
	expect_ok("PPROF_HZ=1000");
	ck_assert_int_eq(settings.hz, 1000);
	expect_ok("PPROF_HEAP_RATE=0");
	ck_assert_uint_eq(settings.heap_rate, 0);
	expect_ok("PPROF_HEAP_RATE=1099511627776");
	ck_assert_uint_eq(settings.heap_rate, 1UL << 40);
	expect_ok("PPROF_BLOCK_RATE=0");
	ck_assert_uint_eq(settings.block_rate, 0);
	expect_ok("PPROF_BLOCK_RATE=100000000000");
	ck_assert_uint_eq(settings.block_rate, 100000000000);
	expect_ok("PPROF_MUTEX_FRACTION=0");
	ck_assert_uint_eq(settings.mutex_fraction, 0);
	expect_ok("PPROF_MUTEX_FRACTION=1000000");
	ck_assert_uint_eq(settings.mutex_fraction, 1000000);
	expect_ok("PPROF_RWLOCK_READERS=1");
	ck_assert(settings.rwlock_readers);
	expect_ok("PPROF_TREE=0");
	ck_assert_int_eq(settings.tree, SETTINGS_TREE_OFF);
	expect_ok("PPROF_TREE=any");
	ck_assert_int_eq(settings.tree, SETTINGS_TREE_ANY);
	expect_ok("PPROF_TREE=1");
	ck_assert_int_eq(settings.tree, SETTINGS_TREE_OWN);
}
END_TEST

START_TEST(settings__sockets)
{
	char longest[14 + SOCKET_PATTERN_MAX] = "PPROF_SOCKET=/";
	size_t len = strlen(longest);

	expect_ok("PPROF_SOCKET=/run/%n-%p-%t%%");
	ck_assert_str_eq(settings.socket, "/run/%n-%p-%t%%");
	expect_ok("PPROF_SOCKET=@x");
	expect_ok("PPROF_SOCKET=");
	ck_assert_ptr_null(settings.socket);
	memset(longest + len, 'x', SOCKET_PATTERN_MAX - 1);
	expect_ok(longest);
}
END_TEST

START_TEST(settings__files_need_neither_port_nor_key)
{
	ck_assert_int_eq(read_with("A=b", "PPROF_OUT=/tmp/%n", NULL), SETTINGS_OK);
	ck_assert_uint_eq(settings.port, 0);
	ck_assert_uint_eq(settings.out_kinds, OUT_KINDS_DEFAULT);
	ck_assert_int_eq(read_with(KEY, "PPROF_OUT=out", "PPROF_OUT_PROFILES=mutex,cpu"),
			 SETTINGS_OK);
	ck_assert_uint_eq(settings.port, 6060);
	ck_assert_uint_eq(settings.out_kinds, OUT_KIND_BIT(OUT_CPU) | OUT_KIND_BIT(OUT_MUTEX));
	ck_assert_int_eq(read_with("A=b", "PPROF_OUT=/tmp", "PPROF_PORT=1"), SETTINGS_BAD);
}
END_TEST

START_TEST(settings__nobody_can_ask_without_port_and_socket)
{
	ck_assert_int_eq(read_with(KEY, "PPROF_PORT=off", NULL), SETTINGS_BAD);
	ck_assert_ptr_nonnull(strstr(complaint, "PPROF_SOCKET"));
}
END_TEST

START_TEST(settings__a_socket_alone_needs_no_key)
{
	ck_assert_int_eq(read_with("A=b", "PPROF_PORT=off", "PPROF_SOCKET=/s"), SETTINGS_OK);
	ck_assert_str_eq(settings.key, "");
	ck_assert_int_eq(read_with("A=b", "PPROF_SOCKET=/s", NULL), SETTINGS_BAD);
	ck_assert_int_eq(read_with(KEY, "PPROF_PORT=off", "PPROF_SOCKET=/s"), SETTINGS_OK);
	ck_assert_str_eq(settings.key, "secret");
}
END_TEST

START_TEST(settings__empty_is_the_default)
{
	expect_ok("PPROF_PORT=");
	ck_assert_uint_eq(settings.port, 6060);
	expect_ok("PPROF_SIGNAL=");
	expect_ok("PPROF_ONLY=");
}
END_TEST

static const char *const bad[] = {
	"PPROF_TREE=2",
	"PPROF_TREE=yes",
	"PPROF_PORT=0",
	"PPROF_PORT=65536",
	"PPROF_PORT=-1",
	"PPROF_PORT=+80",
	"PPROF_PORT= 80",
	"PPROF_PORT=80 ",
	"PPROF_PORT=80x",
	"PPROF_PORT=x",
	"PPROF_PORT=0x50",
	"PPROF_PORT=99999999999999999999999999",
	"PPROF_PORT=18446744073709551697",
	"PPROF_PORT=6060,6061",
	"PPROF_PORT=OFF",
	"PPROF_SOCKET=s",
	"PPROF_SOCKET=./s",
	"PPROF_SOCKET=/",
	"PPROF_SOCKET=@",
	"PPROF_SOCKET=/run/%x",
	"PPROF_SOCKET=/run/%",
	"PPROF_OUT=/tmp/%",
	"PPROF_HEAP_MMAP=2",
	"PPROF_OUT_PROFILES=cpu,heat",
	"PPROF_OUT_PROFILES=,",
	"PPROF_OUT_PROFILES=cpu",
	"PPROF_HZ=0",
	"PPROF_HZ=1001",
	"PPROF_HZ=-100",
	"PPROF_HZ=99.5",
	"PPROF_HZ=many",
	"PPROF_HEAP_RATE=-1",
	"PPROF_HEAP_RATE=512k",
	"PPROF_HEAP_RATE=1099511627777",
	"PPROF_HEAP_RATE=off",
	"PPROF_BLOCK_RATE=-1",
	"PPROF_BLOCK_RATE=1ms",
	"PPROF_BLOCK_RATE=100000000001",
	"PPROF_MUTEX_FRACTION=-1",
	"PPROF_MUTEX_FRACTION=1/10",
	"PPROF_MUTEX_FRACTION=1000001",
	"PPROF_RWLOCK_READERS=2",
	"PPROF_RWLOCK_READERS=yes",
	"PPROF_SIGNAL=KILL",
	"PPROF_SIGNAL=SIGSEGV",
	"PPROF_SIGNAL=prof",
	"PPROF_SIGNAL=SIG",
	"PPROF_SIGNAL=27",
	"PPROF_SIGNAL=33",
	"PPROF_SIGNAL=65",
	"PPROF_SIGNAL=34x",
	"PPROF_SIGNAL=-34",
	"PPROF_SIGNAL=PROFX",
};

START_TEST(settings__every_bad_value_is_named_with_its_variable)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_bad(bad[i]);
}
END_TEST

static const char *const signals[] = {
	"PPROF_SIGNAL=PROF", "PPROF_SIGNAL=SIGPROF", "PPROF_SIGNAL=VTALRM", "PPROF_SIGNAL=STKFLT",
	"PPROF_SIGNAL=URG",  "PPROF_SIGNAL=PWR",     "PPROF_SIGNAL=SIGIO",  "PPROF_SIGNAL=WINCH",
	"PPROF_SIGNAL=34",   "PPROF_SIGNAL=64",
};

START_TEST(settings__the_signal_of_older_versions_is_accepted)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		expect_ok(signals[i]);
}
END_TEST

START_TEST(settings__a_name_that_begins_like_ours_is_not_ours)
{
	ck_assert_int_eq(read_with(KEY, "PPROF_PORTS=9", "XPPROF_PORT=9"), SETTINGS_OK);
	ck_assert_uint_eq(settings.port, 6060);
}
END_TEST

START_TEST(settings__a_misspelt_name_is_told_and_those_of_other_tools_are_not)
{
	char shown[1024];
	struct text t = TEXT_INIT(shown);

	ck_assert_int_eq(read_with(KEY, "PPROF_HEAPRATE=1", "PPROF_TREES=0"), SETTINGS_OK);
	ck_assert_str_eq(settings.unknown, "PPROF_HEAPRATE, PPROF_TREES");
	settings_write(&settings, &t);
	ck_assert_ptr_nonnull(
		strstr(shown, "\nunknown, without effect: PPROF_HEAPRATE, PPROF_TREES\n"));
	expect_ok("PPROF_TMPDIR=/tmp");
	expect_ok("PPROF_BINARY_PATH=/usr/bin");
	expect_ok("PPROF_TOOLS=/usr/bin");
	expect_ok("PPROF_PATH=/usr/bin/pprof");
	ck_assert_int_eq(read_with("PPROF_ONLY=nginx", "PPROF_TREES=0", KEY), SETTINGS_NOT_MEANT);
	ck_assert_str_eq(settings.unknown, "");
}
END_TEST

START_TEST(settings__a_name_of_any_length_is_bounded)
{
	char variable[4096] = "PPROF_";

	memset(variable + 6, 'X', sizeof(variable) - 7);
	ck_assert_int_eq(read_with(KEY, variable, "PPROF_="), SETTINGS_OK);
	ck_assert_str_eq(settings.unknown, "PPROF_XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX..., PPROF_");
}
END_TEST

START_TEST(settings__the_first_of_two_counts_as_in_getenv)
{
	ck_assert_int_eq(read_with(KEY, "PPROF_PORT=1", "PPROF_PORT=2"), SETTINGS_OK);
	ck_assert_uint_eq(settings.port, 1);
}
END_TEST

START_TEST(settings__no_environment_at_all_is_no_key)
{
	struct text t = TEXT_INIT(complaint);
	char *none[] = { NULL };

	ck_assert_int_eq(settings_read(&settings, NULL, "x", &t), SETTINGS_BAD);
	ck_assert_int_eq(settings_read(&settings, none, "x", &t), SETTINGS_BAD);
}
END_TEST

/* ---- the key */

START_TEST(settings__without_a_key_the_two_variables_are_named)
{
	ck_assert_int_eq(read_with("A=b", NULL, NULL), SETTINGS_BAD);
	ck_assert_ptr_nonnull(strstr(complaint, "ADMIN_KEY "));
	ck_assert_ptr_nonnull(strstr(complaint, "ADMIN_KEY_FILE"));
	ck_assert_int_eq(read_with("ADMIN_KEY=", NULL, NULL), SETTINGS_BAD);
}
END_TEST

static const char *const unusable_keys[] = { "ADMIN_KEY= s3cr3t",    "ADMIN_KEY=s3cr3t ",
					     "ADMIN_KEY=s3cr3t\nb",  "ADMIN_KEY=s3cr3t\t",
					     "ADMIN_KEY=s3cr3t\x7f", "ADMIN_KEY=\x01s3cr3t" };

START_TEST(settings__a_key_that_no_header_can_carry_is_refused_and_not_told)
{
	for (size_t i = 0; i < ARRAY_SIZE(unusable_keys); i++) {
		ck_assert_int_eq(read_with(unusable_keys[i], NULL, NULL), SETTINGS_BAD);
		ck_assert_int_eq(strncmp(complaint, "ADMIN_KEY ", 10), 0);
		ck_assert_ptr_null(strstr(complaint, "s3cr3t"));
	}
	ck_assert_int_eq(read_with("ADMIN_KEY= ", NULL, NULL), SETTINGS_BAD);
}
END_TEST

START_TEST(settings__a_key_may_have_255_bytes_and_any_printable_ones)
{
	char variable[400] = "ADMIN_KEY=";

	memset(variable + 10, 'k', KEY_BYTES_MAX);
	ck_assert_int_eq(read_with(variable, NULL, NULL), SETTINGS_OK);
	ck_assert_str_eq(settings.key, variable + 10);
	variable[10 + KEY_BYTES_MAX] = 'k';
	ck_assert_int_eq(read_with(variable, NULL, NULL), SETTINGS_BAD);
	ck_assert_ptr_nonnull(strstr(complaint, "255"));
	ck_assert_int_eq(read_with("ADMIN_KEY=a b:\"\xc3\xa4=", NULL, NULL), SETTINGS_OK);
	ck_assert_str_eq(settings.key, "a b:\"\xc3\xa4=");
}
END_TEST

/* ---- the key in a file */

static char path[] = "/tmp/settings.XXXXXX", file_variable[100];

static void setup_file(void)
{
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	snprintf(file_variable, sizeof(file_variable), "ADMIN_KEY_FILE=%s", path);
}

static void teardown_file(void)
{
	unlink(path);
}

static enum settings_result read_file(const void *content, size_t len)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(content, 1, len, f), len);
	fclose(f);
	return read_with(file_variable, NULL, NULL);
}

static enum settings_result read_file_text(const char *content)
{
	return read_file(content, strlen(content));
}

static const char *const endings[] = { "", "\n", "\r\n", "\n\n", "\nsecond line\n", "\r\nmore" };

START_TEST(settings__the_first_line_of_the_file_is_the_key)
{
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		char content[100];

		snprintf(content, sizeof(content), "file key%s", endings[i]);
		ck_assert_msg(read_file_text(content) == SETTINGS_OK, "%s", complaint);
		ck_assert_str_eq(settings.key, "file key");
		ck_assert_str_eq(settings.key_from, "ADMIN_KEY_FILE");
	}
}
END_TEST

/* Against a reader that takes the mark for a part of the key: no client sends it. */
START_TEST(settings__a_byte_order_mark_is_not_in_the_key)
{
	static const char *const refused[] = { "\xef\xbb\xbf", "\xef\xbb\xbf\r\n" };

	ck_assert_msg(read_file_text("\xef\xbb\xbf"
				     "file key\r\n") == SETTINGS_OK,
		      "%s", complaint);
	ck_assert_str_eq(settings.key, "file key");
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		ck_assert_int_eq(read_file_text(refused[i]), SETTINGS_BAD);
}
END_TEST

START_TEST(settings__the_file_wins_over_the_variable)
{
	read_file_text("from file\n");
	ck_assert_int_eq(read_with(KEY, file_variable, NULL), SETTINGS_OK);
	ck_assert_str_eq(settings.key, "from file");
}
END_TEST

/* A wrong file never falls back to the variable: the user meant the file. */
START_TEST(settings__a_bad_file_is_not_made_good_by_the_variable)
{
	read_file_text("");
	ck_assert_int_eq(read_with(KEY, file_variable, NULL), SETTINGS_BAD);
}
END_TEST

START_TEST(settings__a_file_without_a_key_is_refused)
{
	static const char *const contents[] = { "", "\n", "\r\n", "\nkey\n", " \n", "\r" };

	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		ck_assert_int_eq(read_file_text(contents[i]), SETTINGS_BAD);
		ck_assert_int_eq(strncmp(complaint, "ADMIN_KEY_FILE ", 15), 0);
	}
}
END_TEST

START_TEST(settings__control_characters_in_the_file_are_refused)
{
	ck_assert_int_eq(read_file("a\tb\n", 4), SETTINGS_BAD);
	ck_assert_int_eq(read_file("\x1b[0m\n", 5), SETTINGS_BAD);
	ck_assert_int_eq(read_file("key\x7f", 4), SETTINGS_BAD);
}
END_TEST

START_TEST(settings__a_file_cut_by_a_zero_byte_is_refused)
{
	ck_assert_int_eq(read_file("\0key\n", 5), SETTINGS_BAD);
	ck_assert_int_eq(read_file("ke\0y\n", 5), SETTINGS_BAD);
}
END_TEST

START_TEST(settings__a_key_in_a_file_may_have_255_bytes)
{
	char content[2000];

	memset(content, 'k', sizeof(content));
	content[KEY_BYTES_MAX] = '\n';
	ck_assert_int_eq(read_file(content, sizeof(content)), SETTINGS_OK);
	ck_assert_uint_eq(strlen(settings.key), KEY_BYTES_MAX);
	content[KEY_BYTES_MAX] = 'k';
	ck_assert_int_eq(read_file(content, KEY_BYTES_MAX + 1), SETTINGS_BAD);
	ck_assert_ptr_nonnull(strstr(complaint, "255"));
	ck_assert_int_eq(read_file(content, sizeof(content)), SETTINGS_BAD);
	ck_assert_ptr_nonnull(strstr(complaint, "255"));
}
END_TEST

START_TEST(settings__a_file_that_cannot_be_read_is_named)
{
	static const char *const files[][2] = {
		{ "/no/such/file", "there is no such file" },
		{ "/tmp", "it is a directory" },
		{ "/dev/null/key", "a file is in the place of a directory" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char variable[100], expected[200];

		snprintf(variable, sizeof(variable), "ADMIN_KEY_FILE=%s", files[i][0]);
		snprintf(expected, sizeof(expected), "ADMIN_KEY_FILE \"%s\" cannot be read: %s",
			 files[i][0], files[i][1]);
		ck_assert_int_eq(read_with(variable, NULL, NULL), SETTINGS_BAD);
		ck_assert_str_eq(complaint, expected);
	}
}
END_TEST

START_TEST(settings__a_fifo_does_not_hang)
{
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(read_with(file_variable, NULL, NULL), SETTINGS_BAD);
}
END_TEST

/* ---- which programs are meant */

static const struct {
	const char *variable;
	enum settings_result result;
} only[] = {
	{ "PPROF_ONLY=redis-server", SETTINGS_OK },
	{ "PPROF_ONLY=redis*", SETTINGS_OK },
	{ "PPROF_ONLY=*", SETTINGS_OK },
	{ "PPROF_ONLY=[r-s]edis-server", SETTINGS_OK },
	{ "PPROF_ONLY=nginx", SETTINGS_NOT_MEANT },
	{ "PPROF_ONLY=redis", SETTINGS_NOT_MEANT },
	{ "PPROF_ONLY=/usr/bin/redis-server", SETTINGS_NOT_MEANT },
};

START_TEST(settings__only_names_the_programs_that_are_meant)
{
	for (size_t i = 0; i < ARRAY_SIZE(only); i++)
		ck_assert_msg(read_with(KEY, only[i].variable, NULL) == only[i].result, "%s",
			      only[i].variable);
}
END_TEST

START_TEST(settings__a_program_that_is_not_meant_is_not_told_of_mistakes)
{
	ck_assert_int_eq(read_with("A=b", "PPROF_ONLY=nginx", "PPROF_PORT=x"), SETTINGS_NOT_MEANT);
	ck_assert_str_eq(complaint, "");
}
END_TEST

START_TEST(settings__a_program_without_a_folder_has_a_name_too)
{
	char *environment[] = { (char[]){ "PPROF_ONLY=prog" }, (char[]){ KEY }, NULL };
	struct text t = TEXT_INIT(complaint);

	ck_assert_int_eq(settings_read(&settings, environment, "prog", &t), SETTINGS_OK);
	ck_assert_int_eq(settings_read(&settings, environment, "/memfd:prog (deleted)", &t),
			 SETTINGS_OK);
	ck_assert_int_eq(settings_read(&settings, environment, "/old/prog (deleted)", &t),
			 SETTINGS_OK);
	ck_assert_int_eq(settings_read(&settings, environment, "/memfd:other (deleted)", &t),
			 SETTINGS_NOT_MEANT);
	ck_assert_int_eq(settings_read(&settings, environment, " (deleted)", &t),
			 SETTINGS_NOT_MEANT);
	ck_assert_int_eq(settings_read(&settings, environment, "", &t), SETTINGS_NOT_MEANT);
	ck_assert_int_eq(settings_read(&settings, environment, "prog/", &t), SETTINGS_NOT_MEANT);
}
END_TEST

/* ---- showing them */

START_TEST(settings__are_shown_as_they_are_set_but_never_the_key)
{
	char out[512];
	struct text t = TEXT_INIT(out);

	ck_assert_int_eq(read_with(KEY, "PPROF_PORT=7000", "PPROF_SIGNAL=VTALRM"), SETTINGS_OK);
	settings_write(&settings, &t);
	ck_assert_ptr_nonnull(strstr(out, "PPROF_PORT=7000\n"));
	ck_assert_ptr_nonnull(strstr(out, "PPROF_HZ=100\n"));
	ck_assert_ptr_nonnull(strstr(out, "PPROF_HEAP_RATE=524288\n"));
	ck_assert_ptr_nonnull(strstr(out, "PPROF_BLOCK_RATE=100000\n"));
	ck_assert_ptr_nonnull(strstr(out, "PPROF_MUTEX_FRACTION=10\n"));
	ck_assert_ptr_null(strstr(out, "PPROF_SIGNAL"));
	ck_assert_ptr_nonnull(strstr(out, "key from ADMIN_KEY\n"));
	ck_assert_ptr_null(strstr(out, "secret"));
}
END_TEST

START_TEST(settings__signals_of_a_toggle_have_names_and_numbers)
{
	static const struct {
		const char *value;
		int signal;
	} good[] = {
		{ "USR1", SIGUSR1 },  { "SIGUSR2", SIGUSR2 }, { "12", SIGUSR2 },
		{ "RTMIN", 34 },      { "RTMIN+3", 37 },      { "SIGRTMIN+30", 64 },
		{ "SIGRTMAX-1", 63 }, { "RTMAX", 64 },	      { "40", 40 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char variable[64];

		snprintf(variable, sizeof(variable), "PPROF_TOGGLE=%s", good[i].value);
		ck_assert_msg(read_with("A=b", "PPROF_OUT=/tmp", variable) == SETTINGS_OK, "%s",
			      complaint);
		ck_assert_int_eq(settings.toggle, good[i].signal);
		ck_assert_uint_eq(settings.out_kinds, 0);
	}
}
END_TEST

START_TEST(settings__signals_that_are_no_toggles)
{
	static const char *const no_toggle[] = {
		"PPROF_TOGGLE=KILL",	 "PPROF_TOGGLE=TERM",	  "PPROF_TOGGLE=11",
		"PPROF_TOGGLE=33",	 "PPROF_TOGGLE=65",	  "PPROF_TOGGLE=RTMIN+31",
		"PPROF_TOGGLE=RTMIN-1",	 "PPROF_TOGGLE=RTMIN+",	  "PPROF_TOGGLE=RTMAX+1",
		"PPROF_TOGGLE=RTMAX-31", "PPROF_TOGGLE=SIG12",	  "PPROF_TOGGLE=usr2",
		"PPROF_TOGGLE=USR2 ",	 "PPROF_TOGGLE=RTMIN+3x", "PPROF_TOGGLE=SIG",
	};

	for (size_t i = 0; i < ARRAY_SIZE(no_toggle); i++) {
		ck_assert_int_eq(read_with("A=b", "PPROF_OUT=/tmp", no_toggle[i]), SETTINGS_BAD);
		ck_assert_ptr_nonnull(strstr(complaint, "but must be USR1"));
	}
	ck_assert_int_eq(read_with(KEY, "PPROF_TOGGLE=USR2", NULL), SETTINGS_BAD);
	ck_assert_ptr_nonnull(strstr(complaint, "PPROF_OUT"));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("settings");
	TCase *file = tcase_create("file");
	Suite *s = suite_create("settings");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, settings__defaults_are_those_of_go);
	tcase_add_test(t, settings__every_good_value_is_taken);
	tcase_add_test(t, settings__sockets);
	tcase_add_test(t, settings__files_need_neither_port_nor_key);
	tcase_add_test(t, settings__nobody_can_ask_without_port_and_socket);
	tcase_add_test(t, settings__a_socket_alone_needs_no_key);
	tcase_add_test(t, settings__empty_is_the_default);
	tcase_add_test(t, settings__every_bad_value_is_named_with_its_variable);
	tcase_add_test(t, settings__the_signal_of_older_versions_is_accepted);
	tcase_add_test(t, settings__a_name_that_begins_like_ours_is_not_ours);
	tcase_add_test(t, settings__a_misspelt_name_is_told_and_those_of_other_tools_are_not);
	tcase_add_test(t, settings__a_name_of_any_length_is_bounded);
	tcase_add_test(t, settings__the_first_of_two_counts_as_in_getenv);
	tcase_add_test(t, settings__no_environment_at_all_is_no_key);
	tcase_add_test(t, settings__without_a_key_the_two_variables_are_named);
	tcase_add_test(t, settings__a_key_that_no_header_can_carry_is_refused_and_not_told);
	tcase_add_test(t, settings__a_key_may_have_255_bytes_and_any_printable_ones);
	tcase_add_test(t, settings__only_names_the_programs_that_are_meant);
	tcase_add_test(t, settings__a_program_that_is_not_meant_is_not_told_of_mistakes);
	tcase_add_test(t, settings__a_program_without_a_folder_has_a_name_too);
	tcase_add_test(t, settings__are_shown_as_they_are_set_but_never_the_key);
	tcase_add_test(t, settings__signals_of_a_toggle_have_names_and_numbers);
	tcase_add_test(t, settings__signals_that_are_no_toggles);
	suite_add_tcase(s, t);
	tcase_add_test(file, settings__a_byte_order_mark_is_not_in_the_key);
	tcase_add_checked_fixture(file, setup_file, teardown_file);
	tcase_add_test(file, settings__the_first_line_of_the_file_is_the_key);
	tcase_add_test(file, settings__the_file_wins_over_the_variable);
	tcase_add_test(file, settings__a_bad_file_is_not_made_good_by_the_variable);
	tcase_add_test(file, settings__a_file_without_a_key_is_refused);
	tcase_add_test(file, settings__control_characters_in_the_file_are_refused);
	tcase_add_test(file, settings__a_file_cut_by_a_zero_byte_is_refused);
	tcase_add_test(file, settings__a_key_in_a_file_may_have_255_bytes);
	tcase_add_test(file, settings__a_file_that_cannot_be_read_is_named);
	tcase_add_test(file, settings__a_fifo_does_not_hang);
	suite_add_tcase(s, file);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
