/*
 * Names for people: what is dropped, what is kept, and that no name can take
 * more stack, time or space than it may.
 */
#include <check.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sampler/base/utf8.h"
#include "sampler/symbols/demangle.h"

static const struct {
	const char *mangled, *name;
} names[] = {
	{ "main", "main" },
	{ "foo.constprop.0", "foo.constprop.0" },
	{ "_start", "_start" },
	{ "", "" },
	{ "_Z", "_Z" },
	{ "_ZN", "_ZN" },
	{ "_Z3fooi", "foo" },
	{ "_ZN2ns3Foo3barEPKc", "ns::Foo::bar" },
	{ "_ZNK3FooIiE3getEv", "Foo<int>::get" },
	{ "_Z3maxIiET_S0_S0_", "max<int>" },
	{ "_ZN3FoocvT_IiEEv", "Foo::operator int<int>" },
	{ "_ZN3FooC1Ev", "Foo::Foo" },
	{ "_ZN3FooD2Ev", "Foo::~Foo" },
	{ "_ZN12_GLOBAL__N_14anonEv", "(anonymous namespace)::anon" },
	{ "_ZN3fooEv.constprop.0", "foo" },
	{ "_Z3fooi.part.0.cold", "foo" },
	{ "_ZNSt6vectorIiSaIiEE9push_backERKi",
	  "std::vector<int, std::allocator<int> >::push_back" },
	{ "_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write" },
	{ "_ZN4core3fmt5write17h0123456789abcdefE.llvm.1234567890", "core::fmt::write" },
	{ "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$"
	  "3bar17h930b740aa94f1d3aE",
	  "<Test + 'static as foo::Bar<Test>>::bar" },
	{ "_RNvC6_123foo3bar", "123foo::bar" },
	{ "_D1d__T4leafTiZQiFNaNbNiNfiZi", "d.leaf!(int).leaf(int)" },
	{ "_D1d5Shape3midMFZv", "d.Shape.mid()" },
	{ "_Dmain", "D main" },
	{ "_D", "_D" },
	{ "_DYNAMIC", "_DYNAMIC" },
	{ "_RNvMs_NtCs7mqBsUuk5k_4core3strNtB4_3Str3len", "<core::str::Str>::len" },
};

static void check_name(const char *mangled, const char *expected)
{
	char name[NAME_MAX_BYTES + 1];

	ck_assert_uint_eq(demangle(mangled, name), strlen(name));
	ck_assert_str_eq(name, expected);
}

START_TEST(test_demangle__names_read_as_in_the_source)
{
	check_name(names[_i].mangled, names[_i].name);
}
END_TEST

static void check_cut(const char *mangled, char name[NAME_MAX_BYTES + 1])
{
	size_t len = demangle(mangled, name);

	ck_assert_uint_le(len, NAME_MAX_BYTES);
	ck_assert_uint_ge(len, NAME_MAX_BYTES - 16);
	ck_assert_uint_eq(len, strlen(name));
	ck_assert_ptr_nonnull(strstr(name, "...#"));
}

/* What differs is in neither of the ends that are kept. */
START_TEST(test_demangle__two_long_names_stay_two)
{
	char mangled[2][2000] = { "_ZN", "_ZN" }, name[2][NAME_MAX_BYTES + 1];

	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < 300; i++)
			strcat(mangled[k], i == 150 && k ? "3xyz" : "3abc");
		strcat(mangled[k], "Ev");
		check_cut(mangled[k], name[k]);
	}
	ck_assert_mem_eq(name[0], name[1], 400);
	ck_assert_str_ne(name[0], name[1]);
	for (int k = 0; k < 2; k++)
		memset(mangled[k], 'a', 1500);
	mangled[1][700] = 'b';
	mangled[0][1500] = mangled[1][1500] = '\0';
	check_cut(mangled[0], name[0]);
	check_cut(mangled[1], name[1]);
	ck_assert_str_ne(name[0], name[1]);
}
END_TEST

/* In the middle of a character is no place to cut. */
START_TEST(test_demangle__characters_stay_whole)
{
	char mangled[3000], name[NAME_MAX_BYTES + 1];

	for (size_t shift = 0; shift < 3; shift++) {
		memset(mangled, 'a', shift);
		mangled[shift] = '\0';
		for (int i = 0; i < 800; i++)
			strcat(mangled, "\xe2\x82\xac");
		check_cut(mangled, name);
		ck_assert_ptr_null(strstr(name, "\xef\xbf\xbd"));
	}
}
END_TEST

START_TEST(test_demangle__a_long_name_is_cut_with_dots)
{
	char mangled[2000] = "_ZN", name[NAME_MAX_BYTES + 1];

	for (int i = 0; i < 300; i++)
		strcat(mangled, "3abc");
	strcat(mangled, "Ev");
	check_cut(mangled, name);
	ck_assert_mem_eq(name, "abc::abc::", 10);
	ck_assert_str_eq(name + strlen(name) - 10, "::abc::abc");
}
END_TEST

START_TEST(test_demangle__a_symbol_over_the_limit_is_shown_as_it_is)
{
	char *mangled = malloc(MANGLED_MAX + 10), name[NAME_MAX_BYTES + 1];

	memset(mangled, 'a', MANGLED_MAX + 9);
	memcpy(mangled, "_Z4000", 6);
	mangled[MANGLED_MAX + 9] = '\0';
	check_cut(mangled, name);
	ck_assert_mem_eq(name, "_Z4000aaaa", 10);
	free(mangled);
}
END_TEST

START_TEST(test_demangle__what_is_no_utf8_is_replaced)
{
	check_name("a\xff\x62", "a\xef\xbf\xbd\x62");
	check_name("_Z2\xc3\x28v", "\xef\xbf\xbd(");
	check_name("tab\there", "tab\xef\xbf\xbdhere");
	check_name("\xc3\xa4", "\xc3\xa4");
}
END_TEST

START_TEST(test_utf8__only_whole_valid_characters_pass)
{
	static const char *const bad[] = { "\x80",
					   "\xc0\xaf",
					   "\xe0\x80\x80",
					   "\xed\xa0\x80",
					   "\xf0\x80\x80\x80",
					   "\xf4\x90\x80\x80",
					   "\xf8\x88\x80\x80",
					   "\xe2\x82" };
	char to[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		utf8_copy(to, sizeof(to), bad[i], strlen(bad[i]));
		ck_assert_mem_eq(to, "\xef\xbf\xbd", 3);
	}
	ck_assert_uint_eq(utf8_copy(to, sizeof(to), "\xe2\x82\xac\xf0\x9f\x98\x80", 7), 7);
	ck_assert_uint_eq(utf8_copy(to, 6, "ab\xe2\x82\xac\xe2\x82\xac", 8), 5);
	ck_assert_str_eq(to, "ab\xe2\x82\xac");
}
END_TEST

/* Substitution number `n`, which is written in base 36 and lags by one. */
static void append_substitution(char *to, unsigned n)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	to += strlen(to);
	*to++ = 'S';
	if (n > 36)
		*to++ = digits[(n - 1) / 36];
	*to++ = digits[(n - 1) % 36];
	*to++ = '_';
	*to = '\0';
}

/* A pair of pairs of pairs: each level doubles the output, to 2^60 in the end. */
START_TEST(test_demangle__exponential_names_end_soon)
{
	char mangled[2000] = "_Z1fI1aIiE", name[NAME_MAX_BYTES + 1];

	for (unsigned i = 0; i < 60; i++) {
		strcat(mangled, "1bI");
		append_substitution(mangled, 2 * i + 2);
		append_substitution(mangled, 2 * i + 2);
		strcat(mangled, "E");
	}
	strcat(mangled, "Evv");
	check_cut(mangled, name);
	ck_assert_mem_eq(name, "f<a<int>, b<a<int>, a<int> >, b<b<", 34);
}
END_TEST

/* Shapes of names that nest: what begins, what repeats, the middle, what closes, the end. */
static const struct {
	const char *begin, *open, *middle, *close, *end;
} shapes[] = {
	{ "_Z1fI", "P", "i", "", "Evv" },
	{ "_Z1fI", "PK", "i", "", "Evv" },
	{ "_Z1f", "P", "i", "", "" },
	{ "_Z1fI", "1aI", "i", "E", "Evv" },
	{ "_Z1fI", "N1a1bI", "i", "EE", "Evv" },
	{ "_Z1fI", "PF", "v", "vE", "Evv" },
	{ "_Z1fI", "PFv", "v", "E", "Evv" },
	{ "_Z1fI", "M", "1a", "i", "Evv" },
	{ "_Z1fI", "A1_", "i", "", "Evv" },
	{ "_Z1fI", "PA1_", "i", "", "Evv" },
	{ "_Z1fI", "C", "i", "", "Evv" },
	{ "_ZN", "1a", "", "", "Ev" },
	{ "_ZN", "1aIiE", "1b", "", "Ev" },
	{ "_Z", "Z", "1fv", "E1gv", "" },
	{ "_ZN1acv", "1bI", "i", "E", "Ev" },
	{ "_Z1fIX", "pl", "Li1E", "Li1E", "EEvv" },
	{ "_Z1fIX", "ng", "Li1E", "", "EEvv" },
	{ "_Z1fI", "DTngcv", "i", "Li1EE", "Evv" },
	{ "_Z1f", "P", "i", "999x", "" },
	{ "_Z1fILi99x", "P", "i", "", "EEvv" },
	{ "_RINvC1a1f", "T", "u", "E", "E" },
	{ "_RINvC1a1f", "R", "u", "", "E" },
	{ "_RINvC1a1f", "FE", "u", "", "E" },
	{ "_ZN", "4a$LT$", "", "", "17h0123456789abcdefE" },
	{ "_D1a1x", "P", "i", "", "" },
	{ "_D1a1x", "xO", "i", "", "" },
	{ "_D1a1x", "Hi", "i", "", "" },
	{ "_D1a1x", "PF", "i", "Zv", "" },
	{ "_D1a1fF", "DFZ", "v", "", "Zv" },
	{ "_D1a", "__T1bT", "i", "Z", "i" },
	{ "_D1a__T1bVi", "A1", "i1", "", "Z1xi" },
	{ "_D", "1a", "", "", "i" },
	{ "_D1a1x", "B1", "i", "", "" },
};

static void *demangle_shape(void *opaque)
{
	char name[NAME_MAX_BYTES + 1];

	demangle(opaque, name);
	return NULL;
}

static void build_shape(char *to, int shape, size_t len)
{
	size_t fixed = strlen(shapes[shape].begin) + strlen(shapes[shape].middle) +
		       strlen(shapes[shape].end);
	size_t each = strlen(shapes[shape].open) + strlen(shapes[shape].close);
	size_t n = (len - fixed) / each;

	strcpy(to, shapes[shape].begin);
	for (size_t i = 0; i < n; i++)
		strcat(to, shapes[shape].open);
	strcat(to, shapes[shape].middle);
	for (size_t i = 0; i < n; i++)
		strcat(to, shapes[shape].close);
	strcat(to, shapes[shape].end);
}

#define STACK (1UL << 20)

/* Runs on a stack like the listener's and returns how much of it was written to. */
static size_t stack_used(char *mangled)
{
	uint8_t *stack =
		mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t untouched = 0;
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	ck_assert_int_eq(pthread_attr_setstack(&attr, stack, STACK), 0);
	ck_assert_int_eq(pthread_create(&thread, &attr, demangle_shape, mangled), 0);
	pthread_join(thread, NULL);
	while (untouched < STACK && stack[untouched] == 0)
		untouched++;
	munmap(stack, STACK);
	return STACK - untouched;
}

START_TEST(test_demangle__half_of_the_listener_stack_is_enough)
{
	char *mangled = malloc(MANGLED_MAX + 100);

	for (size_t len = 240; len <= MANGLED_MAX; len += 240) {
		build_shape(mangled, _i, len);
		ck_assert_uint_lt(stack_used(mangled), 512 << 10);
	}
	free(mangled);
}
END_TEST

START_TEST(test_demangle__noise_is_survived)
{
	static const char letters[] = "NIEPKRSTLXJFvicd0123456789_abZDCQ";
	char mangled[300], name[NAME_MAX_BYTES + 1];

	for (unsigned seed = 0; seed < 20000; seed++) {
		size_t len;

		srand(seed);
		len = 3 + (size_t)rand() % 290;
		for (size_t i = 0; i < len; i++)
			mangled[i] = letters[(size_t)rand() % (sizeof(letters) - 1)];
		memcpy(mangled, seed % 4 == 1 ? "_R" : seed % 4 == 2 ? "_D" : "_Z", 2);
		mangled[len] = '\0';
		ck_assert_uint_le(demangle(mangled, name), NAME_MAX_BYTES);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("demangle");
	TCase *t = tcase_create("demangle");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_loop_test(t, test_demangle__names_read_as_in_the_source, 0,
			    sizeof(names) / sizeof(names[0]));
	tcase_add_test(t, test_demangle__a_long_name_is_cut_with_dots);
	tcase_add_test(t, test_demangle__two_long_names_stay_two);
	tcase_add_test(t, test_demangle__characters_stay_whole);
	tcase_add_test(t, test_demangle__a_symbol_over_the_limit_is_shown_as_it_is);
	tcase_add_test(t, test_demangle__what_is_no_utf8_is_replaced);
	tcase_add_test(t, test_utf8__only_whole_valid_characters_pass);
	tcase_add_test(t, test_demangle__exponential_names_end_soon);
	tcase_add_loop_test(t, test_demangle__half_of_the_listener_stack_is_enough, 0,
			    sizeof(shapes) / sizeof(shapes[0]));
	tcase_add_test(t, test_demangle__noise_is_survived);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
