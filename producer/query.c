#include "producer/query.h"

#include "core/position.h"
#include "producer/http_head.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void pay_query_begin(struct pay_query *ret_query, const char *const *names) {
    memset(ret_query, 0, offsetof(struct pay_query, text));
    ret_query->names = names;
}

static void refuse(struct pay_query *query, const char *name, const char *rule) {
    snprintf(query->detail, sizeof query->detail, "The query parameter %.40s %s.", name, rule);
    query->wrong = query->detail;
}

void pay_query_take(void *argument, const char *name, const char *value) {
    struct pay_query *query = argument;
    size_t index = 0;
    char *room = query->text + query->used;
    if (query->wrong != NULL) return;
    while (query->names[index] != NULL && strcmp(query->names[index], name) != 0) index++;
    assert(index < PAY_QUERY_NAMES_MAX);
    if (query->names[index] == NULL) {
        refuse(query, name, "isn't known here");
    } else if (query->values[index] != NULL) {
        refuse(query, name, "is given more than once");
    } else if (value == NULL || *value == '\0') {
        refuse(query, name, "has no value");
    } else if (pay_http_path_decode(value, room, sizeof query->text - query->used) != NULL) {
        refuse(query, name, "is too long, or holds a broken %-escape or a control character");
    } else {
        query->values[index] = room;
        query->used += strlen(room) + 1;
    }
}

bool pay_query_number(const char *value, long least, long most, long *ret_number) {
    int64_t number;
    if (!pay_decimal_parse(value, strlen(value), &number) || number < least || number > most) return false;
    *ret_number = (long)number;
    return true;
}
