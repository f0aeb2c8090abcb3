#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_says_no(const char *condition, const char *file, int line) {
    fprintf(stderr, "the oracle says no: %s (%s:%d)\n", condition, file, line);
    abort();
}

uint8_t fuzz_byte(struct fuzz_input *in) {
    if (in->left == 0) return 0;
    in->left--;
    return *in->next++;
}

uint32_t fuzz_below(struct fuzz_input *in, uint32_t bound) { return fuzz_byte(in) % bound; }

int64_t fuzz_number(struct fuzz_input *in) {
    uint8_t kind = fuzz_byte(in);
    if (kind < 192) return kind;
    if (kind < 224) {
        uint64_t power = UINT64_C(1) << fuzz_below(in, 64);
        return (int64_t)(power + fuzz_below(in, 5) - 2);
    }
    uint64_t number = 0;
    for (int i = 0; i < 8; i++) number = number << 8 | fuzz_byte(in);
    return (int64_t)number;
}

const char *fuzz_line(struct fuzz_input *in, size_t *ret_length) {
    const char *start = (const char *)in->next;
    const char *end = in->left > 0 ? memchr(start, '\n', in->left) : NULL;
    *ret_length = end != NULL ? (size_t)(end - start) : in->left;
    size_t taken = *ret_length + (end != NULL);
    if (taken > 0) in->next += taken;
    in->left -= taken;
    return start;
}

char *fuzz_copy(const void *bytes, size_t length) {
    char *copy = malloc(length); /* of size 0, too: a pointer that may not be looked through */
    if (copy == NULL) abort();
    if (length > 0) memcpy(copy, bytes, length);
    return copy;
}

char *fuzz_text(const void *bytes, size_t length) {
    const void *nul = length > 0 ? memchr(bytes, '\0', length) : NULL;
    if (nul != NULL) length = (size_t)((const char *)nul - (const char *)bytes);
    char *text = malloc(length + 1);
    if (text == NULL) abort();
    if (length > 0) memcpy(text, bytes, length);
    text[length] = '\0';
    return text;
}
