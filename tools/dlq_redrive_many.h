/*
 * dlq_redrive_many.h - many letters as new requests: the picked ones with their own bytes, or those of a file with corrected ones.
 *
 * Without `yes` it judges every letter and counts, and sends nothing. What nobody would take is left open and told. A letter that
 * has a marker already isn't picked, so the same call again goes on where one was interrupted.
 */
#ifndef PAY_TOOLS_DLQ_REDRIVE_MANY_H
#define PAY_TOOLS_DLQ_REDRIVE_MANY_H

#include "tools/dlq_pick.h"
#include "tools/dlq_redrive.h"

struct redrive_how {
    bool yes;
    int64_t rate;          /* letters a second at most; 0: no limit */
    const char *corrected; /* lines as dlq export writes them; NULL: the picked letters' own bytes; "-": stdin */
};

enum pay_exit redrive_many(struct redrive *redrive, const struct dlq_pick *pick, const struct redrive_how *how);

#endif
