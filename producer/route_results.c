#include "producer/route_results.h"

#include "producer/query.h"
#include "producer/streams.h"

#include <stdlib.h>
#include <string.h>

/* `state` of the exchange: its stream, as long as it isn't answered. */

enum { ACCOUNT, OUTCOME, LAST_EVENT_ID };
static const char *const names[] = {
    [ACCOUNT] = "account_id", [OUTCOME] = "outcome", [LAST_EVENT_ID] = "last_event_id", NULL};

static const char *read_filter(const struct pay_query *query, const struct pay_exchange *exchange,
                               struct pay_result_filter *ret_filter) {
    const char *account = query->values[ACCOUNT], *outcome = query->values[OUTCOME];
    *ret_filter = (struct pay_result_filter){.outcomes = 0};
    memcpy(ret_filter->tenant, exchange->caller.tenant, sizeof ret_filter->tenant);
    if (account != NULL && !pay_id_valid(account, strlen(account)))
        return "account_id has 1 to 64 of A-Z a-z 0-9 . _ : -";
    if (account != NULL) memcpy(ret_filter->account_id, account, strlen(account) + 1);
    if (outcome != NULL && !pay_result_outcomes_parse(outcome, &ret_filter->outcomes))
        return "outcome is one or more of paid, declined, conflict, invalid, with commas";
    return NULL;
}

/* The header wins: a browser that connects again sends it beside the address that it was given at first. */
static const char *read_last_id(const struct pay_query *query, const struct pay_exchange *exchange,
                                struct pay_places *ret_places, bool *ret_given) {
    const char *id = pay_http_header(exchange->request, "Last-Event-ID");
    if (pay_http_header_count(exchange->request, "Last-Event-ID") > 1) return "Last-Event-ID is given more than once.";
    if (id == NULL || *id == '\0') id = query->values[LAST_EVENT_ID];
    *ret_given = id != NULL;
    if (id == NULL || pay_event_id_parse(exchange->service->config->reply_topic, id, ret_places)) return NULL;
    return "This is no event id of this intake's results; send back the last one as it came, or none to begin now.";
}

static void begin(struct pay_exchange *exchange, struct pay_query *query, struct pay_places *places) {
    struct pay_result_filter filter;
    bool resumes = false;
    const char *wrong = query->wrong;
    if (wrong == NULL) wrong = read_filter(query, exchange, &filter);
    if (wrong == NULL) wrong = read_last_id(query, exchange, places, &resumes);
    if (wrong != NULL) {
        pay_exchange_problem(exchange, &(struct pay_problem){.code = PAY_PROBLEM_BAD_PARAMETER, .detail = wrong});
        return;
    }
    pay_streams_begin(exchange->service->streams, exchange, &filter, resumes ? places : NULL);
}

static void complete(struct pay_exchange *exchange) {
    struct pay_query query;
    struct pay_places places;
    if (exchange->service->streams == NULL) {
        pay_exchange_problem(exchange, &(struct pay_problem){.code = PAY_PROBLEM_NOT_CONFIGURED,
                                                             .detail = "This intake doesn't follow the replies: "
                                                                       "[producer] follow_replies is off."});
        return;
    }
    pay_query_begin(&query, names);
    pay_http_query_each(exchange->request, pay_query_take, &query);
    begin(exchange, &query, &places);
}

static void gone(struct pay_exchange *exchange) { pay_streams_gone(exchange->service->streams, exchange); }

const struct pay_handlers pay_results_handlers = {.complete = complete, .gone = gone};
