#include "sampler/symbols/jit_index.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"

struct jit_chunk {
	size_t count;
	struct jit_entry entry[JIT_CHUNK_ENTRIES];
};

void jit_index_release(struct jit_index *x)
{
	for (size_t i = 0; i < x->chunk_count; i++)
		sys_unmap(x->chunk[i], sizeof(*x->chunk[i]));
	*x = (struct jit_index){ 0 };
}

static uint64_t sample_start(uint64_t read_to)
{
	return read_to < JIT_SAMPLE_BYTES ? 0 : read_to - JIT_SAMPLE_BYTES;
}

static bool is_what_it_was(const struct jit_index *x, int fd, const struct stat *st)
{
	uint64_t at = sample_start(x->read_to);
	size_t len = (size_t)(x->read_to - at);
	char now[JIT_SAMPLE_BYTES];

	return x->device == st->st_dev && x->inode == st->st_ino &&
	       x->read_to <= (uint64_t)st->st_size && sys_pread(fd, now, len, at) == (long)len &&
	       memcmp(now, x->sample, len) == 0;
}

void jit_index_open(struct jit_index *x, int fd, const struct stat *st)
{
	if (x->read_to && is_what_it_was(x, fd, st))
		return;
	jit_index_release(x);
	x->device = st->st_dev;
	x->inode = st->st_ino;
}

/* With all the memory that it may have, the oldest chunk is the next one. */
static struct jit_chunk *new_chunk(struct jit_index *x)
{
	struct jit_chunk *c;

	if (x->chunk_count < JIT_CHUNKS_MAX)
		return x->chunk[x->chunk_count++] = sys_map(sizeof(*c));
	c = x->chunk[0];
	memmove(x->chunk, x->chunk + 1, (JIT_CHUNKS_MAX - 1) * sizeof(x->chunk[0]));
	x->chunk[JIT_CHUNKS_MAX - 1] = c;
	c->count = 0;
	x->has_forgotten = true;
	return c;
}

bool jit_index_add(struct jit_index *x, const struct jit_entry *e)
{
	struct jit_chunk *c = x->chunk_count ? x->chunk[x->chunk_count - 1] : NULL;

	if (!c || c->count == JIT_CHUNK_ENTRIES)
		c = new_chunk(x);
	if (!c) {
		x->chunk_count--;
		return false;
	}
	c->entry[c->count++] = *e;
	return true;
}

void jit_index_close(struct jit_index *x, int fd, uint64_t read_to)
{
	uint64_t at = sample_start(read_to);

	x->read_to = read_to;
	if (sys_pread(fd, x->sample, (size_t)(read_to - at), at) != (long)(read_to - at))
		jit_index_release(x);
}

void jit_index_each(const struct jit_index *x, bool (*fn)(const struct jit_entry *e, void *arg),
		    void *arg)
{
	for (size_t i = x->chunk_count; i-- > 0;)
		for (size_t k = x->chunk[i]->count; k-- > 0;)
			if (!fn(&x->chunk[i]->entry[k], arg))
				return;
}
