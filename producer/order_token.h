/*
 * order_token.h - order ids that the intake issues: time-ordered (UUIDv7), and, where a secret is set, with a token.
 *
 * With a token an id is UUID.MAC: 36 characters, a dot, and 22 of base64url: the first 128 bits of HMAC-SHA256(secret, tenant NUL UUID).
 * So the token can't be lost apart from its id, goes wherever an order id goes, and needs no storage: every intake that has the secret
 * can judge it. The UUID has the time of its making, so the token's end is known, too (decision 025).
 *
 * The secret's file has one secret per line, at least 32 characters each: the first one signs, all of them are good.
 * Promises: ids of one process rise; a MAC is compared in constant time. Threads: one.
 */
#ifndef PAY_PRODUCER_ORDER_TOKEN_H
#define PAY_PRODUCER_ORDER_TOKEN_H

#include "core/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAY_UUID_LENGTH 36
#define PAY_TOKEN_SECRET_LEAST 32
#define PAY_TOKEN_SECRETS_MAX 8

struct pay_order_tokens;

/* NULL: *ret_message says what is wrong with the file. */
struct pay_order_tokens *pay_order_tokens_open(const char *path, int64_t expire_days, char *ret_message,
                                               size_t message_size);
bool pay_order_tokens_reload(struct pay_order_tokens *tokens, char *ret_message, size_t message_size);
void pay_order_tokens_close(struct pay_order_tokens *tokens); /* NULL is fine */

/* A new id; tokens NULL: a bare UUID. */
void pay_order_id_make(const struct pay_order_tokens *tokens, const char *tenant, int64_t now_us,
                       char ret_id[PAY_ID_MAX + 1]);

enum pay_token_verdict { PAY_TOKEN_GOOD, PAY_TOKEN_NONE, PAY_TOKEN_WRONG, PAY_TOKEN_EXPIRED };
enum pay_token_verdict pay_order_token_judge(const struct pay_order_tokens *tokens, const char *tenant,
                                             const char *order_id, int64_t now_us);

#endif
