/* cmd_pay.c - paybuf pay: one payment through the intake. */
#include "codec/request_codec.h"
#include "tools/commands.h"
#include "tools/http_call.h"
#include "tools/tool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ORDER, ACCOUNT, AMOUNT, CURRENCY, ATTEMPT, METADATA, WAIT };

/* clang-format off */
static const struct cli_arg args[] = {
    [ORDER] = {"--order-id", CLI_ID, true, "ID", .help = "the order; the same one again is harmless"},
    [ACCOUNT] = {"--account", CLI_ID, true, "ACCOUNT", .help = "who pays"},
    [AMOUNT] = {"--amount-minor", CLI_INTEGER, true, "N", 1, PAY_AMOUNT_MAX, NULL, "in minor units (cents)"},
    [CURRENCY] = {"--currency", CLI_CURRENCY, true, "EUR", .help = "three capital letters"},
    [ATTEMPT] = {"--attempt", CLI_INTEGER, false, "N", 1, PAY_ATTEMPT_MAX, "1", "after a decline, the next one tries again"},
    [METADATA] = {"--metadata", CLI_TEXT, false, "JSON", .help = "an object that comes back with the reply"},
    [WAIT] = {"--wait", CLI_INTEGER, false, "SECONDS", 1, 30, NULL, "wait so long for the decision"},
};
/* In the answer's own words; what isn't in it stays away from the table. */
static const struct out_column columns[] = {
    {"order_id", "order", false}, {"attempt", "attempt", false}, {"status", "status", false}, {"outcome", "outcome", false}, {"reason", "reason", true},
    {"duplicate", "duplicate", false}, {"account_id", "account", false}, {"amount_minor", "amount", false}, {"currency", "currency", false},
    {"balance_after_minor", "balance after", false}, {"position", "position", false}, {"original", "original", false}, {"decided_at", "decided at", false},
    {"code", "code", true}, {"title", "title", false}, {"detail", "detail", false}, {"request_id", "request", false}, {"retryable", "retryable", false},
};
/* clang-format on */

static bool build_body(struct tool *tool, const struct cli_value *values, char *body, size_t size) {
    struct pay_request request = {.attempt = (int32_t)values[ATTEMPT].number, .amount_minor = values[AMOUNT].number};
    struct pay_request read_back;
    struct pay_codec_error error;
    snprintf(request.order_id, sizeof request.order_id, "%s", values[ORDER].text);
    snprintf(request.account_id, sizeof request.account_id, "%s", values[ACCOUNT].text);
    snprintf(request.currency, sizeof request.currency, "%s", values[CURRENCY].text);
    request.metadata = values[METADATA].text;
    request.metadata_length = request.metadata != NULL ? strlen(request.metadata) : 0;
    size_t length = request.metadata_length <= PAY_METADATA_MAX ? pay_request_format(&request, body, size - 1) : 0;
    body[length] = '\0';
    if (length == 0) {
        tool_fail(tool, PAY_EXIT_USAGE, "--metadata is longer than %d bytes", PAY_METADATA_MAX);
        return false;
    }
    if (!pay_request_parse(body, length, PAY_CODEC_STRICT, &read_back, &error)) {
        tool_fail(tool, PAY_EXIT_USAGE, "--metadata: %s", error.detail);
        return false;
    }
    return true;
}

static void print(struct tool *tool, json_t *answer) {
    struct out_column shown[sizeof columns / sizeof *columns];
    size_t count = 0;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        if (json_object_get(answer, columns[i].member) != NULL) shown[count++] = columns[i];
    out_object(&tool->out, NULL, shown, count, answer);
}

static enum pay_exit judge(struct tool *tool, const struct http_answer *answer, const struct cli_value *values) {
    json_t *document = json_loadb(answer->body, answer->length, 0, NULL);
    const char *code = json_string_value(json_object_get(document, "code"));
    char word[64];
    snprintf(word, sizeof word, "%s", code != NULL ? code : "no code");
    if (json_is_object(document))
        print(tool, document);
    else
        json_decref(document);
    switch (answer->status) {
    case 202:
        if (values[WAIT].given)
            tool_note(tool, "stored, not decided within %" PRId64 " s; paybuf show %s tells later", values[WAIT].number,
                      values[ORDER].text);
        return PAY_EXIT_OK;
    case 200: return PAY_EXIT_OK;
    case 429:
        return tool_fail(tool, PAY_EXIT_TEMPORARY, "429 %s: over the quota, nothing was stored; try again later", word);
    case 503: return tool_fail(tool, PAY_EXIT_TEMPORARY, "503 %s: certainly not stored; trying again is safe", word);
    case 504:
        return tool_fail(
            tool, PAY_EXIT_TEMPORARY,
            "504 %s: it may be stored or not; trying again with the same --order-id is safe, it is never paid twice",
            word);
    default: return tool_fail(tool, PAY_EXIT_FAILURE, "HTTP %ld %s", answer->status, word);
    }
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    static char body[PAY_REQUEST_TEXT_MAX + 1];
    struct http_answer answer = {0};
    char prefer[32] = "", url[1200];
    if (!build_body(tool, values, body, sizeof body)) return PAY_EXIT_USAGE;
    if (values[WAIT].given) snprintf(prefer, sizeof prefer, "Prefer: wait=%" PRId64, values[WAIT].number);
    http_url(tool, "/v1/payments", url, sizeof url);
    enum pay_exit status = http_post(tool, url, prefer, body, values[WAIT].number, &answer);
    if (status == PAY_EXIT_OK) status = judge(tool, &answer, values);
    free(answer.body);
    return status;
}

const struct command cmd_pay = {
    .name = "pay",
    .summary = "send one payment through the intake",
    .examples = "  paybuf pay --order-id o-1 --account alice --amount-minor 1250 --currency EUR\n"
                "  paybuf pay --order-id o-1 --account alice --amount-minor 1250 --currency EUR --wait 5\n"
                "  paybuf pay --order-id o-2 --account alice --amount-minor 99 --currency EUR --metadata "
                "'{\"table\":7}' -o json\n",
    .notes =
        "The intake is found by PAYBUF_HTTP_URL, else by [producer] listen; PAYBUF_API_KEY is sent as bearer token.\n"
        "Exit code 75 where trying again makes sense (429, 503, 504), 69 when the intake can't be reached, 1 when it "
        "refused.\n",
    CLI_ARGS(args),
    .run = run,
};
