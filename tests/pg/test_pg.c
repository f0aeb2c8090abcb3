/* The wrapper around libpq: connecting, refusing, parameters, deadlines, COMMIT. */
#include "tests/pg/pg_test.h"

#include "base/clock.h"

static struct pay_error open_with(const char *url, enum pay_pg_role role, bool batch_session) {
    struct pay_error error = {.move = PAY_OK};
    struct pay_pg *pg = NULL;
    struct pay_pg_options options = {
        .url = url, .role = role, .batch_session = batch_session, .connect_timeout_ms = 20000};
    if (pay_pg_open(&options, &pg, &error) == PAY_OK) pay_pg_close(pg);
    return error;
}

static const char *url_with(const char *suffix) {
    static char url[700];
    snprintf(url, sizeof url, "%s%s", pay_test_pg_url(), suffix);
    return url;
}

static void assert_refused(const struct pay_error *error, const char *why) {
    assert_move(PAY_REFUSE, error);
    if (strstr(error->text, why) == NULL) print_error("\"%s\" doesn't say \"%s\"\n", error->text, why);
    assert_non_null(strstr(error->text, why));
}

/* ---- connecting ---- */

static void test_what_a_person_must_change_is_refused_and_what_may_pass_is_tried_again(void **state) {
    (void)state;
    struct pay_error error = open_with("postgresql://127.0.0.1:1/none", PAY_PG_AS_LOGIN, false);
    assert_move(PAY_AGAIN, &error);
    error = open_with("postgresql://[::1/", PAY_PG_AS_LOGIN, false);
    assert_refused(&error, "URL");
    error = open_with(url_with("_that_isnt_there"), PAY_PG_AS_LOGIN, false);
    assert_refused(&error, "does not exist");
    assert_string_equal("3D000", error.code);
    error = open_with(url_with("?options=-cno_such_setting%3D1"), PAY_PG_AS_LOGIN, false);
    assert_move(PAY_REFUSE, &error);
    assert_null(strchr(error.text, '\n'));
}

static void test_a_server_that_may_lose_commits_is_refused(void **state) {
    (void)state;
    struct pay_error error = open_with(url_with("?options=-csynchronous_commit%3Doff"), PAY_PG_AS_LOGIN, false);
    assert_refused(&error, "synchronous_commit");
    error = open_with(url_with("?options=-csynchronous_commit%3Doff"), PAY_PG_READER, false);
    assert_move(PAY_OK, &error);
    error = open_with(url_with("?options=-csynchronous_commit%3Dlocal"), PAY_PG_AS_LOGIN, false);
    assert_move(PAY_OK, &error);
    struct pay_pg *pg;
    error = (struct pay_error){.move = PAY_OK};
    struct pay_pg_options options = {.url = url_with("?options=-csynchronous_commit%3Doff"), .allow_unsafe = true};
    pay_pg_open(&options, &pg, &error);
    assert_move(PAY_OK, &error);
    pay_pg_close(pg);
}

static void test_a_session_ends_by_itself_when_its_client_vanishes(void **state) {
    (void)state;
    struct pay_pg *pg;
    struct pay_error error = {.move = PAY_OK};
    struct pay_pg_options options = {.url = pay_test_pg_url(), .role = PAY_PG_WORKER, .batch_session = true};
    pay_pg_open(&options, &pg, &error);
    assert_move(PAY_OK, &error);
    static const char *const settings[][2] = {{"idle_in_transaction_session_timeout", "2s"},
                                              {"tcp_user_timeout", "3000"},
                                              {"lock_timeout", "5s"},
                                              {"statement_timeout", "0"},
                                              {"client_connection_check_interval", "1s"},
                                              {"plan_cache_mode", "force_generic_plan"},
                                              {"jit", "off"},
                                              {"enable_hashjoin", "off"},
                                              {"enable_mergejoin", "off"},
                                              {"enable_seqscan", "off"},
                                              {"enable_bitmapscan", "off"},
                                              {"role", "paybuf_worker"},
                                              {"TimeZone", "UTC"}};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        assert_string_equal(settings[i][1], sql_text(pg, "SHOW %s", settings[i][0]));
    pay_pg_close(pg);
}

static void test_a_server_that_takes_no_writes_is_refused_but_for_readers(void **state) {
    (void)state;
    struct pay_error error = open_with(url_with("?options=-cdefault_transaction_read_only%3Don"), PAY_PG_WORKER, true);
    assert_refused(&error, "read-only");
    error = open_with(url_with("?options=-cdefault_transaction_read_only%3Don"), PAY_PG_READER, false);
    assert_move(PAY_OK, &error);
}

/* ---- statements ---- */

static bool count_rows(void *argument, const struct pay_pg_row *row) {
    int64_t *sum = argument;
    *sum += pay_pg_column_int8(row, 0);
    return true;
}

static bool stop_at_once(void *argument, const struct pay_pg_row *row) {
    (void)row;
    ++*(int *)argument;
    return false;
}

static void test_rows_come_one_by_one_and_a_caller_may_stop(void **state) {
    (void)state;
    struct pay_error error = {.move = PAY_OK};
    int64_t sum = 0, affected = 0;
    int calls = 0;
    pay_pg_exec(books, "SELECT n, repeat('x', 100) FROM generate_series(1, 100000) n", NULL, count_rows, &sum,
                &affected, &error);
    assert_move(PAY_OK, &error);
    assert_int_equal(5000050000, sum);
    assert_int_equal(100000, affected);
    pay_pg_exec(books, "SELECT n FROM generate_series(1, 1000) n", NULL, stop_at_once, &calls, NULL, &error);
    assert_int_equal(1, calls);
    assert_int_equal(7, sql_number(books, "SELECT 7"));
}

static void test_an_error_leaves_the_connection_usable(void **state) {
    (void)state;
    struct pay_error error = {.move = PAY_OK};
    int64_t sum = 0;
    assert_int_equal(PAY_SPLIT, pay_pg_exec(books, "SELECT 1 / (5 - n) FROM generate_series(1, 9) n", NULL, count_rows,
                                            &sum, NULL, &error));
    assert_string_equal("22012", error.code);
    assert_int_equal(7, sql_number(books, "SELECT 7"));
}

static bool take_line(void *argument, const struct pay_pg_row *row) {
    char *line = argument;
    for (int i = 0; i < row->columns; i++) {
        const char *text = pay_pg_column(row, i);
        snprintf(line + strlen(line), 512 - strlen(line), "%s|", text != NULL ? text : "null");
    }
    return true;
}

static void test_parameters_and_arrays_arrive_as_they_were_given(void **state) {
    (void)state;
    struct pay_error error = {.move = PAY_OK};
    struct pay_pg_array arrays[PAY_PG_ELEMENT_COUNT] = {{0}};
    struct pay_pg_args args;
    char line[512] = "";
    for (int round = 0; round < 2; round++) { /* the buffers are used again */
        for (int i = 0; i < PAY_PG_ELEMENT_COUNT; i++) {
            pay_pg_array_begin(&arrays[i], (enum pay_pg_element)i);
            if (round == 1) pay_pg_array_null(&arrays[i]);
        }
    }
    pay_pg_array_bool(&arrays[PAY_PG_BOOL], true);
    pay_pg_array_bytea(&arrays[PAY_PG_BYTEA], "\0\xff", 2);
    pay_pg_array_bytea(&arrays[PAY_PG_BYTEA], "", 0);
    pay_pg_array_int4(&arrays[PAY_PG_INT4], INT32_MIN);
    pay_pg_array_int8(&arrays[PAY_PG_INT8], INT64_MAX);
    pay_pg_array_text(&arrays[PAY_PG_TEXT], "it's \"x\", \\ {}");
    pay_pg_array_text(&arrays[PAY_PG_TEXT], NULL);
    pay_pg_array_tid(&arrays[PAY_PG_TID], 70000ULL << 16 | 513);
    pay_pg_args_begin(&args);
    for (int i = 0; i < PAY_PG_ELEMENT_COUNT; i++) pay_pg_args_array(&args, &arrays[i]);
    pay_pg_args_bool(&args, false);
    pay_pg_args_bytea(&args, "\x01\x02", 2);
    pay_pg_args_int4(&args, -5);
    pay_pg_args_int8(&args, INT64_MIN);
    pay_pg_args_text(&args, "a");
    pay_pg_args_text(&args, NULL);
    pay_pg_args_null(&args);
    pay_pg_args_timestamp(&args, 1577836800123456);
    pay_pg_exec(books,
                "SELECT $1::bool[], $2::bytea[], $3::int4[], $4::int8[], $5::text[], $6::tid[], $7::bool, $8::bytea, "
                "$9::int4, $10::int8, $11::text, $12::text, $13::int8, $14::timestamptz",
                &args, take_line, line, NULL, &error);
    assert_move(PAY_OK, &error);
    assert_string_equal(
        "{NULL,t}|{NULL,\"\\\\x00ff\",\"\\\\x\"}|{NULL,-2147483648}|{NULL,9223372036854775807}|{NULL,\"it's \\\"x\\\", "
        "\\\\ {}\",NULL}|"
        "{NULL,\"(70000,513)\"}|f|\\x0102|-5|-9223372036854775808|a|null|null|2020-01-01 00:00:00.123456+00|",
        line);
    pay_pg_array_begin(&arrays[PAY_PG_TEXT], PAY_PG_TEXT);
    pay_pg_args_begin(&args);
    pay_pg_args_array(&args, &arrays[PAY_PG_TEXT]);
    line[0] = '\0';
    pay_pg_exec(books, "SELECT count(*), cardinality($1::text[]) FROM unnest($1::text[])", &args, take_line, line, NULL,
                &error);
    assert_string_equal("0|0|", line);
    for (int i = 0; i < PAY_PG_ELEMENT_COUNT; i++) pay_pg_array_free(&arrays[i]);
}

static void test_a_call_ends_at_its_deadline_and_the_server_gives_up_too(void **state) {
    (void)state;
    struct pay_error error = {.move = PAY_OK};
    struct pay_pg *pg = connect_as(PAY_PG_OWNER);
    int backend = pay_pg_backend_pid(pg);
    pay_pg_set_call_timeout(pg, 200);
    int64_t before_ms = pay_clock_ms();
    assert_int_equal(PAY_SESSION_OVER, pay_pg_script(pg, "SELECT pg_sleep(30)", &error));
    assert_in_range(pay_clock_ms() - before_ms, 180, 10000);
    assert_true(pay_pg_broken(pg));
    assert_int_equal(PAY_SESSION_OVER, pay_pg_script(pg, "SELECT 1", &error));
    pay_pg_close(pg);
    until(watcher, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %d)", backend);
}

/* ---- COMMIT ---- */

static void test_commit_of_a_failed_transaction_is_no_commit(void **state) {
    (void)state;
    struct pay_error error = {.move = PAY_OK};
    char code[6];
    assert_int_equal(PAY_OK, pay_pg_begin(books, false, &error));
    sql_fails(books, code, "SELECT 1 / 0");
    assert_int_equal(PAY_REDO, pay_pg_commit(books, &error));
    assert_non_null(strstr(error.text, "ROLLBACK"));
    assert_int_equal(PAY_OK, pay_pg_begin(books, false, &error));
    assert_int_equal(PAY_OK, pay_pg_commit(books, &error));
}

static void test_commit_with_a_warning_is_unknown(void **state) {
    (void)state;
    struct pay_error error = {.move = PAY_OK};
    open_account("alice", 1);
    sql(books, "CREATE FUNCTION paybuf.test_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'not "
               "replicated'; RETURN NULL; END $$;"
               "CREATE CONSTRAINT TRIGGER test_slow AFTER UPDATE ON paybuf.account DEFERRABLE INITIALLY DEFERRED FOR "
               "EACH ROW EXECUTE FUNCTION paybuf.test_slow()");
    struct pay_pg *pg = connect_as(PAY_PG_OWNER);
    assert_int_equal(PAY_OK, pay_pg_begin(pg, false, &error));
    sql(pg, "UPDATE paybuf.account SET version = 2");
    assert_int_equal(PAY_SESSION_OVER, pay_pg_commit(pg, &error));
    assert_string_equal("01000", error.code);
    assert_true(pay_pg_broken(pg));
    pay_pg_close(pg);
}

static void test_a_read_only_transaction_sees_one_moment(void **state) {
    (void)state;
    struct pay_error error = {.move = PAY_OK};
    struct pay_pg *reader = connect_as(PAY_PG_READER);
    assert_int_equal(PAY_OK, pay_pg_begin(reader, true, &error));
    assert_int_equal(0, sql_number(reader, "SELECT count(*) FROM paybuf.account"));
    open_account("alice", 1);
    assert_int_equal(0, sql_number(reader, "SELECT count(*) FROM paybuf.account"));
    assert_int_equal(PAY_OK, pay_pg_commit(reader, &error));
    assert_int_equal(1, sql_number(reader, "SELECT count(*) FROM paybuf.account"));
    pay_pg_close(reader);
}

/* ---- moves ---- */

static void test_every_sqlstate_has_a_move(void **state) {
    (void)state;
    /* clang-format off */
    static const struct {
        const char *code;
        enum pay_move inside, connecting;
    } moves[] = {
        {"40P01", PAY_REDO, PAY_AGAIN}, {"40001", PAY_REDO, PAY_AGAIN},
        {"55P03", PAY_REDO, PAY_AGAIN}, {"57014", PAY_REDO, PAY_AGAIN},
        {"23505", PAY_REDO, PAY_AGAIN}, {"0A000", PAY_REDO, PAY_AGAIN},
        {"26000", PAY_REDO, PAY_AGAIN}, {"22003", PAY_SPLIT, PAY_REFUSE},
        {"23514", PAY_SPLIT, PAY_AGAIN}, {"54000", PAY_SPLIT, PAY_AGAIN},
        {"08006", PAY_SESSION_OVER, PAY_AGAIN}, {"57P01", PAY_SESSION_OVER, PAY_AGAIN},
        {"57P03", PAY_SESSION_OVER, PAY_AGAIN}, {"53300", PAY_SESSION_OVER, PAY_AGAIN},
        {"XX000", PAY_SESSION_OVER, PAY_AGAIN}, {"PB001", PAY_SESSION_OVER, PAY_AGAIN},
        {"", PAY_SESSION_OVER, PAY_AGAIN}, {"28P01", PAY_SESSION_OVER, PAY_REFUSE},
        {"28000", PAY_SESSION_OVER, PAY_REFUSE}, {"3D000", PAY_SESSION_OVER, PAY_REFUSE},
        {"42501", PAY_SESSION_OVER, PAY_REFUSE}, {"42P01", PAY_SESSION_OVER, PAY_REFUSE}};
    /* clang-format on */
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        assert_int_equal(moves[i].inside, pay_pg_move_of(moves[i].code));
        assert_int_equal(moves[i].connecting, pay_pg_connect_move_of(moves[i].code));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_a_person_must_change_is_refused_and_what_may_pass_is_tried_again, books_reset),
        cmocka_unit_test_setup(test_a_server_that_may_lose_commits_is_refused, books_reset),
        cmocka_unit_test_setup(test_a_session_ends_by_itself_when_its_client_vanishes, books_reset),
        cmocka_unit_test_setup(test_a_server_that_takes_no_writes_is_refused_but_for_readers, books_reset),
        cmocka_unit_test_setup(test_rows_come_one_by_one_and_a_caller_may_stop, books_reset),
        cmocka_unit_test_setup(test_an_error_leaves_the_connection_usable, books_reset),
        cmocka_unit_test_setup(test_parameters_and_arrays_arrive_as_they_were_given, books_reset),
        cmocka_unit_test_setup(test_a_call_ends_at_its_deadline_and_the_server_gives_up_too, books_reset),
        cmocka_unit_test_setup(test_commit_of_a_failed_transaction_is_no_commit, books_reset),
        cmocka_unit_test_setup(test_commit_with_a_warning_is_unknown, books_reset),
        cmocka_unit_test_setup(test_a_read_only_transaction_sees_one_moment, books_reset),
        cmocka_unit_test_setup(test_every_sqlstate_has_a_move, books_reset),
    };
    const char *one = getenv("PAYBUF_TEST_NAME");
    if (one != NULL) cmocka_set_test_filter(one);
    return cmocka_run_group_tests_name("pg", tests, books_open, books_close);
}
