#include "http/out_place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "sampler/base/cc.h"
#include "sampler/base/error_text.h"
#include "sampler/base/name_pattern.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"

#define PATH_BYTES 4096
#define PATH_SHOWN 300

static struct {
	const char *pattern;
	struct name_parts parts;
	char path[PATH_BYTES]; /* of the directory */
	char name[OUT_NAME_MAX + 1];
	int dir; /* open, or -errno */
	char complaint[PATH_SHOWN + 200];
	bool has_complaint;
	bool *was_told; /* by one of those that were forked */
} place;

/* A page that forked children share: one of them tells, and no other. */
static bool *shared_flag(void)
{
	static bool unshared;
	long p = sys_call6(SYS_mmap, 0, PAGE_BYTES, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return sys_failed(p) ? &unshared : (bool *)p;
}

void out_place_init(const char *pattern, const char *program)
{
	const char *slash = strrchr(program, '/');

	place.pattern = pattern;
	place.parts.program = slash ? slash + 1 : program;
	place.parts.started_s = sys_clock_ns(CLOCK_REALTIME) / NS_PER_SECOND;
	place.dir = -EBADF;
	place.was_told = shared_flag();
}

/* ---- where */

/* The pattern's last part, if that is what names begin with. */
static const char *name_in_pattern(void)
{
	const char *slash = strrchr(place.pattern, '/');

	return strchr(slash, '%') ? slash + 1 : NULL;
}

/* A program's name may hold anything but a slash, and a file's may be no longer than this. */
static void write_name(struct text *t, const char *pattern)
{
	name_pattern_write(t, pattern ? pattern : "%n.%p", &place.parts);
	if (pattern && !strstr(pattern, "%p"))
		name_pattern_write(t, ".%p", &place.parts);
}

/* 0, or -errno: what is cut would be another place. */
static int find(void)
{
	const char *pattern = name_in_pattern();
	struct text path = TEXT_INIT(place.path), name = TEXT_INIT(place.name);

	place.parts.pid = sys_getpid();
	name_pattern_write(&path, place.pattern, &place.parts);
	write_name(&name, pattern);
	/* a name that a % stands for has no slash, so the last one is the pattern's */
	if (pattern && !path.cut)
		*strrchr(place.path, '/') = '\0';
	return path.cut ? -ENAMETOOLONG : 0;
}

static int open_directory(void)
{
	int failed = find();

	return failed ? failed
		      : (int)sys_call4(SYS_openat, AT_FDCWD, (long)(*place.path ? place.path : "/"),
				       O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

void out_place_open(void)
{
	place.dir = open_directory();
}

void out_place_close(void)
{
	if (place.dir >= 0)
		sys_close(place.dir);
	place.dir = -EBADF;
}

/* ---- complaints */

static void complain(int failed)
{
	struct text t = TEXT_INIT(place.complaint);

	if (*place.was_told)
		return;
	*place.was_told = true;
	text_str(&t, "profiles cannot be written to ");
	text_begin_of(&t, place.path, PATH_SHOWN);
	text_str(&t, ": ");
	text_error(&t, failed);
	text_str(&t, " (PPROF_OUT); the program runs as usual");
	__atomic_store_n(&place.has_complaint, true, __ATOMIC_RELEASE);
}

const char *out_place_complaint(void)
{
	return __atomic_exchange_n(&place.has_complaint, false, __ATOMIC_ACQ_REL) ? place.complaint
										  : NULL;
}

const char *out_place_check(void)
{
	int dir = open_directory();
	int failed = MIN(dir, 0);

	if (!failed)
		failed = (int)sys_call3(SYS_faccessat, dir, (long)".", W_OK | X_OK);
	if (dir >= 0)
		sys_close(dir);
	if (failed)
		complain(failed);
	return out_place_complaint();
}

/* ---- files */

void out_place_write(struct out_file *f, const char *kind, struct bytes content)
{
	int failed =
		place.dir < 0 ? place.dir : out_file_write(f, place.dir, place.name, kind, content);

	if (failed)
		complain(failed);
}

void out_place_after_fork(void)
{
	place.has_complaint = false;
	place.dir = -EBADF;
}
