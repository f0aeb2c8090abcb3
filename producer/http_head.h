/*
 * http_head.h - the rules for a request's head that keep two readers of one message from disagreeing (request smuggling),
 * and the strict decoding of paths. Pure. Memory: plain values. Threads: any.
 */
#ifndef PAY_PRODUCER_HTTP_HEAD_H
#define PAY_PRODUCER_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Begins zeroed but for http_1_1; every header goes through take; then judge. */
struct pay_http_head {
    bool http_1_1;
    uint32_t content_lengths, transfer_encodings, hosts, content_types, authorizations;
    bool odd_name, odd_value, odd_coding, odd_length, odd_host;
    bool expects;    /* Expect: 100-continue: the client waits before it sends the body */
    uint64_t length; /* Content-Length, UINT64_MAX when larger than that; 0 when absent */
};

void pay_http_head_take(struct pay_http_head *head, const char *name, size_t name_length, const char *value,
                        size_t value_length);
/* NULL: fine. Else the rule that is broken, as a sentence for the client. Static. */
const char *pay_http_head_judge(const struct pay_http_head *head);

/* %XX decoded, once; NULL: fine, else what is wrong. A NUL, a control character or a broken escape is wrong. */
const char *pay_http_path_decode(const char *raw, char *ret_path, size_t size);

#endif
