#include "tools/listen_member.h"

#include "codec/json_text.h"

#include <string.h>

bool listen_member_find(const char *json, size_t length, const char *path, size_t path_length,
                        struct listen_member *ret_member) {
    struct listen_member member = {json, length};
    for (;;) {
        const char *dot = memchr(path, '.', path_length);
        size_t name_length = dot != NULL ? (size_t)(dot - path) : path_length;
        member.bytes = pay_json_member(member.bytes, member.length, path, name_length, &member.length);
        if (member.bytes == NULL) return false;
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
        json_t *text = pay_json_string(bytes, length);
        print_line(file, json_string_value(text), json_string_length(text), false);
        json_decref(text);
    }
}
