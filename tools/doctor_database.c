#include "tools/doctor_database.h"

#include "core/outcome.h"
#include "pg/schema.h"
#include "sql/pay_sql.h"
#include "tools/doctor_growth.h"

#include <string.h>

/* A setting that must not be `bad`; `weak` is only a warning. */
struct setting {
    const char *name;
    const char *bad, *weak;
    const char *wanted;
    const char *fix;
};

/* clang-format off */
static const struct setting settings[] = {
    {"fsync", "off", NULL, "on", "fsync = on in postgresql.conf, then reload: without it a power cut loses what was confirmed"},
    {"synchronous_commit", "off", "local", "on", "synchronous_commit = on in postgresql.conf, then reload"},
    {"full_page_writes", "off", NULL, "on", "full_page_writes = on, unless the file system never tears a page"},
    {"synchronous_standby_names", NULL, "", "a synchronous standby",
     "without it an asynchronous failover can lose confirmed commits: promise 2 holds only as long as this server lives"},
    {"zero_damaged_pages", "on", NULL, "off", "zero_damaged_pages = off: damaged pages would become empty ones"},
    {"data_checksums", NULL, "off", "on", "pg_checksums --enable with the server stopped: damage on disk is noticed"},
};
/* clang-format on */

static void judge(struct doctor *doctor, const char *name, const char *value) {
    char check[64];
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct setting *setting = &settings[i];
        if (strcmp(setting->name, name) != 0) continue;
        snprintf(check, sizeof check, "postgresql %s", name);
        enum doctor_state state = DOCTOR_OK;
        if (setting->weak != NULL && strcmp(setting->weak, value) == 0) state = DOCTOR_WARNING;
        if (setting->bad != NULL && strcmp(setting->bad, value) == 0) state = DOCTOR_FAILED;
        doctor->add(doctor, check, state, value[0] != '\0' ? value : "(empty)", setting->wanted, setting->fix);
    }
}

static bool take_setting(void *argument, const struct pay_pg_row *row) {
    judge(argument, pay_pg_column(row, 0), pay_pg_column(row, 1));
    return true;
}

static bool take_role(void *argument, const struct pay_pg_row *row) {
    struct doctor *doctor = argument;
    char check[96], fix[160];
    bool exists = pay_pg_column_bool(row, 1), member = pay_pg_column_bool(row, 2);
    snprintf(check, sizeof check, "role %s", pay_pg_column(row, 0));
    snprintf(fix, sizeof fix,
             exists ? "this login can't act as it; GRANT %s TO this login, where it should"
                    : "paybuf init makes it (%s)",
             pay_pg_column(row, 0));
    doctor->add(doctor, check,
                !exists  ? DOCTOR_FAILED
                : member ? DOCTOR_OK
                         : DOCTOR_WARNING,
                !exists  ? "missing"
                : member ? "there"
                         : "there, not for this login",
                "there", fix);
    return true;
}

static bool take_ledger(void *argument, const struct pay_pg_row *row) {
    struct doctor *doctor = argument;
    const char *reason = pay_pg_column(row, 4);
    enum pay_halt halt;
    bool halted = pay_pg_column_bool(row, 3);
    const char *hint =
        reason != NULL && pay_halt_from_name(reason, strlen(reason), &halt) ? pay_halt_hint(halt) : "see docs/halts.md";
    doctor->add(doctor, "ledger", halted ? DOCTOR_FAILED : DOCTOR_OK, halted ? reason : pay_pg_column(row, 0),
                "not halted", halted ? hint : "");
    return true;
}

/* Lanes of another cluster: the books and the topics don't belong together. */
static bool take_clusters(void *argument, const struct pay_pg_row *row) {
    struct doctor *doctor = argument;
    const char *cluster = pay_pg_column(row, 0);
    const char *asked = doctor->card->cluster_id;
    bool same = asked[0] == '\0' || cluster == NULL || strcmp(cluster, asked) == 0;
    doctor->add(
        doctor, "lanes' cluster", same ? DOCTOR_OK : DOCTOR_FAILED, cluster != NULL ? cluster : "none yet",
        same ? "this one" : asked,
        "[kafka] bootstrap.servers names another cluster than the one these books were kept for; point it at that one");
    return true;
}

static enum pay_exit check_schema(struct doctor *doctor, struct pay_pg *pg) {
    struct pay_error error;
    enum pay_move move = pay_schema_check(pg, &error);
    if (move == PAY_OK) {
        doctor->add(doctor, "schema paybuf", DOCTOR_OK, "all migrations, ordinary tables",
                    "all migrations, ordinary tables", "");
        return PAY_EXIT_OK;
    }
    if (move != PAY_REFUSE) return tool_error(doctor->tool, &error);
    doctor->add(doctor, "schema paybuf", DOCTOR_FAILED, error.text, "all migrations, ordinary tables",
                "paybuf init, when it says so");
    return PAY_EXIT_CONFIG;
}

static enum pay_exit look(struct doctor *doctor, struct pay_pg *pg) {
    struct pay_pg_args args;
    struct pay_error error;
    char version[32];
    int number = pay_pg_server_version(pg);
    snprintf(version, sizeof version, "%d.%d", number / 10000, number % 10000);
    doctor->add(doctor, "postgresql version", number >= 150000 ? DOCTOR_OK : DOCTOR_FAILED, version, "15 or newer",
                "upgrade it");
    if (pay_pg_exec(pg, pay_sql_tools_server_settings, NULL, take_setting, doctor, NULL, &error) != PAY_OK ||
        pay_pg_exec(pg, pay_sql_tools_roles, NULL, take_role, doctor, NULL, &error) != PAY_OK)
        return tool_error(doctor->tool, &error);
    enum pay_exit status = check_schema(doctor, pg);
    if (status == PAY_EXIT_CONFIG) {
        doctor_growth_unchecked(doctor, "the books can't be read as long as the schema isn't as it must be: mend that");
        return PAY_EXIT_OK;
    }
    if (status != PAY_EXIT_OK) return status;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, doctor->tool->config.request_topic);
    if (pay_pg_exec(pg, pay_sql_read_ledger, NULL, take_ledger, doctor, NULL, &error) != PAY_OK ||
        pay_pg_exec(pg, pay_sql_tools_clusters, &args, take_clusters, doctor, NULL, &error) != PAY_OK)
        return tool_error(doctor->tool, &error);
    return doctor_growth(doctor, pg);
}

/* The URL's login must be able to read before anything can be checked; fsync off is what we want to tell, not a reason to refuse. */
enum pay_exit doctor_database(struct doctor *doctor) {
    const struct pay_pg_options options = {.url = doctor->tool->config.database_url,
                                           .application_name = "paybuf",
                                           .role = PAY_PG_AS_LOGIN,
                                           .allow_unix_socket = true,
                                           .allow_unsafe = true};
    struct pay_pg *pg;
    struct pay_error error;
    if (pay_pg_open(&options, &pg, &error) != PAY_OK) {
        doctor_growth_unchecked(doctor, "PostgreSQL couldn't be asked (stderr says why): mend that");
        return tool_no_database(doctor->tool, &error);
    }
    enum pay_exit status = look(doctor, pg);
    pay_pg_close(pg);
    return status;
}
