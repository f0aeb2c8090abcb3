/* test_waiters.c - who waits for a reply: each done once, by its own position, in time, or cut short; never more than allowed. */
#include "producer/waiters.h"
#include "unit.h"

#define SECOND 1000000

struct owner {
    struct pay_waiter *waiter;
    int done;
    enum pay_wait_end end;
    char value[16];
    bool chosen;
};

static void told(void *argument, enum pay_wait_end end, const char *value, size_t length) {
    struct owner *owner = argument;
    owner->done++;
    owner->end = end;
    owner->waiter = NULL;
    snprintf(owner->value, sizeof owner->value, "%.*s", (int)length, value != NULL ? value : "");
}

static void begin(struct pay_waiters *waiters, struct owner *owner, int32_t seconds, int64_t now_us) {
    *owner = (struct owner){.waiter = pay_waiters_add(waiters, owner, told, seconds, now_us)};
}

static void place(struct pay_waiters *waiters, struct owner *owner, int32_t partition, int64_t offset) {
    pay_waiters_place(waiters, owner->waiter, &(struct pay_position){1, partition, offset});
}

static void reply(struct pay_waiters *waiters, int64_t generation, int32_t partition, int64_t offset) {
    pay_waiters_take(waiters, &(struct pay_position){generation, partition, offset}, "reply", 5);
}

static void only_the_reply_to_its_own_position_wakes_a_waiter(void **state) {
    (void)state;
    struct pay_waiters *waiters = pay_waiters_new(10);
    struct owner mine;
    begin(waiters, &mine, 5, 0);
    reply(waiters, 1, 3, 40); /* before it is placed: nobody knows whose it is */
    place(waiters, &mine, 3, 40);
    reply(waiters, 1, 3, 41);
    reply(waiters, 1, 4, 40);
    reply(waiters, 2, 3, 40);
    assert_int_equal(mine.done, 0);
    reply(waiters, 1, 3, 40);
    assert_int_equal(mine.done, 1);
    assert_int_equal(mine.end, PAY_WAIT_ANSWERED);
    assert_string_equal(mine.value, "reply");
    reply(waiters, 1, 3, 40);
    pay_waiters_expire(waiters, 100 * SECOND);
    pay_waiters_cut(waiters, NULL);
    assert_int_equal(mine.done, 1);
    assert_int_equal(pay_waiters_count(waiters), 0);
    pay_waiters_free(waiters);
}

static void all_who_wait_for_one_position_are_woken(void **state) {
    (void)state;
    struct pay_waiters *waiters = pay_waiters_new(10);
    struct owner owners[3];
    for (int i = 0; i < 3; i++) {
        begin(waiters, &owners[i], i + 1, 0);
        place(waiters, &owners[i], 0, 7);
    }
    reply(waiters, 1, 0, 7);
    for (int i = 0; i < 3; i++) assert_int_equal(owners[i].done, 1);
    pay_waiters_free(waiters);
}

static void time_is_over_to_the_microsecond_placed_or_not(void **state) {
    (void)state;
    struct pay_waiters *waiters = pay_waiters_new(10);
    struct owner a, b, c;
    assert_int_equal(pay_waiters_next_us(waiters), INT64_MAX);
    begin(waiters, &a, 30, 0);
    begin(waiters, &b, 2, 5 * SECOND);
    begin(waiters, &c, 2, 6 * SECOND);
    place(waiters, &c, 0, 1);
    assert_int_equal(pay_waiters_next_us(waiters), 7 * SECOND);
    pay_waiters_expire(waiters, 7 * SECOND - 1);
    assert_int_equal(a.done + b.done + c.done, 0);
    pay_waiters_expire(waiters, 7 * SECOND);
    assert_int_equal(b.done, 1);
    assert_int_equal(b.end, PAY_WAIT_OVER);
    assert_int_equal(a.done + c.done, 0);
    assert_int_equal(pay_waiters_next_us(waiters), 8 * SECOND);
    pay_waiters_expire(waiters, 30 * SECOND);
    assert_int_equal(c.end, PAY_WAIT_OVER);
    assert_int_equal(a.done, 1);
    reply(waiters, 1, 0, 1);
    assert_int_equal(c.done, 1);
    pay_waiters_free(waiters);
}

static void no_more_than_the_bound_wait_and_a_place_comes_free_again(void **state) {
    (void)state;
    struct pay_waiters *waiters = pay_waiters_new(2);
    struct owner a, b, c;
    begin(waiters, &a, 1, 0);
    begin(waiters, &b, 1, 0);
    begin(waiters, &c, 1, 0);
    assert_null(c.waiter);
    assert_int_equal(pay_waiters_count(waiters), 2);
    pay_waiters_remove(waiters, a.waiter);
    begin(waiters, &c, 1, 0);
    assert_non_null(c.waiter);
    pay_waiters_expire(waiters, SECOND);
    assert_int_equal(a.done, 0);
    assert_int_equal(b.done + c.done, 2);
    pay_waiters_free(waiters);
}

static bool is_chosen(void *argument) {
    const struct owner *owner = argument;
    return owner->chosen;
}

static void the_chosen_are_cut_short_and_the_others_stay(void **state) {
    (void)state;
    struct pay_waiters *waiters = pay_waiters_new(10);
    struct owner owners[6];
    for (int i = 0; i < 6; i++) {
        begin(waiters, &owners[i], 1 + i % 3, 0);
        if (i % 2 == 0) place(waiters, &owners[i], 0, i);
        owners[i].chosen = i >= 2 && i < 5;
    }
    pay_waiters_cut(waiters, is_chosen);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(owners[i].done, owners[i].chosen);
        if (owners[i].chosen) assert_int_equal(owners[i].end, PAY_WAIT_CUT_SHORT);
    }
    pay_waiters_cut(waiters, NULL);
    for (int i = 0; i < 6; i++) assert_int_equal(owners[i].done, 1);
    assert_int_equal(pay_waiters_next_us(waiters), INT64_MAX);
    pay_waiters_free(waiters);
}

/* Two who wait for the same: each, when woken, lets the other go and waits anew. */
static struct pay_waiters *shared;
static struct owner pair[2];
static int woken;

static void swap(void *argument, enum pay_wait_end end, const char *value, size_t length) {
    struct owner *owner = argument, *other = owner == &pair[0] ? &pair[1] : &pair[0];
    (void)end;
    (void)value;
    (void)length;
    woken++;
    owner->waiter = NULL;
    if (other->waiter == NULL) return;
    pay_waiters_remove(shared, other->waiter);
    other->waiter = NULL;
    owner->waiter = pay_waiters_add(shared, owner, swap, 1, 5 * SECOND);
}

static void who_is_woken_may_add_and_remove_others(void **state) {
    (void)state;
    shared = pay_waiters_new(2);
    woken = 0;
    for (int i = 0; i < 2; i++) {
        pair[i].waiter = pay_waiters_add(shared, &pair[i], swap, 1, 0);
        place(shared, &pair[i], 0, 1);
    }
    reply(shared, 1, 0, 1);
    assert_int_equal(woken, 1);
    assert_int_equal(pay_waiters_count(shared), 1);
    pay_waiters_cut(shared, NULL);
    assert_int_equal(woken, 2);
    assert_int_equal(pay_waiters_count(shared), 0);
    pay_waiters_free(shared);
}

/* Against a plain list of who waits for what until when. */
static void over_any_history_each_is_done_once_and_rightly(void **state) {
    (void)state;
    enum { OWNERS = 60, MOST = 40, STEPS = 200000 };
    static struct {
        struct owner owner;
        int64_t until_us, offset; /* offset -1: not placed */
        int32_t partition;
        bool waits;
    } all[OWNERS];
    uint64_t random = 11;
    int64_t now_us = 0, seen[3] = {0};
    uint32_t waiting = 0;
    struct pay_waiters *waiters = pay_waiters_new(MOST);
    for (int step = 0; step < STEPS; step++) {
        uint32_t i = random_below(&random, OWNERS);
        now_us += random_below(&random, 300000);
        pay_waiters_expire(waiters, now_us);
        for (int n = 0; n < OWNERS; n++) {
            bool over = all[n].waits && all[n].until_us <= now_us;
            if (over) {
                assert_int_equal(all[n].owner.done, 1);
                assert_int_equal(all[n].owner.end, PAY_WAIT_OVER);
                all[n].waits = false;
                waiting--;
                seen[0]++;
            }
            if (all[n].waits) assert_int_equal(all[n].owner.done, 0);
        }
        if (!all[i].waits) {
            int32_t seconds = 1 + (int32_t)random_below(&random, PAY_WAIT_S_MAX);
            begin(waiters, &all[i].owner, seconds, now_us);
            assert_int_equal(all[i].owner.waiter != NULL, waiting < MOST);
            all[i].waits = all[i].owner.waiter != NULL;
            all[i].until_us = now_us + (int64_t)seconds * SECOND;
            all[i].offset = -1;
            waiting += all[i].waits;
        } else if (all[i].offset < 0) {
            all[i].partition = (int32_t)random_below(&random, 2);
            all[i].offset = random_below(&random, 30);
            place(waiters, &all[i].owner, all[i].partition, all[i].offset);
        } else if (random_percent(&random, 20)) {
            pay_waiters_remove(waiters, all[i].owner.waiter);
            all[i].waits = false;
            waiting--;
            seen[1]++;
        } else if (random_percent(&random, 50)) {
            int32_t partition = (int32_t)random_below(&random, 2);
            int64_t offset = random_below(&random, 30);
            reply(waiters, 1, partition, offset);
            for (int n = 0; n < OWNERS; n++) {
                if (!all[n].waits || all[n].offset != offset || all[n].partition != partition) continue;
                assert_int_equal(all[n].owner.done, 1);
                assert_int_equal(all[n].owner.end, PAY_WAIT_ANSWERED);
                all[n].waits = false;
                waiting--;
                seen[2]++;
            }
        }
        assert_int_equal(pay_waiters_count(waiters), waiting);
    }
    for (int i = 0; i < 3; i++) assert_true(seen[i] > 1000);
    pay_waiters_free(waiters);
}

static void impossible(void *argument) {
    struct pay_waiters *waiters = argument;
    struct owner owner;
    begin(waiters, &owner, PAY_WAIT_S_MAX + 1, 0);
}

static void placed_twice(void *argument) {
    struct pay_waiters *waiters = argument;
    struct owner owner;
    begin(waiters, &owner, 1, 0);
    place(waiters, &owner, 0, 1);
    place(waiters, &owner, 0, 1);
}

static void a_programmers_errors_abort(void **state) {
    (void)state;
    struct pay_waiters *waiters = pay_waiters_new(2);
    assert_true(aborts(impossible, waiters));
    assert_true(aborts(placed_twice, waiters));
    pay_waiters_free(waiters);
    pay_waiters_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_reply_to_its_own_position_wakes_a_waiter),
        cmocka_unit_test(all_who_wait_for_one_position_are_woken),
        cmocka_unit_test(time_is_over_to_the_microsecond_placed_or_not),
        cmocka_unit_test(no_more_than_the_bound_wait_and_a_place_comes_free_again),
        cmocka_unit_test(the_chosen_are_cut_short_and_the_others_stay),
        cmocka_unit_test(who_is_woken_may_add_and_remove_others),
        cmocka_unit_test(over_any_history_each_is_done_once_and_rightly),
        cmocka_unit_test(a_programmers_errors_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
