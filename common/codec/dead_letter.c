#include "codec/dead_letter.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "orig-"
#define OWN_HEADERS 2 /* position, reason */
/* {"stub":true,"size":N,"sha256":"..."} */
#define STUB_TEXT_MAX (64 + 2 * PAY_SHA256_BYTES)

/* The block: headers, then the stub's text, the position's, the names. */
static char *texts_of(const struct pay_dead_letter *letter) { return (char *)(letter->headers + letter->header_count); }

void pay_dead_letter_make(const struct pay_log_record *record, const struct pay_position *position,
                          enum pay_reason reason, struct pay_dead_letter *ret_letter) {
    size_t count = record->header_count + OWN_HEADERS, name_bytes = 0;
    for (size_t i = 0; i < record->header_count; i++) name_bytes += strlen(record->headers[i].name) + sizeof PREFIX;
    struct pay_dead_letter letter = {record->key, record->key_length, record->value, record->value_length, NULL, count};
    letter.headers = malloc(count * sizeof *letter.headers + STUB_TEXT_MAX + PAY_POSITION_TEXT_MAX + name_bytes);
    assert(letter.headers != NULL);
    char *at = texts_of(&letter) + STUB_TEXT_MAX, *name = at + PAY_POSITION_TEXT_MAX;
    pay_position_format(position, at);
    letter.headers[0] = (struct pay_header){"position", at, strlen(at)};
    letter.headers[1] = (struct pay_header){"reason", pay_reason_name(reason), strlen(pay_reason_name(reason))};
    for (size_t i = 0; i < record->header_count; i++) {
        const struct pay_header *header = &record->headers[i];
        size_t length = strlen(header->name);
        memcpy(name, PREFIX, sizeof PREFIX - 1);
        memcpy(name + sizeof PREFIX - 1, header->name, length + 1);
        letter.headers[OWN_HEADERS + i] = (struct pay_header){name, header->value, header->length};
        name += length + sizeof PREFIX;
    }
    *ret_letter = letter;
}

void pay_dead_letter_shrink(struct pay_dead_letter *letter, pay_sha256_fn sha256) {
    unsigned char digest[PAY_SHA256_BYTES];
    char hex[2 * PAY_SHA256_BYTES + 1], *stub = texts_of(letter);
    sha256(letter->value, letter->value_length, digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    int length =
        snprintf(stub, STUB_TEXT_MAX, "{\"stub\":true,\"size\":%zu,\"sha256\":\"%s\"}", letter->value_length, hex);
    *letter = (struct pay_dead_letter){NULL, 0, stub, (size_t)length, letter->headers, OWN_HEADERS};
}

void pay_dead_letter_free(struct pay_dead_letter *letter) {
    free(letter->headers);
    *letter = (struct pay_dead_letter){0};
}
