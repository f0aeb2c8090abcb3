#include "tools/listen_member.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding: over accepted JSON, where each index stays within it whatever it is ---- */

static bool is_one_of(char c, const char *set) { return c != '\0' && strchr(set, c) != NULL; }

static size_t after_space(const char *text, size_t i, size_t length) {
    while (i < length && is_one_of(text[i], " \t\r\n")) i++;
    return i;
}

static size_t after_string(const char *text, size_t i, size_t length) {
    for (i++; i < length && text[i] != '"'; i++)
        if (text[i] == '\\') i++;
    return i < length ? i + 1 : length;
}

static size_t after_value(const char *text, size_t i, size_t length) {
    int depth = 0;
    while (i < length && (depth > 0 || !is_one_of(text[i], ",]} \t\r\n"))) {
        depth += is_one_of(text[i], "{[");
        depth -= is_one_of(text[i], "}]");
        i = text[i] == '"' ? after_string(text, i, length) : i + 1;
    }
    return i;
}

/* A string with its quotes, its escapes undone; to be given to json_decref. */
static json_t *decode(const char *bytes, size_t length) {
    json_t *text = json_loadb(bytes, length, JSON_DECODE_ANY, NULL);
    if (text == NULL) abort(); /* accepted before: memory ended */
    return text;
}

static bool named(const char *bytes, size_t length, const char *name, size_t name_length) {
    if (memchr(bytes, '\\', length) == NULL)
        return length == name_length + 2 && memcmp(bytes + 1, name, name_length) == 0;
    json_t *text = decode(bytes, length);
    bool same = json_string_length(text) == name_length && memcmp(json_string_value(text), name, name_length) == 0;
    json_decref(text);
    return same;
}

static bool find_in(struct listen_member object, const char *name, size_t name_length,
                    struct listen_member *ret_member) {
    const char *text = object.bytes;
    if (object.length == 0 || text[0] != '{') return false;
    size_t i = after_space(text, 1, object.length);
    while (i < object.length && text[i] == '"') {
        size_t name_end = after_string(text, i, object.length);
        size_t start = after_space(text, after_space(text, name_end, object.length) + 1, object.length);
        size_t end = after_value(text, start, object.length);
        if (named(text + i, name_end - i, name, name_length)) {
            *ret_member = (struct listen_member){text + start, end - start};
            return true;
        }
        i = after_space(text, end, object.length);
        if (i < object.length && text[i] == ',') i = after_space(text, i + 1, object.length);
    }
    return false;
}

bool listen_member_find(const char *json, size_t length, const char *path, size_t path_length,
                        struct listen_member *ret_member) {
    size_t start = after_space(json, 0, length);
    struct listen_member member = {json + start, length - start};
    for (;;) {
        const char *dot = memchr(path, '.', path_length);
        size_t name_length = dot != NULL ? (size_t)(dot - path) : path_length;
        if (!find_in(member, path, name_length, &member)) return false;
        if (dot == NULL) break;
        path = dot + 1;
        path_length -= name_length + 1;
    }
    if (member.length == 4 && memcmp(member.bytes, "null", 4) == 0) return false;
    *ret_member = member;
    return true;
}

/* ---- printing ---- */

/* The code of a character that would end a line or steer a terminal; 0: it is none. *ret_length: of the character, 1 for none. */
static unsigned breaking(const unsigned char *bytes, size_t left, size_t *ret_length) {
    *ret_length = 1;
    if (bytes[0] < ' ' || bytes[0] == 0x7f) return bytes[0];
    if (left >= 2 && bytes[0] == 0xc2 && bytes[1] >= 0x80 && bytes[1] <= 0x9f) return *ret_length = 2, bytes[1];
    if (left >= 3 && bytes[0] == 0xe2 && bytes[1] == 0x80 && (bytes[2] == 0xa8 || bytes[2] == 0xa9))
        return *ret_length = 3, 0x2000u + (bytes[2] & 0x3fu);
    return 0;
}

static void print_control(FILE *file, unsigned code) {
    static const char short_ones[] = {['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    if (code < sizeof short_ones && short_ones[code] != '\0')
        fprintf(file, "\\%c", short_ones[code]);
    else
        fprintf(file, "\\u%04x", code);
}

/* In JSON a backslash is an escape already, and a control character only space between tokens. */
static void print_line(FILE *file, const char *text, size_t length, bool is_json) {
    for (size_t i = 0, used; i < length; i += used) {
        unsigned code = breaking((const unsigned char *)text + i, length - i, &used);
        if (code == 0) {
            if (text[i] == '\\' && !is_json) fputc('\\', file);
            fputc(text[i], file);
        } else if (code < ' ' && is_json) {
            fputc(' ', file);
        } else {
            print_control(file, code);
        }
    }
}

void listen_member_print(FILE *file, const struct listen_member *member) {
    const char *bytes = member->bytes;
    size_t length = member->length;
    if (bytes[0] != '"') {
        print_line(file, bytes, length, true);
    } else if (memchr(bytes, '\\', length) == NULL) {
        print_line(file, bytes + 1, length - 2, false);
    } else {
        json_t *text = decode(bytes, length);
        print_line(file, json_string_value(text), json_string_length(text), false);
        json_decref(text);
    }
}
