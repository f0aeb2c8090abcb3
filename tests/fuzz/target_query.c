/*
 * target_query.c - what comes behind a path's `?`, and event ids, which clients hand back.
 *
 * Input: one letter, then: q a query string, cut at & and = as the HTTP library does; i the text of an event id; b the bytes of one,
 * which the target sums up and encodes itself, so that the checksum hides nothing; o a list of outcomes; otherwise numbers that make places.
 * Oracle: each rule said a second time (decoding, groups of 7 bits, base64url, CRC32C bit by bit); what is read is written back the same.
 */
#include "fuzz.h"
#include "producer/places.h"
#include "producer/query.h"
#include "producer/result_filter.h"

#include <stdlib.h>
#include <string.h>

#define TOPIC "pay.replies"

static const char *const names[] = {"attempt", "position", "wait", NULL};

/* ---- the query ---- */

static int digit_of(char c) {
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) % 16 : -1;
}

/* A copy, decoded; NULL: it can't be. */
static char *decoded(const char *value) {
    char *text = malloc(strlen(value) + 1);
    size_t length = 0;
    for (; *value != '\0'; value++) {
        int c = (unsigned char)*value;
        if (c == '%') {
            int high = digit_of(value[1]), low = high >= 0 ? digit_of(value[2]) : -1;
            c = low >= 0 ? 16 * high + low : 0;
            value += low >= 0 ? 2 : 0;
        }
        if (c < 0x20 || c == 0x7f) {
            free(text);
            return NULL;
        }
        text[length++] = (char)c;
    }
    text[length] = '\0';
    return text;
}

static void check_query(const char *text, size_t length) {
    static struct pay_query query;
    char *copy = fuzz_text(text, length), *wanted[3] = {NULL, NULL, NULL}, *rest = copy;
    bool good = true;
    size_t used = 0;
    pay_query_begin(&query, names);
    while (rest != NULL && *rest != '\0') {
        char *name = strsep(&rest, "&"), *value = strchr(name, '=');
        if (value != NULL) *value++ = '\0';
        pay_query_take(&query, name, value);
        int index = 0;
        while (names[index] != NULL && strcmp(names[index], name) != 0) index++;
        if (names[index] == NULL || wanted[index] != NULL || value == NULL || *value == '\0')
            good = false;
        else if (good && (wanted[index] = decoded(value)) == NULL)
            good = false;
        if (good) used += strlen(wanted[index]) + 1;
        good = good && used <= PAY_QUERY_TEXT_MAX;
    }
    FUZZ_CHECK((query.wrong == NULL) == good);
    for (int i = 0; i < 3; i++) {
        if (good) FUZZ_CHECK((query.values[i] == NULL) == (wanted[i] == NULL));
        if (good && wanted[i] != NULL) FUZZ_CHECK(strcmp(query.values[i], wanted[i]) == 0);
        free(wanted[i]);
    }
    free(copy);
}

/* ---- event ids ---- */

static uint32_t crc_of(const char *topic, const uint8_t *bytes, size_t length) {
    uint32_t crc = ~0u;
    for (size_t i = 0; i < strlen(topic) + length; i++) {
        crc ^= i < strlen(topic) ? (uint8_t)topic[i] : bytes[i - strlen(topic)];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static char letter_of(unsigned int six) {
    if (six < 26) return (char)('A' + six);
    if (six < 52) return (char)('a' + six - 26);
    if (six < 62) return (char)('0' + six - 52);
    return six == 62 ? '-' : '_';
}

static char *encoded(const uint8_t *bytes, size_t length) {
    char *text = malloc(length * 2 + 2);
    size_t made = 0;
    for (size_t bit = 0; bit < length * 8; bit += 6) {
        unsigned int six = 0;
        for (size_t b = bit; b < bit + 6; b++)
            six = six << 1 | (b < length * 8 && (bytes[b / 8] >> (7 - b % 8) & 1) != 0);
        text[made++] = letter_of(six);
    }
    text[made] = '\0';
    return text;
}

/* The next number in groups of 7 bits; false: none, a needless group, or more than 63 bits. */
static bool group(const uint8_t **at, const uint8_t *end, uint64_t *ret_number) {
    unsigned __int128 number = 0;
    int groups = 0;
    do {
        if (*at == end || groups == 9) return false;
        number |= (unsigned __int128)(**at & 0x7f) << (7 * groups++);
    } while (*(*at)++ & 0x80);
    if (groups > 1 && (*at)[-1] == 0) return false;
    *ret_number = (uint64_t)number;
    return true;
}

static bool is_an_id(const uint8_t *bytes, size_t length) {
    const uint8_t *at = bytes + 1, *end = bytes + length;
    uint64_t count, common, number, generation;
    if (length < 1 || bytes[0] != 1 || !group(&at, end, &count) || count < 1 || count > PAY_PLACES_MAX) return false;
    if (!group(&at, end, &common) || common == 0) return false;
    for (uint64_t p = 0; p < count; p++) {
        if (!group(&at, end, &number) || number / 2 > INT64_MAX / 4) return false;
        if (number % 2 == 0) continue;
        if (p == 0 || !group(&at, end, &generation) || generation == 0 || generation == common) return false;
    }
    return at == end;
}

static void check_id_text(const char *text) {
    static struct pay_places places;
    static char again[PAY_EVENT_ID_MAX];
    if (!pay_event_id_parse(TOPIC, text, &places)) return;
    FUZZ_CHECK(pay_event_id_format(TOPIC, &places, again) == strlen(text) && strcmp(again, text) == 0);
    FUZZ_CHECK(!pay_event_id_parse("pay.requests", text, &places));
}

static void check_id_bytes(const uint8_t *bytes, size_t length) {
    static struct pay_places places;
    uint8_t *whole = malloc(length + 4);
    if (length > 0) memcpy(whole, bytes, length);
    uint32_t crc = crc_of(TOPIC, bytes, length);
    for (int i = 0; i < 4; i++) whole[length + (size_t)i] = (uint8_t)(crc >> (8 * i));
    char *text = encoded(whole, length + 4);
    bool fits = strlen(text) < PAY_EVENT_ID_MAX;
    FUZZ_CHECK(pay_event_id_parse(TOPIC, text, &places) == (fits && is_an_id(bytes, length)));
    check_id_text(text);
    free(text);
    free(whole);
}

static void check_places(struct fuzz_input *in) {
    static struct pay_places places, read;
    static char text[PAY_EVENT_ID_MAX];
    places.count = 1 + fuzz_below(in, 16);
    for (uint32_t p = 0; p < places.count; p++) {
        int64_t next = fuzz_number(in), generation = fuzz_number(in);
        places.at[p].generation = generation < 1 ? 1 : generation;
        places.at[p].next = next < -1 || next >= INT64_MAX / 4 ? -1 : next;
    }
    pay_event_id_format(TOPIC, &places, text);
    FUZZ_CHECK(pay_event_id_parse(TOPIC, text, &read) && read.count == places.count);
    FUZZ_CHECK(memcmp(read.at, places.at, places.count * sizeof *places.at) == 0);
}

/* ---- outcomes ---- */

static void check_outcomes(const char *text) {
    static const char *const words[] = {"paid", "declined", "conflict", "invalid"};
    uint32_t outcomes = 0, wanted = 0;
    char *copy = fuzz_text(text, strlen(text)), *rest = copy;
    bool good = true;
    while (rest != NULL) {
        const char *word = strsep(&rest, ",");
        int i = 0;
        while (i < 4 && strcmp(words[i], word) != 0) i++;
        good = good && i < 4;
        wanted |= i < 4 ? 1u << i : 0;
    }
    FUZZ_CHECK(pay_result_outcomes_parse(text, &outcomes) == good);
    if (good) FUZZ_CHECK(outcomes == wanted);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input in = {data, size};
    uint8_t kind = fuzz_byte(&in);
    char *text = fuzz_text(in.next, in.left);
    switch (kind) {
    case 'q': check_query((const char *)in.next, in.left); break;
    case 'i': check_id_text(text); break;
    case 'b': check_id_bytes(in.next, in.left); break;
    case 'o': check_outcomes(text); break;
    default: check_places(&in); break;
    }
    free(text);
    return 0;
}
