#include "pg/schema.h"

#include "pg/pg_private.h"
#include "sql/pay_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APPLY_LOCK                                                                                                     \
    "SELECT pg_advisory_xact_lock(7305809107361591650)" /* "paybufdb" as a number: any one that nobody else takes */

/* What schema_migration says. */
struct applied {
    int count;
    bool unknown; /* a version that this program doesn't have */
    int differs;  /* version whose checksum is another one; 0: none */
    bool done[PAY_SQL_MIGRATION_COUNT];
};

static bool take_applied(void *argument, const struct pay_pg_row *row) {
    struct applied *applied = argument;
    int64_t version = pay_pg_column_int8(row, 0);
    applied->count++;
    if (version < 1 || version > PAY_SQL_MIGRATION_COUNT) {
        applied->unknown = true;
        return true;
    }
    const struct pay_sql_migration *migration = &pay_sql_migrations[version - 1];
    applied->done[version - 1] = true;
    if (strcmp(pay_pg_column(row, 2), migration->sha256) != 0 && applied->differs == 0)
        applied->differs = migration->version;
    return true;
}

static enum pay_move read_applied(struct pay_pg *pg, struct applied *ret_applied, struct pay_error *error) {
    struct applied applied = {0};
    enum pay_move move = pay_pg_exec(pg, pay_sql_migrations_applied, NULL, take_applied, &applied, NULL, error);
    if (move != PAY_OK) return move;
    if (applied.differs > 0)
        return pay_pg_fail(error, PAY_REFUSE, "",
                           "migration %03d was applied to this database with another text than this program carries "
                           "(checksum differs): "
                           "never edit an applied migration, add a new one",
                           applied.differs);
    if (applied.unknown)
        return pay_pg_fail(error, PAY_REFUSE, "",
                           "the database's schema is newer than this program, which knows migrations up to %03d: "
                           "install a newer paybuf",
                           PAY_SQL_MIGRATION_COUNT);
    *ret_applied = applied;
    return PAY_OK;
}

static enum pay_move record(struct pay_pg *pg, const struct pay_sql_migration *migration, struct pay_error *error) {
    struct pay_pg_args args;
    pay_pg_args_begin(&args);
    pay_pg_args_int4(&args, migration->version);
    pay_pg_args_text(&args, migration->name);
    pay_pg_args_text(&args, migration->sha256);
    return pay_pg_exec(pg, pay_sql_migration_record, &args, NULL, NULL, NULL, error);
}

/* Inside a transaction that holds the lock: the first migration that is missing. */
static enum pay_move apply_next(struct pay_pg *pg, bool *ret_applied, struct pay_error *error) {
    struct applied applied;
    enum pay_move move = pay_pg_script(pg, "SET LOCAL ROLE paybuf_owner", error);
    if (move == PAY_OK) move = read_applied(pg, &applied, error);
    for (int i = 0; move == PAY_OK && i < PAY_SQL_MIGRATION_COUNT; i++) {
        if (applied.done[i]) continue;
        move = pay_pg_script(pg, pay_sql_migrations[i].text, error);
        if (move == PAY_OK) move = record(pg, &pay_sql_migrations[i], error);
        if (move == PAY_OK) *ret_applied = true;
        return move;
    }
    return move;
}

/* One transaction under the lock: the schema with its roles (when `bootstrap`), or the next migration. */
static enum pay_move locked_step(struct pay_pg *pg, bool bootstrap, bool *ret_applied, struct pay_error *error) {
    *ret_applied = false;
    enum pay_move move = pay_pg_begin(pg, false, error);
    if (move == PAY_OK) move = pay_pg_script(pg, "SET LOCAL lock_timeout = '20s'; " APPLY_LOCK, error);
    if (move == PAY_OK && bootstrap) {
        move = pay_pg_script(pg, pay_sql_schema_roles, error);
        if (move == PAY_OK) move = pay_pg_script(pg, pay_sql_schema_bootstrap, error);
    } else if (move == PAY_OK) {
        move = apply_next(pg, ret_applied, error);
    }
    if (move == PAY_OK) return pay_pg_commit(pg, error);
    pay_pg_rollback(pg);
    return move;
}

/* What a failure while applying means to `paybuf init`: busy, or somebody has to look. */
static enum pay_move judge(enum pay_move move, struct pay_error *error) {
    if (move == PAY_OK || move == PAY_REFUSE) return move;
    if (move == PAY_REDO) return error->move = PAY_AGAIN;
    if (error->code[0] != '\0' && pay_pg_connect_move_of(error->code) == PAY_REFUSE) return error->move = PAY_REFUSE;
    return move;
}

enum pay_move pay_schema_apply(struct pay_pg *pg, struct pay_schema_report *ret_report, struct pay_error *error) {
    struct pay_schema_report report = {.version = PAY_SQL_MIGRATION_COUNT};
    bool applied;
    enum pay_move move = locked_step(pg, true, &applied, error);
    do {
        if (move == PAY_OK) move = locked_step(pg, false, &applied, error);
        if (move != PAY_OK) return judge(move, error);
        if (applied) report.applied++;
    } while (applied);
    *ret_report = report;
    return PAY_OK;
}

struct problems {
    char text[PAY_ERROR_TEXT_MAX];
};

static bool take_problem(void *argument, const struct pay_pg_row *row) {
    struct problems *problems = argument;
    size_t used = strlen(problems->text);
    snprintf(problems->text + used, sizeof problems->text - used, "%s%s %s", used > 0 ? ", " : "",
             pay_pg_column(row, 0), pay_pg_column(row, 1));
    return true;
}

static enum pay_move check_tables(struct pay_pg *pg, struct pay_error *error) {
    struct problems problems = {""};
    char citus[8] = "";
    bool found;
    enum pay_move move = pay_pg_exec(pg, pay_sql_check_tables, NULL, take_problem, &problems, NULL, error);
    if (move == PAY_OK)
        move = pay_pg_exec_value(pg, pay_sql_check_distributed, NULL, citus, sizeof citus, &found, error);
    if (move != PAY_OK) return move;
    if (problems.text[0] != '\0')
        return pay_pg_fail(error, PAY_REFUSE, "",
                           "tables in schema paybuf must be ordinary, logged tables of this server: %s", problems.text);
    if (strcmp(citus, "t") == 0)
        return pay_pg_fail(error, PAY_REFUSE, "",
                           "this database may distribute its tables (Citus): a fence on another node than the money "
                           "tears; use a database without it");
    return PAY_OK;
}

enum pay_move pay_schema_check(struct pay_pg *pg, struct pay_error *error) {
    char there[8] = "";
    bool found;
    enum pay_move move = pay_pg_exec_value(pg, "SELECT to_regclass('paybuf.schema_migration') IS NOT NULL", NULL, there,
                                           sizeof there, &found, error);
    if (move != PAY_OK) return move;
    if (strcmp(there, "t") != 0)
        return pay_pg_fail(error, PAY_REFUSE, "", "this database holds no books yet: run `paybuf init`");
    struct applied applied;
    move = read_applied(pg, &applied, error);
    if (move != PAY_OK) return judge(move, error);
    if (applied.count < PAY_SQL_MIGRATION_COUNT)
        return pay_pg_fail(error, PAY_REFUSE, "", "the database's schema is at %d of %d migrations: run `paybuf init`",
                           applied.count, PAY_SQL_MIGRATION_COUNT);
    return check_tables(pg, error);
}

static enum pay_move refuse_other_topic(struct pay_pg *pg, const char *topic, struct pay_error *error) {
    struct pay_pg_args args;
    char other[256];
    bool found;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, topic);
    enum pay_move move = pay_pg_exec_value(pg, pay_sql_other_topic, &args, other, sizeof other, &found, error);
    if (move != PAY_OK || !found) return move;
    return pay_pg_fail(error, PAY_REFUSE, "",
                       "these books belong to topic %s, not %s: one ledger has one request topic", other, topic);
}

static enum pay_move insert_rows(struct pay_pg *pg, struct pay_schema_ledger *ledger, struct pay_error *error) {
    int64_t created = 0;
    bool found;
    enum pay_move move =
        pay_pg_script(pg, "SET LOCAL ROLE paybuf_owner; SET LOCAL lock_timeout = '20s'; " APPLY_LOCK, error);
    if (move == PAY_OK) move = refuse_other_topic(pg, ledger->topic, error);
    if (move == PAY_OK) move = pay_pg_exec(pg, pay_sql_create_ledger, NULL, NULL, NULL, &created, error);
    if (move != PAY_OK) return move;
    struct pay_pg_args args;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, ledger->topic);
    pay_pg_args_int4(&args, (int32_t)ledger->partitions);
    pay_pg_args_int8(&args, ledger->first_generation);
    move = pay_pg_exec(pg, pay_sql_create_lanes, &args, NULL, NULL, &ledger->partitions_created, error);
    ledger->created = created > 0;
    if (move != PAY_OK) return move;
    return pay_pg_exec_value(pg, "SELECT ledger_id FROM paybuf.ledger", NULL, ledger->ledger_id,
                             sizeof ledger->ledger_id, &found, error);
}

enum pay_move pay_schema_init_ledger(struct pay_pg *pg, struct pay_schema_ledger *ledger, struct pay_error *error) {
    enum pay_move move = pay_pg_begin(pg, false, error);
    if (move == PAY_OK) move = insert_rows(pg, ledger, error);
    if (move == PAY_OK) return judge(pay_pg_commit(pg, error), error);
    pay_pg_rollback(pg);
    return judge(move, error);
}
