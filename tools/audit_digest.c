#include "tools/audit_digest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PENDING_BYTES 32768u

void audit_digest_open(struct audit_digest *digest) {
    *digest = (struct audit_digest){.context = EVP_MD_CTX_new()};
    if (digest->context == NULL || EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) != 1) abort();
}

static void flush(struct audit_digest *digest) {
    if (EVP_DigestUpdate(digest->context, digest->pending.bytes, digest->pending.length) != 1) abort();
    digest->pending.length = 0;
}

void audit_digest_record(struct audit_digest *digest, const struct pay_log_record *record) {
    dump_encode_record(&digest->pending, record);
    if (digest->pending.length > PENDING_BYTES) flush(digest);
}

void audit_digest_row(struct audit_digest *digest, const struct audit_row *row) {
    dump_encode_row(&digest->pending, row);
    if (digest->pending.length > PENDING_BYTES) flush(digest);
}

void audit_digest_text(struct audit_digest *digest, const char *text) {
    if (EVP_DigestUpdate(digest->context, text, strlen(text)) != 1) abort();
}

void audit_digest_close(struct audit_digest *digest, char ret_hex[AUDIT_DIGEST_TEXT]) {
    unsigned char bytes[32];
    ret_hex[0] = '\0';
    if (digest->context == NULL) return;
    flush(digest);
    if (EVP_DigestFinal_ex(digest->context, bytes, NULL) != 1) abort();
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(ret_hex + 2 * i, 3, "%02x", bytes[i]);
    EVP_MD_CTX_free(digest->context);
    dump_bytes_free(&digest->pending);
    digest->context = NULL;
}
