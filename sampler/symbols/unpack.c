#include "sampler/symbols/unpack.h"

#include <lzma.h>
#include <string.h>
#include <zlib.h>
/* for ZSTD_d_stableOutBuffer: without it a window of up to 8 MiB is a second copy of the output */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "sampler/base/cc.h"
#include "sampler/process/linked_libc.h"

#define BLOCK_BYTES 16384

/* xz packs with dictionaries of 8 MiB unless it is told otherwise; the rest is the decoders' own.
 */
#define DICTIONARY_MAX (16UL << 20)
#define MEMORY_MAX     (DICTIONARY_MAX + (2UL << 20))

struct job {
	enum packing packing;
	const struct elf_reader *in;
	uint64_t at, end;
	uint8_t *out;
	size_t room;
	size_t done; /* 0 until all is well */
	uint8_t block[BLOCK_BYTES];
};

/* The next block of input; 0 at its end. */
static size_t read_block(struct job *j)
{
	size_t n =
		elf_read_some(j->in, j->at, j->block, MIN(j->end - j->at, (uint64_t)BLOCK_BYTES));

	j->at += n;
	return n;
}

static void unpack_zlib(struct job *j)
{
	z_stream z = { .next_out = j->out, .avail_out = (uInt)j->room };
	int state = inflateInit(&z);

	while (state == Z_OK && z.avail_out && (z.avail_in = (uInt)read_block(j)) != 0) {
		z.next_in = j->block;
		state = inflate(&z, Z_NO_FLUSH);
	}
	if (state == Z_OK || state == Z_STREAM_END)
		j->done = j->room - z.avail_out;
}

/* Linkers that compress with several threads write one frame behind the other. */
static void unpack_zstd(struct job *j)
{
	ZSTD_DCtx *z = ZSTD_createDCtx();
	ZSTD_outBuffer out = { .dst = j->out, .size = j->room };
	ZSTD_inBuffer in = { .src = j->block };
	size_t state = 0;

	if (!z || ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_stableOutBuffer, 1)))
		return;
	while (!ZSTD_isError(state) && out.pos < out.size && (in.size = read_block(j)) != 0)
		for (in.pos = 0; in.pos < in.size && out.pos < out.size && !ZSTD_isError(state);)
			state = ZSTD_decompressStream(z, &out, &in);
	if (!ZSTD_isError(state))
		j->done = out.pos;
}

static void unpack_xz(struct job *j)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_ret state = lzma_stream_decoder(&z, DICTIONARY_MAX + (1UL << 20), 0);

	z.next_out = j->out;
	z.avail_out = j->room;
	while (state == LZMA_OK && z.avail_out && (z.avail_in = read_block(j)) != 0) {
		z.next_in = j->block;
		state = lzma_code(&z, LZMA_RUN);
	}
	if (state == LZMA_STREAM_END)
		j->done = j->room - z.avail_out;
}

static void run(void *arg)
{
	struct job *j = arg;

	switch (j->packing) {
	case PACKED_ZLIB:
		unpack_zlib(j);
		break;
	case PACKED_ZSTD:
		unpack_zstd(j);
		break;
	case PACKED_XZ:
		unpack_xz(j);
		break;
	}
}

/* The decoders are not ended: their memory goes with the arena. */
size_t unpack(enum packing packing, const struct elf_reader *in, uint64_t at, uint64_t end,
	      uint8_t *out, size_t room)
{
	struct job j = {
		.packing = packing, .in = in, .at = at, .end = end, .out = out, .room = room
	};
	struct arena memory = ARENA_INIT(MEMORY_MAX), *before = lib_memory_use(&memory);
	bool aborted = lib_try(run, &j) != 0;

	lib_memory_use(before);
	arena_release(&memory);
	return aborted ? 0 : j.done;
}
