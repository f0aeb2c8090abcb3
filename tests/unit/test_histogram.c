/* test_histogram.c - histogram.h's promises. */
#include "base/histogram.h"
#include "base/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pay_histogram histogram;

static int start_empty(void **state) {
    (void)state;
    pay_histogram_reset(&histogram);
    return 0;
}

static void an_empty_one_answers_zero(void **state) {
    (void)state;
    assert_int_equal(pay_histogram_quantile(&histogram, 0.5), 0);
    assert_int_equal(pay_histogram_count_up_to(&histogram, 1000), 0);
}

static void small_values_are_exact(void **state) {
    (void)state;
    for (int64_t value = 0; value < 64; value++) pay_histogram_record(&histogram, value);
    for (uint32_t i = 1; i <= 64; i++) assert_int_equal(pay_histogram_quantile(&histogram, i / 64.0), i - 1);
}

static void a_quantile_is_never_below_and_at_most_a_32nd_above(void **state) {
    (void)state;
    for (int64_t value = 1; value < (1ll << 39); value = value * 9 / 8 + 1) {
        pay_histogram_reset(&histogram);
        pay_histogram_record(&histogram, value);
        pay_histogram_record(&histogram, (1ll << 40) - 1); /* so that max doesn't cut it */
        uint64_t median = pay_histogram_quantile(&histogram, 0.5);
        assert_true(median >= (uint64_t)value);
        assert_true(median <= (uint64_t)value + (uint64_t)value / 32);
    }
}

static void quantiles_of_a_thousand_values_are_right(void **state) {
    (void)state;
    for (int64_t value = 1; value <= 1000; value++) pay_histogram_record(&histogram, value);
    assert_in_range(pay_histogram_quantile(&histogram, 0.50), 500, 516);
    assert_in_range(pay_histogram_quantile(&histogram, 0.99), 990, 1000);
    assert_int_equal(pay_histogram_quantile(&histogram, 1.0), 1000);
    assert_int_equal(histogram.sum, 500500);
}

static void counts_up_to_powers_of_two_are_exact(void **state) {
    (void)state;
    for (int64_t value = 0; value < 5000; value++) pay_histogram_record(&histogram, value);
    for (uint32_t bits = 1; bits <= 12; bits++)
        assert_int_equal(pay_histogram_count_up_to(&histogram, (1u << bits) - 1), 1u << bits);
}

static void odd_values_are_kept_within_bounds(void **state) {
    (void)state;
    pay_histogram_record(&histogram, -5);
    pay_histogram_record(&histogram, INT64_MAX);
    assert_int_equal(histogram.count, 2);
    assert_int_equal(histogram.buckets[0], 1);
    assert_int_equal(histogram.max, (1ull << 40) - 1);
}

static void merging_adds_up(void **state) {
    (void)state;
    static struct pay_histogram other;
    pay_histogram_record(&histogram, 10);
    pay_histogram_record(&other, 20);
    pay_histogram_record(&other, 3000);
    pay_histogram_merge(&histogram, &other);
    assert_int_equal(histogram.count, 3);
    assert_int_equal(histogram.max, 3000);
    assert_int_equal(pay_histogram_quantile(&histogram, 0.6), 20);
}

static void metrics_text_has_cumulative_buckets_in_seconds(void **state) {
    (void)state;
    char *text = NULL;
    size_t length = 0;
    pay_histogram_record(&histogram, 100);
    pay_histogram_record(&histogram, 200000000);
    FILE *out = open_memstream(&text, &length);
    pay_metrics_histogram_us(out, "paybuf_x_seconds", "X.", &histogram);
    fclose(out);
    assert_non_null(strstr(text, "# TYPE paybuf_x_seconds histogram\n"));
    assert_non_null(strstr(text, "paybuf_x_seconds_bucket{le=\"0.000128\"} 1\n"));
    assert_non_null(strstr(text, "paybuf_x_seconds_bucket{le=\"67.108864\"} 1\n"));
    assert_non_null(strstr(text, "paybuf_x_seconds_bucket{le=\"+Inf\"} 2\n"));
    assert_non_null(strstr(text, "paybuf_x_seconds_count 2\n"));
    free(text);
}

#define TEST(name) cmocka_unit_test_setup(name, start_empty)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_empty_one_answers_zero),
        TEST(small_values_are_exact),
        TEST(a_quantile_is_never_below_and_at_most_a_32nd_above),
        TEST(quantiles_of_a_thousand_values_are_right),
        TEST(counts_up_to_powers_of_two_are_exact),
        TEST(odd_values_are_kept_within_bounds),
        TEST(merging_adds_up),
        TEST(metrics_text_has_cumulative_buckets_in_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
