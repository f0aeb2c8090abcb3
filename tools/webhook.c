#include "tools/webhook.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "whsec_"
#define KEY_MIN 24

/* False: no secret of the form that Standard Webhooks asks for. */
static bool take_secret(const char *text, struct webhook_secrets *secrets) {
    uint8_t bytes[WEBHOOK_KEY_MAX + 8];
    size_t digits = strlen(text);
    if (secrets->count == WEBHOOK_SECRETS_MAX || strncmp(text, PREFIX, sizeof PREFIX - 1) != 0) return false;
    text += sizeof PREFIX - 1;
    digits -= sizeof PREFIX - 1;
    if (digits % 4 != 0 || digits / 4 * 3 > sizeof bytes) return false;
    int length = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)digits);
    if (length < 0) return false;
    for (size_t i = digits; i > 0 && text[i - 1] == '='; i--) length--; /* it counts the padding */
    if (length < KEY_MIN || length > WEBHOOK_KEY_MAX) return false;
    memcpy(secrets->keys[secrets->count], bytes, (size_t)length);
    secrets->lengths[secrets->count++] = (size_t)length;
    return true;
}

bool webhook_secrets_load(const char *path, struct webhook_secrets *ret_secrets, char *ret_why, size_t why_size) {
    struct webhook_secrets secrets = {.count = 0};
    char line[256];
    int number = 0;
    bool good = true;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        snprintf(ret_why, why_size, "can't read the secrets in %s: %s", path, strerror(errno));
        return false;
    }
    while (good && fgets(line, sizeof line, file) != NULL) {
        number++;
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0') good = take_secret(line, &secrets);
    }
    fclose(file);
    if (good && secrets.count > 0) {
        *ret_secrets = secrets;
        return true;
    }
    char at[24] = " is empty";
    if (number > 0) snprintf(at, sizeof at, " line %d", number);
    snprintf(ret_why, why_size,
             "%s%s: wanted are 1 to %d secrets, a line each: whsec_ and the base64 of 24 to 64 random bytes; "
             "echo whsec_$(openssl rand -base64 32) makes one",
             path, at, WEBHOOK_SECRETS_MAX);
    return false;
}

void webhook_sign(const struct webhook_secrets *secrets, const char *id, int64_t timestamp_s, const char *body,
                  size_t length, char ret_signatures[WEBHOOK_SIGNATURES_MAX]) {
    char head[256];
    unsigned char digest[EVP_MAX_MD_SIZE], text[64];
    int head_length = snprintf(head, sizeof head, "%s.%" PRId64 ".", id, timestamp_s);
    char *signed_bytes = malloc((size_t)head_length + length);
    if (signed_bytes == NULL) abort();
    memcpy(signed_bytes, head, (size_t)head_length);
    memcpy(signed_bytes + head_length, body, length);
    size_t at = 0;
    for (size_t i = 0; i < secrets->count; i++) {
        unsigned digest_length = 0;
        if (HMAC(EVP_sha256(), secrets->keys[i], (int)secrets->lengths[i], (const unsigned char *)signed_bytes,
                 (size_t)head_length + length, digest, &digest_length) == NULL)
            abort();
        EVP_EncodeBlock(text, digest, (int)digest_length);
        at += (size_t)snprintf(ret_signatures + at, WEBHOOK_SIGNATURES_MAX - at, "%sv1,%s", i > 0 ? " " : "", text);
    }
    free(signed_bytes);
}
