/*
 * Code addresses of real modules with their unwind rules, and captures of
 * made-up stacks of them: what walks, tables and answers are measured with.
 */
#ifndef BENCH_POOL_H
#define BENCH_POOL_H

#include <dlfcn.h>

#include "bench/measure.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/process/modules.h"
#include "sampler/unwind/capture.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/learn.h"

#define POOL_MAX 10000
/* Frames of real servers: few are larger. */
#define FRAME_MAX 256

struct pool {
	uint64_t pc[POOL_MAX];
	int32_t frame[POOL_MAX]; /* bytes, from its SP to its CFA */
	size_t count;
};

/* Libraries that a C++ server would have; what is not installed is left out. */
static inline void load_libraries(void)
{
	static const char *const names[] = { "libstdc++.so.6", "libcrypto.so.3", "libz.so.1",
					     "libgcc_s.so.1", "libm.so.6" };
	const char *plugin = getenv("BENCH_PLUGIN"); /* code with much debug information */

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		dlopen(names[i], RTLD_NOW);
	if (plugin && !dlopen(plugin, RTLD_NOW))
		fprintf(stderr, "bench: %s\n", dlerror());
	modules_init();
	code_refresh();
}

static inline uint64_t random_pc_of(const struct module *m)
{
	const struct module_range *r;

	if (!m->range_count || m->is_vdso)
		return 0;
	r = &m->range[random_below(m->range_count)];
	return r->start + random_below(r->limit - r->start);
}

static inline uint64_t random_pc(void)
{
	return random_pc_of(module_at(random_below(modules_count())));
}

static inline bool is_usable(const struct row *row)
{
	return row->kind == ROW_SP && row->cfa_offset % 16 == 0 && row->cfa_offset >= 16 &&
	       row->cfa_offset <= FRAME_MAX;
}

/* Addresses whose callers are found from SP, so that stacks can be made of them in any order. */
static inline void fill_pool(struct pool *p, size_t count)
{
	for (int tries = 0; p->count < count && tries < 50 * POOL_MAX; tries++) {
		uint64_t pc = random_pc();
		struct row row = pc ? learn_row(pc) : (struct row){ 0 };

		if (!is_usable(&row))
			continue;
		p->pc[p->count] = pc;
		p->frame[p->count++] = row.cfa_offset;
	}
}

/* Made-up SP of the leaf; nothing is there, only the capture is read. */
#define POOL_SP 0x7f0000000000UL

/* Bytes that a capture of `depth` frames may take. */
static inline size_t capture_bytes(int depth)
{
	return sizeof(struct capture) + RED_ZONE_BYTES + (size_t)depth * FRAME_MAX;
}

/* `index`: frames from the leaf up.  The stack ends in a return address of 0. */
static inline void make_capture(struct capture *c, const struct pool *p, const uint32_t *index,
				int depth)
{
	uint64_t at = RED_ZONE_BYTES;

	memset(c, 0, capture_bytes(depth));
	c->slice_at = POOL_SP - RED_ZONE_BYTES;
	c->on_known_stack = true;
	c->reg[REG_RSP] = POOL_SP;
	c->reg[REG_RBP] = POOL_SP;
	c->reg[REG_RIP] = p->pc[index[0]];
	for (int i = 0; i < depth; i++) {
		uint64_t caller = i + 1 < depth ? p->pc[index[i + 1]] + 1 : 0;

		at += (uint64_t)p->frame[index[i]];
		memcpy(c->slice + at - 8, &caller, sizeof(caller));
	}
	c->slice_len = (uint32_t)at;
}

static inline void random_stack(const struct pool *p, uint32_t *index, int depth)
{
	for (int i = 0; i < depth; i++)
		index[i] = (uint32_t)random_below(p->count);
}

#endif
