/*
 * Every statement of the worker keeps its plan, whatever the statistics were when it was planned: on tables analyzed empty (every
 * ledger starts so, and generic plans live long), with 20 rows, and with many. PAYBUF_TEST_PLAN_ROWS=1000000 is the figure of SPEED;
 * 200,000 by default, for time.
 */
#include "tests/pg/pg_test.h"

#include "sql/pay_sql.h"

static struct pay_pg *worker;

struct plan {
    char text[8192];
};

static bool take_line(void *argument, const struct pay_pg_row *row) {
    struct plan *plan = argument;
    size_t used = strlen(plan->text);
    snprintf(plan->text + used, sizeof plan->text - used, "%s\n", pay_pg_column(row, 0));
    return true;
}

/* The generic plan of a statement with `arguments` nulls, as a worker's session makes it. */
static struct plan plan_of(const char *statement, int arguments) {
    struct plan plan = {""};
    struct pay_error error = {.move = PAY_OK};
    char execute[256] = "EXPLAIN (COSTS OFF) EXECUTE planned";
    for (int i = 0; i < arguments; i++) strcat(execute, i == 0 ? "(NULL" : ", NULL");
    strcat(execute, ")");
    static char prepare[8192];
    snprintf(prepare, sizeof prepare, "PREPARE planned AS %s", statement);
    pay_pg_script(worker, prepare, &error);
    assert_move(PAY_OK, &error);
    pay_pg_exec(worker, execute, NULL, take_line, &plan, NULL, &error);
    assert_move(PAY_OK, &error);
    sql(worker, "DEALLOCATE planned");
    return plan;
}

static void assert_has(const struct plan *plan, const char *line) {
    if (strstr(plan->text, line) == NULL) print_error("no \"%s\" in\n%s", line, plan->text);
    assert_non_null(strstr(plan->text, line));
}

static void assert_never(const struct plan *plan, const char *words) {
    if (strstr(plan->text, words) != NULL) print_error("\"%s\" in\n%s", words, plan->text);
    assert_null(strstr(plan->text, words));
}

static void assert_nested_loop(const struct plan *plan) {
    static const char *const never[] = {"Hash",
                                        "Merge",
                                        "Sort",
                                        "Bitmap",
                                        "Memoize",
                                        "Seq Scan on processed_offset",
                                        "Seq Scan on account",
                                        "Seq Scan on payment",
                                        "Seq Scan on refusal"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) assert_never(plan, never[i]);
}

static void assert_plans(void) {
    struct plan plan = plan_of(pay_sql_settle_fence, 13);
    assert_nested_loop(&plan);
    /* Either way round: rows are locked in partition order, by the sorted array or by the key. */
    assert_has(&plan, "Index Scan using processed_offset_pkey on processed_offset p");
    assert_never(&plan, "Backward");

    plan = plan_of(pay_sql_settle_accounts, 2);
    assert_nested_loop(&plan);
    assert_has(&plan, "LockRows");
    assert_has(&plan, "Index Cond: ((tenant = u.tenant) AND (account_id = u.account_id))");

    plan = plan_of(pay_sql_known_payments, 3);
    assert_nested_loop(&plan);
    assert_has(&plan, "payment_pkey");
    assert_has(&plan, "Index Cond: ((tenant = u.tenant) AND (order_id = u.order_id))");

    plan = plan_of(pay_sql_found_refusals, 3);
    assert_nested_loop(&plan);
    assert_has(&plan, "Index Cond: ((log_generation = u.log_generation) AND (src_partition = u.src_partition) AND "
                      "(src_offset = u.src_offset))");

    plan = plan_of(pay_sql_settle_balances, 3);
    assert_nested_loop(&plan);
    assert_has(&plan, "Tid Scan on account");
    assert_has(&plan, "TID Cond: (ctid = u.row_id)");

    plan = plan_of(pay_sql_settle_payments, 12);
    assert_nested_loop(&plan);
    plan = plan_of(pay_sql_settle_refusals, 5);
    assert_nested_loop(&plan);
    plan = plan_of(pay_sql_claim_take, 5);
    assert_nested_loop(&plan);
    assert_has(&plan, "processed_offset_pkey");
}

static void grow(int64_t rows) {
    sql(books,
        "INSERT INTO paybuf.account (tenant, account_id, currency) SELECT 't', 'account-' || n, 'EUR' FROM "
        "generate_series(1, %lld) n;"
        "INSERT INTO paybuf.payment SELECT 't', 'order-' || n, 1, 'account-' || n, 'EUR', 1, 'paid', NULL, 1, 1, 1, n "
        "%% 12, n, now() FROM generate_series(1, %lld) n;"
        "INSERT INTO paybuf.refusal SELECT 1, n %% 12, n, 'too_large', NULL, now() FROM generate_series(1, %lld) n",
        (long long)rows, (long long)rows, (long long)rows);
}

static void analyze(void) {
    sql(books, "ANALYZE paybuf.account; ANALYZE paybuf.payment; ANALYZE paybuf.refusal; ANALYZE "
               "paybuf.processed_offset; ANALYZE paybuf.ledger");
}

static int plans_reset(void **state) {
    struct pay_error error = {.move = PAY_OK};
    struct pay_pg_options options = {.url = pay_test_pg_url(), .role = PAY_PG_WORKER, .batch_session = true};
    books_reset(state);
    pay_pg_close(worker);
    pay_pg_open(&options, &worker, &error);
    assert_move(PAY_OK, &error);
    return 0;
}

static int plans_end(void **state) {
    (void)state;
    pay_pg_close(worker);
    worker = NULL;
    return 0;
}

static void test_plans_are_good_on_tables_never_analyzed(void **state) {
    (void)state;
    assert_plans();
}

static void test_plans_are_good_on_tables_analyzed_while_empty(void **state) {
    (void)state;
    sql(books, "DELETE FROM paybuf.processed_offset");
    analyze();
    assert_plans();
}

static void test_plans_are_good_on_tables_of_twenty_rows(void **state) {
    (void)state;
    grow(20);
    analyze();
    assert_plans();
}

static void test_plans_are_good_on_grown_tables(void **state) {
    (void)state;
    const char *rows = getenv("PAYBUF_TEST_PLAN_ROWS");
    grow(rows != NULL ? atoll(rows) : 200000);
    analyze();
    assert_plans();
}

static void test_plans_are_good_when_many_tenants_share_the_tables(void **state) {
    (void)state;
    sql(books, "INSERT INTO paybuf.account (tenant, account_id, currency) SELECT 't' || n %% 1000, 'account-' || n, "
               "'EUR' FROM generate_series(1, 20000) n;"
               "INSERT INTO paybuf.payment SELECT 't' || n %% 1000, 'order-' || n, 1, 'account-' || n, 'EUR', 1, "
               "'paid', NULL, 1, 1, 1, n %% 12, n, now() FROM generate_series(1, 20000) n");
    analyze();
    assert_plans();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plans_are_good_on_tables_never_analyzed, plans_reset, plans_end),
        cmocka_unit_test_setup_teardown(test_plans_are_good_on_tables_analyzed_while_empty, plans_reset, plans_end),
        cmocka_unit_test_setup_teardown(test_plans_are_good_on_tables_of_twenty_rows, plans_reset, plans_end),
        cmocka_unit_test_setup_teardown(test_plans_are_good_on_grown_tables, plans_reset, plans_end),
        cmocka_unit_test_setup_teardown(test_plans_are_good_when_many_tenants_share_the_tables, plans_reset, plans_end),
    };
    const char *one = getenv("PAYBUF_TEST_NAME");
    if (one != NULL) cmocka_set_test_filter(one);
    return cmocka_run_group_tests_name("plans", tests, books_open, books_close);
}
