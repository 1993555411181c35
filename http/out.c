#include "http/out.h"

#include <string.h>

#include "http/out_place.h"
#include "http/out_windows.h"
#include "http/snapshot_route.h"
#include "proto/flat_text.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/cpu.h"
#include "sampler/process/descendants.h"
#include "sampler/symbols/patience.h"

#define EVERY_NS (30 * NS_PER_SECOND)
/* Of a process that ends; what it has not sampled by then is less than a tick. */
#define LEAST_NS (10 * NS_PER_MS)
/* Lines: a quarter of what the process used, for builds have thousands of short ones. */
#define LINES_NS       (100 * NS_PER_MS)
#define LINES_LEAST_NS (20 * NS_PER_MS)
#define LINES_SHARE    4
#define ARENA_BYTES    (64UL << 20)

static struct {
	struct out_config config;
	struct out_windows cpu, wall, toggled;
	struct out_file file[OUT_KIND_COUNT], toggled_file;
	bool has_begun, is_toggled;
	int64_t next_ns;
} out;

void out_init(const struct out_config *config)
{
	out.config = *config;
	out_place_init(config->pattern, config->program);
}

bool out_is_wanted(void)
{
	return out.config.pattern != NULL;
}

static bool wants(enum out_kind kind)
{
	return out.config.kinds & OUT_KIND_BIT(kind);
}

static bool wants_cpu(void)
{
	return wants(OUT_CPU) || wants(OUT_TOP);
}

/* ---- files */

static void write_file(enum out_kind kind, struct bytes content)
{
	static const char *const ending[] = {
#define X(id, name, ending) name "." ending,
		OUT_KINDS(X)
#undef X
	};

	out_place_write(&out.file[kind], ending[kind], content);
}

static bool get_message(struct out_windows *w, struct arena *a, struct message *m)
{
	return out_windows_message(w, a, LEAST_NS, m) >= LEAST_NS;
}

/* Of the CPU profile there are two forms. */
static void write_cpu(struct arena *a)
{
	struct bytes file;
	struct message m;

	if (!wants_cpu() || !get_message(&out.cpu, a, &m))
		return;
	if (wants(OUT_CPU) && build_file(a, &m, &file) == 0)
		write_file(OUT_CPU, file);
	if (wants(OUT_TOP) && flat_text(a, &m, m.sample_type_count - 1, &file) == 0)
		write_file(OUT_TOP, file);
}

static void write_wall(struct arena *a)
{
	struct bytes file;
	struct message m;

	if (wants(OUT_WALL) && get_message(&out.wall, a, &m) && build_file(a, &m, &file) == 0)
		write_file(OUT_WALL, file);
}

/* Who asked for it by hand gets a file in any case. */
static void write_toggled(struct arena *a)
{
	struct bytes file;
	struct message m;

	if (out.is_toggled && out_windows_message(&out.toggled, a, 0, &m) >= 0 &&
	    build_file(a, &m, &file) == 0)
		out_place_write(&out.toggled_file, "toggled.pb.gz", file);
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
	write_toggled(&a);
	arena_release(&a);
	write_wall(&a);
	arena_release(&a);
	write_snapshot(&a, OUT_HEAP, &heap_page);
	arena_release(&a);
	write_snapshot(&a, OUT_BLOCK, &block_page);
	arena_release(&a);
	write_snapshot(&a, OUT_MUTEX, &mutex_page);
	arena_release(&a);
	out.next_ns = sys_now_ns() + EVERY_NS;
}

static int64_t lines_ns(void)
{
	int64_t share = process_cpu_ns(sys_getpid()) / LINES_SHARE;

	return MIN(MAX(share, (int64_t)LINES_LEAST_NS), (int64_t)LINES_NS);
}

void out_write(int64_t until_ns)
{
	if (!out.has_begun)
		return;
	patience_set(until_ns, MIN(until_ns, sys_now_ns() + lines_ns()));
	write_all();
	patience_set(0, 0);
}

/* ---- by hand */

static void end_toggled(void)
{
	struct arena a = ARENA_INIT(ARENA_BYTES);

	out_windows_end(&out.toggled);
	write_toggled(&a);
	arena_release(&a);
	out_windows_release(&out.toggled);
	out.is_toggled = false;
	/* the next one has another name */
	out.toggled_file = (struct out_file){ .number = MAX(out.toggled_file.number + 1, 2U) };
}

void out_toggle(void)
{
	const char *why;

	if (!out.has_begun)
		return;
	if (out.is_toggled)
		end_toggled();
	else
		out.is_toggled = out_windows_begin(&out.toggled, &cpu_page, out.config.hz, &why);
}

bool out_is_toggled(void)
{
	return out.is_toggled;
}

/* ---- the course of things */

/* A sampler that cannot work tells so on the shim page. */
void out_begin(void)
{
	const char *why;

	if (!out.config.pattern)
		return;
	out_place_open();
	if (wants_cpu() || wants(OUT_WALL))
		cpu_expect_short_life();
	if (wants_cpu())
		out_windows_begin(&out.cpu, &cpu_page, out.config.hz, &why);
	if (wants(OUT_WALL))
		out_windows_begin(&out.wall, &wall_page, 0, &why);
	if (out.is_toggled)
		out_windows_begin(&out.toggled, &cpu_page, out.config.hz, &why);
	out.has_begun = true;
	out.next_ns = sys_now_ns() + EVERY_NS;
}

void out_end(void)
{
	if (!out.has_begun)
		return;
	out_windows_end(&out.cpu);
	out_windows_end(&out.wall);
	out_windows_end(&out.toggled);
	write_all();
	out_place_close();
	out.has_begun = false;
}

int64_t out_do_due(int64_t now_ns)
{
	int64_t again;

	if (!out.has_begun)
		return INT64_MAX;
	again = out_windows_step(&out.wall);
	if (now_ns >= out.next_ns)
		write_all();
	return MIN(again, out.next_ns);
}

/* What the parent sampled is the parent's. */
void out_after_fork(void)
{
	out_place_after_fork();
	memset(&out.cpu, 0, sizeof(out.cpu));
	memset(&out.wall, 0, sizeof(out.wall));
	memset(&out.toggled, 0, sizeof(out.toggled));
	memset(out.file, 0, sizeof(out.file));
	out.toggled_file = (struct out_file){ 0 };
	out.has_begun = out.is_toggled = false;
}
