/*
 * target_import.c - what the command line program reads from outside: lines of `account import`, and the dead letter topic in `audit`.
 *
 * Input: 'l' and dead letters, each a line: headers name=value;name=value, a tab, the value; anything else: a line of an import.
 * Oracle: a line is taken exactly when json_opinion.h and the members' rules below allow it, with those values; every letter that names
 * a position is found again, under it and no other.
 */
#include "codec/request_codec.h"
#include "core/position.h"
#include "fuzz.h"
#include "json_opinion.h"
#include "tools/account_lines.h"
#include "tools/audit_letters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a line of `account import` ---- */

static bool adjustment_id(const struct json_member *member) {
    if (member->string.length < 1 || member->string.length > 120) return false;
    for (size_t i = 0; i < member->string.length; i++)
        if (member->string.bytes[i] <= ' ' || member->string.bytes[i] > '~') return false;
    return true;
}

static bool currency(const struct json_member *member) {
    return member->string.length == 3 && strspn(member->string.bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
}

static bool member_is_good(const struct json_member *member) {
    const char *name = member->name.bytes;
    int64_t number;
    if (strlen(name) != member->name.length) return false;
    bool text = member->kind == KIND_STRING, whole = json_member_integer(member, &number);
    if (member->kind == KIND_NULL) return true;
    if (strcmp(name, "tenant") == 0 || strcmp(name, "account_id") == 0 || strcmp(name, "account") == 0)
        return json_member_is_id(member);
    if (strcmp(name, "currency") == 0) return text && currency(member);
    if (strcmp(name, "id") == 0 || strcmp(name, "adjustment_id") == 0) return text && adjustment_id(member);
    if (strcmp(name, "opening_minor") == 0) return whole && number >= 0;
    return strcmp(name, "floor_minor") == 0 && whole;
}

/* The member's value is one of its two names'; which one, when both are given, the document's order decides. */
static bool one_of(const struct json_opinion *opinion, const char *name, const char *other, const char *value) {
    const struct json_member *first = json_opinion_member(opinion, name), *second = json_opinion_member(opinion, other);
    return json_member_is(first, value) || json_member_is(second, value);
}

static void check_line(const char *line, size_t length) {
    struct json_opinion opinion;
    struct opening opening = {.line = -1};
    char why[256] = "";
    json_opinion_make(line, length, &opinion);
    bool good = json_opinion_object(&opinion, JSON_OPINION_DEPTH);
    for (size_t i = 0; good && i < opinion.count; i++) good = member_is_good(&opinion.members[i]);
    int64_t opened = 0, floor_minor = 0;
    json_member_integer(json_opinion_member(&opinion, "opening_minor"), &opened);
    json_member_integer(json_opinion_member(&opinion, "floor_minor"), &floor_minor);
    bool taken = account_line_parse(line, length, &opening, why, sizeof why);
    FUZZ_CHECK(!taken || (good && floor_minor <= opened));
    FUZZ_CHECK(taken || (why[0] != '\0' && opening.line == -1));
    if (taken) {
        FUZZ_CHECK(one_of(&opinion, "account_id", "account", opening.account_id));
        FUZZ_CHECK(one_of(&opinion, "currency", "currency", opening.currency));
        FUZZ_CHECK(one_of(&opinion, "tenant", "tenant", opening.tenant) || strcmp(opening.tenant, "default") == 0);
        FUZZ_CHECK(opening.adjustment_id[0] == '\0' || one_of(&opinion, "id", "adjustment_id", opening.adjustment_id));
        FUZZ_CHECK(opening.opening_minor == opened && opening.floor_minor == floor_minor);
    } else if (good && floor_minor <= opened) {
        const struct json_member *account = json_opinion_member(&opinion, "account_id"),
                                 *code = json_opinion_member(&opinion, "currency");
        bool named =
            (account != NULL && account->kind == KIND_STRING) || json_opinion_member(&opinion, "account") != NULL;
        FUZZ_CHECK(!named || code == NULL || code->kind == KIND_NULL ||
                   json_opinion_member(&opinion, "account") != NULL);
    }
    json_opinion_free(&opinion);
}

/* ---- dead letters ---- */

#define LETTERS_MAX 32

struct known_letter {
    struct pay_position position;
    uint32_t crc;
};

static size_t read_headers(const char *line, size_t length, struct pay_header headers[8]) {
    size_t count = 0;
    const char *at = line, *end = line + length;
    while (at < end && count < 8) {
        const char *stop = memchr(at, ';', (size_t)(end - at));
        if (stop == NULL) stop = end;
        const char *equals = memchr(at, '=', (size_t)(stop - at));
        struct pay_header *header = &headers[count++];
        header->name = fuzz_text(at, (size_t)((equals != NULL ? equals : stop) - at));
        header->length = equals != NULL ? (size_t)(stop - equals - 1) : 0;
        header->value = equals != NULL ? fuzz_copy(equals + 1, header->length) : NULL;
        at = stop < end ? stop + 1 : end;
    }
    return count;
}

static bool names_position(const struct pay_log_record *record, struct pay_position *ret_position) {
    for (size_t i = 0; i < record->header_count; i++) {
        const struct pay_header *header = &record->headers[i];
        if (strcmp(header->name, "position") == 0 && header->value != NULL &&
            pay_position_parse(header->value, header->length, ret_position))
            return true;
    }
    return false;
}

static void check_letters(struct fuzz_input *in) {
    struct letters letters = {.count = 0};
    struct known_letter known[LETTERS_MAX];
    size_t count = 0, unreadable = 0;
    while (in->left > 0 && count + unreadable < LETTERS_MAX) {
        size_t length;
        struct pay_header headers[8];
        const char *line = fuzz_line(in, &length), *tab = length > 0 ? memchr(line, '\t', length) : NULL;
        size_t head = tab != NULL ? (size_t)(tab - line) : length;
        struct pay_log_record record = {.headers = headers, .header_count = read_headers(line, head, headers)};
        char *value = tab != NULL ? fuzz_copy(tab + 1, length - head - 1) : NULL;
        record.value = value;
        record.value_length = tab != NULL ? length - head - 1 : 0;
        if (names_position(&record, &known[count].position))
            known[count++].crc = pay_record_crc(NULL, 0, record.value, record.value_length);
        else
            unreadable++;
        letters_add(&letters, &record);
        for (size_t i = 0; i < record.header_count; i++) {
            free((void *)(uintptr_t)headers[i].name);
            free((void *)(uintptr_t)headers[i].value);
        }
        free(value);
    }
    FUZZ_CHECK((size_t)letters.records == count + unreadable && (size_t)letters.unreadable == unreadable);
    for (size_t i = 0; i < count; i++) {
        struct pay_position other = known[i].position;
        FUZZ_CHECK(letters_find(&letters, &known[i].position, known[i].crc) == LETTER_SAME);
        other.generation = other.generation == 77777 ? 77778 : 77777;
        bool also_known = false;
        for (size_t j = 0; j < count; j++)
            also_known = also_known ||
                         (known[j].position.generation == other.generation &&
                          known[j].position.partition == other.partition && known[j].position.offset == other.offset);
        FUZZ_CHECK(also_known || letters_find(&letters, &other, known[i].crc) == LETTER_MISSING);
    }
    letters_free(&letters);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input in = {data, size};
    pay_codec_init();
    if (size > 0 && data[0] == 'l') {
        fuzz_byte(&in);
        check_letters(&in);
        return 0;
    }
    char *line = fuzz_copy(data, size);
    check_line(line, size);
    free(line);
    return 0;
}
