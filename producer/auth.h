/*
 * auth.h - API keys: who a caller is, what they may do, and how much of it.
 *
 * The file has a line per key, `name tenant scopes sha256 [rate=N] [burst=N]`, and # comments; scopes are pay, read, admin (admin means
 * all), with commas; sha256 is the key's, 64 hexadecimal digits: the keys themselves are stored nowhere. rate: payments a second
 * (absent: no quota), burst: how many at once (default: one second's).
 *
 * Promises: a key is compared with every line in the same time, found or not; a reload that fails changes nothing; one that succeeds
 * keeps the buckets of the names that stay, and what a caller holds stays valid.
 * Threads: one.
 */
#ifndef PAY_PRODUCER_AUTH_H
#define PAY_PRODUCER_AUTH_H

#include "core/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAY_AUTH_KEYS_MAX 1024
#define PAY_AUTH_RATE_MAX 1000000

enum pay_scope {
    PAY_SCOPE_NONE = 0, /* of a route: no key is asked for */
    PAY_SCOPE_PAY = 1,
    PAY_SCOPE_READ = 2,
    PAY_SCOPE_ADMIN = 4,
    PAY_SCOPE_ALL = 7
};

struct pay_quota; /* a token bucket; lives as long as the pay_auth */

struct pay_caller {
    char tenant[PAY_ID_MAX + 1];
    uint32_t scopes;
    struct pay_quota *quota; /* NULL: none */
};

struct pay_auth;

/* NULL: *ret_message says what is wrong with the file and where. */
struct pay_auth *pay_auth_open(const char *path, char *ret_message, size_t message_size);
bool pay_auth_reload(struct pay_auth *auth, char *ret_message, size_t message_size);
uint32_t pay_auth_count(const struct pay_auth *auth);
void pay_auth_close(struct pay_auth *auth); /* NULL is fine */

/* The value of Authorization (NULL: not sent). False: no such key. */
bool pay_auth_find(const struct pay_auth *auth, const char *authorization, struct pay_caller *ret_caller);

struct pay_quota_state {
    int64_t limit;   /* the bucket's size */
    int64_t left;    /* whole payments in it now */
    int64_t rate;    /* per second */
    int64_t reset_s; /* until it is full again */
};
/* Takes one; false: there is none now. *ret_state, if wanted, says how it stands. NULL quota: always true, *ret_state untouched. */
bool pay_quota_take(struct pay_quota *quota, int64_t now_us, struct pay_quota_state *ret_state);

const char *pay_scope_name(enum pay_scope scope);

#endif
