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
