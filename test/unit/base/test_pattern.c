#include <check.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/pattern.h"
#include "sampler/base/sys.h"

struct pattern_case {
	const char *pattern, *text;
	bool matches;
};

static const struct pattern_case plain[] = {
	{ "", "", true },
	{ "", "a", false },
	{ "a", "", false },
	{ "redis-server", "redis-server", true },
	{ "redis-server", "redis-serve", false },
	{ "redis-serve", "redis-server", false },
	{ "Redis", "redis", false },
};

static const struct pattern_case stars[] = {
	{ "*", "", true },
	{ "*", "anything", true },
	{ "***", "", true },
	{ "redis*", "redis", true },
	{ "redis*", "redis-server", true },
	{ "*server", "redis-server", true },
	{ "*server", "redis-servers", false },
	{ "*is*er", "redis-server", true },
	{ "a*b*c", "a-b-b-c", true },
	{ "a*b*c", "a-c-b", false },
	{ "*a", "aaaa", true },
	{ "a**a", "aa", true },
	{ "a*a", "a", false },
	{ "?", "", false },
	{ "?", "a", true },
	{ "??", "a", false },
	{ "?*", "abc", true },
	{ "*?", "", false },
	{ "*?b", "ab", true },
	{ "*?b", "b", false },
	{ "python3.?", "python3.9", true },
	{ "python3.?", "python3.11", false },
};

static const struct pattern_case sets[] = {
	{ "[abc]", "b", true },	      { "[abc]", "d", false },
	{ "[abc]", "", false },	      { "[a-c]x", "bx", true },
	{ "[a-c]", "d", false },      { "[c-a]", "b", false },
	{ "[!a-c]", "d", true },      { "[!a-c]", "b", false },
	{ "[^a-c]", "d", true },      { "[^a-c]", "b", false },
	{ "[!a]", "", false },	      { "[]a]", "]", true },
	{ "[]a]", "a", true },	      { "[!]a]", "]", false },
	{ "[!]a]", "b", true },	      { "[a-]", "-", true },
	{ "[a-]", "b", false },	      { "[-a]", "-", true },
	{ "[0-9a-f]*", "f00", true }, { "[0-9a-f]*", "g00", false },
	{ "*[0-9]", "node20", true }, { "x[0-9][0-9]", "x12", true },
	{ "[*]", "*", true },	      { "[*]", "a", false },
	{ "[?]", "?", true },	      { "[\x80-\xff]", "\xc3", true },
	{ "[a-\xff]", "\xc3", true },
};

static const struct pattern_case unclosed[] = {
	{ "[", "[", true },	{ "[", "a", false },	{ "[abc", "[abc", true },
	{ "[abc", "a", false }, { "[]", "[]", true },	{ "[!", "[!", true },
	{ "[!]", "[!]", true }, { "[^]", "[^]", true }, { "a[", "a[", true },
	{ "*[", "x[", true },	{ "[a-", "[a-", true }, { "]", "]", true },
};

static const struct pattern_case escapes[] = {
	{ "\\*", "*", true },  { "\\*", "a", false },	 { "\\?", "?", true },
	{ "\\?", "a", false }, { "\\[a]", "[a]", true }, { "\\\\", "\\", true },
	{ "\\a", "a", true },  { "\\", "\\", true },	 { "a\\", "a\\", true },
	{ "a\\", "a", false }, { "*\\*", "ab*", true },	 { "*\\*", "ab", false },
};

static void expect_all(const struct pattern_case *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(pattern_matches(c[i].pattern, c[i].text) == c[i].matches,
			      "\"%s\" and \"%s\"", c[i].pattern, c[i].text);
}

START_TEST(pattern__without_special_characters_is_the_text_itself)
{
	expect_all(plain, ARRAY_SIZE(plain));
}
END_TEST

START_TEST(pattern__stars_and_question_marks)
{
	expect_all(stars, ARRAY_SIZE(stars));
}
END_TEST

START_TEST(pattern__sets)
{
	expect_all(sets, ARRAY_SIZE(sets));
}
END_TEST

START_TEST(pattern__unclosed_bracket_is_a_character)
{
	expect_all(unclosed, ARRAY_SIZE(unclosed));
}
END_TEST

START_TEST(pattern__escapes)
{
	expect_all(escapes, ARRAY_SIZE(escapes));
}
END_TEST

static char *random_of(const char *letters, size_t len)
{
	char *s = calloc(1, len + 1);

	for (size_t i = 0; i < len; i++)
		s[i] = letters[(size_t)rand() % strlen(letters)];
	return s;
}

/* Where both mean the same: without brackets, which libc leaves open if unclosed in its own way. */
START_TEST(pattern__agrees_with_fnmatch)
{
	int matched = 0;

	srand(1);
	for (int i = 0; i < 200000; i++) {
		char *pattern = random_of("ab*?*", (size_t)rand() % 8);
		char *text = random_of("ab", (size_t)rand() % 10);
		bool expected = fnmatch(pattern, text, 0) == 0;

		ck_assert_msg(pattern_matches(pattern, text) == expected, "\"%s\" and \"%s\"",
			      pattern, text);
		matched += expected;
		free(pattern);
		free(text);
	}
	ck_assert_int_gt(matched, 10000);
}
END_TEST

START_TEST(pattern__closed_sets_agree_with_fnmatch)
{
	srand(2);
	for (int i = 0; i < 100000; i++) {
		char *set = random_of("abc-!^", 1 + (size_t)rand() % 5);
		char *text = random_of("abc-!^", 2);
		char pattern[32] = "*[";

		strcat(strcat(pattern, set), "]");
		if (strpbrk(set, "-") == NULL || strspn(set, "!^") == 0)
			ck_assert_msg(pattern_matches(pattern, text) ==
					      (fnmatch(pattern, text, 0) == 0),
				      "\"%s\" and \"%s\"", pattern, text);
		free(set);
		free(text);
	}
}
END_TEST

/* For a matcher that tries every split, each of these takes longer than the universe has been. */
START_TEST(pattern__the_worst_patterns_end_soon)
{
	static char text[4096], pattern[4096];
	int64_t before = sys_clock_ns(CLOCK_THREAD_CPUTIME_ID);

	memset(text, 'a', sizeof(text) - 1);
	for (size_t i = 0; i + 2 < sizeof(pattern); i += 2)
		memcpy(pattern + i, "*a", 2);
	ck_assert(pattern_matches(pattern, text));
	memset(pattern, 0, sizeof(pattern));
	for (int i = 0; i < 1000; i++)
		memcpy(pattern + i * 2, "a*", 2);
	strcat(pattern, "b");
	ck_assert(!pattern_matches(pattern, text));
	memset(pattern, 0, sizeof(pattern));
	for (int i = 0; i < 500; i++)
		memcpy(pattern + i * 4, "*[a]", 4);
	strcat(pattern, "b");
	ck_assert(!pattern_matches(pattern, text));
	ck_assert_int_lt(sys_clock_ns(CLOCK_THREAD_CPUTIME_ID) - before, 5 * NS_PER_SECOND);
}
END_TEST

/* Every truncation of a pattern, right before a page that nobody can read, is still read within. */
START_TEST(pattern__never_reads_behind_its_end)
{
	static const char whole[] = "a*[!]b-d]\\x?[abc";

	for (size_t len = 0; len <= strlen(whole); len++) {
		char *exact = malloc(len + 1); /* the address sanitizer looks behind it */

		memcpy(exact, whole, len);
		exact[len] = '\0';
		pattern_matches(exact, "axxezx?[abc");
		pattern_matches(exact, "");
		free(exact);
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("pattern");
	Suite *s = suite_create("pattern");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, pattern__without_special_characters_is_the_text_itself);
	tcase_add_test(t, pattern__stars_and_question_marks);
	tcase_add_test(t, pattern__sets);
	tcase_add_test(t, pattern__unclosed_bracket_is_a_character);
	tcase_add_test(t, pattern__escapes);
	tcase_add_test(t, pattern__agrees_with_fnmatch);
	tcase_add_test(t, pattern__closed_sets_agree_with_fnmatch);
	tcase_add_test(t, pattern__the_worst_patterns_end_soon);
	tcase_add_test(t, pattern__never_reads_behind_its_end);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
