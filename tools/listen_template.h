/*
 * listen_template.h - a reply as a line of the user's own making: "{order_id} {outcome} {reason|-}".
 *
 *     {NAME}           a member of the reply value; also stored.NAME, and metadata.NAME.NAME.. by any path
 *     {NAME|TEXT}      TEXT where the member is null or isn't there; else nothing is written then
 *     {{  }}           a brace
 * Also there: ledger_id, log_generation, partition, source_offset, reply_offset, appended_ms, which come with the reply.
 * Values are written as listen_member.h says, so a line stays one line.
 * Memory: a template points into its text. Threads: any.
 */
#ifndef PAY_TOOLS_LISTEN_TEMPLATE_H
#define PAY_TOOLS_LISTEN_TEMPLATE_H

#include <paybuf/listener.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define LISTEN_TEMPLATE_PARTS_MAX 128 /* a line has at most so many times a reply's length */

enum listen_part {
    LISTEN_PART_TEXT,
    LISTEN_PART_VALUE, /* a member of the reply value */
    LISTEN_PART_LEDGER_ID,
    LISTEN_PART_LOG_GENERATION,
    LISTEN_PART_PARTITION,
    LISTEN_PART_SOURCE_OFFSET,
    LISTEN_PART_REPLY_OFFSET,
    LISTEN_PART_APPENDED_MS
};

struct listen_template {
    struct listen_template_part {
        enum listen_part kind;
        const char *text; /* the text, or the path of a member */
        size_t length;
        const char *fallback;
        size_t fallback_length;
    } parts[LISTEN_TEMPLATE_PARTS_MAX];
    size_t count;
};

/* False, and *ret_template untouched: *ret_why, for "--template: %s". */
bool listen_template_parse(const char *text, struct listen_template *ret_template, char *ret_why, size_t why_size);

/* The line, without its end. False, and nothing is written: the value is no reply as we know it. */
bool listen_template_print(const struct listen_template *template, const struct paybuf_listener_reply *reply,
                           FILE *file);

#endif
