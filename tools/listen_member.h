/*
 * listen_member.h - a member of a JSON document by its dotted path, and its value as text that stays on one line.
 *
 * A value's bytes are as they were sent, so numbers keep their digits whatever their size. `json` must be accepted by pay_reply_parse
 * or another reader of the codec. A name with a '.' in it can't be reached, nor an element of an array.
 * Memory: the caller's bytes are only read; what is found points into them. Threads: any.
 */
#ifndef PAY_TOOLS_LISTEN_MEMBER_H
#define PAY_TOOLS_LISTEN_MEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct listen_member {
    const char *bytes;
    size_t length;
};

/* False: it isn't there, or is null. */
bool listen_member_find(const char *json, size_t length, const char *path, size_t path_length,
                        struct listen_member *ret_member);

/*
 * A string without its quotes: control characters (also U+0080-009F and the line ends U+2028, U+2029) and backslashes are escaped as
 * JSON does, so that it can be read back. Objects and arrays are JSON, numbers and true and false as they were sent.
 */
void listen_member_print(FILE *file, const struct listen_member *member);

#endif
