#include "json_opinion.h"

#include <stdlib.h>
#include <string.h>

struct at {
    const char *next, *end;
    struct json_opinion *opinion;
};

static bool value(struct at *at, int depth, struct json_member *ret_value);

static void space(struct at *at) {
    while (at->next < at->end && (*at->next == ' ' || *at->next == '\t' || *at->next == '\n' || *at->next == '\r'))
        at->next++;
}

static bool take(struct at *at, char c) {
    if (at->next == at->end || *at->next != c) return false;
    at->next++;
    return true;
}

static bool word(struct at *at, const char *text) {
    size_t length = strlen(text);
    if ((size_t)(at->end - at->next) < length || memcmp(at->next, text, length) != 0) return false;
    at->next += length;
    return true;
}

static size_t digits(struct at *at) {
    size_t count = 0;
    for (; at->next < at->end && *at->next >= '0' && *at->next <= '9'; at->next++) count++;
    return count;
}

static bool number(struct at *at, enum json_kind *ret_kind) {
    *ret_kind = KIND_INTEGER;
    take(at, '-');
    if (!take(at, '0') && digits(at) == 0) return false;
    if (take(at, '.')) {
        *ret_kind = KIND_REAL;
        if (digits(at) == 0) return false;
    }
    if (take(at, 'e') || take(at, 'E')) {
        *ret_kind = KIND_REAL;
        if (!take(at, '+')) take(at, '-');
        if (digits(at) == 0) return false;
    }
    return true;
}

static void put(struct json_text *text, uint32_t c) {
    static const struct {
        uint32_t below;
        unsigned char lead, bytes;
    } forms[] = {{0x80, 0x00, 1}, {0x800, 0xC0, 2}, {0x10000, 0xE0, 3}, {0x110000, 0xF0, 4}};
    size_t form = 0;
    while (c >= forms[form].below) form++;
    for (int i = forms[form].bytes - 1; i >= 0; i--) {
        unsigned char bits = (unsigned char)(c >> (6 * i));
        bool first = i == forms[form].bytes - 1;
        text->bytes[text->length++] = (char)(first ? forms[form].lead | bits : 0x80 | (bits & 0x3F));
    }
}

static bool four_hex(struct at *at, uint32_t *ret_unit) {
    *ret_unit = 0;
    for (int i = 0; i < 4; i++) {
        const char *hex = "0123456789abcdef";
        if (at->next == at->end || *at->next == '\0') return false;
        char c = *at->next++;
        const char *found = strchr(hex, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
        if (found == NULL) return false;
        *ret_unit = *ret_unit * 16 + (uint32_t)(found - hex);
    }
    return true;
}

static bool escape(struct at *at, struct json_text *text) {
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    uint32_t unit, low;
    if (at->next == at->end || *at->next == '\0') return false;
    char c = *at->next++;
    const char *letter = strchr(letters, c);
    if (letter != NULL) {
        put(text, (unsigned char)meant[letter - letters]);
        return true;
    }
    if (c != 'u' || !four_hex(at, &unit)) return false;
    if (unit == 0) at->opinion->nul_escape = true;
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        const char *back = at->next;
        if (word(at, "\\u") && four_hex(at, &low) && low >= 0xDC00 && low <= 0xDFFF) {
            put(text, 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
            return true;
        }
        at->next = back;
    }
    if (unit >= 0xD800 && unit <= 0xDFFF) {
        at->opinion->lone_surrogate = true;
        unit = '?';
    }
    put(text, unit);
    return true;
}

/* One character of UTF-8 as RFC 3629 has it: shortest form, no surrogates, at most U+10FFFF. */
static bool character(struct at *at, struct json_text *text) {
    unsigned char lead = (unsigned char)*at->next++;
    int more = lead < 0x80                    ? 0
               : lead >= 0xC2 && lead <= 0xDF ? 1
               : (lead & 0xF0) == 0xE0        ? 2
               : lead >= 0xF0 && lead <= 0xF4 ? 3
                                              : -1;
    if (more < 0) return false;
    uint32_t c = more == 0 ? lead : lead & (0x3Fu >> more);
    for (int i = 0; i < more; i++) {
        if (at->next == at->end || ((unsigned char)*at->next & 0xC0) != 0x80) return false;
        c = c << 6 | ((unsigned char)*at->next++ & 0x3F);
    }
    bool short_enough = more < 2 || c >= (more == 2 ? 0x800u : 0x10000u);
    if (!short_enough || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return false;
    put(text, c);
    return true;
}

static bool string(struct at *at, struct json_text *ret_text) {
    if (!take(at, '"')) return false;
    struct json_text text = {malloc((size_t)(at->end - at->next) + 2), 0};
    if (text.bytes == NULL) abort();
    bool good = true;
    while (good && at->next < at->end && *at->next != '"') {
        if ((unsigned char)*at->next < 0x20)
            good = false;
        else if (take(at, '\\'))
            good = escape(at, &text);
        else
            good = character(at, &text);
    }
    good = good && take(at, '"');
    text.bytes[text.length] = '\0';
    *ret_text = text;
    if (!good) {
        free(text.bytes);
        *ret_text = (struct json_text){NULL, 0};
    }
    return good;
}

static bool same_text(const struct json_text *a, const struct json_text *b) {
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static void free_members(struct json_member *members, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(members[i].name.bytes);
        free(members[i].string.bytes);
    }
    free(members);
}

static bool member(struct at *at, int depth, struct json_member *ret_member) {
    space(at);
    if (!string(at, &ret_member->name)) return false;
    space(at);
    return take(at, ':') && value(at, depth, ret_member);
}

static bool object(struct at *at, int depth, struct json_member **ret_members, size_t *ret_count) {
    struct json_member *members = NULL;
    size_t count = 0, room = 0;
    bool good = true, open = true;
    space(at);
    if (take(at, '}')) open = false;
    while (good && open) {
        if (count == room) members = realloc(members, (room = room * 2 + 8) * sizeof *members);
        if (members == NULL) abort();
        members[count] = (struct json_member){.kind = KIND_NONE};
        good = member(at, depth, &members[count++]);
        for (size_t i = 0; good && i + 1 < count; i++)
            if (same_text(&members[i].name, &members[count - 1].name)) at->opinion->duplicate = true;
        open = good && take(at, ',');
        if (!open) good = good && take(at, '}');
    }
    *ret_members = members;
    *ret_count = count;
    return good;
}

static bool array(struct at *at, int depth) {
    space(at);
    if (take(at, ']')) return true;
    do {
        struct json_member element = {.kind = KIND_NONE};
        bool good = value(at, depth, &element);
        free(element.string.bytes);
        if (!good) return false;
    } while (take(at, ','));
    return take(at, ']');
}

static bool nested(struct at *at, int depth, struct json_member *value) {
    struct json_member *members = NULL;
    size_t count = 0;
    if (depth > at->opinion->depth) at->opinion->depth = depth;
    if (depth > JSON_OPINION_DEPTH) {
        at->opinion->too_deep = true;
        return false;
    }
    if (take(at, '[')) {
        value->kind = KIND_ARRAY;
        return array(at, depth);
    }
    take(at, '{');
    value->kind = KIND_OBJECT;
    bool good = object(at, depth, &members, &count);
    if (depth == 1) {
        at->opinion->members = members;
        at->opinion->count = count;
    } else {
        free_members(members, count);
    }
    return good;
}

/* With the blanks around it. `depth`: of what holds it. */
static bool value(struct at *at, int depth, struct json_member *ret_value) {
    space(at);
    if (at->next == at->end) return false;
    ret_value->start = at->next;
    bool good;
    switch (*at->next) {
    case '{':
    case '[': good = nested(at, depth + 1, ret_value); break;
    case '"':
        ret_value->kind = KIND_STRING;
        good = string(at, &ret_value->string);
        break;
    case 't':
    case 'f':
        ret_value->kind = KIND_BOOLEAN;
        ret_value->truth = *at->next == 't';
        good = word(at, "true") || word(at, "false");
        break;
    case 'n':
        ret_value->kind = KIND_NULL;
        good = word(at, "null");
        break;
    default: good = number(at, &ret_value->kind);
    }
    ret_value->length = (size_t)(at->next - ret_value->start);
    space(at);
    return good;
}

void json_opinion_make(const char *text, size_t length, struct json_opinion *ret_opinion) {
    *ret_opinion = (struct json_opinion){.kind = KIND_NONE};
    struct at at = {text, text + length, ret_opinion};
    struct json_member whole = {.kind = KIND_NONE};
    ret_opinion->json = value(&at, 0, &whole) && at.next == at.end;
    ret_opinion->kind = whole.kind;
    free(whole.string.bytes);
}

void json_opinion_free(struct json_opinion *opinion) {
    free_members(opinion->members, opinion->count);
    *opinion = (struct json_opinion){.kind = KIND_NONE};
}

bool json_opinion_object(const struct json_opinion *opinion, int depth) {
    return opinion->json && opinion->kind == KIND_OBJECT && opinion->depth <= depth && !opinion->too_deep &&
           !opinion->duplicate && !opinion->nul_escape && !opinion->lone_surrogate;
}

const struct json_member *json_opinion_member(const struct json_opinion *opinion, const char *name) {
    for (size_t i = 0; i < opinion->count; i++) {
        const struct json_text *text = &opinion->members[i].name;
        if (text->bytes != NULL && text->length == strlen(name) && memcmp(text->bytes, name, text->length) == 0)
            return &opinion->members[i];
    }
    return NULL;
}

bool json_member_integer(const struct json_member *member, int64_t *ret_number) {
    if (member == NULL || member->kind != KIND_INTEGER) return false;
    bool negative = member->start[0] == '-';
    int64_t number = 0;
    for (size_t i = negative; i < member->length; i++) {
        int digit = member->start[i] - '0';
        if (__builtin_mul_overflow(number, (int64_t)10, &number)) return false;
        if (__builtin_add_overflow(number, negative ? -digit : digit, &number)) return false;
    }
    *ret_number = number;
    return true;
}

bool json_member_is(const struct json_member *member, const char *text) {
    return member != NULL && member->kind == KIND_STRING && member->string.length == strlen(text) &&
           memcmp(member->string.bytes, text, member->string.length) == 0;
}

bool opinion_is_id(const char *text, size_t length) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
    size_t good = 0;
    while (good < length && text[good] != '\0' && strchr(allowed, text[good]) != NULL) good++;
    return good == length && length >= 1 && length <= 64;
}

bool json_member_is_id(const struct json_member *member) {
    return member != NULL && member->kind == KIND_STRING && opinion_is_id(member->string.bytes, member->string.length);
}
