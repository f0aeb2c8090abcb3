/* cmd_dump.c - paybuf dump: the ledger as files, for an audit elsewhere and later. */
#include "tools/audit_online.h"
#include "tools/commands.h"
#include "tools/dump.h"

#include <inttypes.h>
#include <string.h>

enum { FOLDER, WAIT };

/* clang-format off */
static const struct cli_arg args[] = {
    [FOLDER] = {"FOLDER", CLI_TEXT, true, .help = "is made; must be new or empty"},
    [WAIT] = {"--wait", CLI_INTEGER, false, "SECONDS", 1, 86400, NULL, "first wait so long for everything to be settled and answered"},
};
static const struct out_column file_columns[] = {{"name", "FILE", false}, {"entries", "ENTRIES", false}, {"bytes", "BYTES", false}};
static const struct out_column summary_columns[] = {{"ledger_id", "ledger", false}, {"folder", "folder", false}, {"entries", "entries", false}, {"bytes", "bytes", false}};
/* clang-format on */

static void print(struct tool *tool, const char *folder, const struct dump_manifest *manifest) {
    int64_t entries = 0, bytes = 0;
    out_list(&tool->out, "files", OUT_COLUMNS(file_columns));
    for (size_t i = 0; i < manifest->file_count; i++) {
        const struct dump_entry *file = &manifest->files[i];
        entries += file->extent.entries;
        bytes += file->extent.bytes;
        out_row(&tool->out, json_pack("{s:s,s:I,s:I}", "name", file->name, "entries", (json_int_t)file->extent.entries,
                                      "bytes", (json_int_t)file->extent.bytes));
    }
    out_object(&tool->out, "summary", OUT_COLUMNS(summary_columns),
               json_pack("{s:s,s:s,s:I,s:I}", "ledger_id", manifest->ledger_id, "folder", folder, "entries",
                         (json_int_t)entries, "bytes", (json_int_t)bytes));
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    static struct audit audit;
    struct dump_manifest manifest = {.ledger_id = ""};
    const struct audit_scope scope = {.wait_seconds = values[WAIT].number, .partition = -1};
    audit = (struct audit){.tool = tool};
    enum pay_exit status = audit_online_open(&audit, &scope);
    if (status == PAY_EXIT_OK) status = dump_write(&audit, values[FOLDER].text, &manifest);
    audit_close(&audit);
    if (status == PAY_EXIT_OK) print(tool, values[FOLDER].text, &manifest);
    dump_manifest_free(&manifest);
    return status;
}

const struct command cmd_dump = {
    .name = "dump",
    .summary = "requests, replies, dead letters and tables as files, each "
               "entry with its checksum",
    .examples = "  paybuf dump /backup/ledger-2026-11-21\n"
                "  paybuf dump --wait 30 /backup/ledger           first let "
                "the workers come to the end\n"
                "  paybuf audit --from-dump /backup/ledger        the proof, "
                "without any server\n"
                "  tar -C /backup -cf - ledger | zstd > ledger.tar.zst\n",
    .notes = "Runs beside the workers: everything is of one moment, that of a "
             "database snapshot, which is held as long "
             "as it takes.\n"
             "What isn't answered then is in flight, as in an audit. Memory "
             "stays small. docs/replay.md has the "
             "format.\n",
    CLI_ARGS(args),
    .run = run,
};
