/* The last replies for streams: numbers rise, and `before` and `behind` are always what a stream may trust. */
#include "tests/unit/unit.h"

#include "producer/reply_ring.h"

#include <stdlib.h>

static struct pay_reply_ring *new_ring(size_t bytes, uint32_t partitions, int64_t next) {
    struct pay_places places = {.count = partitions};
    for (uint32_t p = 0; p < partitions; p++) places.at[p] = (struct pay_place){1, next};
    struct pay_reply_ring *ring = pay_reply_ring_new(bytes, &places);
    assert_non_null(ring);
    return ring;
}

static bool add(struct pay_reply_ring *ring, int32_t partition, int64_t source, int64_t covers) {
    char value[64];
    int length = snprintf(value, sizeof value, "%d/%lld", (int)partition, (long long)source);
    return pay_reply_ring_add(ring, &(struct pay_position){1, partition, source}, covers, value, (size_t)length);
}

static void replies_are_kept_in_order_and_repeats_are_not(void **unused) {
    (void)unused;
    struct pay_reply_ring *ring = new_ring(1 << 20, 2, 0);
    assert_true(add(ring, 0, 0, 0));
    assert_true(add(ring, 1, 0, 0));
    assert_false(add(ring, 0, 0, 0));
    assert_true(add(ring, 0, 1, 1));
    assert_int_equal(pay_reply_ring_end(ring) - pay_reply_ring_first(ring), 3);
    assert_memory_equal(pay_reply_ring_at(ring, 1)->value, "1/0", 3);
    assert_int_equal(pay_reply_ring_behind(ring)->at[0].next, 2);
    assert_int_equal(pay_reply_ring_before(ring)->at[0].next, 0);
    pay_reply_ring_free(ring);
}

/* Whoever stands at `before`, or anywhere between it and `behind`, takes the rest of the ring without a gap. */
static void before_is_always_enough(void **unused) {
    (void)unused;
    uint64_t random = 5;
    struct pay_reply_ring *ring = new_ring(20 * (sizeof(struct pay_reply_entry) + 8), 3, 7);
    int64_t next[4] = {7, 7, 7, 0};
    for (int round = 0; round < 5000; round++) {
        int32_t p = (int32_t)random_below(&random, round < 3000 ? 3 : 4);
        int64_t covers = next[p], s = covers + (random_percent(&random, 20) ? 2 : 0);
        if (random_percent(&random, 1)) covers = s += 10; /* the follower missed something */
        next[p] = s + 1;
        assert_true(add(ring, p, s, covers));
        struct pay_places places = *pay_reply_ring_before(ring);
        for (uint64_t n = pay_reply_ring_first(ring); n < pay_reply_ring_end(ring); n++) {
            const struct pay_reply_entry *entry = pay_reply_ring_at(ring, n);
            assert_int_equal(
                pay_place_take(&places.at[entry->source.partition], 1, entry->source.offset, entry->covers_from),
                PAY_READER_TAKE);
        }
        assert_memory_equal(places.at, pay_reply_ring_behind(ring)->at, places.count * sizeof *places.at);
        assert_true(pay_reply_ring_bytes(ring) <= 20 * (sizeof(struct pay_reply_entry) + 8));
    }
    pay_reply_ring_free(ring);
}

static void a_reply_behind_a_gap_empties_the_ring(void **unused) {
    (void)unused;
    struct pay_reply_ring *ring = new_ring(1 << 20, 1, 0);
    add(ring, 0, 0, 0);
    add(ring, 0, 1, 1);
    assert_true(add(ring, 0, 9, 9));
    assert_int_equal(pay_reply_ring_end(ring) - pay_reply_ring_first(ring), 1);
    assert_int_equal(pay_reply_ring_before(ring)->at[0].next, 9);
    pay_reply_ring_free(ring);
}

static void of_a_partition_that_nothing_was_known_of_only_the_log_can_tell_the_past(void **unused) {
    (void)unused;
    struct pay_reply_ring *ring = new_ring(1 << 20, 1, -1);
    struct pay_places old = {.count = 1, .at = {{1, 5}}};
    assert_true(pay_places_reached(&old, pay_reply_ring_before(ring)));
    add(ring, 0, 900, 890);
    assert_false(pay_places_reached(&old, pay_reply_ring_before(ring)));
    old.at[0].next = 890;
    assert_true(pay_places_reached(&old, pay_reply_ring_before(ring)));
    pay_reply_ring_free(ring);
}

static void one_reply_is_kept_however_large(void **unused) {
    (void)unused;
    struct pay_reply_ring *ring = new_ring(1, 1, 0);
    add(ring, 0, 0, 0);
    add(ring, 0, 1, 1);
    assert_int_equal(pay_reply_ring_first(ring), 1);
    assert_int_equal(pay_reply_ring_end(ring), 2);
    pay_reply_ring_free(ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_kept_in_order_and_repeats_are_not),
        cmocka_unit_test(before_is_always_enough),
        cmocka_unit_test(a_reply_behind_a_gap_empties_the_ring),
        cmocka_unit_test(of_a_partition_that_nothing_was_known_of_only_the_log_can_tell_the_past),
        cmocka_unit_test(one_reply_is_kept_however_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
