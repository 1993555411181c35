/*
 * Any bytes as something packed: the first chooses the format, the second how much
 * room there is.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sampler/symbols/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct elf_reader in = { .fd = memfd_create("fuzz", MFD_CLOEXEC), .size = size };
	size_t room = size < 2 ? 0 : (size_t)bytes[1] << 8;
	uint8_t *out = malloc(room + 1); /* of its exact size, so that a byte too many is seen */

	if (in.fd < 0 || !out || write(in.fd, bytes, size) != (ssize_t)size)
		abort();
	if (size > 2 && unpack((enum packing)(bytes[0] % 3), &in, 2, size, out, room) > room)
		abort();
	free(out);
	close(in.fd);
	return 0;
}
