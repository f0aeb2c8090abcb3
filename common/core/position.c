#include "core/position.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

size_t pay_decimal_format(int64_t number, char text[21]) {
    char reversed[20];
    size_t digits = 0, length = 0;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        reversed[digits++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (number < 0) text[length++] = '-';
    while (digits > 0) text[length++] = reversed[--digits];
    text[length] = '\0';
    return length;
}

bool pay_decimal_parse(const char *text, size_t length, int64_t *ret_number) {
    if (length == 0 || length > 19) return false;
    if (text[0] == '0' && length > 1) return false;
    uint64_t number = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        number = number * 10 + (uint64_t)(text[i] - '0'); /* 19 digits fit into 64 bits */
    }
    if (number > INT64_MAX) return false;
    *ret_number = (int64_t)number;
    return true;
}

size_t pay_position_format(const struct pay_position *position, char text[PAY_POSITION_TEXT_MAX]) {
    assert(position->generation >= 0 && position->partition >= 0 && position->offset >= 0);
    size_t length = pay_decimal_format(position->generation, text);
    text[length++] = '-';
    length += pay_decimal_format(position->partition, text + length);
    text[length++] = '-';
    length += pay_decimal_format(position->offset, text + length);
    return length;
}

bool pay_position_parse(const char *text, size_t length, struct pay_position *ret_position) {
    int64_t number[3];
    size_t start = 0;
    for (int part = 0; part < 3; part++) {
        size_t end = start;
        while (end < length && text[end] != '-') end++;
        if ((end == length) != (part == 2)) return false;
        if (!pay_decimal_parse(text + start, end - start, &number[part])) return false;
        start = end + 1;
    }
    if (number[0] < 1 || number[1] > INT32_MAX) return false;
    *ret_position = (struct pay_position){number[0], (int32_t)number[1], number[2]};
    return true;
}

bool pay_position_possible(const struct pay_position *position) {
    return position->generation >= 1 && position->partition >= 0 && position->offset >= 0;
}

bool pay_position_equal(const struct pay_position *a, const struct pay_position *b) {
    return a->generation == b->generation && a->partition == b->partition && a->offset == b->offset;
}
