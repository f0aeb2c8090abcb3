#include "core/murmur2.h"

#include <assert.h>

/* MurmurHash2 with Kafka's seed, byte order and tail, as org.apache.kafka.common.utils.Utils has it. */
uint32_t pay_murmur2(const void *key, size_t length) {
    const unsigned char *at = key;
    const uint32_t m = 0x5bd1e995;
    uint32_t hash = 0x9747b28c ^ (uint32_t)length;
    for (; length >= 4; length -= 4, at += 4) {
        uint32_t word = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        word *= m;
        word ^= word >> 24;
        word *= m;
        hash *= m;
        hash ^= word;
    }
    if (length >= 3) hash ^= (uint32_t)at[2] << 16;
    if (length >= 2) hash ^= (uint32_t)at[1] << 8;
    if (length >= 1) hash = (hash ^ at[0]) * m;
    hash ^= hash >> 13;
    hash *= m;
    hash ^= hash >> 15;
    return hash;
}

int32_t pay_partition_of_key(const void *key, size_t length, int32_t partitions) {
    assert(partitions >= 1);
    return (int32_t)((pay_murmur2(key, length) & 0x7fffffffu) % (uint32_t)partitions);
}
