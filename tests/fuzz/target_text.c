/*
 * target_text.c - the small readers of outside text: positions, numbers, times, addresses, ids, paths, chunks, trace contexts, media types.
 *
 * Input: one letter that says which reader, then the text.
 * Oracle: for each, the rule said a second time in another way (libc's calendar for times), and what is read is written back the same.
 */
#include "base/address.h"
#include "base/suggest.h"
#include "codec/time_text.h"
#include "core/position.h"
#include "core/request.h"
#include "fuzz.h"
#include "producer/http_head.h"
#include "producer/payment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define DIGITS "0123456789"

/* Digits alone, none too many at the front, at most `most`. */
static bool natural(const char *text, size_t length, uint64_t most, uint64_t *ret_number) {
    unsigned __int128 number = 0;
    if (length == 0 || (length > 1 && text[0] == '0')) return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        number = number * 10 + (unsigned int)(text[i] - '0');
        if (number > most) return false;
    }
    *ret_number = (uint64_t)number;
    return true;
}

static void check_position(const char *text, size_t length) {
    struct pay_position read;
    char again[PAY_POSITION_TEXT_MAX];
    const char *first = length > 0 ? memchr(text, '-', length) : NULL;
    const char *second = first != NULL ? memchr(first + 1, '-', (size_t)(text + length - first - 1)) : NULL;
    uint64_t generation = 0, partition = 0, offset = 0;
    bool good = second != NULL && natural(text, (size_t)(first - text), INT64_MAX, &generation) && generation >= 1 &&
                natural(first + 1, (size_t)(second - first - 1), INT32_MAX, &partition) &&
                natural(second + 1, (size_t)(text + length - second - 1), INT64_MAX, &offset);
    FUZZ_CHECK(pay_position_parse(text, length, &read) == good);
    if (!good) return;
    FUZZ_CHECK((uint64_t)read.generation == generation && (uint64_t)read.partition == partition &&
               (uint64_t)read.offset == offset);
    FUZZ_CHECK(pay_position_format(&read, again) == length && memcmp(again, text, length) == 0);
}

static void check_number(const char *text, size_t length) {
    int64_t read;
    uint64_t number = 0;
    char again[21];
    bool good = natural(text, length, INT64_MAX, &number);
    FUZZ_CHECK(pay_decimal_parse(text, length, &read) == good);
    if (good)
        FUZZ_CHECK((uint64_t)read == number && pay_decimal_format(read, again) == length &&
                   memcmp(again, text, length) == 0);
}

/* Years 0000-9999 by libc's calendar; beyond, only the way back is checked. */
static void check_time_text(const char *text, size_t length) {
    int64_t read, back;
    char again[PAY_TIME_TEXT_MAX];
    struct tm civil = {.tm_isdst = 0}, normal;
    if (pay_time_parse(text, length, &read)) {
        size_t written = pay_time_format(read, again);
        FUZZ_CHECK(written < PAY_TIME_TEXT_MAX && pay_time_parse(again, written, &back) && back == read);
        FUZZ_CHECK(text[0] == again[0] && text[length - 1] == 'Z');
    }
    if (length < 20 || strspn(text, DIGITS) != 4 || text[length - 1] != 'Z' || strlen(text) != length) return;
    int used = 0, fields = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &civil.tm_year, &civil.tm_mon, &civil.tm_mday,
                                  &civil.tm_hour, &civil.tm_min, &civil.tm_sec, &used);
    bool shaped = fields == 6 && used == 19 && strcspn(text, "+ \t\n\v\f\r") == length && text[10] == 'T';
    for (int i = 0; shaped && i < 19; i++)
        shaped = (i == 4 || i == 7)     ? text[i] == '-'
                 : (i == 10)            ? text[i] == 'T'
                 : (i == 13 || i == 16) ? text[i] == ':'
                                        : text[i] >= '0' && text[i] <= '9';
    size_t digits = text[19] == '.' ? strspn(text + 20, DIGITS) : 0;
    bool tail = length == 20 || (text[19] == '.' && digits >= 1 && digits <= 6 && length == 21 + digits);
    civil.tm_year -= 1900;
    civil.tm_mon -= 1;
    normal = civil;
    time_t seconds = shaped ? timegm(&normal) : 0;
    bool real = shaped && tail && normal.tm_mon == civil.tm_mon && normal.tm_mday == civil.tm_mday &&
                normal.tm_hour == civil.tm_hour && normal.tm_min == civil.tm_min && normal.tm_sec == civil.tm_sec;
    FUZZ_CHECK(pay_time_parse(text, length, &read) == real);
    if (real) FUZZ_CHECK((read - (read % 1000000 + 1000000) % 1000000) / 1000000 == seconds);
}

static void check_time_number(const uint8_t *bytes, size_t length) {
    struct fuzz_input in = {bytes, length};
    int64_t number = fuzz_number(&in), back;
    char text[PAY_TIME_TEXT_MAX], civil[32];
    size_t written = pay_time_format(number, text);
    FUZZ_CHECK(strlen(text) == written && pay_time_parse(text, written, &back) && back == number);
    time_t seconds = (time_t)(number / 1000000 - (number % 1000000 < 0));
    struct tm broken;
    if (gmtime_r(&seconds, &broken) == NULL || broken.tm_year < -1900 || broken.tm_year > 8099) return;
    snprintf(civil, sizeof civil, "%04d-%02d-%02dT%02d:%02d:%02d.", (broken.tm_year + 1900) % 10000, broken.tm_mon + 1,
             broken.tm_mday, broken.tm_hour, broken.tm_min, broken.tm_sec);
    FUZZ_CHECK(strncmp(text, civil, 20) == 0);
}

static void check_address(const char *text) {
    char host[64] = "?";
    uint16_t port = 0;
    if (!pay_address_split(text, host, sizeof host, &port)) {
        FUZZ_CHECK(strcmp(host, "?") == 0);
        return;
    }
    size_t length = strlen(text), host_length = strlen(host);
    const char *digits = strrchr(text, ':') + 1;
    FUZZ_CHECK(host_length > 0 && strspn(digits, DIGITS) == strlen(digits) && strtol(digits, NULL, 10) == port);
    bool brackets = text[0] == '[';
    FUZZ_CHECK(length == host_length + 2 * brackets + 1 + strlen(digits) &&
               memcmp(text + brackets, host, host_length) == 0);
    FUZZ_CHECK(brackets || strchr(host, ':') == NULL);
}

static void check_path(const char *raw) {
    char path[64] = "", again[64 * 3 + 1] = "";
    const char *wrong = pay_http_path_decode(raw, path, sizeof path);
    if (wrong != NULL) return;
    size_t length = strlen(path), used = 0;
    for (size_t i = 0; i < length; i++) {
        FUZZ_CHECK((unsigned char)path[i] >= ' ' && path[i] != 0x7f);
        if (path[i] == '/')
            again[used++] = '/';
        else
            used += (size_t)sprintf(again + used, "%%%02X", (unsigned char)path[i]);
    }
    FUZZ_CHECK(pay_http_path_decode(again, path, sizeof path) == NULL && strlen(path) == length);
    if (strchr(raw, '%') == NULL) FUZZ_CHECK(strcmp(path, raw) == 0);
    FUZZ_CHECK(strstr(path, "/../") == NULL && strstr(path, "/./") == NULL);
    FUZZ_CHECK(strstr(raw, "%2f") == NULL && strstr(raw, "%2F") == NULL);
}

/* A body in chunks as a client wrote it, each end of a line CR LF or LF alone: is every such end seen before the next piece? */
static void check_chunks(struct fuzz_input in) {
    char text[512];
    size_t used = 0;
    bool data_ended_well = true; /* of the chunk before */
    while (in.left > 0 && used + 40 < sizeof text) {
        uint8_t how = fuzz_byte(&in), length = 1 + how % 15;
        bool size_ends_well = (how & 16) != 0;
        used +=
            (size_t)snprintf(text + used, 12, "%x%s%s", length, how & 32 ? ";a=b" : "", size_ends_well ? "\r\n" : "\n");
        FUZZ_CHECK(pay_http_chunk_begins_well(text, text + used) == (size_ends_well && data_ended_well));
        FUZZ_CHECK(pay_http_chunk_begins_well(text + used, text + used));
        for (uint8_t i = 0; i < length; i++) text[used++] = (char)fuzz_byte(&in);
        data_ended_well = (how & 64) != 0 || text[used - 1] == '\r'; /* which hides what isn't there */
        used += (size_t)snprintf(text + used, 3, "%s", how & 64 ? "\r\n" : "\n");
    }
}

static bool lower_hex(const char *text, size_t length) { return strspn(text, DIGITS "abcdef") >= length; }

static void check_traceparent(const char *text) {
    size_t length = strlen(text);
    bool good = length >= 55 && length <= 128 && lower_hex(text, 2) && text[2] == '-' && lower_hex(text + 3, 32) &&
                text[35] == '-' && lower_hex(text + 36, 16) && text[52] == '-' && lower_hex(text + 53, 2) &&
                strncmp(text, "ff", 2) != 0 && strspn(text + 3, "0") < 32 && strspn(text + 36, "0") < 16 &&
                (length == 55 || (text[55] == '-' && strncmp(text, "00", 2) != 0));
    FUZZ_CHECK(pay_traceparent_valid(text) == good);
}

static void check_media_type(const char *text) {
    if (!pay_content_type_is_json(text)) {
        FUZZ_CHECK(strcasecmp(text, "application/json") != 0 &&
                   strcasecmp(text, "application/json; charset=utf-8") != 0);
        return;
    }
    FUZZ_CHECK(strncasecmp(text, "application/json", 16) == 0);
    const char *rest = text + 16;
    FUZZ_CHECK(strspn(rest, " \t\r\n;\"=-charsetCHARSETutfUTF8") ==
               strlen(rest)); /* no other parameter, no other charset */
}

static void check_words(const char *text, size_t length) {
    FUZZ_CHECK(pay_id_valid(text, length) ==
               (length >= 1 && length <= 64 && strlen(text) == length &&
                strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" DIGITS "._:-") == length));
    FUZZ_CHECK(pay_currency_valid(text, length) == (length == 3 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3));
    const char *half = text + strlen(text) / 2;
    uint32_t there = pay_edit_distance(text, half), back = pay_edit_distance(half, text);
    FUZZ_CHECK(there == back && (there == 0) == (strcasecmp(text, half) == 0));
    FUZZ_CHECK(strlen(text) > 96 || there <= strlen(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    size_t length = size - 1;
    char *exact = fuzz_copy(data + 1, length), *text = fuzz_text(data + 1, length);
    bool whole = strlen(text) == length;
    switch (data[0]) {
    case 'p': check_position(exact, length); break;
    case 'n': check_number(exact, length); break;
    case 't':
        if (whole) check_time_text(text, length);
        break;
    case 'u': check_time_number(data + 1, length); break;
    case 'a': check_address(text); break;
    case 'h': check_path(text); break;
    case 'c': check_chunks((struct fuzz_input){data + 1, length}); break;
    case 'w': check_traceparent(text); break;
    case 'm': check_media_type(text); break;
    default:
        if (whole) check_words(text, length);
    }
    free(exact);
    free(text);
    return 0;
}
