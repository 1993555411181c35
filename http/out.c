#include "http/out.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "http/out_cpu.h"
#include "http/out_file.h"
#include "http/snapshot_route.h"
#include "proto/flat_text.h"
#include "sampler/base/cc.h"
#include "sampler/base/name_pattern.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/symbols/patience.h"

#define EVERY_NS (30 * NS_PER_SECOND)
/* Of a process that ends; what it has not sampled by then is less than a tick. */
#define LEAST_CPU_NS (10 * NS_PER_MS)
#define LINES_NS     (100 * NS_PER_MS)
#define ARENA_BYTES  (64UL << 20)
#define PATH_BYTES   4096

struct place {
	char path[PATH_BYTES]; /* of the directory */
	char name[OUT_NAME_MAX + 1];
};

static struct {
	struct out_config config;
	struct name_parts parts;
	struct place place;
	struct out_file file[OUT_KIND_COUNT];
	int dir; /* open, or -errno */
	bool has_begun;
	int64_t next_ns;
	const char *refusal; /* why there is no CPU profile */
	char complaint[PATH_BYTES + 160];
	bool has_complaint;
	bool *was_told; /* by one of those that were forked */
} out;

/* A page that forked children share: one of them tells, and no other. */
static bool *shared_flag(void)
{
	static bool unshared;
	long p = sys_call6(SYS_mmap, 0, PAGE_BYTES, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return sys_failed(p) ? &unshared : (bool *)p;
}

void out_init(const struct out_config *config)
{
	const char *slash = strrchr(config->program, '/');

	out.config = *config;
	out.parts.program = slash ? slash + 1 : config->program;
	out.parts.started_s = sys_clock_ns(CLOCK_REALTIME) / NS_PER_SECOND;
	out.dir = -EBADF;
	out.was_told = shared_flag();
}

bool out_is_wanted(void)
{
	return out.config.pattern != NULL;
}

static bool wants(enum out_kind kind)
{
	return out.config.kinds & OUT_KIND_BIT(kind);
}

/* ---- where */

/* The pattern's last part, if that is what names begin with. */
static const char *name_in_pattern(void)
{
	const char *slash = strrchr(out.config.pattern, '/');

	return strchr(slash, '%') ? slash + 1 : NULL;
}

/* A program's name may hold anything but a slash, and a file's may be no longer than this. */
static void write_name(struct text *t, const char *pattern)
{
	name_pattern_write(t, pattern ? pattern : "%n.%p", &out.parts);
	if (pattern && !strstr(pattern, "%p"))
		name_pattern_write(t, ".%p", &out.parts);
}

static void find_place(struct place *p)
{
	const char *pattern = name_in_pattern();
	struct text path = TEXT_INIT(p->path), name = TEXT_INIT(p->name);

	out.parts.pid = sys_getpid();
	name_pattern_write(&path, out.config.pattern, &out.parts);
	write_name(&name, pattern);
	if (!pattern)
		return;
	/* a name that a % stands for has no slash, so the last one is the pattern's */
	*strrchr(p->path, '/') = '\0';
}

static int open_directory(const char *path)
{
	return (int)sys_call4(SYS_openat, AT_FDCWD, (long)(*path ? path : "/"),
			      O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

/* ---- complaints */

static void write_reason(struct text *t, int failed)
{
	switch (failed) {
	case -ENOENT:
		text_str(t, "there is no such directory");
		break;
	case -ENOTDIR:
		text_str(t, "it is no directory");
		break;
	case -EACCES:
	case -EPERM:
		text_str(t, "writing there is not allowed");
		break;
	case -EROFS:
		text_str(t, "the file system is read-only");
		break;
	case -ENOSPC:
	case -EDQUOT:
		text_str(t, "there is no space left");
		break;
	default:
		text_str(t, "errno ");
		text_i64(t, -failed);
	}
}

static void complain(int failed)
{
	struct text t = TEXT_INIT(out.complaint);

	if (*out.was_told)
		return;
	*out.was_told = true;
	text_str(&t, "profiles cannot be written to ");
	text_str(&t, out.place.path);
	text_str(&t, ": ");
	write_reason(&t, failed);
	text_str(&t, " (PPROF_OUT); the program runs as usual");
	__atomic_store_n(&out.has_complaint, true, __ATOMIC_RELEASE);
}

const char *out_complaint(void)
{
	return __atomic_exchange_n(&out.has_complaint, false, __ATOMIC_ACQ_REL) ? out.complaint
										: NULL;
}

const char *out_check(void)
{
	int dir, failed;

	find_place(&out.place);
	dir = open_directory(out.place.path);
	failed = MIN(dir, 0);
	if (!failed)
		failed = (int)sys_call3(SYS_faccessat, dir, (long)".", W_OK | X_OK);
	if (dir >= 0)
		sys_close(dir);
	if (failed)
		complain(failed);
	return out_complaint();
}

/* ---- files */

static void write_file(enum out_kind kind, struct bytes content)
{
	static const char *const ending[] = {
#define X(id, name, ending) name "." ending,
		OUT_KINDS(X)
#undef X
	};
	int failed = out.dir < 0 ? out.dir
				 : out_file_write(&out.file[kind], out.dir, out.place.name,
						  ending[kind], content);

	if (failed)
		complain(failed);
}

/* Of the CPU profile there are two forms. */
static void write_cpu(struct arena *a)
{
	struct bytes file;
	struct message m;

	if (!(wants(OUT_CPU) || wants(OUT_TOP)) ||
	    out_cpu_message(a, LEAST_CPU_NS, &m) < LEAST_CPU_NS)
		return;
	if (wants(OUT_CPU) && build_file(a, &m, &file) == 0)
		write_file(OUT_CPU, file);
	if (wants(OUT_TOP) && flat_text(a, &m, m.sample_type_count - 1, &file) == 0)
		write_file(OUT_TOP, file);
}

static void write_snapshot(struct arena *a, enum out_kind kind, const struct snapshot_page *page)
{
	struct bytes file;

	if (wants(kind) && !page->refusal() && snapshot_file(a, page, &file) > 0)
		write_file(kind, file);
}

static void write_all(void)
{
	struct arena a = ARENA_INIT(ARENA_BYTES);

	write_cpu(&a);
	arena_release(&a);
	write_snapshot(&a, OUT_HEAP, &heap_page);
	arena_release(&a);
	write_snapshot(&a, OUT_BLOCK, &block_page);
	arena_release(&a);
	write_snapshot(&a, OUT_MUTEX, &mutex_page);
	arena_release(&a);
	out.next_ns = sys_now_ns() + EVERY_NS;
}

void out_write(int64_t until_ns)
{
	if (!out.has_begun)
		return;
	patience_set(until_ns, MIN(until_ns, sys_now_ns() + LINES_NS));
	write_all();
	patience_set(0, 0);
}

/* ---- the course of things */

void out_begin(void)
{
	if (!out.config.pattern)
		return;
	find_place(&out.place);
	out.dir = open_directory(out.place.path);
	if (wants(OUT_CPU) || wants(OUT_TOP))
		out_cpu_begin(out.config.hz, &out.refusal);
	out.has_begun = true;
	out.next_ns = sys_now_ns() + EVERY_NS;
}

void out_end(void)
{
	if (!out.has_begun)
		return;
	out_cpu_end();
	write_all();
	if (out.dir >= 0)
		sys_close(out.dir);
	out.dir = -EBADF;
	out.has_begun = false;
}

int64_t out_do_due(int64_t now_ns)
{
	if (!out.has_begun)
		return INT64_MAX;
	if (now_ns >= out.next_ns)
		write_all();
	return out.next_ns;
}

void out_after_fork(void)
{
	out_cpu_after_fork();
	out.has_begun = false;
	out.has_complaint = false;
	out.dir = -EBADF;
	memset(out.file, 0, sizeof(out.file));
}
