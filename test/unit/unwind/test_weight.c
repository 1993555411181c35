/*
 * The mathematics of sampling, against libm.
 *
 * The generator seeds itself from the clock, so statistical tests may fail by
 * chance.  Each allows six standard deviations of what it measures: fewer than
 * one failure in 10^8 runs for a sum of so many draws, and there are fewer than
 * 100 such comparisons here, so below 10^-6 for a run of the file.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/unwind/weight.h"

#define SIGMAS 6.0
#define DRAWS  500000

static void expect_within(const char *what, double got, double expected, double sigma)
{
	ck_assert_msg(fabs(got - expected) <= SIGMAS * sigma, "%s is %g, should be %g +- %g", what,
		      got, expected, SIGMAS * sigma);
}

/* ---- gaps */

/* Draws of all magnitudes, near 0 and near 1, and whole powers of two. */
static uint64_t draw(unsigned i)
{
	static const uint64_t special[] = { 0, 1, 2, 3, 1UL << 63, ~0UL, ~0UL << 32 };

	if (i < ARRAY_SIZE(special))
		return special[i];
	return i % 2 ? weight_random() >> i % 64 : ~(weight_random() >> i % 64);
}

START_TEST(a_gap_is_minus_the_logarithm_of_its_draw)
{
	const double rate = 1UL << 40;

	for (unsigned i = 0; i < DRAWS; i++) {
		uint64_t bits = draw(i);
		double expected = (double)(-logl((long double)(bits | 1) / 0x1p64L) * 0x1p40L);
		double off = ((double)weight_gap(bits, 1UL << 40) - expected) / rate;

		ck_assert_msg(fabs(off) <= 0x1p-27, "%#lx: off by %g", bits, off);
	}
}
END_TEST

START_TEST(gaps_have_the_mean_and_variance_of_an_exponential_distribution)
{
	static const uint64_t rates[] = { 4096, 524288, 1UL << 30, 1UL << 40 };
	double rate = (double)rates[_i], sum = 0, squares = 0;

	for (int i = 0; i < DRAWS; i++) {
		double x = (double)weight_next_gap(rates[_i]) / rate - 1;

		sum += x;
		squares += x * x;
	}
	/* whole bytes: half a byte is lost on average */
	expect_within("mean less 1", sum / DRAWS + 0.5 / rate, 0, 1 / sqrt(DRAWS));
	/* (X - 1)^2 has the variance 9 - 1 */
	expect_within("variance", squares / DRAWS, 1, sqrt(8.0 / DRAWS));
}
END_TEST

START_TEST(gaps_exceed_each_length_as_often_as_exponential_ones)
{
	static const double lengths[] = { 0.01, 0.1, 0.5, 1, 2, 4, 8 };
	const uint64_t rate = 524288;
	double beyond[ARRAY_SIZE(lengths)] = { 0 };

	for (int i = 0; i < DRAWS; i++) {
		double x = (double)weight_next_gap(rate) / (double)rate;

		for (size_t k = 0; k < ARRAY_SIZE(lengths); k++)
			beyond[k] += x > lengths[k];
	}
	for (size_t k = 0; k < ARRAY_SIZE(lengths); k++) {
		double p = exp(-lengths[k]);

		expect_within("share", beyond[k] / DRAWS, p, sqrt(p * (1 - p) / DRAWS));
	}
}
END_TEST

START_TEST(consecutive_gaps_are_not_correlated)
{
	const uint64_t rate = 524288;
	double before = 0, sum = 0;

	for (int i = 0; i < DRAWS; i++) {
		double x = (double)weight_next_gap(rate) / (double)rate - 1;

		sum += x * before;
		before = x;
	}
	expect_within("correlation", sum / DRAWS, 0, 1 / sqrt(DRAWS));
}
END_TEST

START_TEST(gaps_are_never_negative)
{
	static const uint64_t rates[] = { 1, 2, 64, 524288, 1UL << 40, 1UL << 56 };

	for (int i = 0; i < DRAWS; i++)
		ck_assert_int_ge(weight_next_gap(rates[i % ARRAY_SIZE(rates)]), 0);
}
END_TEST

/* ---- weights */

static double weight(uint64_t size, uint64_t rate)
{
	return (double)weight_of_block(size, rate) / (double)WEIGHT_ONE;
}

static double true_weight(uint64_t size, uint64_t rate)
{
	return -1 / expm1(-(double)size / (double)rate);
}

/* size/rate has 32 binary places: that is what is wrong with the smallest blocks. */
static void expect_true_weight(uint64_t size, uint64_t rate)
{
	double w = true_weight(size, rate);
	double allowed = 1e-5 + ldexp((double)rate / (double)size, -32);

	ck_assert_msg(fabs(weight(size, rate) / w - 1) <= allowed,
		      "a block of %lu at rate %lu counts %.9g, should be %.9g", size, rate,
		      weight(size, rate), w);
}

START_TEST(weight_is_one_over_the_chance_of_being_sampled)
{
	static const uint64_t rates[] = { 2, 3, 64, 1000, 4096, 500000, 524288, 1UL << 20 };
	uint64_t rate = rates[_i];

	for (uint64_t size = 1; size <= 40 * rate && size < 100000; size++)
		expect_true_weight(size, rate);
	for (double size = 100000; size < 40.0 * (double)rate; size *= 1.0007)
		expect_true_weight((uint64_t)size, rate);
}
END_TEST

START_TEST(at_the_default_rate_every_size_to_1_gib_has_its_weight)
{
	for (uint64_t size = 1; size < 1 << 30; size += 1 + size / 2000)
		expect_true_weight(size, 524288);
}
END_TEST

START_TEST(at_rate_1_every_block_counts_exactly_one)
{
	static const uint64_t sizes[] = { 0, 1, 2, 48, 1UL << 20, 1UL << 40, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		ck_assert_uint_eq(weight_of_block(sizes[i], 1), WEIGHT_ONE);
}
END_TEST

START_TEST(huge_blocks_count_exactly_one)
{
	static const uint64_t rates[] = { 2, 64, 524288, 1UL << 30 };

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		ck_assert_uint_eq(weight_of_block(rates[i] * 20, rates[i]), WEIGHT_ONE);
		ck_assert_uint_eq(weight_of_block(1UL << 62, rates[i]), WEIGHT_ONE);
		ck_assert_uint_eq(weight_of_block(UINT64_MAX, rates[i]), WEIGHT_ONE);
	}
}
END_TEST

START_TEST(a_larger_block_never_counts_for_more_blocks)
{
	uint64_t before = UINT64_MAX;

	for (uint64_t size = 1; size < 12000000; size += 1 + size / 500) {
		uint64_t now = weight_of_block(size, 524288);

		ck_assert_uint_le(now, before);
		ck_assert_uint_ge(now, WEIGHT_ONE);
		before = now;
	}
}
END_TEST

/* ---- both together, as heap_count_down() uses them */

struct estimate {
	double blocks, bytes;	      /* what the samples stand for */
	double var_blocks, var_bytes; /* of these */
	double true_blocks, true_bytes;
};

static void allocate(struct estimate *e, uint64_t *left, uint64_t size, uint64_t rate)
{
	double s = (double)size, q = exp(-s / (double)rate), var = q / (1 - q);

	e->true_blocks += 1;
	e->true_bytes += s;
	e->var_blocks += var;
	e->var_bytes += s * s * var;
	if (arch_subtract(left, size)) {
		e->blocks += weight(size, rate);
		e->bytes += weight(size, rate) * s;
		*left = (uint64_t)weight_next_gap(rate) + 1;
	}
}

/* Half of all blocks are small, few are huge: sizes from 1 to 64 times the rate or so. */
static uint64_t mixed_size(uint64_t i, uint64_t rate)
{
	static const uint64_t small[] = { 1, 8, 24, 48, 64, 100, 256, 1000 };

	if (i % 4096 == 1)
		return rate * 3;
	if (i % 64 == 1)
		return rate / 2 + 1;
	return small[i % ARRAY_SIZE(small)];
}

START_TEST(estimates_of_counts_and_bytes_of_mixed_sizes_are_unbiased)
{
	static const uint64_t rates[] = { 2, 3, 10, 64, 4096, 524288 };
	uint64_t rate = rates[_i], left = (uint64_t)weight_next_gap(rate) + 1;
	struct estimate e = { 0 };

	for (uint64_t i = 0; i < DRAWS / 2; i++)
		allocate(&e, &left, mixed_size(i, rate), rate);
	expect_within("blocks", e.blocks, e.true_blocks, sqrt(e.var_blocks));
	expect_within("bytes", e.bytes, e.true_bytes, sqrt(e.var_bytes));
}
END_TEST

/* Where an error of one byte in the gap is the largest share of it. */
START_TEST(estimates_of_the_smallest_blocks_at_the_smallest_rates_are_unbiased)
{
	uint64_t rate = 2 + (uint64_t)_i, left = (uint64_t)weight_next_gap(rate) + 1;
	struct estimate e = { 0 };

	for (uint64_t i = 0; i < DRAWS / 2; i++)
		allocate(&e, &left, 1 + i % 2, rate);
	expect_within("blocks", e.blocks, e.true_blocks, sqrt(e.var_blocks));
	expect_within("bytes", e.bytes, e.true_bytes, sqrt(e.var_bytes));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("weight");
	TCase *tc = tcase_create("weight");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, a_gap_is_minus_the_logarithm_of_its_draw);
	tcase_add_loop_test(tc, gaps_have_the_mean_and_variance_of_an_exponential_distribution, 0,
			    4);
	tcase_add_test(tc, gaps_exceed_each_length_as_often_as_exponential_ones);
	tcase_add_test(tc, consecutive_gaps_are_not_correlated);
	tcase_add_test(tc, gaps_are_never_negative);
	tcase_add_loop_test(tc, weight_is_one_over_the_chance_of_being_sampled, 0, 8);
	tcase_add_test(tc, at_the_default_rate_every_size_to_1_gib_has_its_weight);
	tcase_add_test(tc, at_rate_1_every_block_counts_exactly_one);
	tcase_add_test(tc, huge_blocks_count_exactly_one);
	tcase_add_test(tc, a_larger_block_never_counts_for_more_blocks);
	tcase_add_loop_test(tc, estimates_of_counts_and_bytes_of_mixed_sizes_are_unbiased, 0, 6);
	tcase_add_loop_test(tc, estimates_of_the_smallest_blocks_at_the_smallest_rates_are_unbiased,
			    0, 6);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
