/*
 * outcome.h - the words of the contract: outcomes, reasons, fields, account states, halt reasons.
 *
 * Each enum has one table of names; the names are what replies, rows, metrics and `status` print.
 * The numbers are stored nowhere: rows carry the names.
 * Threads: any. The returned names are static.
 */
#ifndef PAY_CORE_OUTCOME_H
#define PAY_CORE_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>

enum pay_outcome { PAY_PAID, PAY_DECLINED, PAY_CONFLICT, PAY_INVALID, PAY_OUTCOME_COUNT };

enum pay_reason {
    PAY_REASON_NONE,
    /* declined, judged in this order */
    PAY_UNKNOWN_ACCOUNT,
    PAY_ACCOUNT_CLOSED,
    PAY_ACCOUNT_FROZEN,
    PAY_CURRENCY_MISMATCH,
    PAY_INSUFFICIENT_FUNDS,
    /* conflict, the first that applies */
    PAY_ACCOUNT_ID_DIFFERS,
    PAY_AMOUNT_MINOR_DIFFERS,
    PAY_CURRENCY_DIFFERS,
    PAY_ALREADY_PAID,
    /* invalid, judged in this order */
    PAY_TOO_LARGE,
    PAY_MALFORMED_JSON,
    PAY_BAD_FIELD,
    PAY_BAD_TENANT,
    PAY_KEY_MISMATCH,
    PAY_ATTEMPT_OUT_OF_SEQUENCE,
    PAY_REASON_COUNT
};

/* The member that a bad_field names. */
enum pay_field {
    PAY_FIELD_NONE,
    PAY_FIELD_ORDER_ID,
    PAY_FIELD_ATTEMPT,
    PAY_FIELD_ACCOUNT_ID,
    PAY_FIELD_AMOUNT_MINOR,
    PAY_FIELD_CURRENCY,
    PAY_FIELD_METADATA,
    PAY_FIELD_COUNT
};

enum pay_account_state {
    PAY_ACCOUNT_ACTIVE,
    PAY_ACCOUNT_STATE_FROZEN,
    PAY_ACCOUNT_STATE_CLOSED,
    PAY_ACCOUNT_STATE_COUNT
};

/* Why a lane (or, for the first one, the whole ledger) stands still until a person has looked. */
enum pay_halt {
    PAY_HALT_NONE,
    PAY_HALT_DATABASE_ROLLED_BACK,
    PAY_HALT_LOG_TRUNCATED,
    PAY_HALT_LOG_REPLACED,
    PAY_HALT_REQUESTS_LOST,
    PAY_HALT_REPLIES_LOST,
    PAY_HALT_REPLY_LOG_TRUNCATED,
    PAY_HALT_FOREIGN_LEDGER,
    PAY_HALT_OTHER_GROUP,
    PAY_HALT_OTHER_CLUSTER,
    PAY_HALT_POISON,
    PAY_HALT_BROKEN_INVARIANT,
    PAY_HALT_COUNT
};

const char *pay_outcome_name(enum pay_outcome outcome);
const char *pay_reason_name(enum pay_reason reason); /* NULL for PAY_REASON_NONE */
const char *pay_field_name(enum pay_field field);    /* NULL for PAY_FIELD_NONE */
const char *pay_account_state_name(enum pay_account_state state);
const char *pay_halt_name(enum pay_halt halt); /* NULL for PAY_HALT_NONE */
const char *pay_halt_hint(enum pay_halt halt); /* one sentence: what happened and where to look; NULL for NONE */

/* The inverse, for rows read back; false for a name that isn't in the table. */
bool pay_outcome_from_name(const char *name, size_t length, enum pay_outcome *ret_outcome);
bool pay_reason_from_name(const char *name, size_t length, enum pay_reason *ret_reason);
bool pay_field_from_name(const char *name, size_t length, enum pay_field *ret_field);
bool pay_account_state_from_name(const char *name, size_t length, enum pay_account_state *ret_state);
bool pay_halt_from_name(const char *name, size_t length, enum pay_halt *ret_halt);

#endif
