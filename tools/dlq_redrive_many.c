#include "tools/dlq_redrive_many.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define UNFIT_TOLD 10

/* clang-format off */
static const struct out_column sent_columns[] = {
    {"position", "LETTER", false}, {"redriven_to", "REDRIVEN TO", false}, {"tenant", "TENANT", false}, {"order_id", "ORDER", false}};
static const struct out_column reason_columns[] = {
    {"reason", "REASON", false}, {"picked", "PICKED", false}, {"fit", "FIT", false}, {"sent", "SENT", false}, {"refused_again", "REFUSED AGAIN", false}};
/* clang-format on */

struct count {
    int64_t picked, fit, sent;
};

struct many {
    struct redrive *redrive;
    const struct dlq_pick *pick;
    const struct redrive_how *how;
    struct count by_reason[PAY_REASON_COUNT], all;
    int64_t began_ms;
};

static enum pay_exit send(struct many *many, struct count *count) {
    struct redrive *redrive = many->redrive;
    char to[PAY_POSITION_TEXT_MAX];
    tool_pace(many->how->rate, many->all.sent, many->began_ms);
    enum pay_exit status = redrive_send(redrive, to);
    if (status != PAY_EXIT_OK) return status;
    redrive->entry->state = DLQ_REDRIVEN; /* a second line of the file about it isn't sent */
    count->sent++;
    many->all.sent++;
    out_row(&redrive->dlq->tool->out,
            json_pack("{s:s,s:s,s:s,s:s}", "position", redrive->position, "redriven_to", to, "tenant",
                      redrive->record.tenant, "order_id", redrive->record.request.order_id));
    return PAY_EXIT_OK;
}

static enum pay_exit take(struct many *many, struct dlq_entry *entry, const struct pay_log_record *letter,
                          const void *value, size_t value_length) {
    struct redrive *redrive = many->redrive;
    struct count *count = &many->by_reason[entry->reason];
    count->picked++;
    many->all.picked++;
    if (redrive_prepare(redrive, entry, letter, value, value_length) != PAY_EXIT_OK) {
        if (many->all.picked - many->all.fit <= UNFIT_TOLD)
            tool_note(redrive->dlq->tool, "%s: %s", redrive->position, redrive->why);
        return PAY_EXIT_OK;
    }
    count->fit++;
    many->all.fit++;
    return many->how->yes ? send(many, count) : PAY_EXIT_OK;
}

static enum pay_exit take_letter(void *argument, struct dlq_entry *entry, const struct pay_log_record *record) {
    struct many *many = argument;
    return dlq_picked(many->pick, entry) ? take(many, entry, record, NULL, 0) : PAY_EXIT_OK;
}

/* ---- a file of corrected ones ---- */

/* What has no value as text (value_base64) wasn't corrected: its own bytes are judged, and told. */
static enum pay_exit take_line(struct many *many, const char *line, size_t length, int64_t number) {
    struct dlq *dlq = many->redrive->dlq;
    struct pay_log_record letter;
    struct dlq_entry *entry;
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    const json_t *value = json_object_get(object, "value");
    const char *position = json_string_value(json_object_get(object, "position"));
    enum pay_exit status = PAY_EXIT_USAGE;
    if (position == NULL)
        tool_fail(dlq->tool, status, "line %" PRId64 " isn't one of dlq export: JSON with position and value", number);
    else
        status = dlq_named(dlq, position, &entry);
    if (status == PAY_EXIT_OK && dlq_picked(many->pick, entry)) {
        status = dlq_fetch(dlq, entry, &letter);
        if (status == PAY_EXIT_OK)
            status = take(many, entry, &letter, json_string_value(value), json_string_length(value));
    }
    json_decref(object);
    return status;
}

static enum pay_exit take_file(struct many *many) {
    const char *path = many->how->corrected;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    enum pay_exit status = PAY_EXIT_OK;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    if (file == NULL)
        return tool_fail(many->redrive->dlq->tool, PAY_EXIT_USAGE, "--corrected: %s can't be read: %s", path,
                         strerror(errno));
    for (int64_t number = 1; status == PAY_EXIT_OK && (length = getline(&line, &capacity, file)) >= 0; number++)
        if (strspn(line, " \t\r\n") < (size_t)length) status = take_line(many, line, (size_t)length, number);
    if (file != stdin) fclose(file);
    free(line);
    return status;
}

/* ---- */

static void print_reasons(const struct many *many) {
    struct out *out = &many->redrive->dlq->tool->out;
    out_list(out, "reasons", OUT_COLUMNS(reason_columns));
    for (int reason = 0; reason < PAY_REASON_COUNT; reason++) {
        const struct count *count = &many->by_reason[reason];
        if (count->picked == 0) continue;
        out_row(out, json_pack("{s:s,s:I,s:I,s:I,s:I}", "reason", pay_reason_name((enum pay_reason)reason), "picked",
                               (json_int_t)count->picked, "fit", (json_int_t)count->fit, "sent",
                               (json_int_t)count->sent, "refused_again", (json_int_t)(count->picked - count->fit)));
    }
}

enum pay_exit redrive_many(struct redrive *redrive, const struct dlq_pick *pick, const struct redrive_how *how) {
    struct many many = {.redrive = redrive, .pick = pick, .how = how, .began_ms = pay_clock_ms()};
    struct tool *tool = redrive->dlq->tool;
    out_list(&tool->out, "letters", OUT_COLUMNS(sent_columns));
    enum pay_exit status = how->corrected != NULL ? take_file(&many) : dlq_each(redrive->dlq, take_letter, &many);
    print_reasons(&many);
    int64_t unfit = many.all.picked - many.all.fit;
    if (status != PAY_EXIT_OK) {
        tool_note(tool, "%" PRId64 " were sent; the same command again goes on behind them", many.all.sent);
        return status;
    }
    if (unfit > 0)
        tool_note(tool, "%" PRId64 " would be refused again and stay open%s", unfit,
                  unfit > UNFIT_TOLD ? "; the first are named above" : "");
    if (!how->yes) return tool_fail(tool, PAY_EXIT_USAGE, "%" PRId64 " would be sent; --yes does it", many.all.fit);
    return unfit > 0 ? PAY_EXIT_DIFFERENCES : PAY_EXIT_OK;
}
