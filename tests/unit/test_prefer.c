/* test_prefer.c - Prefer: wait=n as RFC 7240 writes it, and what people write instead. */
#include "producer/prefer.h"
#include "unit.h"

#define NONE (-1)

static void the_wait_of_a_line_is_found(void **state) {
    (void)state;
    static const struct {
        const char *line;
        int64_t seconds; /* NONE: no wait in it */
    } lines[] = {
        {"wait=5", 5},
        {"wait=30", 30},
        {"wait=0", 0},
        {"wait=31", 31},
        {"wait=005", 5},
        {"Wait=10", 10},
        {"WAIT = 10", 10},
        {"\twait\t=\t10\t", 10},
        {"wait=\"10\"", 10},
        {"respond-async, wait=10", 10},
        {"respond-async;q=1;x=\"a,wait=3;\", wait=10; y", 10},
        {"wait=10, wait=20", 10},
        {"return=minimal,,, ,wait=7", 7},
        {"wait=7;wait=9", 7},
        {"handling=lenient; wait=9", NONE},
        {"x=\"wait=9\"", NONE},
        {"x=\"\\\", wait=9", NONE},
        {"x=\"\\\"\", wait=9", 9},
        {"wait=999999999", 999999999},
        {"wait=99999999999999999999999999", INT32_MAX},
        {"wait", 0},
        {"wait=", 0},
        {"wait=,wait=3", 0},
        {"wait=\"\"", 0},
        {"wait=-1", 0},
        {"wait=+1", 0},
        {"wait=1.5", 0},
        {"wait=1e3", 0},
        {"wait=0x10", 0},
        {"wait=five", 0},
        {"wait=\"5", 0},
        {"wait=5\"", 5},
        {"wait=5 seconds", 5},
        {"waiting=5", NONE},
        {"await=5", NONE},
        {"respond-async", NONE},
        {"", NONE},
        {",", NONE},
        {";;;", NONE},
        {"=5", NONE},
        {"\"", NONE},
        {"\"wait=5\"", NONE},
        {"a xwait=5", NONE},
        {"a b wait=5, wait=6", 6},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int64_t seconds = NONE;
        bool found = pay_prefer_wait(lines[i].line, &seconds);
        if (found != (lines[i].seconds != NONE) || seconds != lines[i].seconds)
            fail_msg("%s: found %d, %ld seconds", lines[i].line, found, (long)seconds);
    }
}

static void any_line_ends(void **state) {
    (void)state;
    static const char letters[] = "wait=5 ;,\"\\\tx";
    uint64_t random = 3;
    for (int n = 0; n < 200000; n++) {
        char line[24];
        uint32_t length = random_below(&random, sizeof line);
        for (uint32_t i = 0; i < length; i++) line[i] = letters[random_below(&random, sizeof letters - 1)];
        line[length] = '\0';
        int64_t seconds = NONE;
        bool found = pay_prefer_wait(line, &seconds);
        assert_int_equal(found, seconds != NONE);
        assert_true(seconds >= NONE && seconds <= INT32_MAX);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wait_of_a_line_is_found),
        cmocka_unit_test(any_line_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
