/* cmd_account_import.c - paybuf account import: many accounts, in transactions of thousands. */
#include "base/clock.h"
#include "tools/account_lines.h"
#include "tools/account_verbs.h"
#include "tools/progress.h"
#include "tools/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 5000 /* accounts in a transaction: beyond this the rate doesn't grow */

enum { FILE_NAME, CHECK };

/* clang-format off */
static const struct cli_arg args[] = {
    [FILE_NAME] = {"FILE", CLI_TEXT, true, .help = "a JSON object per line; - reads stdin"},
    [CHECK] = {"--check", CLI_FLAG, .help = "only read the file and say what is wrong with it"},
};
static const struct out_column columns[] = {
    {"read", "read", false}, {"opened", "opened", false}, {"known", "opened before", false}, {"seconds", "seconds", false}};
/* clang-format on */

struct import {
    struct tool *tool;
    struct pay_pg *pg; /* NULL: only check */
    struct opening batch[BATCH];
    size_t count;
    int64_t line, read, opened, known;
    struct progress progress;
};

static enum pay_exit send_batch(struct import *import) {
    struct openings_result result;
    struct pay_error error;
    if (import->count == 0 || import->pg == NULL) {
        import->count = 0;
        return PAY_EXIT_OK;
    }
    if (openings_make(import->pg, import->batch, import->count, &result, &error) != PAY_OK) {
        enum pay_exit status = tool_error(import->tool, &error);
        tool_note(import->tool, "%" PRId64 " accounts are in; the same import again opens the rest",
                  import->opened + import->known);
        return status;
    }
    if (result.refused[0] != '\0')
        return tool_fail(import->tool, PAY_EXIT_FAILURE,
                         "line %" PRId64 ": %s; nothing of its batch was opened, %" PRId64 " accounts before it are in",
                         result.refused_line, result.refused, import->opened + import->known);
    import->opened += result.opened;
    import->known += result.known;
    import->count = 0;
    progress_show(&import->progress, import->read);
    return PAY_EXIT_OK;
}

static bool is_blank(const char *line, size_t length) { return strspn(line, " \t\r\n") == length; }

static enum pay_exit take_line(struct import *import, const char *line, size_t length) {
    char why[256];
    import->line++;
    if (is_blank(line, length)) return PAY_EXIT_OK;
    struct opening *opening = &import->batch[import->count];
    if (!account_line_parse(line, length, opening, why, sizeof why))
        return tool_fail(import->tool, PAY_EXIT_FAILURE, "line %" PRId64 ": %s", import->line, why);
    opening->line = import->line;
    import->count++;
    import->read++;
    return import->count == BATCH ? send_batch(import) : PAY_EXIT_OK;
}

static enum pay_exit read_file(struct import *import, FILE *file) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    enum pay_exit status = PAY_EXIT_OK;
    while (status == PAY_EXIT_OK && (length = getline(&line, &capacity, file)) >= 0)
        status = take_line(import, line, (size_t)length);
    free(line);
    if (status == PAY_EXIT_OK && ferror(file))
        return tool_fail(import->tool, PAY_EXIT_FAILURE, "reading failed: %s", strerror(errno));
    if (status == PAY_EXIT_OK) status = send_batch(import);
    progress_end(&import->progress);
    return status;
}

static void report(struct import *import, int64_t began_ms) {
    json_t *result = json_object();
    json_object_set_new(result, "read", json_integer(import->read));
    json_object_set_new(result, "opened", json_integer(import->opened));
    json_object_set_new(result, "known", json_integer(import->known));
    json_object_set_new(result, "seconds", json_real((double)((pay_clock_ms() - began_ms) / 10) / 100));
    out_object(&import->tool->out, NULL, OUT_COLUMNS(columns), result);
}

static enum pay_exit import_from(struct tool *tool, FILE *file, bool check) {
    struct import *import = calloc(1, sizeof *import);
    int64_t began_ms = pay_clock_ms();
    enum pay_exit status = PAY_EXIT_OK;
    if (import == NULL) abort();
    import->tool = tool;
    progress_begin(&import->progress, "accounts", 0);
    if (!check) status = tool_open_database(tool, PAY_PG_OWNER, &import->pg);
    if (status == PAY_EXIT_OK) status = read_file(import, file);
    if (status == PAY_EXIT_OK) report(import, began_ms);
    pay_pg_close(import->pg);
    free(import);
    return status;
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    const char *name = values[FILE_NAME].text;
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "r");
    if (file == NULL) return tool_fail(tool, PAY_EXIT_FAILURE, "can't read %s: %s", name, strerror(errno));
    enum pay_exit status = import_from(tool, file, values[CHECK].given);
    if (file != stdin) fclose(file);
    return status;
}

const struct command cmd_account_import = {
    .name = "import",
    .summary = "open many accounts from a file; repeatable",
    .examples = "  paybuf account import accounts.ndjson\n"
                "  generate-accounts | paybuf account import -\n"
                "  paybuf account import --check accounts.ndjson\n",
    .notes = "A line: "
             "{\"account_id\":\"alice\",\"currency\":\"EUR\",\"tenant\":\"default\",\"floor_minor\":0,\"opening_"
             "minor\":100000}\n"
             "account_id and currency are required. The first wrong line stops it: what came before stays opened, and "
             "the same import\n"
             "again, with that line mended, opens the rest.\n",
    CLI_ARGS(args),
    .run = run,
};
