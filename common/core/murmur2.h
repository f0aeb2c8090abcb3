/*
 * murmur2.h - the partition of a key as Java's producers (and librdkafka's murmur2_random) choose it. Pure. Threads: any.
 */
#ifndef PAY_CORE_MURMUR2_H
#define PAY_CORE_MURMUR2_H

#include <stddef.h>
#include <stdint.h>

uint32_t pay_murmur2(const void *key, size_t length);

/* 0 .. partitions-1; partitions >= 1. */
int32_t pay_partition_of_key(const void *key, size_t length, int32_t partitions);

#endif
