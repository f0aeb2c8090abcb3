/* crc32c.h - CRC32C (Castagnoli, reflected 0x82F63B78), eight bytes a step. Threads: any. */
#ifndef PAY_CORE_CRC32C_H
#define PAY_CORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 at first) over `length` bytes. */
uint32_t pay_crc32c(uint32_t crc, const void *bytes, size_t length);

#endif
