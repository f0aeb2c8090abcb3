/*
 * target_import.c - what the command line program reads from outside: lines of `account import`, the dead letter topic in `audit`,
 * templates of `listen` and the replies that they show.
 *
 * Input: 'l' and dead letters, each a line: headers name=value;name=value, a tab, the value; 't', a template, the line's end and a reply
 * value; anything else: a line of an import.
 * Oracle: a line is taken exactly when json_opinion.h and the members' rules below allow it, with those values; every letter that names
 * a position is found again, under it and no other; a template makes one line, and a member that it names is there as json_opinion.h
 * read it, once the escapes are undone.
 */
#include "codec/reply_codec.h"
#include "codec/request_codec.h"
#include "core/position.h"
#include "fuzz.h"
#include "json_opinion.h"
#include "tools/account_lines.h"
#include "tools/audit_letters.h"
#include "tools/listen_template.h"

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

/* ---- templates ---- */

static size_t count_byte(const char *text, char byte) {
    size_t count = 0;
    for (; *text != '\0'; text++) count += *text == byte;
    return count;
}

static size_t put_utf8(unsigned code, char *ret_bytes) {
    if (code < 0x80) return ret_bytes[0] = (char)code, 1;
    if (code < 0x800) return ret_bytes[0] = (char)(0xc0 | code >> 6), ret_bytes[1] = (char)(0x80 | (code & 63)), 2;
    ret_bytes[0] = (char)(0xe0 | code >> 12);
    ret_bytes[1] = (char)(0x80 | (code >> 6 & 63));
    ret_bytes[2] = (char)(0x80 | (code & 63));
    return 3;
}

/* In place: \\ \n \r \t \uXXXX, and nothing else may be escaped. Answers the length. */
static size_t undo_escapes(char *text) {
    size_t used = 0;
    for (const char *at = text; *at != '\0'; at++) {
        unsigned code = (unsigned char)*at;
        if (*at != '\\') {
            text[used++] = *at;
            continue;
        }
        at++;
        FUZZ_CHECK(*at != '\0' && strchr("\\nrtu", *at) != NULL);
        if (*at != 'u') {
            text[used++] = *at == 'n' ? '\n' : *at == 'r' ? '\r' : *at == 't' ? '\t' : '\\';
            continue;
        }
        FUZZ_CHECK(sscanf(at + 1, "%4x", &code) == 1);
        used += put_utf8(code, text + used);
        at += 4;
    }
    return used;
}

/* NULL: no line. Every line is one. */
static char *line_of(const char *template_text, const char *value, size_t length) {
    struct listen_template template = {.count = 0};
    const struct paybuf_listener_reply reply = {.value = value, .value_length = length, .ledger_id = "ledger"};
    struct pay_reply parsed;
    char why[256] = "", *line = NULL;
    size_t size;
    if (!listen_template_parse(template_text, &template, why, sizeof why)) {
        FUZZ_CHECK(why[0] != '\0' && template.count == 0);
        return NULL;
    }
    FILE *file = open_memstream(&line, &size);
    if (file == NULL) abort();
    bool printed = listen_template_print(&template, &reply, file);
    if (fclose(file) != 0) abort();
    FUZZ_CHECK(printed == pay_reply_parse(value, length, &parsed) && (printed || size == 0) && strlen(line) == size);
    for (size_t i = 0; i < size; i++) FUZZ_CHECK((unsigned char)line[i] >= ' ' ? line[i] != 0x7f : line[i] == '\t');
    FUZZ_CHECK(count_byte(line, '\t') <= count_byte(template_text, '\t'));
    if (printed) return line;
    free(line);
    return NULL;
}

static void check_shown(const char *path, const struct json_member *member, const char *value, size_t length) {
    char text[256];
    snprintf(text, sizeof text, "{%s|none}", path);
    char *line = line_of(text, value, length);
    FUZZ_CHECK(line != NULL);
    if (member == NULL || member->kind == KIND_NULL) {
        FUZZ_CHECK(strcmp(line, "none") == 0);
    } else if (member->kind == KIND_STRING) {
        FUZZ_CHECK(strstr(line, "\xe2\x80\xa8") == NULL && strstr(line, "\xc2\x85") == NULL);
        FUZZ_CHECK(undo_escapes(line) == member->string.length &&
                   memcmp(line, member->string.bytes, member->string.length) == 0);
    } else if (member->kind == KIND_OBJECT || member->kind == KIND_ARRAY) {
        struct json_opinion shown, sent;
        json_opinion_make(line, strlen(line), &shown);
        json_opinion_make(member->start, member->length, &sent);
        FUZZ_CHECK(shown.json && shown.kind == member->kind && shown.count == sent.count);
        json_opinion_free(&shown);
        json_opinion_free(&sent);
    } else {
        FUZZ_CHECK(strlen(line) == member->length && memcmp(line, member->start, member->length) == 0);
    }
    free(line);
}

/* A name that a path can hold. */
static bool reachable(const struct json_text *name) {
    for (size_t i = 0; i < name->length; i++)
        if ((unsigned char)name->bytes[i] < ' ' || strchr(".|{}\x7f", name->bytes[i]) != NULL) return false;
    return name->length > 0 && name->length < 100;
}

static void check_members(const char *value, size_t length) {
    static const char *const names[] = {"tenant",     "order_id",  "attempt",  "outcome",  "reason",
                                        "field",      "duplicate", "position", "original", "currency",
                                        "decided_at", "stored",    "metadata"};
    struct json_opinion opinion, inner;
    char path[128];
    json_opinion_make(value, length, &opinion);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_shown(names[i], json_opinion_member(&opinion, names[i]), value, length);
    const struct json_member *metadata = json_opinion_member(&opinion, "metadata");
    if (metadata != NULL && metadata->kind == KIND_OBJECT) {
        json_opinion_make(metadata->start, metadata->length, &inner);
        for (size_t i = 0; i < inner.count && i < 8; i++) {
            if (!reachable(&inner.members[i].name)) continue;
            snprintf(path, sizeof path, "metadata.%s", inner.members[i].name.bytes);
            check_shown(path, &inner.members[i], value, length);
        }
        json_opinion_free(&inner);
    }
    json_opinion_free(&opinion);
}

static void check_template(struct fuzz_input *in) {
    size_t length;
    struct pay_reply parsed;
    const char *line = fuzz_line(in, &length);
    char *text = fuzz_text(line, length), *value = fuzz_copy(in->next, in->left);
    free(line_of(text, value, in->left));
    if (pay_reply_parse(value, in->left, &parsed)) check_members(value, in->left);
    free(text);
    free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input in = {data, size};
    pay_codec_init();
    if (size > 0 && data[0] == 'l') {
        fuzz_byte(&in);
        check_letters(&in);
        return 0;
    }
    if (size > 0 && data[0] == 't') {
        fuzz_byte(&in);
        check_template(&in);
        return 0;
    }
    char *line = fuzz_copy(data, size);
    check_line(line, size);
    free(line);
    return 0;
}
