#include "producer/http_head.h"

#include <string.h>
#include <strings.h>

/* RFC 9110 token. */
static bool is_token_character(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (!is_token_character((unsigned char)text[i])) return false;
    }
    return length > 0;
}

static bool is_field_value(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

static bool same(const char *name, size_t length, const char *wanted) {
    return length == strlen(wanted) && strncasecmp(name, wanted, length) == 0;
}

static void take_length(struct pay_http_head *head, const char *value, size_t length) {
    head->content_lengths++;
    head->odd_length = head->odd_length || length == 0;
    uint64_t number = 0;
    for (size_t i = 0; i < length; i++) {
        if (value[i] < '0' || value[i] > '9') {
            head->odd_length = true;
            return;
        }
        uint64_t digit = (uint64_t)(value[i] - '0');
        number = number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : number * 10 + digit;
    }
    head->length = number;
}

static void take_host(struct pay_http_head *head, const char *value, size_t length) {
    head->hosts++;
    for (size_t i = 0; i < length; i++) {
        if (value[i] == ' ' || value[i] == '\t' || value[i] == ',' || value[i] == '/' || value[i] == '@')
            head->odd_host = true;
    }
}

void pay_http_head_take(struct pay_http_head *head, const char *name, size_t name_length, const char *value,
                        size_t value_length) {
    if (!is_token(name, name_length)) head->odd_name = true;
    if (!is_field_value(value, value_length)) head->odd_value = true;
    switch (name_length) { /* most headers of a request aren't ours: one comparison decides */
    case 4:
        if (same(name, name_length, "host")) take_host(head, value, value_length);
        break;
    case 6:
        if (same(name, name_length, "expect")) head->expects = true;
        break;
    case 12:
        if (same(name, name_length, "content-type")) head->content_types++;
        break;
    case 13:
        if (same(name, name_length, "authorization")) head->authorizations++;
        break;
    case 14:
        if (same(name, name_length, "content-length")) take_length(head, value, value_length);
        break;
    case 17:
        if (!same(name, name_length, "transfer-encoding")) break;
        head->transfer_encodings++;
        head->odd_coding = head->odd_coding || !same(value, value_length, "chunked");
        break;
    default: break;
    }
}

const char *pay_http_head_judge(const struct pay_http_head *head) {
    /* clang-format off */
    const struct { bool broken; const char *rule; } rules[] = {
        {head->odd_name, "A header name holds a character that names can't have."},
        {head->odd_value, "A header value holds a control character."},
        {head->hosts > 1, "Host is given more than once."},
        {head->http_1_1 && head->hosts == 0, "Host is missing."},
        {head->odd_host, "Host isn't a host."},
        {head->content_lengths > 1, "Content-Length is given more than once."},
        {head->odd_length, "Content-Length isn't a number."},
        {head->transfer_encodings > 1, "Transfer-Encoding is given more than once."},
        {head->content_lengths > 0 && head->transfer_encodings > 0, "Content-Length and Transfer-Encoding are both given."},
        {head->odd_coding, "The only transfer coding understood is chunked."},
        {head->transfer_encodings > 0 && !head->http_1_1, "Transfer-Encoding needs HTTP/1.1."},
        {head->content_types > 1, "Content-Type is given more than once."},
        {head->authorizations > 1, "Authorization is given more than once."},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].broken) return rules[i].rule;
    }
    return NULL;
}

static int hexadecimal(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

const char *pay_http_path_decode(const char *raw, char *ret_path, size_t size) {
    size_t length = 0;
    for (const char *at = raw; *at != '\0'; at++) {
        int c = (unsigned char)*at;
        if (c == '%') {
            int high = hexadecimal(at[1]);
            int low = high >= 0 ? hexadecimal(at[2]) : -1;
            if (low < 0) return "The path holds a broken %-escape.";
            c = high * 16 + low;
            at += 2;
        }
        if (c < ' ' || c == 0x7f) return "The path holds a control character.";
        if (length + 1 >= size) return "The path is too long.";
        ret_path[length++] = (char)c;
    }
    ret_path[length] = '\0';
    return NULL;
}
