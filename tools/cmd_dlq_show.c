/* cmd_dlq_show.c - paybuf dlq show: one letter, as text and in hex. */
#include "tools/cmd_dlq.h"
#include "tools/dlq_pick.h"

#include <string.h>

enum { POSITION };

/* clang-format off */
static const struct cli_arg args[] = {
    [POSITION] = {"POSITION", CLI_TEXT, true, .help = "of the request record, as 1-3-1234"},
};
static const struct out_column columns[] = {
    {"position", "position", false}, {"reason", "reason", false}, {"state", "state", false}, {"at", "at", false}, {"copies", "copies", false},
    {"stub", "stub", false}, {"key", "key", false}, {"key_base64", NULL, false}, {"headers", "headers", false}, {"value", "value", false}, {"value_base64", NULL, false}};
/* clang-format on */

/* Sixteen bytes a line: where, in hex, and what of them is text. */
static void print_hex(struct out *out, const uint8_t *bytes, size_t length) {
    for (size_t at = 0; at < length; at += 16) {
        char hex[16 * 3 + 1] = "", text[17] = "";
        size_t count = length - at < 16 ? length - at : 16;
        for (size_t i = 0; i < count; i++) {
            uint8_t byte = bytes[at + i];
            snprintf(hex + 3 * i, 4, " %02x", byte);
            text[i] = byte >= ' ' && byte <= '~' ? (char)byte : '.';
        }
        out_line(out, "%08zx %-48s  |%s|", at, hex, text);
    }
}

static enum pay_exit show(struct dlq *dlq, const char *position) {
    struct dlq_entry *entry;
    struct pay_log_record record;
    enum pay_exit status = dlq_named(dlq, position, &entry);
    if (status == PAY_EXIT_OK) status = dlq_fetch(dlq, entry, &record);
    if (status != PAY_EXIT_OK) return status;
    out_object(&dlq->tool->out, NULL, OUT_COLUMNS(columns), dlq_json(entry, &record));
    out_line(&dlq->tool->out, "\nvalue, %zu bytes", record.value_length);
    print_hex(&dlq->tool->out, record.value, record.value_length);
    return PAY_EXIT_OK;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    struct dlq dlq;
    enum pay_exit status = dlq_open(tool, &dlq);
    if (status == PAY_EXIT_OK) status = dlq_scan(&dlq);
    if (status == PAY_EXIT_OK) status = show(&dlq, values[POSITION].text);
    dlq_close(&dlq);
    return status;
}

const struct command cmd_dlq_show = {
    .name = "show",
    .summary = "one letter: why, headers, bytes as text and in hex",
    .examples = "  paybuf dlq show 1-3-1234\n"
                "  paybuf dlq show 1-3-1234 -o json | jq -r .value > value.json\n",
    CLI_ARGS(args),
    .run = run,
};
