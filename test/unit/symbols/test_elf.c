/*
 * Views of ELF files: what is opened, what is refused, and that no length in a
 * file is believed.
 */
#include <check.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sampler/symbols/elf.h"

static struct arena arena;

static void setup(void)
{
	arena = (struct arena)ARENA_INIT(16 << 20);
}

static void teardown(void)
{
	arena_release(&arena);
}

static uint8_t *read_self(size_t *size)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	struct stat st;
	uint8_t *bytes;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	*size = (size_t)st.st_size;
	bytes = malloc(*size);
	ck_assert_int_eq(pread(fd, bytes, *size, 0), st.st_size);
	close(fd);
	return bytes;
}

static int memory_file(const void *bytes, size_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	return fd;
}

static int main_object(struct dl_phdr_info *info, size_t size, void *opaque)
{
	struct module *m = opaque;

	(void)size;
	m->bias = info->dlpi_addr;
	m->phdr = (uint64_t)info->dlpi_phdr;
	m->phdr_count = info->dlpi_phnum;
	return 1;
}

START_TEST(test_elf__sections_are_found_by_name_and_type)
{
	struct elf e;

	ck_assert(elf_open(&e, &arena, "/proc/self/exe"));
	ck_assert_ptr_nonnull(elf_section(&e, ".text"));
	ck_assert_ptr_null(elf_section(&e, ".no_such_section"));
	ck_assert_str_eq(elf_section_name(&e, elf_section_of_type(&e, SHT_SYMTAB)), ".symtab");
	elf_close(&e);
	elf_close(&e);
}
END_TEST

START_TEST(test_elf__only_regular_elf_files_are_opened)
{
	struct elf e;

	ck_assert(!elf_open(&e, &arena, "/dev/null"));
	ck_assert(!elf_open(&e, &arena, "/"));
	ck_assert(!elf_open(&e, &arena, "/proc/self/no_such_file"));
	ck_assert(!elf_open(&e, &arena, "/etc/passwd"));
	elf_close(&e);
}
END_TEST

START_TEST(test_elf__a_refused_file_leaves_no_descriptor_behind)
{
	int lowest = open("/dev/null", O_RDONLY), again;
	struct elf e;

	close(lowest);
	ck_assert(!elf_open(&e, &arena, "/etc/passwd"));
	ck_assert(!elf_open_fd(&e, &arena, memory_file("", 0)));
	again = open("/dev/null", O_RDONLY);
	ck_assert_int_eq(again, lowest);
	close(again);
}
END_TEST

START_TEST(test_elf__a_fifo_does_not_block)
{
	char path[] = "/tmp/test_elf_XXXXXX";
	struct elf e;

	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(chdir(path), 0);
	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	ck_assert(!elf_open(&e, &arena, "fifo"));
	unlink("fifo");
	rmdir(path);
}
END_TEST

START_TEST(test_elf__reads_end_where_the_file_ends)
{
	int fd = memory_file("0123456789", 10);
	struct elf_reader in = { .fd = fd, .size = 10 };
	char buf[16];

	ck_assert(elf_read(&in, 6, buf, 4));
	ck_assert_mem_eq(buf, "6789", 4);
	ck_assert(!elf_read(&in, 6, buf, 5));
	ck_assert(!elf_read(&in, UINT64_MAX, buf, 2));
	ck_assert(!elf_read(&in, UINT64_MAX - 1, buf, 16));
	ck_assert_uint_eq(elf_read_some(&in, 8, buf, 16), 2);
	ck_assert_int_eq(ftruncate(fd, 4), 0);
	ck_assert(!elf_read(&in, 6, buf, 4));
	close(fd);
}
END_TEST

START_TEST(test_elf__the_vdso_is_read_from_memory)
{
	uint64_t base = getauxval(AT_SYSINFO_EHDR);
	uint8_t id[BUILD_ID_MAX];
	struct elf e;

	if (!base)
		return;
	ck_assert(elf_open_memory(&e, &arena, base, 4096));
	ck_assert_uint_gt(elf_build_id(&e, id), 0);
	ck_assert(!elf_open_memory(&e, &arena, 4096, 4096));
}
END_TEST

START_TEST(test_elf__the_executable_is_its_module_by_build_id_or_headers)
{
	uint8_t id[BUILD_ID_MAX];
	struct module m = { .build_id = id };
	struct elf e;

	dl_iterate_phdr(main_object, &m);
	ck_assert(elf_open(&e, &arena, "/proc/self/exe"));
	ck_assert_msg(elf_is_module(&e, &m), "program headers are equal");
	m.build_id_len = (uint8_t)elf_build_id(&e, m.build_id);
	if (m.build_id_len) {
		ck_assert(elf_is_module(&e, &m));
		m.build_id[0] ^= 1;
		ck_assert_msg(!elf_is_module(&e, &m), "another build id is another file");
	}
	m.build_id_len = 0;
	m.phdr_count--;
	ck_assert(!elf_is_module(&e, &m));
	m.phdr_count++;
	m.phdr = 64;
	ck_assert_msg(!elf_is_module(&e, &m), "headers that cannot be read are not equal");
	elf_close(&e);
}
END_TEST

static void look_at_everything(const struct elf *e)
{
	uint8_t id[BUILD_ID_MAX];

	elf_build_id(e, id);
	elf_section(e, ".no_such_section");
	for (uint32_t i = 0; i < e->section_count; i++)
		elf_section_is_whole(e, &e->section[i]);
}

START_TEST(test_elf__a_truncated_file_is_survived)
{
	size_t size;
	uint8_t *bytes = read_self(&size);
	struct elf e;

	for (size_t part = 0; part <= 256; part++) {
		size_t len = part < 128 ? part : size * (part - 128) / 128;

		if (elf_open_fd(&e, &arena, memory_file(bytes, len)))
			look_at_everything(&e);
		elf_close(&e);
		arena_release(&arena);
	}
	free(bytes);
}
END_TEST

START_TEST(test_elf__headers_of_noise_are_survived)
{
	size_t size;
	uint8_t *bytes = read_self(&size), *copy = malloc(4096 + 64 * 64);
	struct elf e;

	for (unsigned seed = 0; seed < 2000; seed++) {
		srand(seed);
		memcpy(copy, bytes, 4096);
		for (unsigned i = 0; i < 8; i++)
			copy[18 + rand() % (seed % 2 ? 46 : 2000)] = (uint8_t)rand();
		if (elf_open_fd(&e, &arena, memory_file(copy, 4096)))
			look_at_everything(&e);
		elf_close(&e);
		arena_release(&arena);
	}
	free(copy);
	free(bytes);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("elf");
	TCase *t = tcase_create("elf");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_elf__sections_are_found_by_name_and_type);
	tcase_add_test(t, test_elf__only_regular_elf_files_are_opened);
	tcase_add_test(t, test_elf__a_refused_file_leaves_no_descriptor_behind);
	tcase_add_test(t, test_elf__a_fifo_does_not_block);
	tcase_add_test(t, test_elf__reads_end_where_the_file_ends);
	tcase_add_test(t, test_elf__the_vdso_is_read_from_memory);
	tcase_add_test(t, test_elf__the_executable_is_its_module_by_build_id_or_headers);
	tcase_add_test(t, test_elf__a_truncated_file_is_survived);
	tcase_add_test(t, test_elf__headers_of_noise_are_survived);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
