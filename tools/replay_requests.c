#include "base/clock.h"
#include "base/signals.h"
#include "codec/request_codec.h"
#include "core/answer.h"
#include "tools/audit_requests.h"
#include "tools/dump_format.h"
#include "tools/http_call.h"
#include "tools/replay.h"
#include "tools/replay_dry_run.h"
#include "tools/state_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH_LINES 500
#define TRIES_MAX 60 /* a second apart: an intake that refuses for so long isn't coming back by itself */

/* clang-format off */
static const struct out_column columns[] = {
    {"selected", "selected", false}, {"sent", "sent", false}, {"passed_over", "passed over", false}, {"refused", "refused", true}};
/* clang-format on */

struct line {
    size_t at, length; /* in the texts */
    int64_t offset;
};

struct sending {
    struct audit *audit;
    const struct replay_selection *selection;
    const struct replay_how *how;
    struct audit_lane *lane;
    struct state state;
    struct paybuf_listener_position *place; /* of the lane */
    struct dump_bytes texts;
    struct line lines[BATCH_LINES];
    size_t count;
    int64_t selected, sent, passed_over, refused, began_ms;
    bool tenant_checked;
    char url[1200];
};

/* ---- where it stood ---- */

static enum pay_exit load_state(struct sending *sending) {
    struct tool *tool = sending->audit->tool;
    char why[512];
    sending->state = (struct state){.output_bytes = -1};
    if (sending->how->state == NULL) return PAY_EXIT_OK;
    if (state_load(sending->how->state, &sending->state, why, sizeof why) == STATE_BAD)
        return tool_fail(tool, PAY_EXIT_FAILURE, "%s", why);
    const char *ledger = sending->state.ledger_id;
    if (ledger[0] != '\0' && strcmp(ledger, sending->audit->ledger_id) != 0)
        return tool_fail(tool, PAY_EXIT_FAILURE, "%s is of another ledger, %s", sending->how->state, ledger);
    snprintf(sending->state.ledger_id, sizeof sending->state.ledger_id, "%s", sending->audit->ledger_id);
    return PAY_EXIT_OK;
}

static struct paybuf_listener_position *place_of(struct sending *sending, const struct lane_view *view) {
    for (size_t i = 0; i < sending->state.count; i++)
        if (sending->state.entries[i].generation == view->generation &&
            sending->state.entries[i].partition == view->partition)
            return &sending->state.entries[i];
    state_add(&sending->state,
              &(struct paybuf_listener_position){.generation = view->generation, .partition = view->partition});
    return &sending->state.entries[sending->state.count - 1];
}

/* What is sent lies behind the log's end at the first start, which the state keeps (+ 1; 0: not known yet): it isn't sent again. */
static void keep_end(struct sending *sending, struct lane_view *view) {
    struct paybuf_listener_position *place = place_of(sending, view);
    int64_t end = view->processed < view->request_end ? view->processed : view->request_end;
    if (place->resync_until == 0) place->resync_until = end + 1;
    if (view->request_end > place->resync_until - 1) view->request_end = place->resync_until - 1;
    if (view->request_start > view->request_end) view->request_start = view->request_end;
}

static enum pay_exit save_state(struct sending *sending, int64_t next) {
    char why[512];
    sending->place->next = next;
    if (sending->how->state == NULL || state_save(sending->how->state, &sending->state, why, sizeof why))
        return PAY_EXIT_OK;
    return tool_fail(sending->audit->tool, PAY_EXIT_FAILURE, "%s", why);
}

/* ---- a batch ---- */

static void tell_refused(struct sending *sending, const struct line *line, const json_t *answer) {
    char where[PAY_POSITION_TEXT_MAX];
    const char *code = json_string_value(json_object_get(answer, "code"));
    sending->refused++;
    if (sending->refused <= 50)
        tool_note(sending->audit->tool, "the intake refused %s: %s", audit_where(sending->lane, line->offset, where),
                  code != NULL ? code : "no code");
}

/* Keeps those lines that must be sent again. False: the answer isn't a line for each. */
static bool sort_out(struct sending *sending, const struct http_answer *answer) {
    const char *at = answer->body, *end = answer->body + answer->length;
    size_t kept = 0;
    for (size_t i = 0; i < sending->count; i++) {
        const char *line_end = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (line_end == NULL) return false;
        json_t *line = json_loadb(at, (size_t)(line_end - at), 0, NULL);
        int64_t status = json_integer_value(json_object_get(line, "status"));
        at = line_end + 1;
        if (status == 429 || status == 503 || status == 504)
            sending->lines[kept++] = sending->lines[i];
        else if (status == 202 || status == 200)
            sending->sent++;
        else
            tell_refused(sending, &sending->lines[i], line);
        json_decref(line);
    }
    sending->count = kept;
    return true;
}

static enum pay_exit send_once(struct sending *sending) {
    struct tool *tool = sending->audit->tool;
    struct dump_bytes body = {0};
    struct http_answer answer = {0};
    for (size_t i = 0; i < sending->count; i++)
        dump_bytes_add(&body, sending->texts.bytes + sending->lines[i].at, sending->lines[i].length);
    dump_bytes_add(&body, "", 1);
    enum pay_exit status =
        http_post(tool, sending->url, "Content-Type: application/x-ndjson", (const char *)body.bytes, 0, &answer);
    dump_bytes_free(&body);
    if (status != PAY_EXIT_OK) return status;
    bool passing = answer.status == 429 || answer.status == 503 || answer.status == 504;
    if (!passing && (answer.status != 200 || !sort_out(sending, &answer)))
        status = tool_fail(tool, PAY_EXIT_FAILURE, "the intake at %s answers a batch with HTTP %ld: %.200s",
                           sending->url, answer.status, answer.body != NULL ? answer.body : "");
    free(answer.body);
    return status;
}

static enum pay_exit flush(struct sending *sending) {
    enum pay_exit status = PAY_EXIT_OK;
    if (sending->count == 0) return PAY_EXIT_OK;
    int64_t next = sending->lines[sending->count - 1].offset + 1;
    for (int tries = 0; sending->count > 0 && status == PAY_EXIT_OK; tries++) {
        if (tries == TRIES_MAX)
            return tool_fail(sending->audit->tool, PAY_EXIT_TEMPORARY,
                             "the intake has refused %zu requests for %d s; the same command again goes on",
                             sending->count, TRIES_MAX);
        pay_signals_collect();
        if (tries > 0 && pay_signals_stop_requested())
            return tool_fail(sending->audit->tool, PAY_EXIT_TEMPORARY,
                             "stopped while the intake refused; the same command again goes on");
        if (tries > 0) nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        status = send_once(sending);
    }
    sending->texts.length = 0;
    if (status == PAY_EXIT_OK) status = save_state(sending, next);
    tool_pace(sending->how->rate, sending->sent, sending->began_ms);
    return status;
}

/* The request's canonical JSON: the same request, whatever its writer's spelling was. */
static enum pay_exit add(struct sending *sending, const struct pay_record *record) {
    char text[PAY_REQUEST_TEXT_MAX];
    size_t length = pay_request_format(&record->request, text, sizeof text);
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\n' || text[i] == '\r') text[i] = ' '; /* in metadata, between tokens: a line stays a line */
    sending->lines[sending->count++] = (struct line){sending->texts.length, length + 1, record->position.offset};
    dump_bytes_add(&sending->texts, text, length);
    dump_bytes_add(&sending->texts, "\n", 1);
    int64_t batch = sending->how->rate > 0 && sending->how->rate < BATCH_LINES ? sending->how->rate : BATCH_LINES;
    return (int64_t)sending->count >= batch ? flush(sending) : PAY_EXIT_OK;
}

/* ---- whose requests the intake would take these for ----
 * An API key means one tenant, and a request sent with another one's key would be a new payment. So the intake is asked, without
 * any effect, about a decision on file: only the right tenant's key gets this tenant's answer. Without a key it is `default`. */

static enum pay_exit check_tenant(struct sending *sending, const struct pay_record *record) {
    struct tool *tool = sending->audit->tool;
    struct http_answer answer = {0};
    char url[1200], path[200];
    const char *key = getenv("PAYBUF_API_KEY");
    sending->tenant_checked = true;
    if (key == NULL || key[0] == '\0') return PAY_EXIT_OK;
    snprintf(path, sizeof path, "/v1/payments/%s?attempt=%" PRId32, record->request.order_id, record->request.attempt);
    http_url(tool, path, url, sizeof url);
    enum pay_exit status = http_post(tool, url, "", NULL, 0, &answer);
    if (status != PAY_EXIT_OK) return status;
    json_t *reply = json_loadb(answer.body, answer.length, 0, NULL);
    const char *tenant = json_string_value(json_object_get(reply, "tenant"));
    if (answer.status != 200 || tenant == NULL || strcmp(tenant, record->tenant) != 0)
        status = tool_fail(tool, PAY_EXIT_FAILURE,
                           "PAYBUF_API_KEY isn't known to be tenant %s's: HTTP %ld about its order %s. With another "
                           "tenant's key these would be new payments, so nothing was sent",
                           record->tenant, answer.status, record->request.order_id);
    json_decref(reply);
    free(answer.body);
    return status;
}

/* ---- lanes ---- */

static enum pay_exit judge(struct sending *sending, const struct audit_request *request) {
    struct pay_answer answer;
    bool on_file = pay_answer_find(request->record, request->refusal, request->known, &answer);
    if (!replay_selected(sending->selection, request->record, on_file ? &answer : NULL)) return PAY_EXIT_OK;
    sending->selected++;
    sending->passed_over += request->record->invalid != PAY_REASON_NONE;
    if (request->record->invalid != PAY_REASON_NONE || !sending->how->yes) return PAY_EXIT_OK;
    enum pay_exit status = sending->tenant_checked ? PAY_EXIT_OK : check_tenant(sending, request->record);
    return status == PAY_EXIT_OK ? add(sending, request->record) : status;
}

static enum pay_exit send_lane(struct sending *sending, struct audit_lane *lane) {
    struct audit_source *source = sending->audit->source;
    struct audit_requests requests;
    struct audit_request request;
    bool found;
    sending->lane = lane;
    sending->place = place_of(sending, &lane->view);
    if (lane->view.request_start < sending->place->next) lane->view.request_start = sending->place->next;
    if (lane->view.request_start > lane->view.request_end) lane->view.request_start = lane->view.request_end;
    enum pay_exit status = audit_requests_begin(&requests, sending->audit, lane);
    while (status == PAY_EXIT_OK) {
        progress_at(&sending->audit->progress->bar, lane->view.partition, requests.at);
        pay_signals_collect();
        if (pay_signals_stop_requested()) break;
        status = source->ops->requests_next(source, &requests, &request, &found);
        if (status != PAY_EXIT_OK || !found) break;
        status = judge(sending, &request);
    }
    audit_requests_end(&requests);
    return status == PAY_EXIT_OK ? flush(sending) : status;
}

static enum pay_exit report(struct sending *sending) {
    struct tool *tool = sending->audit->tool;
    out_object(&tool->out, NULL, OUT_COLUMNS(columns),
               json_pack("{s:I,s:I,s:I,s:I}", "selected", (json_int_t)sending->selected, "sent",
                         (json_int_t)sending->sent, "passed_over", (json_int_t)sending->passed_over, "refused",
                         (json_int_t)sending->refused));
    if (sending->passed_over > 0)
        tool_note(tool, "%" PRId64 " records are no requests and weren't sent; paybuf dlq is about them",
                  sending->passed_over);
    if (!sending->how->yes) return tool_fail(tool, PAY_EXIT_USAGE, "these would be sent again; --yes does it");
    if (pay_signals_stop_requested())
        return tool_fail(tool, PAY_EXIT_TEMPORARY, "stopped; the same command with its --state goes on from here");
    return sending->refused > 0 ? PAY_EXIT_DIFFERENCES : PAY_EXIT_OK;
}

enum pay_exit replay_requests(struct audit *audit, const struct replay_selection *selection,
                              const struct replay_how *how) {
    static struct sending sending;
    sending = (struct sending){.audit = audit, .selection = selection, .how = how, .began_ms = pay_clock_ms()};
    http_url(audit->tool, "/v1/payments:batch", sending.url, sizeof sending.url);
    pay_signals_install();
    replay_narrow(audit, selection);
    enum pay_exit status = load_state(&sending);
    for (int32_t i = 0; i < audit->lane_count && status == PAY_EXIT_OK; i++) keep_end(&sending, &audit->lanes[i].view);
    for (int32_t i = 0; i < audit->lane_count && status == PAY_EXIT_OK && !pay_signals_stop_requested(); i++)
        status = send_lane(&sending, &audit->lanes[i]);
    progress_end(&audit->progress->bar);
    state_free(&sending.state);
    dump_bytes_free(&sending.texts);
    return status == PAY_EXIT_OK ? report(&sending) : status;
}
