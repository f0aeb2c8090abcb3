/*
 * Civil dates by arithmetic alone: days counted in eras of 400 years, years that begin in March, so that leap days come last.
 */
#include "codec/time_text.h"

#include <string.h>

#define DAYS_PER_ERA 146097 /* 400 years */
#define DAYS_TO_1970 719468 /* from 0000-03-01 */
#define SECONDS_PER_DAY 86400
#define MICROSECONDS 1000000

struct civil {
    int64_t year;
    int month, day; /* from 1 */
};

static int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static struct civil civil_from_days(int64_t days_since_1970) {
    int64_t days = days_since_1970 + DAYS_TO_1970;
    int64_t era = floor_divide(days, DAYS_PER_ERA);
    int64_t day_of_era = days - era * DAYS_PER_ERA;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month_from_march = (int)((5 * day_of_year + 2) / 153);
    int day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    int month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil){era * 400 + year_of_era + (month <= 2), month, day};
}

static int64_t days_from_civil(struct civil date) {
    int64_t year = date.year - (date.month <= 2);
    int64_t era = floor_divide(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static char *write_digits(char *out, int64_t number, int count) {
    for (int i = count; i > 0; i--) {
        out[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
    return out + count;
}

static char *write_field(char *out, char before, int64_t number, int count) {
    *out = before;
    return write_digits(out + 1, number, count);
}

static char *write_year(char *out, int64_t year) {
    if (year < 0) return write_field(out, '-', -year, 6);
    if (year > 9999) return write_field(out, '+', year, 6);
    return write_digits(out, year, 4);
}

size_t pay_time_format(int64_t microseconds_since_1970, char text[PAY_TIME_TEXT_MAX]) {
    int64_t seconds = floor_divide(microseconds_since_1970, MICROSECONDS);
    int64_t fraction = (microseconds_since_1970 % MICROSECONDS + MICROSECONDS) % MICROSECONDS;
    int64_t days = floor_divide(seconds, SECONDS_PER_DAY);
    int64_t second_of_day = seconds - days * SECONDS_PER_DAY;
    struct civil date = civil_from_days(days);
    char *out = write_year(text, date.year);
    out = write_field(out, '-', date.month, 2);
    out = write_field(out, '-', date.day, 2);
    out = write_field(out, 'T', second_of_day / 3600, 2);
    out = write_field(out, ':', second_of_day / 60 % 60, 2);
    out = write_field(out, ':', second_of_day % 60, 2);
    out = write_field(out, '.', fraction, 6);
    memcpy(out, "Z", 2);
    return (size_t)(out + 1 - text);
}

struct cursor {
    const char *next, *end;
};

static bool take(struct cursor *in, char c) {
    if (in->next == in->end || *in->next != c) return false;
    in->next++;
    return true;
}

/* Digits up to `most`, at least one; answers how many, 0 when there is none. */
static int take_digits(struct cursor *in, int most, int64_t *ret_number) {
    int count = 0;
    int64_t number = 0;
    for (; count < most && in->next < in->end && *in->next >= '0' && *in->next <= '9'; count++)
        number = number * 10 + (*in->next++ - '0');
    *ret_number = number;
    return count;
}

static bool take_year(struct cursor *in, int64_t *ret_year) {
    bool before = take(in, '-'), after = !before && take(in, '+');
    int digits = before || after ? 6 : 4;
    if (take_digits(in, digits, ret_year) != digits) return false;
    if (before) *ret_year = -*ret_year;
    return before ? *ret_year < 0 : !after || *ret_year > 9999;
}

static bool take_field(struct cursor *in, char before, int64_t least, int64_t most, int64_t *ret_number) {
    return take(in, before) && take_digits(in, 2, ret_number) == 2 && *ret_number >= least && *ret_number <= most;
}

static int64_t days_in_month(int64_t year, int64_t month) {
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (month == 2) return leap ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

static bool take_date(struct cursor *in, int64_t *ret_days) {
    int64_t year, month, day;
    if (!take_year(in, &year) || !take_field(in, '-', 1, 12, &month)) return false;
    if (!take_field(in, '-', 1, days_in_month(year, month), &day)) return false;
    *ret_days = days_from_civil((struct civil){year, (int)month, (int)day});
    return true;
}

static bool take_fraction(struct cursor *in, int64_t *ret_microseconds) {
    *ret_microseconds = 0;
    if (!take(in, '.')) return true;
    int digits = take_digits(in, 6, ret_microseconds);
    for (int i = digits; i < 6; i++) *ret_microseconds *= 10;
    return digits > 0;
}

static bool join(int64_t seconds, int64_t fraction, int64_t *ret_microseconds) {
    int64_t whole, sum;
    if (seconds < 0) { /* counted from the next second, or the earliest times would overflow on the way */
        seconds += 1;
        fraction -= MICROSECONDS;
    }
    if (__builtin_mul_overflow(seconds, (int64_t)MICROSECONDS, &whole) || __builtin_add_overflow(whole, fraction, &sum))
        return false;
    *ret_microseconds = sum;
    return true;
}

bool pay_time_parse(const char *text, size_t length, int64_t *ret_microseconds) {
    struct cursor in = {text, text + length};
    int64_t days, hour, minute, second, fraction;
    if (!take_date(&in, &days)) return false;
    if (!take_field(&in, 'T', 0, 23, &hour) || !take_field(&in, ':', 0, 59, &minute) ||
        !take_field(&in, ':', 0, 59, &second))
        return false;
    if (!take_fraction(&in, &fraction) || !take(&in, 'Z') || in.next != in.end) return false;
    return join(days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second, fraction, ret_microseconds);
}
