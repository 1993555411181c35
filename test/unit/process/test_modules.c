/* The table of loaded objects, checked against the loader, readelf and a small plugin. */
#include <check.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/process/modules.h"
#include "sampler/process/modules_kept.h"

static int went, came;

static void count_change(const struct module *m)
{
	if (m->is_loaded)
		came++;
	else
		went++;
}

/* Returns whether anything changed. */
static bool refresh(void)
{
	went = came = 0;
	return modules_refresh(2, count_change) == MODULES_CHANGED;
}

static void setup(void)
{
	modules_init();
	ck_assert(refresh());
}

static const struct module *find_now(const void *pc)
{
	return module_find((uint64_t)pc);
}

static const struct module *find_path(const char *path)
{
	for (size_t i = 0; i < modules_count(); i++) {
		if (strcmp(module_at(i)->path, path) == 0)
			return module_at(i);
	}
	return NULL;
}

/* First line that a command prints. */
static void ask(const char *command, char *to, size_t size)
{
	FILE *f = popen(command, "r");

	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(to, (int)size, f));
	to[strcspn(to, "\n")] = '\0';
	ck_assert_int_eq(pclose(f), 0);
}

static void expect_build_id_of_readelf(const struct module *m)
{
	char command[MODULE_PATH_MAX + 100], expected[2 * BUILD_ID_MAX + 2],
		found[2 * BUILD_ID_MAX + 1] = "";

	snprintf(command, sizeof(command), "readelf -n '%s' | sed -n 's/.*Build ID: //p'", m->path);
	ask(command, expected, sizeof(expected));
	for (int i = 0; i < m->build_id_len; i++)
		snprintf(found + 2 * i, 3, "%02x", m->build_id[i]);
	ck_assert_str_eq(found, expected);
}

START_TEST(modules__the_executable_comes_first)
{
	char path[MODULE_PATH_MAX] = "";
	const struct module *m = module_at(0);

	ck_assert_int_gt(readlink("/proc/self/exe", path, sizeof(path) - 1), 0);
	ck_assert(m->is_main);
	ck_assert_str_eq(m->path, path);
	ck_assert_ptr_eq(find_now(setup), m);
	for (size_t i = 1; i < modules_count(); i++)
		ck_assert(!module_at(i)->is_main);
}
END_TEST

START_TEST(modules__build_ids_are_those_of_readelf)
{
	expect_build_id_of_readelf(module_at(0));
	expect_build_id_of_readelf(find_now(dlsym(RTLD_DEFAULT, "printf")));
}
END_TEST

START_TEST(modules__the_vdso_is_one)
{
	uint64_t vdso = getauxval(AT_SYSINFO_EHDR);
	const struct module *m = find_path("[vdso]");

	ck_assert_ptr_nonnull(m);
	ck_assert(m->is_vdso);
	ck_assert_uint_eq(m->bias, vdso);
	ck_assert_uint_gt(m->eh_frame_hdr, vdso);
	ck_assert_ptr_eq(module_find(vdso + 0x500), m);
}
END_TEST

static int compare_with_table(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + ph->p_vaddr;
		const struct module *m;

		if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
			continue;
		m = module_find(start);
		ck_assert_msg(m != NULL, "%s", info->dlpi_name);
		ck_assert_uint_eq(m->bias, info->dlpi_addr);
		ck_assert_ptr_eq(module_find(start + ph->p_memsz - 1), m);
		ck_assert(m->is_main || m->is_vdso || strcmp(m->path, info->dlpi_name) == 0);
		++*(size_t *)arg;
	}
	return 0;
}

START_TEST(modules__holds_all_that_the_loader_reports)
{
	size_t n = 0;

	dl_iterate_phdr(compare_with_table, &n);
	ck_assert_uint_ge(n, 4);
}
END_TEST

START_TEST(modules__ranges_hold_code_and_nothing_else)
{
	for (size_t i = 0; i < modules_count(); i++) {
		const struct module *m = module_at(i);

		for (uint32_t k = 0; k < m->range_count; k++) {
			const struct module_range *r = &m->range[k];

			ck_assert_uint_eq(r->start % PAGE_BYTES, 0);
			ck_assert_uint_eq(r->limit % PAGE_BYTES, 0);
			ck_assert_uint_lt(r->start, r->limit);
			ck_assert_uint_ge(r->start, ALIGN_DOWN(m->image_start, PAGE_BYTES));
			ck_assert_uint_le(r->limit, ALIGN_UP(m->image_limit, PAGE_BYTES));
			ck_assert_ptr_eq(module_find(r->start), m);
			ck_assert_ptr_eq(module_find(r->limit - 1), m);
			ck_assert_ptr_ne(module_find(r->limit), m);
			ck_assert_ptr_ne(module_find(r->start - 1), m);
		}
	}
}
END_TEST

START_TEST(modules__data_stack_and_nowhere_belong_to_none)
{
	static int data = 1;
	int here;

	ck_assert_ptr_null(find_now(&data));
	ck_assert_ptr_null(find_now(&here));
	ck_assert_ptr_null(find_now(NULL));
	ck_assert_ptr_null(find_now((void *)UINTPTR_MAX));
}
END_TEST

START_TEST(modules__nothing_new_is_nothing_to_tell)
{
	size_t count = modules_count();

	ck_assert(!refresh());
	ck_assert_int_eq(went + came, 0);
	ck_assert_uint_eq(modules_count(), count);
}
END_TEST

START_TEST(modules__what_is_never_unloaded_is_kept_by_address)
{
	ck_assert(module_at(0)->is_fixed);
	ck_assert_uint_eq(modules_frame((uint64_t)setup), (uint64_t)setup);
	ck_assert_ptr_eq(frame_module((uint64_t)setup), module_at(0));
	ck_assert_uint_eq(frame_address((uint64_t)setup), (uint64_t)setup);
	ck_assert_uint_eq(modules_frame(5), 5);
	ck_assert_uint_eq(modules_frame(0xffffffffff600000), 0xffffffffff600000);
	ck_assert_uint_eq(modules_frame(0x8123456789abcdef), 0xffff456789abcdef);
	ck_assert_ptr_null(frame_module(0xffff456789abcdef));
}
END_TEST

/* What another process says of it may be any address. */
START_TEST(modules__an_address_outside_of_an_object_is_none_of_ours)
{
	const struct module *m = module_at(0);
	uint64_t frame = modules_frame_in(m->number, m->image_limit - m->bias);

	ck_assert_uint_eq(modules_frame_in(m->number, (uint64_t)setup - m->bias), (uint64_t)setup);
	ck_assert_uint_eq(frame_number(frame), m->number);
	ck_assert_ptr_eq(frame_module(frame), m);
}
END_TEST

/* ---- a plugin that comes and goes */

static char folder[] = "/tmp/modules.XXXXXX", plugin_path[64];

static void link_plugin(const char *source, const char *flags)
{
	char command[4096];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(plugin_path, sizeof(plugin_path), "%s/plug in.so", folder);
	snprintf(command, sizeof(command),
		 "echo '%s' | ${CC:-gcc} -xc -shared -fPIC -Wl,--build-id %s -o '%s' -", source,
		 flags, plugin_path);
	ck_assert_int_eq(system(command), 0);
}

/* Another `answer` makes another build id, and nothing else different. */
static void make_plugin(int answer)
{
	char source[100];

	snprintf(source, sizeof(source), "int plugin(void) { return %d; }", answer);
	link_plugin(source, "");
}

static void setup_plugin(void)
{
	make_plugin(7);
	setup();
}

static void teardown_plugin(void)
{
	unlink(plugin_path);
	rmdir(folder);
}

static void *open_plugin(uint64_t *pc)
{
	void *object = dlopen(plugin_path, RTLD_NOW);

	ck_assert_msg(object != NULL, "%s", dlerror());
	*pc = (uint64_t)dlsym(object, "plugin");
	return object;
}

START_TEST(modules__a_plugin_appears)
{
	const struct module *m;
	uint64_t pc;

	open_plugin(&pc);
	ck_assert_ptr_null(module_find(pc));
	ck_assert(refresh());
	ck_assert_int_eq(came, 1);
	ck_assert_int_eq(went, 0);
	m = module_find(pc);
	ck_assert_ptr_nonnull(m);
	ck_assert(!m->is_fixed && m->is_loaded);
	ck_assert_str_eq(m->path, plugin_path);
	ck_assert_uint_eq(frame_number(modules_frame(pc)), m->number);
	ck_assert_uint_eq(frame_address(modules_frame(pc)), pc);
	ck_assert_uint_eq(frame_in_module(m->number, modules_bias_of(m->number), pc),
			  modules_frame(pc));
	ck_assert_ptr_eq(frame_module(pc), m); /* nothing was unloaded yet */
	expect_build_id_of_readelf(m);
}
END_TEST

START_TEST(modules__a_new_object_is_noticed_by_one_read)
{
	uint64_t pc;

	ck_assert(!modules_have_come());
	open_plugin(&pc);
	ck_assert(modules_have_come());
	refresh();
	ck_assert(!modules_have_come());
}
END_TEST

START_TEST(modules__a_frame_names_what_went)
{
	const struct module *m;
	uint64_t pc, frame;
	void *object;

	object = open_plugin(&pc);
	refresh();
	m = module_find(pc);
	frame = modules_frame(pc);
	ck_assert_int_eq(dlclose(object), 0);
	ck_assert_ptr_eq(module_find(pc), m);
	ck_assert(refresh());
	ck_assert_int_eq(went, 1);
	ck_assert_ptr_null(module_find(pc));
	ck_assert_uint_eq(modules_frame(pc), pc);
	ck_assert_ptr_eq(frame_module(frame), m);
	ck_assert_uint_eq(frame_address(frame), pc);
	ck_assert_str_eq(m->path, plugin_path);
	ck_assert(!m->is_loaded);
}
END_TEST

/* Something takes its old place, so that it comes to lie elsewhere. */
START_TEST(modules__what_comes_again_is_the_same_module_wherever_it_lies)
{
	size_t count = modules_count();
	uint64_t pc, pc_again, frame = 0;
	int elsewhere = 0;

	for (int i = 0; i < 10; i++) {
		void *object = open_plugin(&pc_again);

		refresh();
		elsewhere += i && pc_again != pc;
		pc = pc_again;
		ck_assert(!frame || frame == modules_frame(pc));
		frame = modules_frame(pc);
		ck_assert_uint_eq(frame_address(frame), pc);
		dlclose(object);
		refresh();
		mmap((void *)(pc & ~4095UL), 4096, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	}
	ck_assert_int_gt(elsewhere, 0);
	ck_assert_uint_eq(modules_count(), count + 1);
	ck_assert_ptr_eq(frame_module((uint64_t)setup), module_at(0));
}
END_TEST

static void replace_plugin(void)
{
	unlink(plugin_path);
	rmdir(folder);
	memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
	make_plugin(8);
}

/* The loader puts it where the old one was, also its own record of it. */
START_TEST(modules__another_object_at_the_same_address_is_another_module)
{
	const struct module *old, *new;
	uint64_t pc, pc_again, frame;
	void *object;

	object = open_plugin(&pc);
	refresh();
	old = module_find(pc);
	frame = modules_frame(pc);
	dlclose(object);
	replace_plugin();
	open_plugin(&pc_again);
	refresh();
	ck_assert_int_eq(went, 1);
	ck_assert_int_eq(came, 1);
	new = module_find(pc_again);
	ck_assert_ptr_nonnull(new);
	ck_assert_ptr_ne(new, old);
	ck_assert_str_eq(new->path, plugin_path);
	ck_assert_ptr_eq(frame_module(frame), old);
}
END_TEST

static void write_plugin(const char *source, const char *flags)
{
	char command[4096];

	snprintf(command, sizeof(command),
		 "echo '%s' | ${CC:-gcc} -xc -shared -fPIC %s -o '%s.new' - && mv '%s.new' '%s'",
		 source, flags, plugin_path, plugin_path, plugin_path);
	ck_assert_int_eq(system(command), 0);
}

/* The same path and layout: all that differs is when the file was written. */
START_TEST(modules__without_a_build_id_the_time_of_the_file_tells)
{
	static const char no_id[] = "-Wl,--build-id=none";
	const struct module *m[3];
	uint64_t pc;

	for (int i = 0; i < 3; i++) {
		void *object;

		if (i < 2)
			write_plugin(i ? "int plugin(void) { return 3; }"
				       : "int plugin(void) { return 2; }",
				     no_id);
		object = open_plugin(&pc);
		refresh();
		m[i] = module_find(pc);
		ck_assert_uint_eq(m[i]->build_id_len, 0);
		dlclose(object);
		refresh();
	}
	ck_assert_ptr_ne(m[0], m[1]);
	ck_assert_ptr_eq(m[1], m[2]);
}
END_TEST

/* Each name is a module of its own; 250 bytes for each are what it costs. */
START_TEST(modules__thousands_that_come_and_go_have_a_number_each)
{
	uint64_t frame[300], pc;
	char copy[sizeof(plugin_path) + 16], command[256];
	size_t before = sys_mapped_bytes();

	for (size_t i = 0; i < ARRAY_SIZE(frame); i++) {
		void *object;

		snprintf(copy, sizeof(copy), "%s.%zu", plugin_path, i);
		ck_assert_int_eq(link(plugin_path, copy), 0);
		object = dlopen(copy, RTLD_NOW);
		ck_assert_ptr_nonnull(object);
		pc = (uint64_t)dlsym(object, "plugin");
		refresh();
		frame[i] = modules_frame(pc);
		dlclose(object);
	}
	refresh();
	for (size_t i = 0; i < ARRAY_SIZE(frame); i++) {
		snprintf(copy, sizeof(copy), "%s.%zu", plugin_path, i);
		ck_assert_str_eq(frame_module(frame[i])->path, copy);
	}
	ck_assert_uint_lt(sys_mapped_bytes() - before, ARRAY_SIZE(frame) * 400 + (256 << 10));
	snprintf(command, sizeof(command), "rm -f '%s'.*", plugin_path);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

/* The frame of what is loaded under this name, and unloaded again. */
static uint64_t frame_of_a_moment(size_t i)
{
	char copy[sizeof(plugin_path) + 16];
	void *object;
	uint64_t frame;

	snprintf(copy, sizeof(copy), "%s.%05zu", plugin_path, i);
	if (access(copy, F_OK) != 0)
		ck_assert_int_eq(link(plugin_path, copy), 0);
	object = dlopen(copy, RTLD_NOW);
	ck_assert_ptr_nonnull(object);
	refresh();
	frame = modules_frame((uint64_t)dlsym(object, "plugin"));
	dlclose(object);
	refresh();
	return frame;
}

#define FEW 20

START_TEST(modules__numbers_that_nobody_keeps_are_given_again)
{
	uint64_t kept, frame, dropped = counter_get(COUNTER_MODULES_DROPPED_TABLE_FULL);
	char command[256], path[MODULE_PATH_MAX];

	modules_limit_numbers((uint32_t)modules_count() + FEW);
	kept = frame_of_a_moment(0);
	modules_keep_frames(&kept, 1);
	strcpy(path, frame_module(kept)->path);
	for (size_t i = 1; i < 10 * FEW; i++) {
		frame = frame_of_a_moment(i);
		ck_assert_uint_ne(frame_number(frame), 0);
		ck_assert_uint_ne(frame_number(frame), frame_number(kept));
		ck_assert_int_eq(atoi(strrchr(frame_module(frame)->path, '.') + 1), (int)i);
	}
	ck_assert_str_eq(frame_module(kept)->path, path);
	ck_assert_uint_eq(frame_of_a_moment(0), kept);
	ck_assert_uint_eq(counter_get(COUNTER_MODULES_DROPPED_TABLE_FULL), dropped);
	snprintf(command, sizeof(command), "rm -f '%s'.*", plugin_path);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(modules__when_all_are_kept_what_comes_has_none)
{
	uint64_t frame, dropped = counter_get(COUNTER_MODULES_DROPPED_TABLE_FULL);
	char command[256];

	modules_limit_numbers((uint32_t)modules_count() + FEW);
	for (size_t i = 0; i < FEW; i++) {
		frame = frame_of_a_moment(i);
		modules_keep_frames(&frame, 1);
	}
	ck_assert_uint_eq(frame_number(frame_of_a_moment(FEW)), 0);
	ck_assert_uint_gt(counter_get(COUNTER_MODULES_DROPPED_TABLE_FULL), dropped);
	ck_assert_uint_ne(frame_number(frame_of_a_moment(FEW - 1)), 0);
	snprintf(command, sizeof(command), "rm -f '%s'.*", plugin_path);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(modules__other_namespaces_are_looked_at_too)
{
	void *object = dlmopen(LM_ID_NEWLM, plugin_path, RTLD_NOW);
	const struct module *m;

	ck_assert_msg(object != NULL, "%s", dlerror());
	ck_assert(refresh());
	m = find_now(dlsym(object, "plugin"));
	ck_assert_ptr_nonnull(m);
	ck_assert_str_eq(m->path, plugin_path);
	ck_assert(!m->is_main);
}
END_TEST

static const struct module *load_plugin(void)
{
	uint64_t pc;

	open_plugin(&pc);
	refresh();
	ck_assert_ptr_nonnull(find_now((void *)pc));
	return find_now((void *)pc);
}

static void replace_plugin_by(const char *source, const char *flags)
{
	teardown_plugin();
	memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
	link_plugin(source, flags);
}

START_TEST(modules__the_first_segment_may_be_anywhere)
{
	const struct module *m;

	replace_plugin_by("int plugin(void) { return 1; }", "-Wl,-Ttext-segment=0x30000");
	m = load_plugin();
	ck_assert_uint_eq(m->ehdr, m->bias + 0x30000);
	ck_assert_str_eq(m->path, plugin_path);
	expect_build_id_of_readelf(m);
}
END_TEST

static void replace_by_plugin_with_id(size_t bytes)
{
	char flags[1024] = "-Wl,--build-id=0x";

	while (bytes--)
		strcat(flags, "a5");
	replace_plugin_by("int plugin(void) { return 2; }", flags);
}

START_TEST(modules__a_build_id_is_kept_whole_or_not_at_all)
{
	uint64_t before = atomic_load(&counter_values[COUNTER_MODULES_LONG_BUILD_ID]);
	const struct module *m;

	replace_by_plugin_with_id(BUILD_ID_MAX);
	m = load_plugin();
	ck_assert_uint_eq(m->build_id_len, BUILD_ID_MAX);
	expect_build_id_of_readelf(m);
	ck_assert_uint_eq(atomic_load(&counter_values[COUNTER_MODULES_LONG_BUILD_ID]), before);
	replace_by_plugin_with_id(BUILD_ID_MAX + 4);
	ck_assert_uint_eq(load_plugin()->build_id_len, 0);
	ck_assert_uint_eq(atomic_load(&counter_values[COUNTER_MODULES_LONG_BUILD_ID]), before + 1);
}
END_TEST

/* A plugin with `count` functions, each in a segment of its own. */
static void make_plugin_of_segments(int count)
{
	char source[2048] = "int plugin(void) { return 3; }\n#define F(n) "
			    "__attribute__((section(\".text_\" #n))) void f##n(void) { }\n";
	char flags[2048] = "";

	for (int i = 10; i < 10 + count; i++) {
		sprintf(source + strlen(source), "F(%d) ", i);
		sprintf(flags + strlen(flags), "-Wl,--section-start=.text_%d=0x%d00000 ", i, i);
	}
	replace_plugin_by(source, flags);
}

static void expect_function_of_each_segment(int count)
{
	const struct module *m = load_plugin();
	void *plugin = dlopen(plugin_path, RTLD_NOW);

	for (int i = 10; i < 10 + count; i++) {
		char name[20];

		snprintf(name, sizeof(name), "f%d", i);
		ck_assert_ptr_eq(find_now(dlsym(plugin, name)), m);
	}
}

START_TEST(modules__code_of_every_segment_is_found)
{
	uint64_t before = atomic_load(&counter_values[COUNTER_MODULES_MERGED_RANGES]);

	make_plugin_of_segments(12);
	expect_function_of_each_segment(12);
	ck_assert_uint_eq(atomic_load(&counter_values[COUNTER_MODULES_MERGED_RANGES]), before);
	make_plugin_of_segments(50);
	expect_function_of_each_segment(50);
	ck_assert_uint_eq(atomic_load(&counter_values[COUNTER_MODULES_MERGED_RANGES]), before + 1);
}
END_TEST

/* ---- a child */

/* 0: it has the table, and all that was loaded is loaded at the same place. */
static int status_of_child(size_t count)
{
	modules_after_fork();
	if (module_find((uint64_t)setup))
		return 1;
	refresh();
	if (modules_count() != count || find_now(setup) != module_at(0))
		return 2;
	return went + came ? 3 : 0; /* rows of code that stayed are kept */
}

static void expect_table_in_child(void)
{
	size_t count = modules_count();
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(status_of_child(count));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(modules__a_forked_child_has_the_table)
{
	expect_table_in_child();
}
END_TEST

static atomic_bool refreshing;

static void *refresh_always(void *unused)
{
	while (atomic_load(&refreshing))
		modules_refresh(2, count_change);
	return unused;
}

START_TEST(modules__a_child_forked_in_a_refresh_has_the_table)
{
	pthread_t thread;

	atomic_store(&refreshing, true);
	pthread_create(&thread, NULL, refresh_always, NULL);
	for (int i = 0; i < 300; i++)
		expect_table_in_child();
	atomic_store(&refreshing, false);
	pthread_join(thread, NULL);
}
END_TEST

static atomic_bool loading;

static void *load_always(void *unused)
{
	while (atomic_load(&loading)) {
		uint64_t pc;

		dlclose(open_plugin(&pc));
	}
	return unused;
}

/* The child may have one record more, of what came just then; what stays it finds as before. */
START_TEST(modules__a_child_forked_while_a_plugin_comes_finds_what_stays)
{
	pthread_t loader, listener;

	atomic_store(&loading, true);
	atomic_store(&refreshing, true);
	pthread_create(&loader, NULL, load_always, NULL);
	pthread_create(&listener, NULL, refresh_always, NULL);
	for (int i = 0; i < 300; i++) {
		int status = -1;
		pid_t pid = fork();

		if (pid == 0) {
			modules_after_fork();
			for (int k = 0; k < 10 && !module_find((uint64_t)setup); k++)
				refresh();
			_exit(find_now(setup) != module_at(0));
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
	}
	atomic_store(&loading, false);
	atomic_store(&refreshing, false);
	pthread_join(loader, NULL);
	pthread_join(listener, NULL);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("modules");
	TCase *plugin = tcase_create("plugin");
	Suite *s = suite_create("modules");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, modules__the_executable_comes_first);
	tcase_add_test(t, modules__build_ids_are_those_of_readelf);
	tcase_add_test(t, modules__the_vdso_is_one);
	tcase_add_test(t, modules__holds_all_that_the_loader_reports);
	tcase_add_test(t, modules__ranges_hold_code_and_nothing_else);
	tcase_add_test(t, modules__data_stack_and_nowhere_belong_to_none);
	tcase_add_test(t, modules__nothing_new_is_nothing_to_tell);
	tcase_add_test(t, modules__a_forked_child_has_the_table);
	tcase_add_test(t, modules__a_child_forked_in_a_refresh_has_the_table);
	tcase_add_test(t, modules__what_is_never_unloaded_is_kept_by_address);
	tcase_add_test(t, modules__an_address_outside_of_an_object_is_none_of_ours);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(plugin, setup_plugin, teardown_plugin);
	tcase_add_test(plugin, modules__a_plugin_appears);
	tcase_add_test(plugin, modules__a_new_object_is_noticed_by_one_read);
	tcase_add_test(plugin, modules__a_frame_names_what_went);
	tcase_add_test(plugin, modules__what_comes_again_is_the_same_module_wherever_it_lies);
	tcase_add_test(plugin, modules__without_a_build_id_the_time_of_the_file_tells);
	tcase_add_test(plugin, modules__thousands_that_come_and_go_have_a_number_each);
	tcase_add_test(plugin, modules__numbers_that_nobody_keeps_are_given_again);
	tcase_add_test(plugin, modules__when_all_are_kept_what_comes_has_none);
	tcase_add_test(plugin, modules__a_child_forked_while_a_plugin_comes_finds_what_stays);
	tcase_add_test(plugin, modules__another_object_at_the_same_address_is_another_module);
	tcase_add_test(plugin, modules__other_namespaces_are_looked_at_too);
	tcase_add_test(plugin, modules__the_first_segment_may_be_anywhere);
	tcase_add_test(plugin, modules__a_build_id_is_kept_whole_or_not_at_all);
	tcase_add_test(plugin, modules__code_of_every_segment_is_found);
	suite_add_tcase(s, plugin);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
