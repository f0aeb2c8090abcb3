/*
 * listen_forward.h - hands a reply to an HTTP endpoint: POST of its value as JSON, signed as Standard Webhooks say (webhook.h).
 * 2xx takes it; 410 ends it for good; anything else, and no answer within 20 s, is tried again; Retry-After is heeded up to an
 * hour. Redirects aren't followed. Threads: one per listen_forward.
 */
#ifndef PAY_TOOLS_LISTEN_FORWARD_H
#define PAY_TOOLS_LISTEN_FORWARD_H

#include "tools/listen_deliver.h"
#include "tools/webhook.h"

/* Before the first thread. */
void listen_forward_begin(void);

/* `url` and `secrets` must live as long as the port. False: `url` is none. */
bool listen_forward_port(const char *url, const struct webhook_secrets *secrets, struct listen_port *ret_port);
void listen_forward_close(struct listen_port *port);

#endif
