/* cmd_doctor.c - paybuf doctor: every precondition of the promises, and how to meet it. */
#include "tools/commands.h"
#include "tools/doctor_database.h"
#include "tools/tool.h"

#include <string.h>

/* clang-format off */
static const struct out_column columns[] = {
    {"check", "CHECK", false}, {"state", "STATE", false}, {"found", "FOUND", false}, {"wanted", "WANTED", false}, {"fix", NULL, false}};
/* clang-format on */

static void add(struct doctor *doctor, const char *check, enum doctor_state state, const char *found,
                const char *wanted, const char *fix) {
    static const char *const names[] = {[DOCTOR_OK] = "ok", [DOCTOR_WARNING] = "warning", [DOCTOR_FAILED] = "FAILED"};
    json_t *row = json_object();
    json_object_set_new(row, "check", json_string(check));
    json_object_set_new(row, "state", json_string(names[state]));
    json_object_set_new(row, "found", json_string(found));
    json_object_set_new(row, "wanted", json_string(wanted));
    json_object_set_new(row, "fix", state == DOCTOR_OK ? json_null() : json_string(fix));
    if (state != DOCTOR_OK) json_array_append(doctor->to_mend, row);
    out_row(&doctor->tool->out, row);
    doctor->warnings += state == DOCTOR_WARNING;
    doctor->failures += state == DOCTOR_FAILED;
}

static enum pay_exit check_kafka(struct doctor *doctor, struct pay_kafka_report_card *card) {
    const struct pay_config *config = &doctor->tool->config;
    const struct pay_kafka_topic_names names = {config->request_topic, config->reply_topic, config->dead_letter_topic};
    struct pay_kafka_admin *admin;
    struct pay_error error;
    enum pay_exit status = tool_open_admin(doctor->tool, &admin);
    if (status != PAY_EXIT_OK) return status;
    if (pay_kafka_check_all(admin, &names, TOOL_KAFKA_TIMEOUT_MS, card, &error) != PAY_OK)
        status = tool_unavailable(doctor->tool, &error);
    pay_kafka_admin_close(admin);
    if (status != PAY_EXIT_OK) return status;
    for (uint32_t i = 0; i < card->count; i++) {
        const struct pay_kafka_check *check = &card->checks[i];
        add(doctor, check->name,
            check->ok        ? DOCTOR_OK
            : check->warning ? DOCTOR_WARNING
                             : DOCTOR_FAILED,
            check->found, check->wanted, check->fix);
    }
    return PAY_EXIT_OK;
}

/* The fixes as sentences: beside the table they would make it too wide to read. */
static void print_fixes(struct doctor *doctor) {
    size_t index;
    json_t *row;
    json_array_foreach(doctor->to_mend, index, row) {
        out_line(&doctor->tool->out, "%s%s: %s", index == 0 ? "\n" : "",
                 json_string_value(json_object_get(row, "check")), json_string_value(json_object_get(row, "fix")));
    }
    out_line(&doctor->tool->out, "\n%d failed, %d warning%s", doctor->failures, doctor->warnings,
             doctor->warnings == 1 ? "" : "s");
}

static enum pay_exit run(struct tool *tool, const struct cli_value *values) {
    (void)values;
    static struct pay_kafka_report_card card;
    struct doctor doctor = {.tool = tool, .card = &card, .add = add, .to_mend = json_array()};
    out_list(&tool->out, NULL, OUT_COLUMNS(columns));
    enum pay_exit kafka = check_kafka(&doctor, &card), database = doctor_database(&doctor);
    print_fixes(&doctor);
    json_decref(doctor.to_mend);
    if (kafka != PAY_EXIT_OK) return kafka;
    if (database != PAY_EXIT_OK) return database;
    return doctor.failures > 0 ? PAY_EXIT_DIFFERENCES : PAY_EXIT_OK;
}

const struct command cmd_doctor = {
    .name = "doctor",
    .summary = "does everything hold that the promises stand on? with how to mend what doesn't",
    .examples = "  paybuf doctor\n"
                "  paybuf doctor -o ndjson | jq 'select(.state != \"ok\")'\n",
    .notes = "Exit code 4 when a check failed; warnings (one broker, short retention, no synchronous standby) don't "
             "count.\n",
    .run = run,
};
