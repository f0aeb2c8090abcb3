#include "producer/order_token.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAC_BYTES 16 /* 128 bits: nobody guesses them, and the id stays within PAY_ID_MAX */
#define MAC_LENGTH 22
#define SECRET_MAX 256
#define DAY_MS 86400000LL

_Static_assert(PAY_UUID_LENGTH + 1 + MAC_LENGTH <= PAY_ID_MAX, "an id with its token is an order id");

struct secret {
    char text[SECRET_MAX + 1];
    size_t length;
};

struct pay_order_tokens {
    char *path;
    int64_t expire_days;
    struct secret secrets[PAY_TOKEN_SECRETS_MAX];
    uint32_t count;
};

/* --- the secrets -------------------------------------------------------------------------------------------------------------- */

/* NULL, or what is wrong. */
static const char *read_secrets(FILE *in, struct pay_order_tokens *tokens) {
    char line[SECRET_MAX + 3];
    tokens->count = 0;
    while (fgets(line, sizeof line, in) != NULL) {
        size_t length = strcspn(line, "\r\n");
        if (length == 0) continue;
        if (length > SECRET_MAX) return "a secret has at most 256 characters";
        if (length < PAY_TOKEN_SECRET_LEAST)
            return "a secret has at least 32 characters; make one with: openssl rand -hex 32";
        if (tokens->count == PAY_TOKEN_SECRETS_MAX) return "there are at most 8 secrets";
        struct secret *secret = &tokens->secrets[tokens->count++];
        memcpy(secret->text, line, length);
        secret->length = length;
    }
    return tokens->count > 0 ? NULL : "there is no secret in it; make one with: openssl rand -hex 32";
}

bool pay_order_tokens_reload(struct pay_order_tokens *tokens, char *ret_message, size_t message_size) {
    struct pay_order_tokens fresh = *tokens;
    FILE *in = fopen(tokens->path, "re");
    if (in == NULL) {
        snprintf(ret_message, message_size, "can't read the token secrets in %s: %s", tokens->path, strerror(errno));
        return false;
    }
    const char *wrong = read_secrets(in, &fresh);
    fclose(in);
    if (wrong == NULL)
        *tokens = fresh;
    else
        snprintf(ret_message, message_size, "%s: %s", tokens->path, wrong);
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return wrong == NULL;
}

struct pay_order_tokens *pay_order_tokens_open(const char *path, int64_t expire_days, char *ret_message,
                                               size_t message_size) {
    struct pay_order_tokens *tokens = calloc(1, sizeof *tokens);
    if (tokens == NULL) abort(); /* out of memory: accepted payments are in the log */
    tokens->expire_days = expire_days;
    tokens->path = strdup(path);
    if (tokens->path == NULL) abort();
    if (pay_order_tokens_reload(tokens, ret_message, message_size)) return tokens;
    pay_order_tokens_close(tokens);
    return NULL;
}

void pay_order_tokens_close(struct pay_order_tokens *tokens) {
    if (tokens == NULL) return;
    free(tokens->path);
    OPENSSL_cleanse(tokens, sizeof *tokens);
    free(tokens);
}

/* --- ids ---------------------------------------------------------------------------------------------------------------------- */

/* RFC 9562, version 7: milliseconds, a counter of 12 bits that begins low in each of them, 62 random bits. */
static void make_uuid(int64_t now_us, char ret_uuid[PAY_UUID_LENGTH + 1]) {
    static int64_t last_ms;
    static uint32_t counter;
    uint64_t bits;
    uint16_t low;
    pay_random(&bits, sizeof bits);
    pay_random(&low, sizeof low);
    if (now_us / 1000 > last_ms) {
        last_ms = now_us / 1000;
        counter = low & 0x3ff;
    } else if (++counter > 0xfff) { /* more than the counter holds, or the clock stands: ahead of it */
        last_ms++;
        counter = low & 0x3ff;
    }
    uint64_t time = (uint64_t)last_ms;
    snprintf(ret_uuid, PAY_UUID_LENGTH + 1, "%08" PRIx64 "-%04" PRIx64 "-7%03" PRIx32 "-%04" PRIx64 "-%012" PRIx64,
             time >> 16 & 0xffffffff, time & 0xffff, counter, (bits >> 48 & 0x3fff) | 0x8000, bits & 0xffffffffffff);
}

static void base64url(const unsigned char bytes[MAC_BYTES], char ret_text[MAC_LENGTH]) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0, count = 0, at = 0;
    for (uint32_t i = 0; i < MAC_BYTES; i++) {
        bits = bits << 8 | bytes[i];
        for (count += 8; count >= 6; count -= 6) ret_text[at++] = digits[bits >> (count - 6) & 63];
    }
    ret_text[at] = digits[bits << (6 - count) & 63];
}

static void sign(const struct secret *secret, const char *tenant, const char *uuid, char ret_mac[MAC_LENGTH]) {
    unsigned char text[PAY_ID_MAX + 1 + PAY_UUID_LENGTH], mac[EVP_MAX_MD_SIZE];
    size_t length = strlen(tenant) + 1;
    memcpy(text, tenant, length);
    memcpy(text + length, uuid, PAY_UUID_LENGTH);
    if (HMAC(EVP_sha256(), secret->text, (int)secret->length, text, length + PAY_UUID_LENGTH, mac, NULL) == NULL)
        abort(); /* out of memory */
    base64url(mac, ret_mac);
}

void pay_order_id_make(const struct pay_order_tokens *tokens, const char *tenant, int64_t now_us,
                       char ret_id[PAY_ID_MAX + 1]) {
    make_uuid(now_us, ret_id);
    if (tokens == NULL) return;
    ret_id[PAY_UUID_LENGTH] = '.';
    sign(&tokens->secrets[0], tenant, ret_id, ret_id + PAY_UUID_LENGTH + 1);
    ret_id[PAY_UUID_LENGTH + 1 + MAC_LENGTH] = '\0';
}

/* --- judging ------------------------------------------------------------------------------------------------------------------ */

static bool has_form(const char *id) {
    return strlen(id) == PAY_UUID_LENGTH + 1 + MAC_LENGTH && id[PAY_UUID_LENGTH] == '.' &&
           strspn(id, "0123456789abcdef-") == PAY_UUID_LENGTH && id[8] == '-' && id[13] == '-' && id[14] == '7';
}

static int64_t made_ms(const char *id) {
    char digits[13];
    memcpy(digits, id, 8);
    memcpy(digits + 8, id + 9, 4);
    digits[12] = '\0';
    return (int64_t)strtoull(digits, NULL, 16);
}

enum pay_token_verdict pay_order_token_judge(const struct pay_order_tokens *tokens, const char *tenant,
                                             const char *order_id, int64_t now_us) {
    char mac[MAC_LENGTH];
    bool good = false;
    if (!has_form(order_id)) return PAY_TOKEN_NONE;
    for (uint32_t i = 0; i < tokens->count && !good; i++) {
        sign(&tokens->secrets[i], tenant, order_id, mac);
        good = CRYPTO_memcmp(mac, order_id + PAY_UUID_LENGTH + 1, MAC_LENGTH) == 0;
    }
    if (!good) return PAY_TOKEN_WRONG;
    return now_us / 1000 - made_ms(order_id) > tokens->expire_days * DAY_MS ? PAY_TOKEN_EXPIRED : PAY_TOKEN_GOOD;
}
