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
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/process/modules.h"

static void setup(void)
{
	modules_init();
	ck_assert(modules_refresh());
}

static const struct module *find_now(const void *pc)
{
	return module_find((uint64_t)pc, modules_generation());
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
	ck_assert_ptr_eq(module_find(vdso + 0x500, modules_generation()), m);
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
		m = module_find(start, modules_generation());
		ck_assert_msg(m != NULL, "%s", info->dlpi_name);
		ck_assert_uint_eq(m->bias, info->dlpi_addr);
		ck_assert_ptr_eq(module_find(start + ph->p_memsz - 1, modules_generation()), m);
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
			ck_assert_ptr_eq(module_find(r->start, modules_generation()), m);
			ck_assert_ptr_eq(module_find(r->limit - 1, modules_generation()), m);
			ck_assert_ptr_ne(module_find(r->limit, modules_generation()), m);
			ck_assert_ptr_ne(module_find(r->start - 1, modules_generation()), m);
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
	uint32_t generation = modules_generation();
	size_t count = modules_count();

	ck_assert(!modules_refresh());
	ck_assert_uint_eq(modules_generation(), generation);
	ck_assert_uint_eq(modules_count(), count);
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

START_TEST(modules__a_plugin_appears_without_a_new_generation)
{
	uint32_t generation = modules_generation();
	const struct module *m;
	uint64_t pc;

	open_plugin(&pc);
	ck_assert_ptr_null(module_find(pc, generation));
	ck_assert(modules_refresh());
	ck_assert_uint_eq(modules_generation(), generation);
	m = module_find(pc, generation);
	ck_assert_ptr_nonnull(m);
	ck_assert_str_eq(m->path, plugin_path);
	expect_build_id_of_readelf(m);
}
END_TEST

START_TEST(modules__a_new_object_is_noticed_by_one_read)
{
	uint64_t pc;

	ck_assert(!modules_have_come());
	open_plugin(&pc);
	ck_assert(modules_have_come());
	modules_refresh();
	ck_assert(!modules_have_come());
}
END_TEST

START_TEST(modules__a_plugin_that_went_is_found_in_its_own_generation_only)
{
	uint32_t before = modules_generation();
	const struct module *m;
	void *object;
	uint64_t pc;

	object = open_plugin(&pc);
	modules_refresh();
	m = module_find(pc, before);
	ck_assert_int_eq(dlclose(object), 0);
	ck_assert_ptr_eq(module_find(pc, before), m);
	ck_assert(modules_refresh());
	ck_assert_uint_eq(modules_generation(), before + 1);
	ck_assert_ptr_null(module_find(pc, before + 1));
	ck_assert_ptr_eq(module_find(pc, before), m);
	ck_assert_str_eq(m->path, plugin_path);
	ck_assert_uint_eq(m->died, before + 1);
}
END_TEST

START_TEST(modules__what_stays_is_found_in_every_generation)
{
	uint32_t before = modules_generation();
	void *object;
	uint64_t pc;

	for (int i = 0; i < 10; i++) {
		object = open_plugin(&pc);
		modules_refresh();
		dlclose(object);
		modules_refresh();
	}
	ck_assert_uint_eq(modules_generation(), before + 10);
	for (uint32_t g = before; g <= before + 10; g++)
		ck_assert_ptr_eq(module_find((uint64_t)setup, g), module_at(0));
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
	uint32_t before = modules_generation();
	uint64_t pc, pc_again;
	void *object;

	object = open_plugin(&pc);
	modules_refresh();
	old = module_find(pc, before);
	dlclose(object);
	replace_plugin();
	open_plugin(&pc_again);
	modules_refresh();
	new = module_find(pc_again, modules_generation());
	ck_assert_ptr_nonnull(new);
	ck_assert_ptr_ne(new, old);
	ck_assert_str_eq(new->path, plugin_path);
	ck_assert_ptr_eq(module_find(pc, before), old);
	ck_assert_uint_eq(modules_generation(), before + 1);
}
END_TEST

START_TEST(modules__other_namespaces_are_looked_at_too)
{
	void *object = dlmopen(LM_ID_NEWLM, plugin_path, RTLD_NOW);
	const struct module *m;

	ck_assert_msg(object != NULL, "%s", dlerror());
	ck_assert(modules_refresh());
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
	modules_refresh();
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

/* A child forked at rest has the table, and one that was forked in a refresh reads all again. */
START_TEST(modules__a_forked_child_has_the_table)
{
	size_t count = modules_count();
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(!modules_after_fork() || modules_count() != count ||
		      find_now(setup) != module_at(0) || modules_refresh());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

static atomic_bool refreshing;

static void *refresh_always(void *unused)
{
	while (atomic_load(&refreshing))
		modules_refresh();
	return unused;
}

static int status_of_child(uint32_t generation, size_t count)
{
	bool kept = modules_after_fork();

	if (kept != (modules_count() == count))
		return 2;
	if (modules_refresh() == kept || modules_count() != count)
		return 3;
	if (modules_generation() != generation || find_now(setup) != module_at(0))
		return 4;
	return kept ? 0 : 1;
}

START_TEST(modules__a_child_forked_in_a_refresh_reads_all_again)
{
	int seen[2] = { 0 };
	pthread_t thread;

	atomic_store(&refreshing, true);
	pthread_create(&thread, NULL, refresh_always, NULL);
	for (int i = 0; i < 2000 && !(seen[0] && seen[1] && i > 50); i++) {
		int status = -1;
		pid_t pid = fork();

		if (pid == 0)
			_exit(status_of_child(modules_generation(), modules_count()));
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		seen[WEXITSTATUS(status)]++;
	}
	atomic_store(&refreshing, false);
	pthread_join(thread, NULL);
	ck_assert_int_gt(seen[1], 0);
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
	tcase_add_test(t, modules__a_child_forked_in_a_refresh_reads_all_again);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(plugin, setup_plugin, teardown_plugin);
	tcase_add_test(plugin, modules__a_plugin_appears_without_a_new_generation);
	tcase_add_test(plugin, modules__a_new_object_is_noticed_by_one_read);
	tcase_add_test(plugin, modules__a_plugin_that_went_is_found_in_its_own_generation_only);
	tcase_add_test(plugin, modules__what_stays_is_found_in_every_generation);
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
