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

/* A name or an address, perhaps a port. Characters that URIs allow there and no host has are refused, too. */
static bool is_host(const char *text, size_t length) {
    static const char name[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_~";
    size_t at = 0, start = 0;
    bool bracket = length > 0 && text[0] == '[';
    if (bracket) {
        for (at = start = 1; at < length && text[at] != '\0' && strchr("0123456789abcdefABCDEF:.", text[at]) != NULL;)
            at++;
        if (at == length || text[at] != ']') return false;
    } else {
        while (at < length && text[at] != '\0' && strchr(name, text[at]) != NULL) at++;
    }
    if (at == start) return false;
    if (bracket) at++;
    if (at == length) return true;
    size_t digits = length - at - 1;
    if (text[at] != ':' || digits > 5) return false;
    while (++at < length)
        if (text[at] < '0' || text[at] > '9') return false;
    return true;
}

void pay_http_head_begin(struct pay_http_head *ret_head, const char *method, const char *version) {
    *ret_head = (struct pay_http_head){.http_1_1 = strcmp(version, "HTTP/1.1") == 0};
    ret_head->odd_method = !is_token(method, strlen(method));
    ret_head->odd_version = !ret_head->http_1_1 && strcmp(version, "HTTP/1.0") != 0;
}

void pay_http_head_take(struct pay_http_head *head, const char *name, size_t name_length, const char *value,
                        size_t value_length) {
    if (!is_token(name, name_length)) head->odd_name = true;
    if (!is_field_value(value, value_length)) head->odd_value = true;
    switch (name_length) { /* most headers of a request aren't ours: one comparison decides */
    case 4:
        if (!same(name, name_length, "host")) break;
        head->hosts++;
        head->odd_host = head->odd_host || !is_host(value, value_length);
        break;
    case 6:
        if (!same(name, name_length, "expect")) break;
        head->expects = true;
        head->odd_expectation = head->odd_expectation || !same(value, value_length, "100-continue");
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
        {head->odd_method, "The method holds a character that methods can't have; send one that this path has."},
        {head->odd_version, "Only HTTP/1.0 and HTTP/1.1 are understood; send HTTP/1.1."},
        {head->odd_name, "A header name holds a character that names can't have; leave that header out."},
        {head->odd_value, "A header value holds a control character; leave it out."},
        {head->hosts > 1, "Host is given more than once; send it once."},
        {head->http_1_1 && head->hosts == 0, "Host is missing; HTTP/1.1 needs one."},
        {head->odd_host, "Host isn't a host; send the name or address that you call, with its port."},
        {head->content_lengths > 1, "Content-Length is given more than once; send it once."},
        {head->odd_length, "Content-Length isn't a number; send the body's bytes, as digits."},
        {head->transfer_encodings > 1, "Transfer-Encoding is given more than once; send it once."},
        {head->content_lengths > 0 && head->transfer_encodings > 0, "Content-Length and Transfer-Encoding are both given; send one of them."},
        {head->odd_coding, "The only transfer coding understood is chunked; send that or Content-Length."},
        {head->transfer_encodings > 0 && !head->http_1_1, "Transfer-Encoding needs HTTP/1.1; send Content-Length."},
        {head->odd_expectation, "The only expectation understood is 100-continue; send that or none."},
        {head->content_types > 1, "Content-Type is given more than once; send it once."},
        {head->authorizations > 1, "Authorization is given more than once; send one key."},
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

bool pay_http_chunk_begins_well(const char *buffer, const char *piece) {
    if (piece == buffer) return true; /* the chunk goes on, or its line was read before */
    const char *line = piece - 1;     /* the LF behind the size */
    if (line == buffer || line[-1] != '\r') return false;
    line--; /* the CR */
    while (line > buffer && line[-1] != '\n') {
        if (*--line == '\r') return false; /* alone in an extension: some take it for the line's end */
    }
    return line == buffer || (line - buffer >= 2 && line[-2] == '\r');
}

const char *pay_http_target_judge(const char *target) {
    for (const char *at = target; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~' || *at == '#' ||
            *at == '\\') /* bytes beyond 127 are negative or above, as char is */
            return "The target holds a character that targets can't have; send it as %XX.";
    }
    return NULL;
}

static size_t scheme_length(const char *target) {
    return strncasecmp(target, "http://", 7) == 0 ? 7 : strncasecmp(target, "https://", 8) == 0 ? 8 : 0;
}

const char *pay_http_target_path(const char *target, const char *host, const char **ret_path) {
    size_t scheme = scheme_length(target);
    *ret_path = target;
    if (scheme == 0) return *target == '/' ? NULL : "The target must be a path; send one like /v1/payments.";
    const char *authority = target + scheme;
    size_t length = strcspn(authority, "/");
    if (host == NULL || strlen(host) != length || strncasecmp(host, authority, length) != 0)
        return "Host and the target's host differ; send a path, or the same in both.";
    *ret_path = authority[length] == '/' ? authority + length : "/";
    return NULL;
}

static bool has_dot_segment(const char *path) {
    while ((path = strstr(path, "/.")) != NULL) {
        path += path[2] == '.' ? 3 : 2;
        if (*path == '/' || *path == '\0') return true;
    }
    return false;
}

const char *pay_http_path_decode(const char *raw, char *ret_path, size_t size) {
    size_t length = 0;
    for (const char *at = raw; *at != '\0'; at++) {
        int c = (unsigned char)*at;
        if (c == '%') {
            int high = hexadecimal(at[1]);
            int low = high >= 0 ? hexadecimal(at[2]) : -1;
            if (low < 0) return "The path holds a broken escape; send % and two hexadecimal digits.";
            c = high * 16 + low;
            at += 2;
            if (c == '/') return "The path holds an escaped slash, which no order id has; leave it out.";
        }
        if (c < ' ' || c == 0x7f) return "The path holds a control character, which no order id has; leave it out.";
        if (length + 1 >= size) return "The path is too long; an order id has at most 64 characters.";
        ret_path[length++] = (char)c;
    }
    ret_path[length] = '\0';
    return has_dot_segment(ret_path)
               ? "The path holds a segment of dots, which others take for another path; send it without."
               : NULL;
}
