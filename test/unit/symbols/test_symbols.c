/*
 * Names, files, lines and inlined calls, looked up in this very program, in
 * libc and in the vdso; and what becomes of damaged files.
 */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/symbols/dwarf_section.h"
#include "sampler/symbols/patience.h"
#include "sampler/symbols/resolve.h"
#include "sampler/symbols/symbols.h"
#include "test/unit/symbols/own_module.h"

#define SECOND 1000000000LL

static struct arena arena;
static volatile int sink;

static void setup(void)
{
	arena = (struct arena)ARENA_INIT(64 << 20);
}

static void teardown(void)
{
	arena_release(&arena);
}

static struct symbol look_up_in(const struct module *m, uint64_t pc, enum symbols_detail detail)
{
	struct symbol s;

	ck_assert_int_eq(symbols_resolve(&arena, m, &pc, 1, detail, sys_now_ns() + 10 * SECOND, &s),
			 0);
	ck_assert_uint_ge(s.frame_count, 1);
	return s;
}

static struct symbol look_up(const void *pc, enum symbols_detail detail)
{
	struct module m = module_of(pc);

	return look_up_in(&m, (uint64_t)pc, detail);
}

static const char *name_of(const void *pc)
{
	struct symbol s = look_up(pc, SYMBOLS_NAMES);

	ck_assert_uint_eq(s.frame_count, 1);
	return s.frame[0].name;
}

/* ---- functions to look up */

/* Lines of what follows: of the heads of the functions, and in them. */
enum {
	MARK_HEAD = __LINE__ + 5,
	MARK = MARK_HEAD + 4,
	CALLER_HEAD = MARK_HEAD + 8,
	CALLER = CALLER_HEAD + 2,
};
static inline __attribute__((always_inline)) uint64_t inlined_mark(void)
{
	uint64_t pc;

	__asm__ volatile("lea 0(%%rip), %0" : "=r"(pc));
	return pc - 1;
}

static inline __attribute__((always_inline)) uint64_t inlined_caller(void)
{
	return inlined_mark() + (uint64_t)(sink = 0);
}

static __attribute__((noinline)) uint64_t physical_function(unsigned *head, unsigned *line)
{
	*head = __LINE__ - 2;
	*line = __LINE__ + 1;
	return inlined_caller();
}

void public_alias_of_function(void);
void __many_underscores(void);

__attribute__((noinline)) void __many_underscores(void)
{
	sink = 7;
}

extern __attribute__((alias("__many_underscores"))) void public_alias_of_function(void);

void label_without_size(void);
__asm__(".pushsection .text.labels, \"ax\"\n"
	".globl label_without_size\n"
	"label_without_size: nop; nop; nop; nop\n"
	".type sized_behind, @function\n"
	"sized_behind: nop; nop\n"
	".size sized_behind, . - sized_behind\n"
	"nop; nop\n"
	".popsection\n");

/* ---- names */

START_TEST(test_symbols__functions_of_the_executable_have_names)
{
	ck_assert_str_eq(name_of((char *)physical_function + 1), "physical_function");
	ck_assert_str_eq(name_of(module_of), "module_of");
	ck_assert_str_eq(name_of(symbols_resolve), "symbols_resolve");
}
END_TEST

START_TEST(test_symbols__the_name_without_underscores_wins)
{
	ck_assert_str_eq(name_of(public_alias_of_function), "public_alias_of_function");
}
END_TEST

START_TEST(test_symbols__users_see_the_names_they_call)
{
	ck_assert_str_eq(name_of((char *)poll + 1), "poll");
	ck_assert_str_eq(name_of((char *)fwrite + 1), "fwrite");
	ck_assert_str_eq(name_of((char *)qsort + 1), "qsort");
	ck_assert_str_eq(name_of((char *)pthread_create + 1), "pthread_create");
	ck_assert_str_eq(name_of((char *)getenv + 1), "getenv");
}
END_TEST

START_TEST(test_symbols__a_label_reaches_to_the_next_symbol_only)
{
	const char *label = (const char *)label_without_size;

	ck_assert_str_eq(name_of(label + 3), "label_without_size");
	ck_assert_str_eq(name_of(label + 5), "sized_behind");
	ck_assert_str_ne(name_of(label + 7), "label_without_size");
	ck_assert_str_ne(name_of(label + 7), "sized_behind");
}
END_TEST

START_TEST(test_symbols__the_vdso_has_names)
{
	unsigned long vdso = getauxval(AT_SYSINFO_EHDR);
	uint64_t hits = 0, pc;
	struct module m;
	struct symbol s;

	if (!vdso)
		return;
	m = module_of((void *)vdso);
	for (pc = m.image_start; pc < m.image_limit; pc += 64) {
		s = look_up_in(&m, pc, SYMBOLS_LINES);
		hits += strcmp(s.frame[0].name, "__vdso_clock_gettime") == 0;
		ck_assert_str_ne(s.frame[0].name, "[[vdso]]");
	}
	ck_assert_uint_gt(hits, 0);
	s = look_up_in(&m, m.image_start, SYMBOLS_NAMES);
	ck_assert_str_eq(s.frame[0].name, "[vdso]");
}
END_TEST

START_TEST(test_symbols__stubs_are_named_after_their_function)
{
	struct module m = module_of(setup);
	uint64_t found = 0;
	struct elf e;
	const Elf64_Shdr *plt;

	ck_assert(elf_open(&e, &arena, "/proc/self/exe"));
	plt = elf_section(&e, ".plt.sec") ? elf_section(&e, ".plt.sec") : elf_section(&e, ".plt");
	for (uint64_t at = 0; plt && at < plt->sh_size; at += 16) {
		struct symbol s = look_up_in(&m, m.bias + plt->sh_addr + at, SYMBOLS_NAMES);

		found += strcmp(s.frame[0].name, "dl_iterate_phdr@plt") == 0;
		ck_assert(s.frame[0].name[0] == '[' || strstr(s.frame[0].name, "@plt"));
		ck_assert_str_eq(s.frame[0].name, s.frame[0].system_name);
	}
	elf_close(&e);
	if (plt && plt->sh_size > 16)
		ck_assert_uint_eq(found, 1);
}
END_TEST

/* ---- files that are gone or not ours */

START_TEST(test_symbols__without_a_file_the_table_in_memory_serves)
{
	struct module m = module_of((void *)qsort);
	uint64_t before = counter_get(COUNTER_SYMBOL_FILES_REFUSED);
	struct symbol s;

	m.path = "/no/such/libc.so.6";
	s = look_up_in(&m, (uint64_t)qsort + 1, SYMBOLS_LINES);
	ck_assert_str_eq(s.frame[0].name, "qsort");
	ck_assert_str_eq(s.frame[0].file, "");
	ck_assert_uint_eq(counter_get(COUNTER_SYMBOL_FILES_REFUSED), before + 1);
}
END_TEST

START_TEST(test_symbols__another_file_in_its_place_is_not_believed)
{
	struct module m = module_of((void *)qsort);
	struct symbol s;

	m.path = "/proc/self/exe";
	s = look_up_in(&m, (uint64_t)qsort + 1, SYMBOLS_NAMES);
	ck_assert_str_eq(s.frame[0].name, "qsort");
}
END_TEST

START_TEST(test_symbols__what_has_no_name_is_shown_as_its_module)
{
	struct module m = module_of((void *)qsort);
	uint64_t before = counter_get(COUNTER_SYMBOL_NAMES_UNKNOWN);
	struct symbol s;

	m.path = "/no/such/lib\xff.so";
	m.is_loaded = false;
	s = look_up_in(&m, (uint64_t)qsort + 1, SYMBOLS_LINES);
	ck_assert_str_eq(s.frame[0].name, "[lib\xef\xbf\xbd.so]");
	ck_assert_str_eq(s.frame[0].system_name, s.frame[0].name);
	ck_assert_uint_eq(counter_get(COUNTER_SYMBOL_NAMES_UNKNOWN), before + 1);
}
END_TEST

/* ---- lines */

static void check_frame(const struct symbol_frame *f, const char *name, unsigned line,
			unsigned head)
{
	ck_assert_str_eq(f->name, name);
	ck_assert_uint_eq(f->line, line);
	ck_assert_uint_eq(f->start_line, head);
	ck_assert_int_eq(f->file[0], '/');
	ck_assert_ptr_nonnull(strstr(f->file, "/test/unit/symbols/test_symbols.c"));
}

static void check_physical_function(const struct symbol *s, unsigned head, unsigned line)
{
	ck_assert_uint_eq(s->frame_count, 3);
	check_frame(&s->frame[0], "inlined_mark", MARK, MARK_HEAD);
	check_frame(&s->frame[1], "inlined_caller", CALLER, CALLER_HEAD);
	check_frame(&s->frame[2], "physical_function", line, head);
}

START_TEST(test_symbols__inlined_calls_are_frames_of_their_own)
{
	unsigned head, line;
	struct symbol s = look_up((void *)physical_function(&head, &line), SYMBOLS_LINES);

	check_physical_function(&s, head, line);
}
END_TEST

START_TEST(test_symbols__a_deadline_leaves_plain_names)
{
	unsigned head, line;
	uint64_t pc = physical_function(&head, &line);
	uint64_t before = counter_get(COUNTER_SYMBOL_LINES_TIMED_OUT);
	struct module m = module_of((void *)pc);
	struct symbol s;

	ck_assert_int_eq(symbols_resolve(&arena, &m, &pc, 1, SYMBOLS_LINES, 0, &s), 0);
	ck_assert_uint_eq(s.frame_count, 1);
	ck_assert_str_eq(s.frame[0].name, "physical_function");
	ck_assert_uint_eq(s.frame[0].line, 0);
	ck_assert_uint_eq(counter_get(COUNTER_SYMBOL_LINES_TIMED_OUT), before + 1);
}
END_TEST

/* Makes a stripped copy of this program, and its debug file beside it. */
static bool split_self(const char *options)
{
	char command[1024];

	snprintf(command, sizeof(command),
		 "cp /proc/%d/exe whole && objcopy --only-keep-debug %s whole split.debug &&"
		 " objcopy -S --add-gnu-debuglink=split.debug whole split",
		 getpid(), options);
	return system(command) == 0;
}

static void resolve_split(const char *options)
{
	char path[] = "/tmp/test_symbols_XXXXXX", file[sizeof(path) + 8];
	unsigned head, line;
	uint64_t pc = physical_function(&head, &line);
	struct module m = module_of((void *)pc);
	bool is_split;
	struct symbol s;

	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(chdir(path), 0);
	is_split = split_self(options);
	snprintf(file, sizeof(file), "%s/split", path);
	m.path = file;
	m.is_main = false;
	s = look_up_in(&m, pc, SYMBOLS_LINES);
	ck_assert_int_eq(system("rm -f whole split split.debug"), 0);
	rmdir(path);
	if (is_split)
		check_physical_function(&s, head, line);
}

START_TEST(test_symbols__a_stripped_file_leads_to_its_debug_file)
{
	resolve_split("");
}
END_TEST

START_TEST(test_symbols__compressed_debug_sections_are_read)
{
	resolve_split("--compress-debug-sections=zlib");
	resolve_split("--compress-debug-sections=zlib-gnu");
	resolve_split("--compress-debug-sections=zstd");
}
END_TEST

static uint64_t packed_bytes(const char *options)
{
	char path[] = "/tmp/test_symbols_XXXXXX";
	uint64_t bytes = 0;
	struct elf e;

	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(chdir(path), 0);
	if (split_self(options) && elf_open(&e, &arena, "split.debug")) {
		bytes = dwarf_packed_bytes(&e);
		elf_close(&e);
	}
	ck_assert_int_eq(system("rm -f whole split split.debug"), 0);
	rmdir(path);
	return bytes;
}

/* What unpacking takes is known before: where it is too long, it is not begun. */
START_TEST(test_symbols__unpacking_is_foreseen)
{
	struct elf e;

	ck_assert_uint_eq(packed_bytes(""), 0);
	ck_assert(elf_open(&e, &arena, "/proc/self/exe"));
	ck_assert_uint_eq(dwarf_packed_bytes(&e), 0);
	elf_close(&e);
	ck_assert_uint_gt(packed_bytes("--compress-debug-sections=zlib"), 100000);
	ck_assert_uint_eq(packed_bytes("--compress-debug-sections=zlib"),
			  packed_bytes("--compress-debug-sections=zlib-gnu"));
}
END_TEST

static void check_whole(const struct symbol *s)
{
	ck_assert_uint_ge(s->frame_count, 1);
	for (uint32_t i = 0; i < s->frame_count; i++) {
		ck_assert_ptr_nonnull(s->frame[i].name);
		ck_assert_ptr_nonnull(s->frame[i].system_name);
		ck_assert_ptr_nonnull(s->frame[i].file);
		ck_assert(s->frame[i].name[0]);
	}
}

/* More addresses than a slice, most of them in no function. */
START_TEST(test_symbols__any_number_of_addresses_is_resolved)
{
	struct module m = module_of((void *)qsort);
	size_t count = 150000;
	uint64_t *pc = malloc(count * sizeof(*pc));
	struct symbol *s = malloc(count * sizeof(*s));

	for (size_t i = 0; i < count; i++)
		pc[i] = m.image_start + i * ((m.image_limit - m.image_start) / count);
	ck_assert_int_eq(symbols_resolve(&arena, &m, pc, count, SYMBOLS_NAMES, 0, s), 0);
	for (size_t i = 0; i < count; i++)
		check_whole(&s[i]);
	free(pc);
	free(s);
}
END_TEST

START_TEST(test_symbols__nothing_to_resolve_is_fine)
{
	struct module m = module_of((void *)qsort);

	ck_assert_int_eq(symbols_resolve(&arena, &m, NULL, 0, SYMBOLS_LINES, 0, NULL), 0);
}
END_TEST

START_TEST(test_symbols__without_memory_it_says_so)
{
	struct arena small = ARENA_INIT(4096);
	struct module m = module_of((void *)qsort);
	uint64_t pc[2000];
	struct symbol s[2000];

	for (size_t i = 0; i < 2000; i++)
		pc[i] = (uint64_t)qsort + i;
	ck_assert_int_eq(symbols_resolve(&small, &m, pc, 2000, SYMBOLS_NAMES, 0, s), -1);
	arena_release(&small);
}
END_TEST

START_TEST(test_symbols__no_descriptor_and_no_memory_is_kept)
{
	int lowest = open("/dev/null", O_RDONLY), again;
	struct module m = module_of((void *)qsort);
	size_t mapped = sys_mapped_bytes();

	close(lowest);
	look_up_in(&m, (uint64_t)qsort, SYMBOLS_LINES);
	again = open("/dev/null", O_RDONLY);
	ck_assert_int_eq(again, lowest);
	close(again);
	arena_release(&arena);
	ck_assert_uint_eq(sys_mapped_bytes(), mapped);
}
END_TEST

/* ---- damage */

struct copy {
	uint8_t *bytes;
	size_t size;
	uint64_t addr[64]; /* in the text of it */
};

static struct copy read_self(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	struct copy c = { 0 };
	struct stat st;
	struct elf e;

	ck_assert_int_eq(fstat(fd, &st), 0);
	c.size = (size_t)st.st_size;
	c.bytes = malloc(c.size);
	ck_assert_int_eq(pread(fd, c.bytes, c.size, 0), st.st_size);
	ck_assert(elf_open_fd(&e, &arena, fd));
	for (size_t i = 0; i < 64; i++)
		c.addr[i] = elf_section(&e, ".text")->sh_addr +
			    i * (elf_section(&e, ".text")->sh_size / 64);
	elf_close(&e);
	return c;
}

/* Resolves addresses with a file of these bytes, whoever's they are. */
static void resolve_with(const struct copy *c, const uint8_t *bytes, size_t size)
{
	int fd = memfd_create("damaged", MFD_CLOEXEC);
	struct objects o = { 0 };
	struct module m = { .path = "/damaged" };
	struct resolve_request r = { .m = &m,
				     .objects = &o,
				     .addr = c->addr,
				     .count = 64,
				     .detail = SYMBOLS_LINES,
				     .deadline_ns = sys_now_ns() + SECOND };
	struct symbol s[64];

	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	o.has_file = elf_open_fd(&o.file, &arena, fd);
	ck_assert(resolve_addresses(&arena, &r, s));
	for (size_t i = 0; i < 64; i++)
		check_whole(&s[i]);
	objects_close(&o);
	arena_release(&arena);
}

START_TEST(test_symbols__truncated_files_are_survived)
{
	struct copy c = read_self();

	for (size_t part = 0; part <= 64; part++)
		resolve_with(&c, c.bytes, c.size * part / 64);
	free(c.bytes);
}
END_TEST

/* Half of the noise goes into the last tenth, where symbols and section headers are. */
static void add_noise(uint8_t *bytes, size_t size, unsigned seed)
{
	unsigned count = 1U << (seed % 12);

	srand(seed);
	for (unsigned i = 0; i < count; i++) {
		size_t span = rand() % 2 ? size : size / 10;
		size_t at = size - 1 - ((size_t)rand() * 32768 + (size_t)rand()) % span;

		bytes[at] = rand() % 2 ? (uint8_t)rand() : (uint8_t)~bytes[at];
	}
}

START_TEST(test_symbols__files_full_of_noise_are_survived)
{
	struct copy c = read_self();
	uint8_t *bytes = malloc(c.size);

	for (unsigned seed = 0; seed < 150; seed++) {
		memcpy(bytes, c.bytes, c.size);
		add_noise(bytes, c.size, seed);
		resolve_with(&c, bytes, c.size);
	}
	free(bytes);
	free(c.bytes);
}
END_TEST

/* Noise in the debug sections alone, so that all that comes before works. */
START_TEST(test_symbols__damaged_debug_sections_are_survived)
{
	struct copy c = read_self();
	uint8_t *bytes = malloc(c.size);
	struct elf e;

	ck_assert(elf_open(&e, &arena, "/proc/self/exe"));
	for (unsigned seed = 0; seed < 300; seed++) {
		const Elf64_Shdr *s;

		srand(seed);
		do
			s = &e.section[(size_t)rand() % e.section_count];
		while (strncmp(elf_section_name(&e, s), ".debug", 6) != 0);
		memcpy(bytes, c.bytes, c.size);
		for (unsigned i = 0; i < 1U << (seed % 10); i++)
			bytes[s->sh_offset + (size_t)rand() % s->sh_size] = (uint8_t)rand();
		resolve_with(&c, bytes, c.size);
		ck_assert(elf_open(&e, &arena, "/proc/self/exe"));
	}
	free(bytes);
	free(c.bytes);
}
END_TEST

/* A process that is about to end has names as long as there is time, and [module] then. */
START_TEST(symbols__patience_ends)
{
	struct module m = module_of((const void *)(uintptr_t)name_of);
	uint64_t timed_out = counter_get(COUNTER_SYMBOL_NAMES_TIMED_OUT);

	m.is_loaded = false; /* its tables in memory are no file */
	patience_set(sys_now_ns() + 10 * SECOND, 0);
	ck_assert_str_eq(look_up_in(&m, (uint64_t)(uintptr_t)name_of, SYMBOLS_NAMES).frame[0].name,
			 "name_of");
	ck_assert(!patience_was_over());
	patience_set(1, 1);
	ck_assert_int_eq(
		look_up_in(&m, (uint64_t)(uintptr_t)name_of, SYMBOLS_NAMES).frame[0].name[0], '[');
	ck_assert(patience_was_over());
	ck_assert_uint_eq(counter_get(COUNTER_SYMBOL_NAMES_TIMED_OUT), timed_out + 1);
	ck_assert_int_eq(patience_for_lines(5), 1);
	patience_set(0, 0);
	ck_assert_int_eq(patience_for_lines(5), 5);
	ck_assert_str_eq(look_up_in(&m, (uint64_t)(uintptr_t)name_of, SYMBOLS_NAMES).frame[0].name,
			 "name_of");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("symbols");
	TCase *t = tcase_create("symbols");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_symbols__functions_of_the_executable_have_names);
	tcase_add_test(t, test_symbols__the_name_without_underscores_wins);
	tcase_add_test(t, test_symbols__users_see_the_names_they_call);
	tcase_add_test(t, test_symbols__a_label_reaches_to_the_next_symbol_only);
	tcase_add_test(t, test_symbols__the_vdso_has_names);
	tcase_add_test(t, test_symbols__stubs_are_named_after_their_function);
	tcase_add_test(t, test_symbols__without_a_file_the_table_in_memory_serves);
	tcase_add_test(t, test_symbols__another_file_in_its_place_is_not_believed);
	tcase_add_test(t, test_symbols__what_has_no_name_is_shown_as_its_module);
	tcase_add_test(t, test_symbols__inlined_calls_are_frames_of_their_own);
	tcase_add_test(t, test_symbols__a_deadline_leaves_plain_names);
	tcase_add_test(t, test_symbols__a_stripped_file_leads_to_its_debug_file);
	tcase_add_test(t, test_symbols__compressed_debug_sections_are_read);
	tcase_add_test(t, test_symbols__unpacking_is_foreseen);
	tcase_add_test(t, test_symbols__any_number_of_addresses_is_resolved);
	tcase_add_test(t, test_symbols__nothing_to_resolve_is_fine);
	tcase_add_test(t, test_symbols__without_memory_it_says_so);
	tcase_add_test(t, test_symbols__no_descriptor_and_no_memory_is_kept);
	tcase_add_test(t, test_symbols__truncated_files_are_survived);
	tcase_add_test(t, test_symbols__files_full_of_noise_are_survived);
	tcase_add_test(t, test_symbols__damaged_debug_sections_are_survived);
	tcase_add_test(t, symbols__patience_ends);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
