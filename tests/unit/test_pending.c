/* test_pending.c - the calls on their way: bounded, in order, and counted until their report. */
#include "producer/pending.h"
#include "unit.h"

/* Only compared, never followed. */
static void *client(uintptr_t number) { return (void *)(number * 16); }

static void told(void *owner, const struct pay_call *call, const struct pay_position *position) {
    (void)owner;
    (void)call;
    (void)position;
}

static void both_bounds_hold(void **state) {
    (void)state;
    struct pay_pending *pending = pay_pending_new(3, 100);
    struct pay_call *first = pay_pending_add(pending, client(1), 60, 1);
    assert_non_null(first);
    assert_null(pay_pending_add(pending, client(2), 41, 2));
    assert_non_null(pay_pending_add(pending, client(3), 40, 3));
    assert_null(pay_pending_add(pending, client(4), 1, 4));
    pay_pending_remove(pending, first);
    assert_non_null(pay_pending_add(pending, client(5), 1, 5));
    assert_non_null(pay_pending_add(pending, client(6), 1, 6));
    assert_null(pay_pending_add(pending, client(7), 1, 7));
    assert_int_equal(pay_pending_count(pending), 3);
    assert_int_equal(pay_pending_bytes(pending), 42);
    pay_pending_free(pending);
}

static void the_oldest_due_call_comes_first(void **state) {
    (void)state;
    struct pay_pending *pending = pay_pending_new(10, 1000);
    struct pay_call *a = pay_pending_add(pending, client(1), 1, 1), *b = pay_pending_add(pending, client(2), 1, 2);
    struct pay_call *c = pay_pending_add(pending, client(3), 1, 3);
    assert_ptr_equal(pay_pending_oldest_due(pending), a);
    pay_pending_remove(pending, a);
    assert_ptr_equal(pay_pending_oldest_due(pending), b);
    pay_pending_detach(pending, b);
    assert_ptr_equal(pay_pending_oldest_due(pending), c);
    pay_pending_remove(pending, c);
    assert_null(pay_pending_oldest_due(pending));
    pay_pending_free(pending);
}

static void a_detached_call_still_counts_until_its_report(void **state) {
    (void)state;
    struct pay_pending *pending = pay_pending_new(1, 1000);
    struct pay_call *call = pay_pending_add(pending, client(1), 7, 1);
    pay_pending_detach(pending, call);
    assert_null(call->owner);
    assert_int_equal(pay_pending_due_count(pending), 0);
    assert_int_equal(pay_pending_count(pending), 1);
    assert_ptr_equal(pay_pending_oldest_late(pending), call);
    assert_null(pay_pending_add(pending, client(2), 1, 2));
    pay_pending_remove(pending, call);
    assert_int_equal(pay_pending_bytes(pending), 0);
    assert_null(pay_pending_oldest_late(pending));
    pay_pending_free(pending);
}

static void calls_are_used_again_clean(void **state) {
    (void)state;
    struct pay_pending *pending = pay_pending_new(1000, 1000000);
    uint64_t seed = 1;
    struct pay_call *calls[1000];
    uint32_t count = 0;
    for (uint32_t step = 0; step < 200000; step++) {
        if (count < 1000 && random_percent(&seed, 52)) {
            struct pay_call *call = pay_pending_add(pending, client(step + 1), 10, step);
            assert_non_null(call);
            assert_int_equal(call->partition, -1);
            assert_null(call->done);
            call->partition = 7;
            call->done = told;
            calls[count++] = call;
        } else if (count > 0) {
            uint32_t chosen = random_below(&seed, count);
            if (random_percent(&seed, 30) && calls[chosen]->owner != NULL) pay_pending_detach(pending, calls[chosen]);
            pay_pending_remove(pending, calls[chosen]);
            calls[chosen] = calls[--count];
        }
        assert_int_equal(pay_pending_count(pending), count);
        assert_int_equal(pay_pending_bytes(pending), 10 * count);
    }
    pay_pending_free(pending);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_bounds_hold),
        cmocka_unit_test(the_oldest_due_call_comes_first),
        cmocka_unit_test(a_detached_call_still_counts_until_its_report),
        cmocka_unit_test(calls_are_used_again_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
