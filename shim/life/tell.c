#include "shim/life/tell.h"

#include <stdbool.h>
#include <sys/stat.h>

#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "shim/life/probe.h"

static struct {
	dev_t device;
	ino_t inode; /* 0: there was none */
} stderr_at_start;

static void (*instead)(const char *sentence), (*also)(const char *sentence);

void tell_instead(void (*take)(const char *sentence))
{
	instead = take;
}

void tell_also(void (*take)(const char *sentence))
{
	also = take;
}

static bool look(struct stat *st)
{
	return sys_call3(SYS_fstat, 2, (long)st, 0) == 0;
}

void tell_init(void)
{
	struct stat st;

	if (look(&st)) {
		stderr_at_start.device = st.st_dev;
		stderr_at_start.inode = st.st_ino;
	}
}

static const char *const off = "; profiling is off, the program runs as usual\n";

static void tell(const char *sentence, const char *what, const char *end)
{
	static char buf[768]; /* a hook runs on the program's stack, which may be small */
	struct text t = TEXT_INIT(buf);

	text_str(&t, "pprofshim: ");
	text_str(&t, sentence);
	text_str(&t, what);
	text_str(&t, end);
	sys_write(2, buf, t.len);
}

void tell_user(const char *sentence)
{
	if (also)
		also(sentence);
	if (instead)
		instead(sentence);
	else if (!probe_filter()->no_write)
		tell(sentence, "", off);
}

void tell_port(const char *sentence)
{
	if (!instead && !probe_filter()->no_write)
		tell(sentence, "", "\n");
}

static bool is_same_stderr(void)
{
	static struct stat st; /* of all threads alike, and a hook's stack may be small */

	return !instead && look(&st) && st.st_ino == stderr_at_start.inode &&
	       st.st_dev == stderr_at_start.device;
}

void tell_user_late(const char *sentence, const char *what)
{
	if (is_same_stderr())
		tell(sentence, what, off);
}

void tell_port_late(const char *sentence)
{
	if (is_same_stderr())
		tell(sentence, "", "\n");
}
