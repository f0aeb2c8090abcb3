/* Migrations, roles, and that the tables say the same words as the program. */
#include "tests/pg/pg_test.h"

#include "sql/pay_sql.h"

#include <sys/wait.h>
#include <unistd.h>

static struct pay_error apply(struct pay_pg *pg, int *ret_applied) {
    struct pay_error error = {.move = PAY_OK};
    struct pay_schema_report report = {0};
    pay_schema_apply(pg, &report, &error);
    *ret_applied = report.applied;
    return error;
}

static struct pay_error check(struct pay_pg *pg) {
    struct pay_error error = {.move = PAY_OK};
    pay_schema_check(pg, &error);
    return error;
}

static void assert_refused(const struct pay_error *error, const char *why) {
    assert_move(PAY_REFUSE, error);
    if (strstr(error->text, why) == NULL) print_error("\"%s\" doesn't say \"%s\"\n", error->text, why);
    assert_non_null(strstr(error->text, why));
}

static void test_migrations_are_safe_to_repeat(void **state) {
    (void)state;
    int applied;
    struct pay_error error = apply(watcher, &applied);
    assert_move(PAY_OK, &error);
    assert_int_equal(0, applied);
    error = check(watcher);
    assert_move(PAY_OK, &error);
    assert_int_equal(PAY_SQL_MIGRATION_COUNT, sql_number(books, "SELECT count(*) FROM paybuf.schema_migration"));
    assert_string_equal(
        "paybuf_owner",
        sql_text(books, "SELECT tableowner FROM pg_tables WHERE schemaname = 'paybuf' AND tablename = 'payment'"));
}

static void test_an_edited_migration_is_refused(void **state) {
    (void)state;
    int applied;
    sql(books, "UPDATE paybuf.schema_migration SET sha256 = 'x' || substr(sha256, 2) WHERE version = 1");
    struct pay_error error = apply(watcher, &applied);
    assert_refused(&error, "migration 001");
    error = check(watcher);
    assert_refused(&error, "checksum");
    sql(books, "UPDATE paybuf.schema_migration SET sha256 = '%s' WHERE version = 1", pay_sql_migrations[0].sha256);
    error = check(watcher);
    assert_move(PAY_OK, &error);
}

static void test_a_newer_schema_is_refused(void **state) {
    (void)state;
    int applied;
    sql(books, "INSERT INTO paybuf.schema_migration (version, name, sha256) VALUES (998, '998_later', 'x')");
    struct pay_error error = apply(watcher, &applied);
    assert_refused(&error, "newer");
    error = check(watcher);
    assert_refused(&error, "newer");
    sql(books, "DELETE FROM paybuf.schema_migration WHERE version = 998");
}

static void test_a_database_without_books_is_told_to_run_init(void **state) {
    (void)state;
    char url[600];
    struct pay_error error = {.move = PAY_OK};
    struct pay_pg *pg;
    /* The login's own database next door: template1 holds no books. */
    snprintf(url, sizeof url, "%.*s/template1", (int)(strrchr(pay_test_pg_url(), '/') - pay_test_pg_url()),
             pay_test_pg_url());
    struct pay_pg_options options = {.url = url};
    pay_pg_open(&options, &pg, &error);
    assert_move(PAY_OK, &error);
    error = check(pg);
    assert_refused(&error, "paybuf init");
    pay_pg_close(pg);
}

static void test_two_inits_at_once_both_end_well(void **state) {
    (void)state;
    pid_t children[4];
    sql(books, "DROP SCHEMA paybuf CASCADE");
    fflush(NULL);
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] != 0) continue;
        int applied;
        struct pay_error error = {.move = PAY_OK};
        struct pay_pg *pg;
        struct pay_pg_options options = {.url = pay_test_pg_url()};
        struct pay_schema_ledger ledger = {.topic = TOPIC, .partitions = PARTITIONS, .first_generation = 1};
        if (pay_pg_open(&options, &pg, &error) == PAY_OK) error = apply(pg, &applied);
        if (error.move == PAY_OK) pay_schema_init_ledger(pg, &ledger, &error);
        if (error.move != PAY_OK) print_error("%s: %s\n", error.code, error.text);
        _exit(error.move == PAY_OK ? 0 : 1);
    }
    for (int i = 0; i < 4; i++) {
        int status;
        assert_int_equal(children[i], waitpid(children[i], &status, 0));
        assert_int_equal(0, status);
    }
    assert_int_equal(1, sql_number(books, "SELECT count(*) FROM paybuf.ledger"));
    assert_int_equal(PARTITIONS, sql_number(books, "SELECT count(*) FROM paybuf.processed_offset"));
}

static void test_the_ledger_row_is_made_once_and_partitions_are_added(void **state) {
    (void)state;
    struct pay_error error = {.move = PAY_OK};
    struct pay_schema_ledger ledger = {.topic = TOPIC, .partitions = PARTITIONS, .first_generation = 1};
    pay_schema_init_ledger(watcher, &ledger, &error);
    assert_move(PAY_OK, &error);
    assert_false(ledger.created);
    assert_int_equal(0, ledger.partitions_created);
    assert_string_equal(ledger.ledger_id, sql_text(books, "SELECT ledger_id FROM paybuf.ledger"));
    sql(books, "UPDATE paybuf.processed_offset SET next_offset = 9 WHERE partition = 0");
    ledger = (struct pay_schema_ledger){.topic = TOPIC, .partitions = PARTITIONS + 3, .first_generation = 4};
    pay_schema_init_ledger(watcher, &ledger, &error);
    assert_move(PAY_OK, &error);
    assert_int_equal(3, ledger.partitions_created);
    assert_int_equal(3, sql_number(books, "SELECT count(*) FROM paybuf.processed_offset WHERE log_generation = 4"));
    assert_int_equal(9, sql_number(books, "SELECT next_offset FROM paybuf.processed_offset WHERE partition = 0"));
    ledger.topic = "another.topic";
    pay_schema_init_ledger(watcher, &ledger, &error);
    assert_refused(&error, TOPIC);
}

static void test_tables_that_are_not_ordinary_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *break_it, *mend_it, *why;
    } cases[] = {
        {"ALTER TABLE paybuf.account RENAME TO account_; CREATE VIEW paybuf.account AS SELECT * FROM paybuf.account_",
         "DROP VIEW paybuf.account; ALTER TABLE paybuf.account_ RENAME TO account", "account is a view"},
        {"ALTER TABLE paybuf.processed_offset SET UNLOGGED", "ALTER TABLE paybuf.processed_offset SET LOGGED",
         "processed_offset is not logged"},
        {"ALTER TABLE paybuf.refusal RENAME TO refusal_", "ALTER TABLE paybuf.refusal_ RENAME TO refusal",
         "refusal is missing"},
        {"ALTER TABLE paybuf.payment ENABLE ROW LEVEL SECURITY",
         "ALTER TABLE paybuf.payment DISABLE ROW LEVEL SECURITY", "payment has row security"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sql(books, "%s", cases[i].break_it);
        struct pay_error error = check(watcher);
        sql(books, "%s", cases[i].mend_it);
        assert_refused(&error, cases[i].why);
    }
    struct pay_error error = check(watcher);
    assert_move(PAY_OK, &error);
}

/* ---- roles ---- */

static void assert_denied(struct pay_pg *pg, const char *statement) {
    char code[6];
    if (sql_fails(pg, code, "%s", statement) == PAY_OK) print_error("allowed: %s\n", statement);
    assert_string_equal("42501", code);
}

static void test_the_worker_role_may_append_and_move_but_not_delete_nor_change_tables(void **state) {
    (void)state;
    static const char *const denied[] = {
        "DELETE FROM paybuf.payment",
        "DELETE FROM paybuf.processed_offset",
        "DELETE FROM paybuf.account",
        "DELETE FROM paybuf.refusal",
        "DELETE FROM paybuf.adjustment",
        "DELETE FROM paybuf.ledger",
        "TRUNCATE paybuf.payment",
        "UPDATE paybuf.payment SET amount_minor = 1",
        "UPDATE paybuf.refusal SET code = 'too_large'",
        "UPDATE paybuf.account SET floor_minor = -1",
        "UPDATE paybuf.account SET state = 'active'",
        "INSERT INTO paybuf.account (tenant, account_id, currency) VALUES ('t', 'x', 'EUR')",
        "INSERT INTO paybuf.adjustment VALUES ('t', 'x', 'x', 'open', 0, 1, NULL, now())",
        "UPDATE paybuf.ledger SET ledger_id = gen_random_uuid()",
        "INSERT INTO paybuf.schema_migration VALUES (9, 'x', 'x')",
        "ALTER TABLE paybuf.payment ADD COLUMN x int",
        "CREATE TABLE paybuf.x (x int)",
        "DROP TABLE paybuf.refusal"};
    struct pay_pg *worker = connect_as(PAY_PG_WORKER);
    for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++) assert_denied(worker, denied[i]);
    sql(worker, "UPDATE paybuf.account SET balance_minor = balance_minor, version = version; UPDATE "
                "paybuf.processed_offset SET next_offset = next_offset;"
                "UPDATE paybuf.ledger SET halted = halted; SELECT * FROM paybuf.payment, paybuf.refusal, "
                "paybuf.adjustment, paybuf.schema_migration");
    pay_pg_close(worker);
}

static void test_the_reader_role_may_only_read(void **state) {
    (void)state;
    struct pay_pg *reader = connect_as(PAY_PG_READER);
    sql(reader, "SELECT * FROM paybuf.payment, paybuf.refusal, paybuf.adjustment, paybuf.account, "
                "paybuf.processed_offset, paybuf.ledger, paybuf.schema_migration");
    sql(reader, "SET default_transaction_read_only = off");
    assert_denied(reader, "UPDATE paybuf.account SET balance_minor = 1");
    assert_denied(reader, "INSERT INTO paybuf.refusal VALUES (1, 0, 0, 'too_large', NULL, now())");
    assert_denied(reader, "UPDATE paybuf.processed_offset SET next_offset = 1");
    assert_denied(reader, "DELETE FROM paybuf.payment");
    pay_pg_close(reader);
}

static void test_a_login_without_the_right_is_told_what_an_administrator_must_do(void **state) {
    (void)state;
    int applied;
    char url[600], role[64];
    const char *at = strchr(pay_test_pg_url(), '@');
    struct pay_pg *pg;
    struct pay_error error = {.move = PAY_OK};
    snprintf(role, sizeof role, "paybuf_test_stranger_%d", (int)getpid());
    sql(watcher, "CREATE ROLE %s LOGIN", role);
    snprintf(url, sizeof url, "postgresql://%s%s", role, at);
    struct pay_pg_options options = {.url = url};
    pay_pg_open(&options, &pg, &error);
    if (error.move == PAY_OK) {
        error = apply(pg, &applied);
        pay_pg_close(pg);
    }
    struct pay_error role_error = {.move = PAY_OK};
    options.role = PAY_PG_WORKER;
    enum pay_move as_worker = pay_pg_open(&options, &pg, &role_error);
    sql(watcher, "DROP ROLE %s", role);
    assert_refused(&error, "GRANT paybuf_owner, paybuf_worker, paybuf_reader TO");
    assert_int_equal(PAY_REFUSE, as_worker);
    assert_refused(&role_error, "paybuf_worker");
}

/* ---- words ---- */

/* The CHECK constraints must take exactly the program's words. */
static void assert_words(const char *table, const char *column, const char *constraint, const char *const *words,
                         int count) {
    const char *definition = sql_text(
        books,
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'paybuf.%s'::regclass AND contype = 'c'"
        " AND (conname = '%s' OR ('%s' = '' AND pg_get_constraintdef(oid) LIKE '%%%s = ANY%%'))",
        table, constraint, constraint, column);
    int quotes = 0;
    for (const char *c = definition; *c != '\0'; c++) quotes += *c == '\'';
    for (int i = 0; i < count; i++) {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "'%s'", words[i]);
        if (strstr(definition, quoted) == NULL) print_error("%s.%s lacks %s: %s\n", table, column, quoted, definition);
        assert_non_null(strstr(definition, quoted));
    }
    assert_int_equal(count * 2, quotes);
}

static void test_the_tables_take_exactly_the_programs_words(void **state) {
    (void)state;
    const char *words[32];
    int count = 0;
    for (enum pay_halt halt = PAY_HALT_NONE + 1; halt < PAY_HALT_COUNT; halt++) words[count++] = pay_halt_name(halt);
    assert_words("ledger", "halted_reason", "ledger_halted_reason", words, count);
    assert_words("processed_offset", "halted_reason", "processed_offset_halted_reason", words, count);
    count = 0;
    for (enum pay_account_state s = 0; s < PAY_ACCOUNT_STATE_COUNT; s++) words[count++] = pay_account_state_name(s);
    assert_words("account", "state", "account_state_check", words, count);
    count = 0;
    for (enum pay_reason reason = PAY_TOO_LARGE; reason <= PAY_ATTEMPT_OUT_OF_SEQUENCE; reason++)
        words[count++] = pay_reason_name(reason);
    assert_words("refusal", "code", "refusal_code_check", words, count);
    count = 0;
    for (enum pay_field field = PAY_FIELD_NONE + 1; field < PAY_FIELD_COUNT; field++)
        words[count++] = pay_field_name(field);
    assert_words("refusal", "field", "refusal_field_check", words, count);
    /* payment: every declined reason is taken, nothing else is. */
    for (enum pay_reason reason = PAY_REASON_NONE + 1; reason < PAY_REASON_COUNT; reason++) {
        char code[6];
        const char *numbers = reason == PAY_UNKNOWN_ACCOUNT ? "NULL, NULL" : "1, 1";
        enum pay_move move = sql_fails(books, code,
                                       "BEGIN; INSERT INTO paybuf.payment VALUES ('t', 'o', 1, 'a', 'EUR', 1, "
                                       "'declined', '%s', %s, 1, 0, 0, now()); ROLLBACK",
                                       pay_reason_name(reason), numbers);
        if (move != PAY_OK) pay_pg_rollback(books);
        assert_int_equal(reason <= PAY_INSUFFICIENT_FUNDS, move == PAY_OK);
    }
    char code[6];
    assert_int_equal(PAY_SPLIT, sql_fails(books, code,
                                          "INSERT INTO paybuf.payment VALUES ('t', 'o', 1, 'a', 'EUR', 1, 'paid', "
                                          "'account_closed', 1, 1, 1, 0, 0, now())"));
    assert_int_equal(
        PAY_SPLIT,
        sql_fails(
            books, code,
            "INSERT INTO paybuf.payment VALUES ('t', 'o', 1, 'a', 'EUR', 1, 'declined', NULL, 1, 1, 1, 0, 0, now())"));
    assert_int_equal(PAY_SPLIT, sql_fails(books, code,
                                          "INSERT INTO paybuf.payment VALUES ('t', 'o', 1, 'a', 'EUR', 1, 'paid', "
                                          "NULL, NULL, NULL, 1, 0, 0, now())"));
    assert_int_equal(
        PAY_SPLIT,
        sql_fails(
            books, code,
            "INSERT INTO paybuf.payment VALUES ('t', 'o', 1, 'a', 'EUR', 1, 'conflict', NULL, 1, 1, 1, 0, 0, now())"));
}

static void test_rows_of_before_that_no_worker_writes_are_named_and_keep_the_schema_where_it_was(void **state) {
    (void)state;
    static const char *const broken[] = {"log_generation = 0", "src_partition = -1", "src_offset = -5",
                                         "decided_at = 'infinity'"};
    int applied;
    sql(books, "ALTER TABLE paybuf.payment DROP CONSTRAINT payment_possible;"
               "ALTER TABLE paybuf.refusal DROP CONSTRAINT refusal_possible;"
               "DELETE FROM paybuf.schema_migration WHERE version = 2");
    sql(books, "INSERT INTO paybuf.payment VALUES ('t', 'o-107', 3, 'a', 'EUR', 1, 'paid', NULL, 1, 1, 1, 0, 5, now());"
               "INSERT INTO paybuf.refusal VALUES (1, 0, 6, 'too_large', NULL, now())");
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        sql(books, "CREATE TABLE kept AS TABLE paybuf.payment; UPDATE paybuf.payment SET %s", broken[i]);
        struct pay_error error = apply(watcher, &applied);
        sql(books, "DELETE FROM paybuf.payment; INSERT INTO paybuf.payment TABLE kept; DROP TABLE kept");
        assert_move(PAY_SPLIT, &error);
        assert_non_null(strstr(error.text, "payment of order t/o-107, attempt 3, at "));
        assert_int_equal(0, applied);
    }
    sql(books, "UPDATE paybuf.refusal SET src_offset = -6");
    struct pay_error error = apply(watcher, &applied);
    assert_non_null(strstr(error.text, "refusal at 1-0--6"));
    sql(books, "UPDATE paybuf.refusal SET src_offset = 6");
    error = apply(watcher, &applied);
    assert_move(PAY_OK, &error);
    assert_int_equal(1, applied);
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        char code[6];
        assert_int_equal(PAY_SPLIT, sql_fails(books, code, "UPDATE paybuf.payment SET %s", broken[i]));
        assert_int_equal(PAY_SPLIT, sql_fails(books, code, "UPDATE paybuf.refusal SET %s", broken[i]));
    }
}

static void test_no_table_has_an_index_on_a_hot_column(void **state) {
    (void)state;
    assert_string_equal(
        "account_pkey, adjustment_pkey, ledger_one_row, payment_pkey, processed_offset_pkey, refusal_pkey, "
        "schema_migration_pkey",
        sql_text(books,
                 "SELECT string_agg(indexname, ', ' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'paybuf'"));
    assert_int_equal(
        0, sql_number(books, "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'paybuf' AND "
                             "data_type = 'text' AND collation_name IS DISTINCT FROM 'C' AND column_name <> 'note'"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_migrations_are_safe_to_repeat, books_reset),
        cmocka_unit_test_setup(test_an_edited_migration_is_refused, books_reset),
        cmocka_unit_test_setup(test_a_newer_schema_is_refused, books_reset),
        cmocka_unit_test_setup(test_a_database_without_books_is_told_to_run_init, books_reset),
        cmocka_unit_test_setup(test_two_inits_at_once_both_end_well, books_reset),
        cmocka_unit_test_setup(test_the_ledger_row_is_made_once_and_partitions_are_added, books_reset),
        cmocka_unit_test_setup(test_tables_that_are_not_ordinary_are_refused, books_reset),
        cmocka_unit_test_setup(test_the_worker_role_may_append_and_move_but_not_delete_nor_change_tables, books_reset),
        cmocka_unit_test_setup(test_the_reader_role_may_only_read, books_reset),
        cmocka_unit_test_setup(test_a_login_without_the_right_is_told_what_an_administrator_must_do, books_reset),
        cmocka_unit_test_setup(test_the_tables_take_exactly_the_programs_words, books_reset),
        cmocka_unit_test_setup(test_rows_of_before_that_no_worker_writes_are_named_and_keep_the_schema_where_it_was,
                               books_reset),
        cmocka_unit_test_setup(test_no_table_has_an_index_on_a_hot_column, books_reset),
    };
    const char *one = getenv("PAYBUF_TEST_NAME");
    if (one != NULL) cmocka_set_test_filter(one);
    return cmocka_run_group_tests_name("schema", tests, books_open, books_close);
}
