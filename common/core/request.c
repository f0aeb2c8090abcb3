#include "core/request.h"

#include "core/crc32c.h"

#include <string.h>

static bool id_character(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == ':' || c == '-';
}

bool pay_id_valid(const char *text, size_t length) {
    if (length < 1 || length > PAY_ID_MAX) return false;
    for (size_t i = 0; i < length; i++)
        if (!id_character(text[i])) return false;
    return true;
}

bool pay_currency_valid(const char *text, size_t length) {
    if (length != PAY_CURRENCY_LENGTH) return false;
    for (size_t i = 0; i < length; i++)
        if (text[i] < 'A' || text[i] > 'Z') return false;
    return true;
}

bool pay_attempt_valid(int64_t attempt) { return attempt >= 1 && attempt <= PAY_ATTEMPT_MAX; }

bool pay_amount_valid(int64_t amount_minor) { return amount_minor >= 1 && amount_minor <= PAY_AMOUNT_MAX; }

int pay_tenant_id_compare(const char *tenant_a, const char *id_a, const char *tenant_b, const char *id_b) {
    /* Ids hold no byte above 127, so strcmp is memcmp with the shorter first: what COLLATE "C" does. */
    int order = strcmp(tenant_a, tenant_b);
    return order != 0 ? order : strcmp(id_a, id_b);
}

uint32_t pay_record_crc(const void *key, size_t key_length, const void *value, size_t value_length) {
    uint8_t lengths[10];
    for (int i = 0; i < 4; i++) {
        lengths[i] = (uint8_t)(key_length >> (8 * i));
        lengths[4 + i] = (uint8_t)(value_length >> (8 * i));
    }
    lengths[8] = key != NULL;
    lengths[9] = value != NULL;
    uint32_t crc = pay_crc32c(0, lengths, sizeof lengths);
    if (key != NULL) crc = pay_crc32c(crc, key, key_length);
    if (value != NULL) crc = pay_crc32c(crc, value, value_length);
    return crc;
}
