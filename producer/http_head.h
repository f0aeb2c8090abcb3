/*
 * http_head.h - the rules for a request's head that keep two readers of one message from disagreeing (request smuggling),
 * and the strict decoding of paths. Pure. Memory: plain values. Threads: any.
 */
#ifndef PAY_PRODUCER_HTTP_HEAD_H
#define PAY_PRODUCER_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* begin; every header goes through take; then judge. */
struct pay_http_head {
    bool http_1_1;
    uint32_t content_lengths, transfer_encodings, hosts, content_types, authorizations;
    bool odd_method, odd_version, odd_name, odd_value, odd_coding, odd_length, odd_host, odd_expectation;
    bool expects;    /* Expect: 100-continue: the client waits before it sends the body */
    uint64_t length; /* Content-Length, UINT64_MAX when larger than that; 0 when absent */
};

void pay_http_head_begin(struct pay_http_head *ret_head, const char *method, const char *version);
void pay_http_head_take(struct pay_http_head *head, const char *name, size_t name_length, const char *value,
                        size_t value_length);
/* NULL: fine. Else the rule that is broken, as a sentence for the client. Static. */
const char *pay_http_head_judge(const struct pay_http_head *head);

/*
 * Of chunks, libmicrohttpd 0.9.75 also takes lines that end with LF alone. Its buffer begins at `buffer` whenever it hands out a piece of
 * a body, so what stands before a piece that doesn't lie there is its chunk's size line, and the end of the chunk before (data that end with
 * CR hide an LF alone behind them).
 */
bool pay_http_chunk_begins_well(const char *buffer, const char *piece);

/* The request line's target as it was sent, with its query. NULL: fine, else the rule that is broken. Static. */
const char *pay_http_target_judge(const char *target);
/* Where the path of a judged target begins: behind the authority, if it has one, which must then be `host` (NULL: no Host was sent).
 * NULL: fine, else what is wrong. */
const char *pay_http_target_path(const char *target, const char *host, const char **ret_path);
/* %XX decoded, once; NULL: fine, else what is wrong: a control character, a broken escape, and what some readers take for another
 * path: an escaped slash, a segment of dots. */
const char *pay_http_path_decode(const char *raw, char *ret_path, size_t size);

#endif
