/* Event ids: the places of all partitions there and back, and nothing else taken for one. */
#include "tests/unit/unit.h"

#include "producer/places.h"

#define TOPIC "pay.replies"

static void draw(uint64_t *random, struct pay_places *ret_places, uint32_t most) {
    *ret_places = (struct pay_places){.count = 1 + random_below(random, most)};
    int64_t common = 1 + random_below(random, 3);
    for (uint32_t p = 0; p < ret_places->count; p++) {
        unsigned int bits = 1 + random_below(random, 61);
        ret_places->at[p].generation = random_percent(random, 90) ? common : 1 + random_below(random, 1000000);
        ret_places->at[p].next = (int64_t)(random_next(random) & ((1ull << bits) - 1)) - 1;
        if (ret_places->at[p].next > INT64_MAX / 4 - 1) ret_places->at[p].next = INT64_MAX / 4 - 1;
    }
}

static bool same(const struct pay_places *a, const struct pay_places *b) {
    if (a->count != b->count) return false;
    for (uint32_t p = 0; p < a->count; p++)
        if (a->at[p].generation != b->at[p].generation || a->at[p].next != b->at[p].next) return false;
    return true;
}

static void what_is_written_is_read_again(void **unused) {
    (void)unused;
    static struct pay_places places, read;
    char text[PAY_EVENT_ID_MAX];
    uint64_t random = 1;
    for (int round = 0; round < 20000; round++) {
        draw(&random, &places, round % 100 == 0 ? PAY_PLACES_MAX : 24);
        size_t length = pay_event_id_format(TOPIC, &places, text);
        assert_int_equal(length, strlen(text));
        assert_int_equal(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), length);
        assert_true(pay_event_id_parse(TOPIC, text, &read));
        assert_true(same(&places, &read));
    }
}

static void the_largest_places_fit(void **unused) {
    (void)unused;
    static struct pay_places places, read;
    char text[PAY_EVENT_ID_MAX];
    places.count = PAY_PLACES_MAX;
    for (uint32_t p = 0; p < PAY_PLACES_MAX; p++)
        places.at[p] = (struct pay_place){p == 0 ? INT64_MAX : INT64_MAX - 1, INT64_MAX / 4 - 1};
    assert_true(pay_event_id_format(TOPIC, &places, text) < PAY_EVENT_ID_MAX);
    assert_true(pay_event_id_parse(TOPIC, text, &read));
    assert_true(same(&places, &read));
}

static void twelve_partitions_in_their_millions_take_few_characters(void **unused) {
    (void)unused;
    struct pay_places places = {.count = 12};
    char text[PAY_EVENT_ID_MAX];
    for (uint32_t p = 0; p < 12; p++) places.at[p] = (struct pay_place){1, 5000000 + p};
    assert_true(pay_event_id_format(TOPIC, &places, text) < 80);
}

/* Every text that parses is what format makes of its places: there is one id for each state. */
static void nothing_else_is_taken(void **unused) {
    (void)unused;
    static struct pay_places places, read;
    char text[PAY_EVENT_ID_MAX], again[PAY_EVENT_ID_MAX];
    uint64_t random = 2;
    for (int round = 0; round < 20000; round++) {
        draw(&random, &places, 8);
        size_t length = pay_event_id_format(TOPIC, &places, text);
        switch (random_below(&random, 4)) {
        case 0: text[random_below(&random, (uint32_t)length)] = "Aa0-_=+/ \n"[random_below(&random, 10)]; break;
        case 1: text[random_below(&random, (uint32_t)length)] = '\0'; break;
        case 2: strcat(text, "A"); break;
        default: text[random_below(&random, (uint32_t)length)] ^= 1; break;
        }
        if (!pay_event_id_parse(TOPIC, text, &read)) continue;
        pay_event_id_format(TOPIC, &read, again);
        assert_string_equal(text, again);
    }
    assert_false(pay_event_id_parse(TOPIC, "", &read));
    assert_false(pay_event_id_parse(TOPIC, "0", &read));
}

static void another_topics_id_is_refused(void **unused) {
    (void)unused;
    struct pay_places places = {.count = 1, .at = {{1, 7}}}, read;
    char text[PAY_EVENT_ID_MAX];
    pay_event_id_format(TOPIC, &places, text);
    assert_false(pay_event_id_parse("other.replies", text, &read));
}

static void a_place_takes_each_reply_once_and_never_over_a_gap(void **unused) {
    (void)unused;
    struct pay_place place = {1, 5};
    assert_int_equal(pay_place_take(&place, 1, 4, 4), PAY_READER_DROP);
    assert_int_equal(pay_place_take(&place, 1, 7, 6), PAY_READER_GAP);
    assert_int_equal(pay_place_take(&place, 1, 7, 5), PAY_READER_TAKE);
    assert_int_equal(place.next, 8);
    assert_int_equal(pay_place_take(&place, 2, 3, 2), PAY_READER_GAP);
    assert_int_equal(pay_place_take(&place, 2, 3, 0), PAY_READER_TAKE);
    assert_true(place.generation == 2 && place.next == 4);
    assert_int_equal(pay_place_take(&place, 1, 8, 8), PAY_READER_DROP);
}

static void where_nothing_is_known_any_reply_is_taken(void **unused) {
    (void)unused;
    struct pay_place place = {1, -1};
    assert_int_equal(pay_place_take(&place, 1, 900, 900), PAY_READER_TAKE);
    assert_int_equal(place.next, 901);
}

static void reached_means_every_partition(void **unused) {
    (void)unused;
    struct pay_places us = {.count = 2, .at = {{1, 5}, {1, 9}}}, them = {.count = 2, .at = {{1, 5}, {1, 9}}};
    assert_true(pay_places_reached(&us, &them));
    them.at[1].next = 10;
    assert_false(pay_places_reached(&us, &them));
    them.at[1] = (struct pay_place){1, -1};
    assert_true(pay_places_reached(&us, &them));
    us.at[0] = (struct pay_place){2, 0};
    assert_true(pay_places_reached(&us, &them));
    them.count = 3;
    them.at[2] = (struct pay_place){1, 0};
    assert_true(pay_places_reached(&us, &them));
    them.at[2].next = 1;
    assert_false(pay_places_reached(&us, &them));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(the_largest_places_fit),
        cmocka_unit_test(twelve_partitions_in_their_millions_take_few_characters),
        cmocka_unit_test(nothing_else_is_taken),
        cmocka_unit_test(another_topics_id_is_refused),
        cmocka_unit_test(a_place_takes_each_reply_once_and_never_over_a_gap),
        cmocka_unit_test(where_nothing_is_known_any_reply_is_taken),
        cmocka_unit_test(reached_means_every_partition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
