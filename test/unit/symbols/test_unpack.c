/*
 * What is unpacked, and that damage and greed end without an answer.  The packed texts
 * were made by xz, zlib and, for zstd, by hand: two frames of one raw block each.
 */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/symbols/unpack.h"

static const char text[] = "names of functions, names of functions, names of functions";
#define TEXT_BYTES (sizeof(text) - 1)

static const uint8_t xz[] = {
	0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
	0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0xe0, 0x00, 0x39, 0x00, 0x1b, 0x5d,
	0x00, 0x37, 0x18, 0x49, 0xfd, 0xfd, 0xe1, 0x12, 0x02, 0x20, 0xf1, 0xba, 0xc5, 0xd9, 0x2b,
	0x1e, 0xc6, 0x98, 0xb3, 0x7f, 0xeb, 0xa3, 0x9d, 0x1d, 0xcf, 0x35, 0xc0, 0x00, 0x00, 0x00,
	0xbe, 0x3c, 0x76, 0x99, 0xf3, 0xf9, 0x4d, 0x15, 0x00, 0x01, 0x37, 0x3a, 0xad, 0xcc, 0x8d,
	0x76, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
};

/* The same with a dictionary of 64 MiB, as `xz -9` says. */
static const uint8_t xz_greedy[] = {
	0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
	0x01, 0x1c, 0x00, 0x00, 0x00, 0x10, 0xcf, 0x58, 0xcc, 0xe0, 0x00, 0x39, 0x00, 0x1b, 0x5d,
	0x00, 0x37, 0x18, 0x49, 0xfd, 0xfd, 0xe1, 0x12, 0x02, 0x20, 0xf1, 0xba, 0xc5, 0xd9, 0x2b,
	0x1e, 0xc6, 0x98, 0xb3, 0x7f, 0xeb, 0xa3, 0x9d, 0x1d, 0xcf, 0x35, 0xc0, 0x00, 0x00, 0x00,
	0xbe, 0x3c, 0x76, 0x99, 0xf3, 0xf9, 0x4d, 0x15, 0x00, 0x01, 0x37, 0x3a, 0xad, 0xcc, 0x8d,
	0x76, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
};

static const uint8_t zlib_bytes[] = {
	0x78, 0xda, 0xcb, 0x4b, 0xcc, 0x4d, 0x2d, 0x56, 0xc8, 0x4f, 0x53,
	0x48, 0x2b, 0xcd, 0x4b, 0x2e, 0xc9, 0xcc, 0xcf, 0x2b, 0xd6, 0x51,
	0xc8, 0x23, 0x4a, 0x0c, 0x00, 0x78, 0x9a, 0x15, 0x9f,
};

/* Head, a raw block: "names of ..." in halves. */
static size_t make_zstd(uint8_t *to)
{
	size_t half = TEXT_BYTES / 2, n = 0;

	for (size_t i = 0; i < 2; i++) {
		const uint8_t head[] = { 0x28,
					 0xb5,
					 0x2f,
					 0xfd,
					 0x20,
					 (uint8_t)half,
					 (uint8_t)(half << 3 | 1),
					 (uint8_t)(half >> 5),
					 0 };

		memcpy(to + n, head, sizeof(head));
		memcpy(to + n + sizeof(head), text + i * half, half);
		n += sizeof(head) + half;
	}
	return n;
}

static size_t unpack_bytes(enum packing packing, const uint8_t *bytes, size_t size, uint8_t *out,
			   size_t room)
{
	struct elf_reader in = { .fd = memfd_create("packed", MFD_CLOEXEC), .size = size };
	size_t n;

	ck_assert_int_eq(write(in.fd, bytes, size), (ssize_t)size);
	n = unpack(packing, &in, 0, size, out, room);
	close(in.fd);
	return n;
}

static void check_unpacks(enum packing packing, const uint8_t *bytes, size_t size)
{
	uint8_t out[TEXT_BYTES];

	ck_assert_uint_eq(unpack_bytes(packing, bytes, size, out, sizeof(out)), TEXT_BYTES);
	ck_assert_mem_eq(out, text, TEXT_BYTES);
}

START_TEST(test_unpack__each_format_gives_its_text)
{
	uint8_t zstd[256];

	check_unpacks(PACKED_ZSTD, zstd, make_zstd(zstd));
	check_unpacks(PACKED_ZLIB, zlib_bytes, sizeof(zlib_bytes));
	check_unpacks(PACKED_XZ, xz, sizeof(xz));
}
END_TEST

START_TEST(test_unpack__what_is_cut_short_gives_nothing_of_xz)
{
	uint8_t out[2 * TEXT_BYTES];

	for (size_t size = 0; size < sizeof(xz); size++)
		ck_assert_uint_eq(unpack_bytes(PACKED_XZ, xz, size, out, sizeof(out)), 0);
}
END_TEST

START_TEST(test_unpack__what_does_not_fit_is_refused)
{
	uint8_t out[TEXT_BYTES];

	ck_assert_uint_eq(unpack_bytes(PACKED_XZ, xz, sizeof(xz), out, TEXT_BYTES - 1), 0);
	ck_assert_uint_eq(unpack_bytes(PACKED_XZ, xz_greedy, sizeof(xz_greedy), out, sizeof(out)),
			  0);
}
END_TEST

/* Checksums find all of it in xz and zlib. */
START_TEST(test_unpack__damage_is_found_and_nothing_is_written_beyond)
{
	uint8_t bytes[sizeof(xz)], out[TEXT_BYTES + 8];

	for (size_t bit = 0; bit < 8 * sizeof(xz); bit++) {
		memcpy(bytes, xz, sizeof(xz));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memset(out, 0x77, sizeof(out));
		if (unpack_bytes(PACKED_XZ, bytes, sizeof(bytes), out, TEXT_BYTES))
			ck_assert_mem_eq(out, text, TEXT_BYTES);
		ck_assert_uint_eq(out[TEXT_BYTES], 0x77);
	}
}
END_TEST

/* From before zstd 1.0: their readers are not linked in. */
START_TEST(test_unpack__old_frames_are_refused)
{
	uint8_t bytes[64] = { 0x25, 0xb5, 0x2f, 0xfd }, out[64];

	for (bytes[0] = 0x22; bytes[0] < 0x28; bytes[0]++)
		ck_assert_uint_eq(unpack_bytes(PACKED_ZSTD, bytes, sizeof(bytes), out, sizeof(out)),
				  0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("unpack");
	TCase *t = tcase_create("unpack");
	SRunner *r;
	int failed;

	tcase_add_test(t, test_unpack__each_format_gives_its_text);
	tcase_add_test(t, test_unpack__what_is_cut_short_gives_nothing_of_xz);
	tcase_add_test(t, test_unpack__what_does_not_fit_is_refused);
	tcase_add_test(t, test_unpack__damage_is_found_and_nothing_is_written_beyond);
	tcase_add_test(t, test_unpack__old_frames_are_refused);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
