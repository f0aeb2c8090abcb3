#include "producer/prefer.h"

#include <string.h>
#include <strings.h>

#define SECONDS_DIGITS_MAX 9 /* more are a long time, too */

static const char *skip_blanks(const char *at) { return at + strspn(at, " \t"); }

/* Behind a token, or a quoted string with its backslashes; NULL: the quote has no end. */
static const char *skip_word(const char *at) {
    if (*at != '"') return at + strcspn(at, " \t=;,\"");
    for (at++; *at != '"'; at++) {
        if (*at == '\\' && at[1] != '\0') at++;
        if (*at == '\0') return NULL;
    }
    return at + 1;
}

/* delta-seconds, plain or quoted; 0: it isn't. */
static int64_t read_seconds(const char *at, const char *end) {
    if (end - at >= 2 && *at == '"') at++, end--;
    int64_t seconds = 0;
    if (at == end || (size_t)(end - at) > strspn(at, "0123456789")) return 0;
    if (end - at > SECONDS_DIGITS_MAX) return INT32_MAX;
    while (at < end) seconds = seconds * 10 + (*at++ - '0');
    return seconds;
}

/* `=` and a word behind it, if they are there; NULL: an unended quote. *ret_value NULL: no value. */
static const char *take_value(const char *at, const char **ret_value, const char **ret_end) {
    *ret_value = *ret_end = NULL;
    at = skip_blanks(at);
    if (*at != '=') return at;
    *ret_value = skip_blanks(at + 1);
    *ret_end = skip_word(*ret_value);
    return *ret_end != NULL ? skip_blanks(*ret_end) : NULL;
}

bool pay_prefer_wait(const char *line, int64_t *ret_seconds) {
    for (const char *at = line; at != NULL && *at != '\0';) {
        const char *name = at = skip_blanks(at), *value, *end;
        size_t length = strcspn(at, " \t=;,\"");
        at = take_value(at + length, &value, &end);
        if (length == 4 && strncasecmp(name, "wait", 4) == 0) {
            *ret_seconds = at != NULL && value != NULL ? read_seconds(value, end) : 0;
            return true;
        }
        while (at != NULL && *at != '\0' && *at != ',') at = *at == '"' ? skip_word(at) : at + 1; /* its parameters */
        if (at != NULL && *at == ',') at++;
    }
    return false;
}
