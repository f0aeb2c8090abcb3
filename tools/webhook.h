/*
 * webhook.h - Standard Webhooks (standardwebhooks.com): who sent this, when, and that nobody changed it.
 *
 * Headers: webhook-id (the same at every try: the receiver's key against repeats), webhook-timestamp (seconds), webhook-signature:
 * "v1," and the base64 of HMAC-SHA256 over "id.timestamp.body", one for each secret, so that secrets can be changed without a pause.
 * Threads: any. Memory: plain values.
 */
#ifndef PAY_TOOLS_WEBHOOK_H
#define PAY_TOOLS_WEBHOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEBHOOK_SECRETS_MAX 4
#define WEBHOOK_KEY_MAX 64
#define WEBHOOK_SIGNATURES_MAX (WEBHOOK_SECRETS_MAX * 48 + 1) /* "v1," and 44 characters, with a space between */

struct webhook_secrets {
    uint8_t keys[WEBHOOK_SECRETS_MAX][WEBHOOK_KEY_MAX];
    size_t lengths[WEBHOOK_SECRETS_MAX];
    size_t count;
};

/* A line each: "whsec_" and the base64 of 24 to 64 bytes; empty lines are left out. False: *ret_why. */
bool webhook_secrets_load(const char *path, struct webhook_secrets *ret_secrets, char *ret_why, size_t why_size);

/* The value of webhook-signature. */
void webhook_sign(const struct webhook_secrets *secrets, const char *id, int64_t timestamp_s, const char *body,
                  size_t length, char ret_signatures[WEBHOOK_SIGNATURES_MAX]);

#endif
