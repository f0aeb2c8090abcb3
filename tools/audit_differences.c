#include "tools/audit_differences.h"

#include <stdarg.h>
#include <stdio.h>

void difference_add(struct differences *differences, const char *kind, const char *where, const char *format, ...) {
    if (differences->count < DIFFERENCES_LISTED) {
        struct difference *difference = &differences->listed[differences->count];
        difference->kind = kind;
        snprintf(difference->where, sizeof difference->where, "%s", where);
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(difference->detail, sizeof difference->detail, format, arguments);
        va_end(arguments);
    }
    differences->count++;
}

void differences_append(struct differences *differences, const struct differences *more) {
    for (int64_t i = 0; i < more->count && i < DIFFERENCES_LISTED; i++, differences->count++)
        if (differences->count < DIFFERENCES_LISTED) differences->listed[differences->count] = more->listed[i];
    if (more->count > DIFFERENCES_LISTED) differences->count += more->count - DIFFERENCES_LISTED;
}
