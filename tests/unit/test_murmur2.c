/* The partition of a key, as Java's clients and librdkafka's murmur2_random choose it. */
#include "tests/unit/unit.h"

#include "core/murmur2.h"

static void hashes_are_those_of_kafkas_own_test(void **unused) {
    (void)unused;
    /* org.apache.kafka.common.utils.UtilsTest.testMurmur2 */
    static const struct {
        const char *key;
        int32_t hash;
    } known[] = {{"21", -973932308},
                 {"foobar", -790332482},
                 {"a-little-bit-long-string", -985981536},
                 {"a-little-bit-longer-string", -1486304829},
                 {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
                 {"abc", 479470107}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_int_equal((int32_t)pay_murmur2(known[i].key, strlen(known[i].key)), known[i].hash);
}

static void every_tail_length_and_bytes_above_127_count_as_unsigned(void **unused) {
    (void)unused;
    /* The same hash written as UtilsTest's reference has it: 32 bit words, then the tail from its last byte down. */
    unsigned char key[19];
    for (size_t length = 0; length <= sizeof key; length++) {
        uint32_t hash = 0x9747b28cu ^ (uint32_t)length;
        for (size_t i = 0; i < length; i++) key[i] = (unsigned char)(0xF1 + 29 * i);
        for (size_t word = 0; word < length / 4; word++) {
            uint32_t k = 0;
            for (int byte = 3; byte >= 0; byte--) k = k << 8 | key[4 * word + (size_t)byte];
            k *= 0x5bd1e995u;
            k = (k ^ k >> 24) * 0x5bd1e995u;
            hash = hash * 0x5bd1e995u ^ k;
        }
        uint32_t tail = 0;
        for (size_t i = length; i > length / 4 * 4; i--) tail = tail << 8 | key[i - 1];
        if (length % 4 != 0) hash = (hash ^ tail) * 0x5bd1e995u;
        hash = (hash ^ hash >> 13) * 0x5bd1e995u;
        hash ^= hash >> 15;
        assert_int_equal(pay_murmur2(key, length), hash);
    }
}

static void the_partition_is_the_positive_hash_modulo_the_count(void **unused) {
    (void)unused;
    assert_int_equal(pay_partition_of_key("foobar", 6, 12), (-790332482 & 0x7fffffff) % 12);
    assert_int_equal(pay_partition_of_key("abc", 3, 12), 479470107 % 12);
    assert_int_equal(pay_partition_of_key("abc", 3, 1), 0);
}

static void every_partition_is_reached_and_none_beyond(void **unused) {
    (void)unused;
    int reached[12] = {0};
    for (int i = 0; i < 2000; i++) {
        char key[16];
        int32_t partition = pay_partition_of_key(key, (size_t)snprintf(key, sizeof key, "o-%d", i), 12);
        assert_in_range(partition, 0, 11);
        reached[partition]++;
    }
    for (int i = 0; i < 12; i++) assert_in_range(reached[i], 100, 250);
}

static void partition_of_nothing(void *unused) {
    (void)unused;
    pay_partition_of_key("abc", 3, 0);
}

static void no_partitions_at_all_are_a_programmers_error(void **unused) {
    (void)unused;
    assert_true(aborts(partition_of_nothing, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_kafkas_own_test),
        cmocka_unit_test(every_tail_length_and_bytes_above_127_count_as_unsigned),
        cmocka_unit_test(the_partition_is_the_positive_hash_modulo_the_count),
        cmocka_unit_test(every_partition_is_reached_and_none_beyond),
        cmocka_unit_test(no_partitions_at_all_are_a_programmers_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
