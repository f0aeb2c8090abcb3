#include "producer/places.h"

#include "core/crc32c.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define VERSION 1
#define BYTES_MAX (PAY_EVENT_ID_MAX / 4 * 3)

/* --- the rule ----------------------------------------------------------------------------------------------------------------- */

enum pay_reader_move pay_place_take(struct pay_place *place, int64_t generation, int64_t source_offset,
                                    int64_t covers_from) {
    struct pay_reader reader;
    if (generation < place->generation) return PAY_READER_DROP;
    if (source_offset >= PAY_PLACE_NEXT_MAX) return PAY_READER_GAP;
    if (generation == place->generation && place->next < 0)
        pay_reader_start_in_the_middle(&reader, 0);
    else
        pay_reader_start_at(&reader, generation == place->generation ? place->next : 0);
    enum pay_reader_move move = pay_reader_take(&reader, source_offset, covers_from);
    if (move == PAY_READER_TAKE) *place = (struct pay_place){generation, reader.next};
    return move;
}

bool pay_place_reached(const struct pay_place *place, const struct pay_place *other) {
    if (other->next < 0) return true;
    if (place->generation != other->generation) return place->generation > other->generation;
    return place->next >= other->next;
}

bool pay_places_reached(const struct pay_places *places, const struct pay_places *others) {
    for (uint32_t p = 0; p < others->count; p++) {
        const struct pay_place beginning = {others->at[p].generation, 0};
        if (!pay_place_reached(p < places->count ? &places->at[p] : &beginning, &others->at[p])) return false;
    }
    return true;
}

void pay_places_grow(struct pay_places *places, uint32_t count, int64_t generation) {
    assert(count <= PAY_PLACES_MAX);
    while (places->count < count) places->at[places->count++] = (struct pay_place){generation, 0};
}

/* --- the id ------------------------------------------------------------------------------------------------------------------- */

static size_t put_number(unsigned char *bytes, size_t length, uint64_t number) {
    for (; number >= 0x80; number >>= 7) bytes[length++] = (unsigned char)(number | 0x80);
    bytes[length++] = (unsigned char)number;
    return length;
}

/* The shortest form only. False: broken off, too large or too long. */
static bool take_number(const unsigned char *bytes, size_t length, size_t *at, uint64_t *ret_number) {
    uint64_t number = 0;
    for (unsigned int shift = 0; shift < 63 && *at < length; shift += 7) {
        unsigned char byte = bytes[(*at)++];
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte >= 0x80) continue;
        *ret_number = number;
        return byte != 0 || shift == 0;
    }
    return false;
}

static uint32_t checksum(const char *topic, const unsigned char *bytes, size_t length) {
    return pay_crc32c(pay_crc32c(0, topic, strlen(topic)), bytes, length);
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t encode(const unsigned char *bytes, size_t length, char *text) {
    size_t made = 0;
    uint32_t bits = 0, count = 0;
    for (size_t i = 0; i < length; i++) {
        bits = bits << 8 | bytes[i];
        for (count += 8; count >= 6; count -= 6) text[made++] = digits[bits >> (count - 6) & 63];
    }
    if (count > 0) text[made++] = digits[bits << (6 - count) & 63];
    text[made] = '\0';
    return made;
}

static bool decode(const char *text, size_t length, unsigned char *bytes, size_t *ret_length) {
    size_t made = 0;
    uint32_t bits = 0, count = 0;
    for (size_t i = 0; i < length; i++) {
        const char *digit = strchr(digits, text[i]);
        if (digit == NULL) return false;
        bits = (bits << 6 | (uint32_t)(digit - digits)) & 0xffff;
        count += 6;
        if (count < 8) continue;
        count -= 8;
        bytes[made++] = (unsigned char)(bits >> count);
    }
    *ret_length = made;
    return count < 6 && (bits & ((1u << count) - 1)) == 0; /* no lone digit, no bits left over */
}

size_t pay_event_id_format(const char *topic, const struct pay_places *places, char ret_text[PAY_EVENT_ID_MAX]) {
    unsigned char bytes[BYTES_MAX];
    int64_t common = places->count > 0 ? places->at[0].generation : 1;
    size_t length = 0;
    bytes[length++] = VERSION;
    length = put_number(bytes, length, places->count);
    length = put_number(bytes, length, (uint64_t)common);
    for (uint32_t p = 0; p < places->count; p++) {
        const struct pay_place *place = &places->at[p];
        bool other = place->generation != common;
        length = put_number(bytes, length, (uint64_t)(place->next + 1) * 2 + other);
        if (other) length = put_number(bytes, length, (uint64_t)place->generation);
    }
    uint32_t sum = checksum(topic, bytes, length);
    for (int shift = 0; shift < 32; shift += 8) bytes[length++] = (unsigned char)(sum >> shift);
    return encode(bytes, length, ret_text);
}

static bool take_generation(const unsigned char *bytes, size_t length, size_t *at, int64_t *ret_generation) {
    uint64_t number;
    if (!take_number(bytes, length, at, &number) || number < 1 || number > INT64_MAX) return false;
    *ret_generation = (int64_t)number;
    return true;
}

static bool take_places(const unsigned char *bytes, size_t length, struct pay_places *ret_places) {
    size_t at = 1;
    uint64_t number;
    int64_t common;
    if (length < 1 || bytes[0] != VERSION) return false;
    if (!take_number(bytes, length, &at, &number) || number < 1 || number > PAY_PLACES_MAX) return false;
    ret_places->count = (uint32_t)number;
    if (!take_generation(bytes, length, &at, &common)) return false;
    for (uint32_t p = 0; p < ret_places->count; p++) {
        struct pay_place *place = &ret_places->at[p];
        if (!take_number(bytes, length, &at, &number) || number / 2 > PAY_PLACE_NEXT_MAX) return false;
        *place = (struct pay_place){common, (int64_t)(number / 2) - 1};
        if (number % 2 == 0) continue;
        if (p == 0 || !take_generation(bytes, length, &at, &place->generation) || place->generation == common)
            return false;
    }
    return at == length;
}

bool pay_event_id_parse(const char *topic, const char *text, struct pay_places *ret_places) {
    unsigned char bytes[BYTES_MAX];
    struct pay_places places;
    size_t length, text_length = strlen(text);
    uint32_t sum = 0;
    if (text_length >= PAY_EVENT_ID_MAX || !decode(text, text_length, bytes, &length) || length < 4) return false;
    length -= 4;
    for (int shift = 0; shift < 32; shift += 8) sum |= (uint32_t)bytes[length + (size_t)shift / 8] << shift;
    if (sum != checksum(topic, bytes, length) || !take_places(bytes, length, &places)) return false;
    ret_places->count = places.count;
    memcpy(ret_places->at, places.at, places.count * sizeof *places.at);
    return true;
}
