/* Where reading the reply log must begin: against every log that sessions and zombies can make, and every place that can be wanted. */
#include "tests/unit/unit.h"

#include "producer/reply_search.h"

#define LOG_MAX 200
#define PUBLISHERS_MAX 6

struct log {
    struct pay_reply_mark marks[LOG_MAX]; /* log_offset rises, with holes where a record isn't ours */
    size_t count;
    int64_t end;
    int64_t looks;
};

static enum pay_move look(void *argument, int64_t from, int64_t end, struct pay_reply_mark *ret_mark, bool *ret_none,
                          struct pay_error *error) {
    struct log *log = argument;
    (void)error;
    log->looks++;
    *ret_none = true;
    for (size_t i = 0; i < log->count && *ret_none; i++) {
        if (log->marks[i].log_offset < from) continue;
        if (log->marks[i].log_offset >= end) break;
        *ret_mark = log->marks[i];
        *ret_none = false;
    }
    return PAY_OK;
}

static void put(struct log *log, int64_t generation, int64_t source_offset, int64_t covers_from) {
    log->marks[log->count++] = (struct pay_reply_mark){log->end++, generation, source_offset, covers_from};
}

static int64_t largest(const struct log *log) {
    int64_t most = -1;
    for (size_t i = 0; i < log->count; i++)
        if (log->marks[i].source_offset > most) most = log->marks[i].source_offset;
    return most;
}

static enum pay_reply_found search(struct log *log, int64_t start, int64_t wanted, int64_t guess, bool answered,
                                   struct pay_reply_mark *ret_mark) {
    const struct pay_reply_search asked = {.wanted = {1, wanted},
                                           .start = start,
                                           .end = log->end,
                                           .guess = guess,
                                           .answered = answered,
                                           .look = look,
                                           .argument = log};
    struct pay_error error;
    enum pay_reply_found found = PAY_REPLY_MISSING;
    assert_int_equal(pay_reply_search(&asked, &found, ret_mark, &error), PAY_OK);
    return found;
}

/* Sessions that begin at or below the log's largest source offset + 1, each contiguous, any of them going on at any time. */
static void make_log(struct log *log, uint64_t *random) {
    struct {
        int64_t next, covers;
    } publishers[PUBLISHERS_MAX];
    size_t publisher_count = 0, length = 1 + random_below(random, LOG_MAX - 1);
    log->count = 0;
    log->end = 0;
    while (log->count < length) {
        bool fresh = publisher_count == 0 || (publisher_count < PUBLISHERS_MAX && random_percent(random, 3));
        size_t who = fresh                        ? publisher_count++
                     : random_percent(random, 70) ? publisher_count - 1
                                                  : random_below(random, (uint32_t)publisher_count);
        if (fresh) {
            int64_t most = largest(log) + 1;
            publishers[who].next = publishers[who].covers =
                most - (most > 0 && random_percent(random, 60) ? (int64_t)random_below(random, (uint32_t)most) : 0);
        }
        /* What a zombie may publish was settled by it: no further than the newest session's requests are. */
        int64_t s = publishers[who].next;
        if (s % 7 == 3) s++; /* a hole in the request log, the same for everybody */
        put(log, 1, s, publishers[who].covers);
        publishers[who].next = publishers[who].covers = s + 1;
        if (random_percent(random, 10)) log->end++; /* a record of somebody else */
    }
}

/* It is the reply to `wanted`, or where there is none (a hole) the next one. */
static void assert_is_the_next(const struct log *log, const struct pay_reply_mark *mark, int64_t wanted) {
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < log->count; i++) {
        int64_t s = log->marks[i].source_offset;
        if (s >= wanted && s < next) next = s;
    }
    assert_int_equal(mark->source_offset, next);
}

static void every_place_is_found_in_every_log(void **unused) {
    (void)unused;
    static struct log log;
    uint64_t random = 11;
    for (int round = 0; round < 60; round++) {
        make_log(&log, &random);
        int64_t most = largest(&log);
        for (int64_t wanted = 0; wanted <= most + 2; wanted++) {
            struct pay_reply_mark mark;
            int64_t guess = random_percent(&random, 50) ? -1 : (int64_t)random_below(&random, (uint32_t)log.end + 10);
            enum pay_reply_found found = search(&log, 0, wanted, guess, wanted <= most, &mark);
            assert_int_equal(found, wanted <= most ? PAY_REPLY_FOUND : PAY_REPLY_AHEAD);
            if (found == PAY_REPLY_FOUND) assert_is_the_next(&log, &mark, wanted);
        }
    }
}

static void what_retention_took_is_gone_or_a_copy_is_found(void **unused) {
    (void)unused;
    static struct log log;
    uint64_t random = 12;
    for (int round = 0; round < 60; round++) {
        make_log(&log, &random);
        int64_t most = largest(&log), start = 1 + (int64_t)random_below(&random, (uint32_t)log.end);
        for (int64_t wanted = 0; wanted <= most; wanted++) {
            struct pay_reply_mark mark;
            enum pay_reply_found found = search(&log, start, wanted, -1, true, &mark);
            if (found == PAY_REPLY_FOUND) {
                assert_true(mark.log_offset >= start);
                assert_is_the_next(&log, &mark, wanted);
                continue;
            }
            assert_int_equal(found, PAY_REPLY_GONE);
            const struct pay_reply_mark *first = NULL; /* the first that is far enough: it doesn't adjoin */
            for (size_t i = 0; i < log.count && first == NULL; i++)
                if (log.marks[i].log_offset >= start && log.marks[i].source_offset >= wanted) first = &log.marks[i];
            assert_true(first == NULL || first->covers_from > wanted);
        }
    }
}

static void a_repeat_at_the_logs_end_hides_nothing(void **unused) {
    (void)unused;
    static struct log log;
    struct pay_reply_mark mark;
    log = (struct log){.count = 0};
    for (int64_t s = 0; s <= 100; s++) put(&log, 1, s, s);
    for (int64_t s = 50; s <= 60; s++) put(&log, 1, s, s);
    for (int64_t wanted = 61; wanted <= 100; wanted++) {
        assert_int_equal(search(&log, 0, wanted, -1, true, &mark), PAY_REPLY_FOUND);
        assert_int_equal(mark.source_offset, wanted);
    }
}

static void a_reply_that_was_never_published_is_missing(void **unused) {
    (void)unused;
    static struct log log;
    struct pay_reply_mark mark;
    log = (struct log){.count = 0};
    for (int64_t s = 0; s < 30; s++) put(&log, 1, s < 20 ? s : s + 5, s < 20 ? s : s + 5);
    assert_int_equal(search(&log, 0, 22, -1, true, &mark), PAY_REPLY_MISSING);
}

static void a_hole_is_answered_by_the_reply_that_covers_it(void **unused) {
    (void)unused;
    static struct log log;
    struct pay_reply_mark mark;
    log = (struct log){.count = 0};
    put(&log, 1, 4, 0);
    put(&log, 1, 9, 5);
    assert_int_equal(search(&log, 0, 7, -1, true, &mark), PAY_REPLY_FOUND);
    assert_int_equal(mark.source_offset, 9);
}

static void a_new_generation_follows_the_old_one(void **unused) {
    (void)unused;
    static struct log log;
    struct pay_reply_mark mark;
    log = (struct log){.count = 0};
    for (int64_t s = 0; s < 10; s++) put(&log, 1, s, s);
    for (int64_t s = 0; s < 10; s++) put(&log, 2, s, s);
    assert_int_equal(search(&log, 0, 10, -1, true, &mark), PAY_REPLY_FOUND);
    assert_int_equal(mark.generation, 2);
    assert_int_equal(mark.source_offset, 0);
    assert_int_equal(search(&log, 0, 9, -1, true, &mark), PAY_REPLY_FOUND);
    assert_int_equal(mark.generation, 1);
}

static void a_good_guess_costs_two_looks(void **unused) {
    (void)unused;
    static struct log log;
    struct pay_reply_mark mark;
    log = (struct log){.count = 0};
    for (int64_t s = 0; s < LOG_MAX; s++) put(&log, 1, s, s);
    assert_int_equal(search(&log, 0, 150, 150, true, &mark), PAY_REPLY_FOUND);
    assert_int_equal(mark.source_offset, 150);
    assert_int_equal(log.looks, 2);
}

static enum pay_move stumble(void *argument, int64_t from, int64_t end, struct pay_reply_mark *ret_mark, bool *ret_none,
                             struct pay_error *error) {
    int *left = argument;
    *ret_mark = (struct pay_reply_mark){from, 1, 5, 5};
    *ret_none = from >= end;
    if ((*left)-- > 0) return PAY_OK;
    return error->move = PAY_AGAIN;
}

static void trouble_ends_the_search(void **unused) {
    (void)unused;
    for (int after = 0; after < 12; after++) {
        int left = after;
        struct pay_reply_mark mark;
        struct pay_error error;
        enum pay_reply_found found;
        const struct pay_reply_search asked = {.wanted = {1, 9},
                                               .start = 0,
                                               .end = 4096,
                                               .guess = 7,
                                               .answered = true,
                                               .look = stumble,
                                               .argument = &left};
        assert_int_equal(pay_reply_search(&asked, &found, &mark, &error), PAY_AGAIN);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_place_is_found_in_every_log),
        cmocka_unit_test(what_retention_took_is_gone_or_a_copy_is_found),
        cmocka_unit_test(a_repeat_at_the_logs_end_hides_nothing),
        cmocka_unit_test(a_reply_that_was_never_published_is_missing),
        cmocka_unit_test(a_hole_is_answered_by_the_reply_that_covers_it),
        cmocka_unit_test(a_new_generation_follows_the_old_one),
        cmocka_unit_test(a_good_guess_costs_two_looks),
        cmocka_unit_test(trouble_ends_the_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
