#include "tests/pg/pg_test.h"

#include "base/clock.h"
#include "worker/ledger_pg_private.h"

#include <poll.h>
#include <time.h>

struct pay_pg *books, *watcher;

static const char *const move_names[] = {"OK", "AGAIN", "REDO", "SPLIT", "FENCED", "HALTED", "SESSION_OVER", "REFUSE"};

void assert_moves(enum pay_move expected, const struct pay_error *actual, const char *file, int line) {
    if (actual->move == expected) return;
    print_error("expected %s, got %s %s: %s\n", move_names[expected], move_names[actual->move], actual->code,
                actual->text);
    _fail(file, line);
}

void assert_commit_state(enum pay_settle_state state, const struct pay_error *error, const char *file, int line) {
    if (state == PAY_SETTLE_COMMITTED) return;
    print_error("not committed: state %d, %s %s: %s\n", (int)state, move_names[error->move], error->code, error->text);
    _fail(file, line);
}

void sleep_ms(int64_t ms) { nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL); }

/* ---- the second connection ---- */

#define FORMATTED(text, format)                                                                                        \
    char text[4096];                                                                                                   \
    do {                                                                                                               \
        va_list arguments;                                                                                             \
        va_start(arguments, format);                                                                                   \
        vsnprintf(text, sizeof text, format, arguments);                                                               \
        va_end(arguments);                                                                                             \
    } while (0)

struct pay_pg *connect_as(enum pay_pg_role role) {
    struct pay_pg *pg = NULL;
    struct pay_error error = {.move = PAY_OK};
    struct pay_pg_options options = {.url = pay_test_pg_url(), .application_name = "test", .role = role};
    pay_pg_open(&options, &pg, &error);
    assert_move(PAY_OK, &error);
    return pg;
}

void sql(struct pay_pg *pg, const char *format, ...) {
    struct pay_error error = {.move = PAY_OK};
    FORMATTED(text, format);
    pay_pg_script(pg, text, &error);
    if (error.move != PAY_OK) print_error("%s\n", text);
    assert_move(PAY_OK, &error);
}

const char *sql_text(struct pay_pg *pg, const char *format, ...) {
    static char value[1024];
    struct pay_error error = {.move = PAY_OK};
    bool found = false;
    FORMATTED(text, format);
    value[0] = '\0';
    pay_pg_exec_value(pg, text, NULL, value, sizeof value, &found, &error);
    if (error.move != PAY_OK) print_error("%s\n", text);
    assert_move(PAY_OK, &error);
    return value;
}

int64_t sql_number(struct pay_pg *pg, const char *format, ...) {
    FORMATTED(text, format);
    const char *value = sql_text(pg, "%s", text);
    if (strcmp(value, "t") == 0) return 1;
    if (strcmp(value, "f") == 0) return 0;
    return strtoll(value, NULL, 10);
}

enum pay_move sql_fails(struct pay_pg *pg, char code[6], const char *format, ...) {
    struct pay_error error = {.move = PAY_OK};
    FORMATTED(text, format);
    pay_pg_script(pg, text, &error);
    snprintf(code, 6, "%.5s", error.code);
    return error.move;
}

void until(struct pay_pg *pg, const char *format, ...) {
    int64_t deadline_ms = pay_clock_ms() + 60000;
    FORMATTED(text, format);
    while (sql_number(pg, "%s", text) == 0) {
        if (pay_clock_ms() > deadline_ms) {
            print_error("still not: %s\n", text);
            fail();
        }
        sleep_ms(10);
    }
}

void open_account(const char *account_id, int64_t balance_minor) {
    sql(books,
        "INSERT INTO paybuf.account (tenant, account_id, currency, balance_minor) VALUES ('t', '%s', 'EUR', %lld);"
        "INSERT INTO paybuf.adjustment (tenant, adjustment_id, account_id, kind, amount_minor, account_version) VALUES "
        "('t', 'open:%s', '%s', 'open', %lld, 1)",
        account_id, (long long)balance_minor, account_id, account_id, (long long)balance_minor);
}

void assert_books_balance(void) {
    assert_int_equal(
        0, sql_number(books, "SELECT count(*) FROM paybuf.account a WHERE balance_minor <>"
                             " (SELECT sum(CASE kind WHEN 'open' THEN amount_minor WHEN 'credit' THEN amount_minor "
                             "WHEN 'debit' THEN -amount_minor ELSE 0 END)"
                             "  FROM paybuf.adjustment d WHERE d.tenant = a.tenant AND d.account_id = a.account_id)"
                             " - coalesce((SELECT sum(amount_minor) FROM paybuf.payment p WHERE p.tenant = a.tenant "
                             "AND p.account_id = a.account_id AND outcome = 'paid'), 0)"));
    assert_int_equal(0,
                     sql_number(books, "SELECT count(*) FROM (SELECT tenant, account_id, array_agg(account_version "
                                       "ORDER BY account_version) AS v FROM ("
                                       "  SELECT tenant, account_id, account_version FROM paybuf.adjustment UNION ALL"
                                       "  SELECT tenant, account_id, account_version FROM paybuf.payment WHERE "
                                       "account_version IS NOT NULL) e GROUP BY 1, 2) s"
                                       " JOIN paybuf.account a USING (tenant, account_id) WHERE s.v <> ARRAY(SELECT "
                                       "generate_series(1, a.version))"));
}

/* ---- books ---- */

static void close_leftovers(void);

void books_connect(void) {
    books = connect_as(PAY_PG_OWNER);
    watcher = connect_as(PAY_PG_AS_LOGIN);
}

void books_disconnect(void) {
    pay_pg_close(books);
    pay_pg_close(watcher);
    books = watcher = NULL;
}

int books_open(void **state) {
    (void)state;
    struct pay_error error = {.move = PAY_OK};
    struct pay_schema_report report;
    struct pay_schema_ledger ledger = {.topic = TOPIC, .partitions = PARTITIONS, .first_generation = 1};
    pay_test_pg_start();
    struct pay_pg *pg = connect_as(PAY_PG_AS_LOGIN);
    pay_schema_apply(pg, &report, &error);
    assert_move(PAY_OK, &error);
    pay_schema_init_ledger(pg, &ledger, &error);
    assert_move(PAY_OK, &error);
    pay_pg_close(pg);
    books_connect();
    return 0;
}

int books_close(void **state) {
    (void)state;
    close_leftovers();
    books_disconnect();
    pay_test_pg_stop();
    return 0;
}

int books_reset(void **state) {
    (void)state;
    close_leftovers();
    if (pay_pg_broken(books)) {
        pay_pg_close(books);
        books = connect_as(PAY_PG_OWNER);
    }
    pay_pg_rollback(books);
    sql(books, "DROP FUNCTION IF EXISTS paybuf.test_slow CASCADE; ALTER TABLE paybuf.payment DROP CONSTRAINT IF EXISTS "
               "test_no_13");
    sql(books,
        "TRUNCATE paybuf.payment, paybuf.refusal, paybuf.adjustment, paybuf.account;"
        "UPDATE paybuf.ledger SET halted = false, halted_reason = NULL, incarnation = pg_postmaster_start_time();"
        "DELETE FROM paybuf.processed_offset;"
        "INSERT INTO paybuf.processed_offset (topic, partition, log_generation) SELECT '" TOPIC
        "', n, 1 FROM generate_series(0, %d) n",
        PARTITIONS - 1);
    return 0;
}

/* ---- sessions ---- */

static struct session *open_sessions[8]; /* a failed test leaves its own behind, with their locks */

static void close_leftovers(void) {
    for (int i = 0; i < 8; i++)
        if (open_sessions[i] != NULL) session_close(open_sessions[i]);
}

struct session *session_open(const char *name) {
    struct session *session = calloc(1, sizeof *session);
    session->batch = calloc(1, sizeof *session->batch);
    struct pay_ledger_pg_options options = {.url = pay_test_pg_url(),
                                            .application_name = name,
                                            .topic = TOPIC,
                                            .group_id = "group",
                                            .cluster_id = "cluster"};
    snprintf((char *)session->owner, sizeof session->owner, "%s", name);
    session->ledger = pay_ledger_pg_new(&options);
    for (int i = 0; i < 8; i++) {
        if (open_sessions[i] != NULL) continue;
        open_sessions[i] = session;
        break;
    }
    session->ledger->ops->connect(session->ledger, &session->error);
    assert_move(PAY_OK, &session->error);
    return session;
}

void session_close(struct session *session) {
    for (int i = 0; i < 8; i++)
        if (open_sessions[i] == session) open_sessions[i] = NULL;
    session->ledger->ops->close(session->ledger);
    free(session->batch);
    free(session);
}

void session_claim(struct session *session, int32_t partition) {
    bool missing;
    session->error = (struct pay_error){.move = PAY_OK};
    session->ledger->ops->claim(session->ledger, partition, session->owner, &session->rows[partition], &missing,
                                &session->error);
    assert_move(PAY_OK, &session->error);
    assert_false(missing);
}

void session_claim_patiently(struct session *session, int32_t partition) {
    bool missing;
    int64_t deadline_ms = pay_clock_ms() + 60000;
    do {
        session->error = (struct pay_error){.move = PAY_OK};
        session->ledger->ops->claim(session->ledger, partition, session->owner, &session->rows[partition], &missing,
                                    &session->error);
    } while (session->error.move == PAY_AGAIN && pay_clock_ms() < deadline_ms);
    assert_move(PAY_OK, &session->error);
    assert_false(missing);
}

void session_dawdles(struct session *session) {
    static const char *const settings[] = {"SET idle_in_transaction_session_timeout = '60s'",
                                           "SET client_connection_check_interval = 0"};
    struct pay_pg *pg = ((struct ledger_pg *)session->ledger)->pg; /* in pipeline mode for life */
    struct pay_pg_result *result = NULL;
    enum pay_pg_event event;
    session->error = (struct pay_error){.move = PAY_OK};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) pay_pg_send(pg, settings[i], NULL);
    pay_pg_sync(pg);
    while ((event = pay_pg_next(pg, &result, &session->error)) != PAY_PG_SYNCED) {
        if (event == PAY_PG_RESULT) pay_pg_result_free(result);
        if (event == PAY_PG_NOTHING) pay_pg_wait(pg, pay_clock_ms() + 1000);
        assert_move(PAY_OK, &session->error);
    }
}

int session_backend(struct session *session) {
    return (int)sql_number(
        watcher, "SELECT pid FROM pg_stat_activity WHERE application_name = '%s' AND datname = current_database()",
        (const char *)session->owner);
}

static struct pay_record *next_record(struct session *session, int32_t partition) {
    int64_t offset = session->rows[partition].next_offset;
    struct pay_batch *batch = session->batch;
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->records[i].position.partition == partition) offset = batch->records[i].position.offset + 1;
    struct pay_record *record = pay_batch_next(batch);
    assert_non_null(record);
    *record = (struct pay_record){
        .position = {1, partition, offset}, .timestamp_ms = 1700000000000 + offset, .crc32c = (uint32_t)offset};
    snprintf(record->tenant, sizeof record->tenant, "t");
    return record;
}

void add_record(struct session *session, int32_t partition, const char *order_id, int32_t attempt,
                const char *account_id, int64_t amount_minor) {
    struct pay_record *record = next_record(session, partition);
    struct pay_request *request = &record->request;
    snprintf(record->key, sizeof record->key, "%s", order_id);
    snprintf(request->tenant, sizeof request->tenant, "t");
    snprintf(request->order_id, sizeof request->order_id, "%s", order_id);
    snprintf(request->account_id, sizeof request->account_id, "%s", account_id);
    snprintf(request->currency, sizeof request->currency, "EUR");
    request->attempt = attempt;
    request->amount_minor = amount_minor;
    pay_batch_commit_next(session->batch, false);
}

void add_invalid(struct session *session, int32_t partition, enum pay_reason reason, enum pay_field field) {
    struct pay_record *record = next_record(session, partition);
    record->invalid = reason;
    record->invalid_field = field;
    pay_batch_commit_next(session->batch, false);
}

void clear_batch(struct session *session) { pay_batch_reset(session->batch); }

static void make_fences(struct session *session) {
    const struct pay_batch *batch = session->batch;
    session->fence_count = 0;
    for (int32_t partition = 0; partition < PARTITIONS; partition++) {
        const struct pay_record *last = NULL;
        for (uint32_t i = batch->begin; i < batch->end; i++)
            if (batch->records[i].position.partition == partition) last = &batch->records[i];
        if (last == NULL) continue;
        const struct pay_lane_row *row = &session->rows[partition];
        struct pay_fence *fence = &session->fences[session->fence_count++];
        *fence = (struct pay_fence){.partition = partition,
                                    .owner_epoch = row->owner_epoch,
                                    .processed_before = row->next_offset,
                                    .processed_after = last->position.offset + 1,
                                    .anchor = {true, last->position.offset, last->timestamp_ms, last->crc32c},
                                    .replied_offset = row->replied_offset,
                                    .reply_position = row->reply_position};
        memcpy(fence->owner, session->owner, sizeof fence->owner);
    }
}

enum pay_move begin_settle(struct session *session) {
    session->batch->begin = session->batch->end = 0;
    pay_batch_slice(session->batch, PAY_BATCH_RECORDS_MAX);
    pay_batch_prepare(session->batch);
    make_fences(session);
    session->error = (struct pay_error){.move = PAY_OK};
    return session->ledger->ops->settle_begin(session->ledger, session->batch, session->fences, session->fence_count,
                                              &session->error);
}

enum pay_settle_state wait_settle(struct session *session) {
    int64_t deadline_ms = pay_clock_ms() + 60000;
    for (;;) {
        enum pay_settle_state state =
            session->ledger->ops->settle_poll(session->ledger, &session->decided_at_us, &session->error);
        if (state != PAY_SETTLE_WAITING) return state;
        assert_true(pay_clock_ms() < deadline_ms);
        bool wants_write;
        struct pollfd wanted = {.fd = session->ledger->ops->descriptor(session->ledger, &wants_write),
                                .events = POLLIN};
        if (wants_write) wanted.events |= POLLOUT;
        poll(&wanted, 1, 100);
    }
}

void decide_and_write(struct session *session) {
    pay_batch_decide(session->batch, session->decided_at_us);
    session->error.move = PAY_OK;
    ((struct ledger_pg *)session->ledger)->deadline_ms = pay_clock_ms() + 60000;
    session->ledger->ops->settle_write(session->ledger, &session->error);
    assert_move(PAY_OK, &session->error);
}

void moved_on(struct session *session) {
    for (uint32_t i = 0; i < session->fence_count; i++) {
        session->rows[session->fences[i].partition].next_offset = session->fences[i].processed_after;
        session->rows[session->fences[i].partition].anchor = session->fences[i].anchor;
    }
}

enum pay_settle_state settle(struct session *session) {
    if (begin_settle(session) != PAY_OK) return PAY_SETTLE_FAILED;
    enum pay_settle_state state = wait_settle(session);
    if (state != PAY_SETTLE_READ) return state;
    decide_and_write(session);
    state = wait_settle(session);
    if (state == PAY_SETTLE_COMMITTED) moved_on(session);
    return state;
}
