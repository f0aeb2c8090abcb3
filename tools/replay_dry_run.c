#include "tools/replay_dry_run.h"

#include "core/answer.h"
#include "tools/audit_replies.h"
#include "tools/audit_requests.h"
#include "tools/sorter.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CASES_BYTES (96u << 20)

struct dry_run {
    struct audit *audit;
    const struct replay_selection *selection;
    struct replay_dry_run *result;
    struct replay_life life;
    struct sorter *cases;
    struct sorter_entry head;
    bool has_head;
};

/* ---- a case in the sorter ----
 * Key: tenant, account, version, 0 (the events' keys have 1), partition, offset. Data: numbers, the order, the row's account if it
 * is another one, and attempt and outcome of each lower attempt. */

struct case_numbers {
    int64_t generation, offset, timestamp_ms, amount_minor, stored_amount_minor, balance_after_minor, account_version,
        decided_at_us;
    int32_t partition, attempt;
    char currency[PAY_CURRENCY_LENGTH + 1], stored_currency[PAY_CURRENCY_LENGTH + 1];
    uint8_t outcome, reason, has_account, has_stored, elsewhere, lower_count;
};

static void key_of(struct sort_key *key, const char *tenant, const char *account_id, int64_t version, uint8_t rank) {
    key->length = 0;
    sort_key_text(key, tenant);
    sort_key_text(key, account_id);
    sort_key_number(key, version);
    key->bytes[key->length++] = rank;
}

static struct case_numbers numbers_of(const struct pay_record *record, const struct pay_decision *stored) {
    const struct pay_request *request = &record->request;
    struct case_numbers numbers = {.generation = record->position.generation,
                                   .offset = record->position.offset,
                                   .timestamp_ms = record->timestamp_ms,
                                   .amount_minor = request->amount_minor,
                                   .partition = record->position.partition,
                                   .attempt = request->attempt,
                                   .has_stored = stored != NULL};
    memcpy(numbers.currency, request->currency, sizeof numbers.currency);
    if (stored == NULL) return numbers;
    memcpy(numbers.stored_currency, stored->currency, sizeof numbers.stored_currency);
    numbers.stored_amount_minor = stored->amount_minor;
    numbers.balance_after_minor = stored->balance_after_minor;
    numbers.account_version = stored->account_version;
    numbers.decided_at_us = stored->decided_at_us;
    numbers.outcome = (uint8_t)stored->outcome;
    numbers.reason = (uint8_t)stored->reason;
    numbers.has_account = stored->has_account;
    return numbers;
}

static size_t put_text(uint8_t *at, const char *text) {
    size_t length = strlen(text) + 1;
    memcpy(at, text, length);
    return length;
}

/* `version`: where in the account's life it is decided. */
static enum pay_exit add_case(struct dry_run *run, const struct pay_record *record, const struct pay_decision *stored,
                              const struct pay_decision *known, const char *account_id, int64_t version,
                              bool elsewhere) {
    uint8_t data[sizeof(struct case_numbers) + 2 * (PAY_ID_MAX + 1) + 2 * REPLAY_LOWER_MAX];
    struct case_numbers numbers = numbers_of(record, stored);
    struct sort_key key;
    size_t length = sizeof numbers;
    bool other = stored != NULL && strcmp(stored->account_id, account_id) != 0;
    key_of(&key, record->tenant, account_id, version, 0);
    sort_key_number(&key, record->position.partition);
    sort_key_number(&key, record->position.offset);
    numbers.elsewhere = elsewhere;
    length += put_text(data + length, record->request.order_id);
    length += put_text(data + length, other ? stored->account_id : "");
    for (; known != NULL; known = known->next) {
        if (known == stored || known->attempt >= record->request.attempt || numbers.lower_count == REPLAY_LOWER_MAX)
            continue;
        data[length++] = (uint8_t)known->attempt;
        data[length++] = (uint8_t)known->outcome;
        numbers.lower_count++;
    }
    memcpy(data, &numbers, sizeof numbers);
    if (sorter_add(run->cases, key.bytes, key.length, data, length)) return PAY_EXIT_OK;
    return tool_fail(run->audit->tool, PAY_EXIT_FAILURE, "%s; TMPDIR names another place to sort in",
                     sorter_failed(run->cases));
}

static void copy(char *target, size_t size, const char *text) { snprintf(target, size, "%s", text); }

static void read_case(const struct sorter_entry *entry, struct replay_case *ret_case) {
    struct case_numbers numbers;
    const char *tenant = (const char *)entry->key, *account_id = tenant + strlen(tenant) + 1;
    memcpy(&numbers, entry->data, sizeof numbers);
    const char *order_id = (const char *)entry->data + sizeof numbers, *other = order_id + strlen(order_id) + 1;
    const uint8_t *lower = (const uint8_t *)other + strlen(other) + 1;
    struct pay_record *record = &ret_case->record;
    *record = (struct pay_record){.position = {numbers.generation, numbers.partition, numbers.offset},
                                  .timestamp_ms = numbers.timestamp_ms,
                                  .request = {.attempt = numbers.attempt, .amount_minor = numbers.amount_minor}};
    copy(record->tenant, sizeof record->tenant, tenant);
    copy(record->request.tenant, sizeof record->request.tenant, tenant);
    copy(record->request.order_id, sizeof record->request.order_id, order_id);
    copy(record->request.account_id, sizeof record->request.account_id, account_id);
    memcpy(record->request.currency, numbers.currency, sizeof numbers.currency);
    ret_case->has_stored = numbers.has_stored;
    ret_case->elsewhere = numbers.elsewhere;
    ret_case->stored = (struct pay_decision){.attempt = numbers.attempt,
                                             .amount_minor = numbers.stored_amount_minor,
                                             .outcome = (enum pay_outcome)numbers.outcome,
                                             .reason = (enum pay_reason)numbers.reason,
                                             .has_account = numbers.has_account,
                                             .balance_after_minor = numbers.balance_after_minor,
                                             .account_version = numbers.account_version,
                                             .position = record->position,
                                             .decided_at_us = numbers.decided_at_us};
    copy(ret_case->stored.account_id, sizeof ret_case->stored.account_id, other[0] != '\0' ? other : account_id);
    memcpy(ret_case->stored.currency, numbers.stored_currency, sizeof numbers.stored_currency);
    ret_case->lower_count = numbers.lower_count;
    for (uint32_t i = 0; i < ret_case->lower_count; i++)
        ret_case->lower[i] =
            (struct pay_decision){.attempt = lower[2 * i], .outcome = (enum pay_outcome)lower[2 * i + 1]};
}

/* ---- judging a record where it stands ---- */

/* Was this decision certainly on file when the refused record was judged? One lane's records are judged in order. Another lane's
 * decision may have been committed later, whatever the times say: decided_at is a transaction's start. */
static bool known_before(const struct pay_decision *decision, const struct pay_record *record) {
    const struct pay_position *a = &decision->position, *b = &record->position;
    return a->partition == b->partition &&
           (a->generation < b->generation || (a->generation == b->generation && a->offset < b->offset));
}

static void judge_refused(struct dry_run *run, const struct audit_request *request) {
    struct pay_decision before[REPLAY_LOWER_MAX];
    struct pay_account nobody = {.found = false};
    struct pay_answer answer;
    size_t count = 0;
    for (const struct pay_decision *known = request->known; known != NULL && count < REPLAY_LOWER_MAX;
         known = known->next)
        if (known_before(known, request->record)) before[count++] = *known;
    for (size_t i = 0; i < count; i++) before[i].next = i + 1 < count ? &before[i + 1] : NULL;
    enum pay_verdict verdict =
        pay_decide(request->record, count > 0 ? before : NULL, &nobody, request->refusal->decided_at_us, &answer);
    const char *stored = pay_reason_name(request->refusal->code), *replayed = pay_reason_name(answer.reason);
    if (verdict != PAY_VERDICT_REFUSED)
        replay_tell(&run->life, request->record, "outcome", "invalid", pay_outcome_name(answer.outcome),
                    request->record->invalid == PAY_REASON_NONE && request->record->request.attempt == 1
                        ? "it was refused by name (paybuf recover poison), not by its bytes"
                        : "it isn't refused any more");
    else if (answer.reason != request->refusal->code)
        replay_tell(&run->life, request->record, "reason", stored, replayed, "the request's own bytes say so");
    else if (answer.field != request->refusal->field)
        replay_tell(&run->life, request->record, "field", pay_field_name(request->refusal->field),
                    pay_field_name(answer.field), "the request's own bytes say so");
    else
        return;
    run->result->differing++;
}

static const struct pay_decision *own_row(const struct audit_request *request) {
    for (const struct pay_decision *known = request->known; known != NULL; known = known->next)
        if (pay_position_equal(&known->position, &request->record->position)) return known;
    return NULL;
}

static enum pay_exit judge_own(struct dry_run *run, const struct pay_record *record, const struct pay_decision *stored,
                               const struct pay_decision *known) {
    const char *account_id = record->request.account_id;
    int64_t version = stored->has_account ? stored->account_version : 0;
    enum pay_exit status = PAY_EXIT_OK;
    if (strcmp(stored->account_id, account_id) != 0)
        status = add_case(run, record, stored, NULL, stored->account_id, version, true);
    return status == PAY_EXIT_OK ? add_case(run, record, stored, known, account_id, version, false) : status;
}

static enum pay_exit judge(struct dry_run *run, const struct audit_request *request) {
    const struct pay_record *record = request->record;
    const struct pay_decision *own = record->invalid == PAY_REASON_NONE ? own_row(request) : NULL;
    struct pay_answer answer;
    bool on_file = pay_answer_find(record, request->refusal, request->known, &answer);
    run->result->read++;
    if (!replay_selected(run->selection, record, on_file ? &answer : NULL)) return PAY_EXIT_OK;
    run->result->selected++;
    if (request->refusal != NULL) {
        judge_refused(run, request);
    } else if (record->invalid != PAY_REASON_NONE) {
        replay_tell(&run->life, record, "decision", NULL, pay_reason_name(record->invalid),
                    "no row says that it was refused");
        run->result->differing++;
    } else if (own != NULL && own->attempt == record->request.attempt) {
        return judge_own(run, record, own, request->known);
    } else if (!on_file) {
        return add_case(run, record, NULL, request->known, record->request.account_id, INT64_MAX, false);
    } /* else another record's decision answers it, now as then */
    return PAY_EXIT_OK;
}

/* What lies below the start of a generation that `paybuf recover` raised was settled in the one before, and its rows say so. The
 * reply log knows the start: behind older ones, the first reply of this generation answers its first record. */
static enum pay_exit skip_earlier_generation(struct dry_run *run, struct lane_view *view) {
    struct audit_source *source = run->audit->source;
    struct pay_reply_headers headers;
    bool found = view->generation > 1 && view->reply_start < view->reply_end, older = false;
    if (!found) return PAY_EXIT_OK;
    enum pay_exit status =
        source->ops->log_seek(source, AUDIT_REPLIES, view->partition, view->reply_start, view->reply_end);
    while (status == PAY_EXIT_OK) {
        status = replies_next_in_log(run->audit, &headers, &found);
        if (status != PAY_EXIT_OK || !found || headers.log_generation == view->generation) break;
        older = older || headers.log_generation < view->generation;
    }
    source->ops->log_stop(source, AUDIT_REPLIES);
    int64_t start = !older ? 0 : found ? headers.source_offset : view->processed;
    if (view->request_start < start) view->request_start = start;
    if (view->request_start > view->request_end) view->request_start = view->request_end;
    return status;
}

static enum pay_exit judge_lane(struct dry_run *run, struct audit_lane *lane) {
    struct audit_source *source = run->audit->source;
    struct audit_requests requests;
    struct audit_request request;
    bool found;
    enum pay_exit status = skip_earlier_generation(run, &lane->view);
    if (status != PAY_EXIT_OK) return status;
    status = audit_requests_begin(&requests, run->audit, lane);
    while (status == PAY_EXIT_OK) {
        progress_at(&run->audit->progress->bar, lane->view.partition, requests.at);
        status = source->ops->requests_next(source, &requests, &request, &found);
        if (status != PAY_EXIT_OK || !found) break;
        status = judge(run, &request);
    }
    audit_requests_end(&requests);
    return status;
}

/* ---- living the accounts ---- */

static void decide_head(struct dry_run *run) {
    static struct replay_case one;
    read_case(&run->head, &one);
    replay_life_case(&run->life, &one);
    run->has_head = sorter_next(run->cases, &run->head);
}

static bool take_event(void *argument, const struct book_event *event) {
    struct dry_run *run = argument;
    struct sort_key key;
    if (!run->has_head) return false; /* nothing is left to decide */
    key_of(&key, event->tenant, event->account_id, event->version, 1);
    while (run->has_head) {
        size_t shorter = run->head.key_length < key.length ? run->head.key_length : key.length;
        if (memcmp(run->head.key, key.bytes, shorter) > 0) break;
        decide_head(run);
    }
    replay_life_event(&run->life, event);
    return true;
}

static enum pay_exit live(struct dry_run *run) {
    if (!sorter_finish(run->cases))
        return tool_fail(run->audit->tool, PAY_EXIT_FAILURE, "%s; TMPDIR names another place to sort in",
                         sorter_failed(run->cases));
    run->has_head = sorter_next(run->cases, &run->head);
    if (!run->has_head) return PAY_EXIT_OK;
    enum pay_exit status = run->audit->source->ops->events(run->audit->source, take_event, run);
    while (status == PAY_EXIT_OK && run->has_head) decide_head(run);
    return status;
}

void replay_narrow(struct audit *audit, const struct replay_selection *selection) {
    for (int32_t i = 0; i < audit->lane_count; i++) {
        struct lane_view *view = &audit->lanes[i].view;
        if (view->request_start < selection->from_offset) view->request_start = selection->from_offset;
        if (view->processed > selection->to_offset) view->processed = selection->to_offset + 1;
        if (view->request_end > view->processed) view->request_end = view->processed;
        if (view->request_start > view->request_end) view->request_start = view->request_end;
    }
}

enum pay_exit replay_dry_run(struct audit *audit, const struct replay_selection *selection, replay_difference_fn told,
                             void *argument, struct replay_dry_run *ret_result) {
    static struct dry_run run;
    enum pay_exit status = PAY_EXIT_OK;
    *ret_result = (struct replay_dry_run){0};
    run = (struct dry_run){.audit = audit, .selection = selection, .result = ret_result};
    run.cases = sorter_open(audit_work_folder(), CASES_BYTES);
    replay_life_begin(&run.life, told, argument);
    replay_narrow(audit, selection);
    for (int32_t i = 0; i < audit->lane_count && status == PAY_EXIT_OK; i++)
        status = judge_lane(&run, &audit->lanes[i]);
    if (status == PAY_EXIT_OK) status = live(&run);
    progress_end(&audit->progress->bar);
    ret_result->differing += run.life.differing;
    sorter_close(run.cases);
    return status;
}
