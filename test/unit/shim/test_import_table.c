/* The slots of libc and of others that this program has loaded; its own are "ours". */
#include <check.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "shim/real/import_table.h"

struct seen {
	const char *wanted;
	size_t objects, slots, found, bound_as_dlsym;
	const char *version;
	struct import_table table;
};

static void look_at_slot(const struct import_slot *s, void *arg)
{
	struct seen *seen = arg;

	seen->slots++;
	if (strcmp(import_slot_name(&seen->table, s), seen->wanted) != 0)
		return;
	seen->found++;
	seen->bound_as_dlsym += s->now == (uint64_t)dlsym(RTLD_DEFAULT, seen->wanted);
	if (import_slot_version(&seen->table, s))
		seen->version = import_slot_version(&seen->table, s);
	ck_assert(import_slot_is_unbound(&seen->table, s) ||
		  s->now == (uint64_t)dlsym(RTLD_DEFAULT, seen->wanted));
}

static int look_at_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct seen *seen = arg;

	(void)size;
	if (!import_table_read(&seen->table, info))
		return 0;
	seen->objects++;
	import_table_each(&seen->table, look_at_slot, seen);
	return 0;
}

static struct seen look(const char *wanted)
{
	struct seen seen = { .wanted = wanted };

	dl_iterate_phdr(look_at_object, &seen);
	return seen;
}

START_TEST(slots_have_names_versions_and_addresses)
{
	struct seen seen = look("__tls_get_addr");

	ck_assert_uint_ge(seen.objects, 2);
	ck_assert_uint_ge(seen.slots, 50);
	ck_assert_uint_ge(seen.found, 1);
	ck_assert_uint_le(seen.bound_as_dlsym, seen.found);
	ck_assert_str_eq(seen.version, "GLIBC_2.3");
}
END_TEST

START_TEST(a_name_that_nobody_imports_has_none)
{
	ck_assert_uint_eq(look("no_such_function").found, 0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("import_table");
	Suite *s = suite_create("import_table");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(tc, slots_have_names_versions_and_addresses);
	tcase_add_test(tc, a_name_that_nobody_imports_has_none);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
