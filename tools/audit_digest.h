/*
 * audit_digest.h - the SHA-256 of what an audit covered: the same ledger gives the same one, online and from a dump.
 *
 * It covers entries as dump_format encodes them, one behind the other.
 * Memory: audit_digest_close frees.
 * Threads: one each.
 */
#ifndef PAY_TOOLS_AUDIT_DIGEST_H
#define PAY_TOOLS_AUDIT_DIGEST_H

#include "tools/dump_format.h"

#define AUDIT_DIGEST_TEXT 65 /* 64 hex digits and a NUL */

struct audit_digest {
    void *context;
    struct dump_bytes pending;
};

void audit_digest_open(struct audit_digest *digest);
void audit_digest_record(struct audit_digest *digest, const struct pay_log_record *record);
void audit_digest_row(struct audit_digest *digest, const struct audit_row *row);
void audit_digest_text(struct audit_digest *digest, const char *text);
void audit_digest_close(struct audit_digest *digest, char ret_hex[AUDIT_DIGEST_TEXT]);

#endif
