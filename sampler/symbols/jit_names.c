#include "sampler/symbols/jit_names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/process/other_code.h"
#include "sampler/symbols/jit_search.h"

#define STEPS_MAX      (1UL << 26)	   /* (entry, address) pairs */
#define NAME_BYTES_ALL (8UL << 20)	   /* of all names together */
#define READING_NS     (NS_PER_SECOND / 2) /* for each of the two files */

static bool is_ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_nlink == 1 &&
	       (st->st_uid == 0 || st->st_uid == (uid_t)sys_call3(SYS_geteuid, 0, 0, 0) ||
		st->st_uid == (uid_t)sys_call3(SYS_getuid, 0, 0, 0));
}

/* What is kept for the next profile. */
static struct {
	struct jit_index map, dump;
	bool was_asked;	  /* since jit_names_do_due() looked last */
	int64_t asked_ns; /* when it found so */
} kept;

/* A file that is not there is no loss. */
static void read_file(struct jit_search *s, const char *path, const struct jit_reader *reader)
{
	long fd = sys_call4(SYS_openat, AT_FDCWD, (long)path,
			    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;
	bool whole;

	if (fd == -ENOENT) {
		jit_index_release(s->index);
		return;
	}
	whole = fd >= 0 && sys_call3(SYS_fstat, fd, (long)&st, 0) == 0 && is_ours(&st);
	s->deadline_ns = sys_now_ns() + READING_NS;
	s->fd = (int)fd;
	if (whole)
		whole = jit_search_file(s, reader, &st);
	if (!whole)
		counter_add(COUNTER_JIT_NAMES_REFUSED, 1);
	if (fd >= 0)
		sys_close((int)fd);
}

static void read_perf_map(struct jit_search *s)
{
	char buf[40];
	struct text path = TEXT_INIT(buf);

	text_str(&path, "/tmp/perf-");
	text_u64(&path, (uint64_t)sys_getpid());
	text_str(&path, ".map");
	s->index = &kept.map;
	read_file(s, buf, &perf_map_reader);
}

void jit_names_find(struct arena *a, const uint64_t *pc, size_t count, struct symbol_frame *frame)
{
	struct jit_search s = { .arena = a,
				.pc = pc,
				.count = count,
				.frame = frame,
				.steps_left = STEPS_MAX,
				.name_bytes_left = NAME_BYTES_ALL };

	memset(frame, 0, count * sizeof(*frame));
	s.block = count ? arena_alloc(a, JIT_BLOCK_BYTES) : NULL;
	s.is_done = arena_array(a, count, sizeof(*s.is_done));
	if (!s.block || !s.is_done)
		return;
	kept.was_asked = true;
	read_perf_map(&s);
	s.index = &kept.dump;
	if (other_code_jitdump())
		read_file(&s, other_code_jitdump(), &jitdump_reader);
}

int64_t jit_names_do_due(int64_t now_ns)
{
	if (!kept.map.chunk_count && !kept.dump.chunk_count)
		return INT64_MAX;
	if (kept.was_asked)
		kept.asked_ns = now_ns;
	kept.was_asked = false;
	if (now_ns < kept.asked_ns + JIT_NAMES_NS)
		return kept.asked_ns + JIT_NAMES_NS;
	jit_index_release(&kept.map);
	jit_index_release(&kept.dump);
	return INT64_MAX;
}

void jit_names_after_fork(void)
{
	memset(&kept, 0, sizeof(kept));
}
