#include "tools/replay_life.h"

#include "core/money.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void replay_life_begin(struct replay_life *life, replay_difference_fn told, void *argument) {
    *life = (struct replay_life){.told = told, .argument = argument};
}

static void copy(char *target, size_t size, const char *text) {
    snprintf(target, size, "%s", text != NULL ? text : "-");
}

void replay_tell(struct replay_life *life, const struct pay_record *record, const char *field, const char *stored,
                 const char *replayed, const char *why) {
    struct replay_difference difference = {.record = record, .field = field};
    copy(difference.stored, sizeof difference.stored, stored);
    copy(difference.replayed, sizeof difference.replayed, replayed);
    copy(difference.why, sizeof difference.why, why);
    life->told(life->argument, &difference);
}

/* ---- accounts ---- */

static void turn_to(struct replay_life *life, const char *tenant, const char *account_id) {
    struct pay_account *account = &life->account;
    if (strcmp(account->tenant, tenant) == 0 && strcmp(account->account_id, account_id) == 0) return;
    *account = (struct pay_account){.state = PAY_ACCOUNT_ACTIVE};
    snprintf(account->tenant, sizeof account->tenant, "%s", tenant);
    snprintf(account->account_id, sizeof account->account_id, "%s", account_id);
    life->row_currency[0] = '\0';
    life->passed_count = 0;
}

static void pass(struct replay_life *life, const struct pay_position *position) {
    life->passed[life->passed_count++ % REPLAY_PASSED_MAX] = *position;
}

static bool was_passed(const struct replay_life *life, const struct pay_position *position) {
    for (size_t i = 0; i < life->passed_count && i < REPLAY_PASSED_MAX; i++)
        if (pay_position_equal(&life->passed[i], position)) return true;
    return false;
}

static void adjust(struct pay_account *account, enum adjustment_kind kind, int64_t amount_minor) {
    struct adjusted_account lived = {
        .balance_minor = account->balance_minor, .floor_minor = account->floor_minor, .state = account->state};
    adjustment_live(&lived, kind, amount_minor);
    account->balance_minor = lived.balance_minor;
    account->floor_minor = lived.floor_minor;
    account->state = lived.state;
}

/* An event that isn't decided again: as the rows have it. */
void replay_life_event(struct replay_life *life, const struct book_event *event) {
    struct pay_account *account = &life->account;
    enum adjustment_kind kind;
    turn_to(life, event->tenant, event->account_id);
    if (event->version == 0) { /* the account's row: it is open from its opening on */
        snprintf(life->row_currency, sizeof life->row_currency, "%s", event->currency);
        return;
    }
    if (was_passed(life, &event->position)) return;
    account->found = true;
    memcpy(account->currency, life->row_currency, sizeof account->currency);
    account->version = event->version;
    if (adjustment_kind_from_name(event->kind, &kind))
        adjust(account, kind, event->amount_minor);
    else if (strcmp(event->kind, "paid") == 0)
        (void)pay_money_subtract(account->balance_minor, event->amount_minor, &account->balance_minor);
}

/* ---- comparing ---- */

static void number(char text[80], bool there, int64_t value) {
    if (there)
        snprintf(text, 80, "%" PRId64, value);
    else
        snprintf(text, 80, "-");
}

struct comparing {
    struct replay_life *life;
    const struct replay_case *one;
    char account[200]; /* as it was before the decision */
    bool differs;
};

static void compare(struct comparing *comparing, const char *field, const char *stored, const char *replayed,
                    const char *why) {
    stored = stored != NULL ? stored : "-";
    replayed = replayed != NULL ? replayed : "-";
    if (strcmp(stored, replayed) == 0) return;
    comparing->differs = true;
    replay_tell(comparing->life, &comparing->one->record, field, stored, replayed, why);
}

static void compare_decision(struct comparing *comparing, const struct pay_decision *stored,
                             const struct pay_answer *answer) {
    static const char bytes[] = "the request's own bytes say so";
    const struct pay_request *request = &comparing->one->record.request;
    const struct pay_decision *replayed = &answer->decision;
    bool judged = answer->has_decision && answer->outcome != PAY_CONFLICT && replayed->has_account;
    char left[80], right[80];
    compare(comparing, "outcome", pay_outcome_name(stored->outcome), pay_outcome_name(answer->outcome),
            comparing->account);
    compare(comparing, "reason", pay_reason_name(stored->reason), pay_reason_name(answer->reason), comparing->account);
    compare(comparing, "account_id", stored->account_id, request->account_id, bytes);
    number(left, true, stored->amount_minor);
    number(right, true, request->amount_minor);
    compare(comparing, "amount_minor", left, right, bytes);
    compare(comparing, "currency", stored->currency, request->currency, bytes);
    number(left, stored->has_account, stored->balance_after_minor);
    number(right, judged, replayed->balance_after_minor);
    compare(comparing, "balance_after_minor", left, right, comparing->account);
    number(left, stored->has_account, stored->account_version);
    number(right, judged, replayed->account_version);
    compare(comparing, "account_version", left, right, comparing->account);
}

static void describe(const struct pay_account *account, char text[200]) {
    if (account->found)
        snprintf(text, 200,
                 "the account was %s then, balance %" PRId64 ", floor %" PRId64 ", %s, after version %" PRId64,
                 pay_account_state_name(account->state), account->balance_minor, account->floor_minor,
                 account->currency, account->version);
    else
        snprintf(text, 200, "there was no such account then");
}

/* Rows are missing before this one: their money is in no row, so the account goes on as this row has it. */
static void mend_hole(struct comparing *comparing) {
    struct pay_account *account = &comparing->life->account;
    const struct pay_decision *stored = &comparing->one->stored;
    char left[80], right[80];
    if (!comparing->one->has_stored || !stored->has_account || stored->account_version <= account->version + 1) return;
    number(left, true, stored->account_version);
    number(right, true, account->version + 1);
    compare(comparing, "account_version", left, right, "events of the account are missing before this one");
    account->version = stored->account_version - 1;
    account->balance_minor = stored->balance_after_minor;
    if (stored->outcome == PAY_PAID)
        (void)pay_money_add(account->balance_minor, stored->amount_minor, &account->balance_minor);
}

void replay_life_case(struct replay_life *life, const struct replay_case *one) {
    struct comparing comparing = {.life = life, .one = one};
    struct pay_decision lower[REPLAY_LOWER_MAX];
    struct pay_answer answer;
    turn_to(life, one->record.tenant, one->elsewhere ? one->stored.account_id : one->record.request.account_id);
    pass(life, &one->record.position);
    if (one->elsewhere) return;
    mend_hole(&comparing);
    describe(&life->account, comparing.account);
    for (uint32_t i = 0; i < one->lower_count; i++) {
        lower[i] = one->lower[i];
        lower[i].next = i + 1 < one->lower_count ? &lower[i + 1] : NULL;
    }
    enum pay_verdict verdict = pay_decide(&one->record, one->lower_count > 0 ? lower : NULL, &life->account,
                                          one->stored.decided_at_us, &answer);
    life->decided++;
    if (one->has_stored)
        compare_decision(&comparing, &one->stored, &answer);
    else
        compare(&comparing, "decision", NULL,
                verdict == PAY_VERDICT_DECIDED && answer.outcome == PAY_PAID ? "would be paid now"
                                                                             : pay_reason_name(answer.reason),
                "no row says what became of it");
    life->differing += comparing.differs;
}
