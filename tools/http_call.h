/* http_call.h - one call of the intake through libcurl. Threads: one. */
#ifndef PAY_TOOLS_HTTP_CALL_H
#define PAY_TOOLS_HTTP_CALL_H

#include "tools/tool.h"

struct http_answer {
    long status;
    char *body; /* to be freed; NUL after `length` bytes */
    size_t length;
};

/* PAYBUF_HTTP_URL or http://[producer] listen, and `path`. */
void http_url(const struct tool *tool, const char *path, char *ret_url, size_t size);

/* POSTs JSON, or what a Content-Type in `header` says; `body` NULL: GET. `header` may be "". PAY_EXIT_OK when there is an answer, whatever its status; else everything was said. */
enum pay_exit http_post(struct tool *tool, const char *url, const char *header, const char *body, int64_t wait_seconds,
                        struct http_answer *ret_answer);

#endif
