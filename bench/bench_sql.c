/*
 * bench_sql.c - how fast PostgreSQL alone can settle: the yardstick of every other figure.
 *
 * In one alternating run (rates move with neighbours, ratios within a run don't):
 *   bare      the statements of a settle straight on the connection: arrays made beforehand, results read and not looked at
 *   adapter   the same through batch, ledger_pg and decide, as the worker does it, without Kafka
 *   repeats   adapter, with 30% of the records repeating an order of the last 100,000
 * Figures: payments (records) per second over settle time, and the backend's own CPU time per record.
 *
 * Uses PAYBUF_TEST_DATABASE_URL's server or a private one (tests/lib/pg_server.h) and a database of its own, removed at the end.
 */
#include "base/clock.h"
#include "core/batch.h"
#include "pg/pg.h"
#include "pg/schema.h"
#include "sql/pay_sql.h"
#include "tests/lib/pg_server.h"
#include "worker/ledger_pg.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOPIC "bench"
#define LANES 12
#define MODES 3

enum mode { BARE, ADAPTER, REPEATS };
static const char *const mode_names[MODES] = {"bare", "adapter", "repeats"};

static struct {
    int64_t batches, batch_size, accounts; /* batches per mode */
    bool random_ids;
} options = {.batches = 150, .batch_size = 2000, .accounts = 100000};

static struct { int64_t records, busy_us, backend_us; } measured[MODES];

static void die(const char *what, const struct pay_error *error) {
    fprintf(stderr, "bench_sql: %s: %s %s\n", what, error->code, error->text);
    exit(1);
}

/* ---- what is settled ---- */

static uint64_t order_number, random_state = 42;

static uint64_t random_next(void) {
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 36 characters, like a UUIDv7: time-ordered, or (random_ids) like a UUIDv4. */
static void write_order_id(char *text, uint64_t number) {
    uint64_t high = options.random_ids ? number * 0x9e3779b97f4a7c15u : number;
    snprintf(text, PAY_ID_MAX + 1, "%08x-%04x-7000-8000-%012x", (unsigned)(high >> 32), (unsigned)(high >> 16 & 0xffff),
             (unsigned)(high & 0xffff));
}

static int64_t next_offset[LANES];

static void fill(struct pay_batch *batch, uint32_t repeats_percent) {
    pay_batch_reset(batch);
    for (int64_t i = 0; i < options.batch_size; i++) {
        struct pay_record *record = pay_batch_next(batch);
        struct pay_request *request = &record->request;
        int32_t lane = (int32_t)(i % LANES);
        bool repeat = order_number > 100000 && random_next() % 100 < repeats_percent;
        uint64_t number = repeat ? order_number - 1 - random_next() % 100000 : order_number++;
        *record =
            (struct pay_record){.position = {1, lane, next_offset[lane]++}, .timestamp_ms = 1700000000000, .crc32c = 1};
        snprintf(record->tenant, sizeof record->tenant, "default");
        snprintf(request->tenant, sizeof request->tenant, "default");
        write_order_id(request->order_id, number);
        /* By the number: a repeated order has the same fields. */
        snprintf(request->account_id, sizeof request->account_id, "account-%07llu",
                 (unsigned long long)(number * 0x9e3779b97f4a7c15u >> 16) % (unsigned long long)options.accounts);
        snprintf(request->currency, sizeof request->currency, "EUR");
        request->attempt = 1;
        request->amount_minor = 1 + (int64_t)(number % 1000);
        pay_batch_commit_next(batch, false);
    }
    pay_batch_slice(batch, PAY_BATCH_RECORDS_MAX);
}

/* ---- through the adapter ---- */

struct lanes {
    struct pay_ledger *ledger;
    uint8_t owner[PAY_OWNER_SIZE];
    struct pay_lane_row rows[LANES];
    struct pay_fence fences[LANES];
};

static void claim_lanes(struct lanes *lanes) {
    struct pay_error error;
    bool missing;
    memcpy(lanes->owner, "bench", 5);
    for (int32_t lane = 0; lane < LANES; lane++)
        if (lanes->ledger->ops->claim(lanes->ledger, lane, lanes->owner, &lanes->rows[lane], &missing, &error) !=
            PAY_OK)
            die("claim", &error);
}

static void make_fences(struct lanes *lanes) {
    for (int32_t lane = 0; lane < LANES; lane++) {
        struct pay_lane_row *row = &lanes->rows[lane];
        lanes->fences[lane] = (struct pay_fence){.partition = lane,
                                                 .owner_epoch = row->owner_epoch,
                                                 .processed_before = row->next_offset,
                                                 .processed_after = next_offset[lane],
                                                 .anchor = {true, next_offset[lane] - 1, 1700000000000, 1},
                                                 .replied_offset = row->replied_offset,
                                                 .reply_position = row->reply_position};
        memcpy(lanes->fences[lane].owner, lanes->owner, PAY_OWNER_SIZE);
        row->next_offset = next_offset[lane];
    }
}

static void wait_for(struct pay_ledger *ledger, enum pay_settle_state wanted, int64_t *ret_decided_at_us) {
    struct pay_error error;
    for (;;) {
        enum pay_settle_state state = ledger->ops->settle_poll(ledger, ret_decided_at_us, &error);
        if (state == wanted) return;
        if (state != PAY_SETTLE_WAITING) die("settle", &error);
        bool wants_write;
        struct pollfd socket = {.fd = ledger->ops->descriptor(ledger, &wants_write), .events = POLLIN};
        if (wants_write) socket.events |= POLLOUT;
        poll(&socket, 1, 1000);
    }
}

static void settle_by_adapter(struct lanes *lanes, struct pay_batch *batch) {
    struct pay_error error;
    int64_t decided_at_us;
    pay_batch_prepare(batch);
    if (lanes->ledger->ops->settle_begin(lanes->ledger, batch, lanes->fences, LANES, &error) != PAY_OK)
        die("begin", &error);
    wait_for(lanes->ledger, PAY_SETTLE_READ, &decided_at_us);
    pay_batch_decide(batch, decided_at_us);
    if (lanes->ledger->ops->settle_write(lanes->ledger, &error) != PAY_OK) die("write", &error);
    wait_for(lanes->ledger, PAY_SETTLE_COMMITTED, &decided_at_us);
}

/* ---- bare ---- */

static struct pay_pg_array fence_arrays[10], account_arrays[2], order_arrays[2], insert_arrays[12], balance_arrays[3];

static void bind(struct pay_pg_args *args, const struct pay_pg_array *arrays, int count) {
    for (int i = 0; i < count; i++) pay_pg_args_array(args, &arrays[i]);
}

static void begin_arrays(struct pay_pg_array *arrays, const char *elements) {
    for (int i = 0; elements[i] != '\0'; i++)
        pay_pg_array_begin(&arrays[i], elements[i] == 't'   ? PAY_PG_TEXT
                                       : elements[i] == '4' ? PAY_PG_INT4
                                       : elements[i] == 'b' ? PAY_PG_BYTEA
                                       : elements[i] == 'r' ? PAY_PG_TID
                                                            : PAY_PG_INT8);
}

/* Everything that is known before the first half; balances are made up: nobody looks at them. */
static void make_arrays(const struct lanes *lanes, struct pay_batch *batch) {
    pay_batch_prepare(batch);
    begin_arrays(fence_arrays, "4b88888888");
    for (int i = 0; i < LANES; i++) {
        const struct pay_fence *fence = &lanes->fences[i];
        pay_pg_array_int4(&fence_arrays[0], fence->partition);
        pay_pg_array_bytea(&fence_arrays[1], fence->owner, PAY_OWNER_SIZE);
        const int64_t numbers[8] = {fence->owner_epoch,    fence->processed_before,    fence->processed_after,
                                    fence->anchor.offset,  fence->anchor.timestamp_ms, fence->anchor.crc32c,
                                    fence->replied_offset, fence->reply_position};
        for (int k = 0; k < 8; k++) pay_pg_array_int8(&fence_arrays[2 + k], numbers[k]);
    }
    begin_arrays(account_arrays, "tt");
    for (uint32_t i = 0; i < batch->account_count; i++) {
        pay_pg_array_text(&account_arrays[0], batch->accounts[i].tenant);
        pay_pg_array_text(&account_arrays[1], batch->accounts[i].account_id);
    }
    begin_arrays(order_arrays, "tt");
    begin_arrays(insert_arrays, "tt4tt8t88848");
    uint32_t record_of[PAY_BATCH_RECORDS_MAX];
    for (uint32_t i = batch->begin; i < batch->end; i++) record_of[batch->order_of[i]] = i;
    for (uint32_t i = 0; i < batch->order_count; i++) {
        const struct pay_record *record = &batch->records[record_of[i]];
        const struct pay_request *request = &record->request;
        pay_pg_array_text(&order_arrays[0], request->tenant);
        pay_pg_array_text(&order_arrays[1], request->order_id);
        pay_pg_array_text(&insert_arrays[0], request->tenant);
        pay_pg_array_text(&insert_arrays[1], request->order_id);
        pay_pg_array_int4(&insert_arrays[2], 1);
        pay_pg_array_text(&insert_arrays[3], request->account_id);
        pay_pg_array_text(&insert_arrays[4], request->currency);
        pay_pg_array_int8(&insert_arrays[5], request->amount_minor);
        pay_pg_array_text(&insert_arrays[6], NULL);
        pay_pg_array_int8(&insert_arrays[7], 1000000);
        pay_pg_array_int8(&insert_arrays[8], 2);
        pay_pg_array_int8(&insert_arrays[9], 1);
        pay_pg_array_int4(&insert_arrays[10], record->position.partition);
        pay_pg_array_int8(&insert_arrays[11], record->position.offset);
    }
}

static struct pay_pg *open_bare(void) {
    static const struct {
        const char *name, *sql;
    } statements[] = {{"fence", pay_sql_settle_fence},
                      {"accounts", pay_sql_settle_accounts},
                      {"known", pay_sql_known_payments},
                      {"payments", pay_sql_settle_payments},
                      {"balances", pay_sql_settle_balances}};
    struct pay_pg *pg;
    struct pay_error error;
    struct pay_pg_options as_worker = {.url = pay_test_pg_url(), .role = PAY_PG_WORKER, .batch_session = true};
    if (pay_pg_open(&as_worker, &pg, &error) != PAY_OK || pay_pg_pipeline_enter(pg, &error) != PAY_OK)
        die("connect", &error);
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        pay_pg_send_prepare(pg, statements[i].name, statements[i].sql);
    pay_pg_sync(pg);
    return pg;
}

/* Reads a group; `accounts` (may be NULL) gets the result of the nth command, to be freed by the caller. */
static void read_group(struct pay_pg *pg, int nth, struct pay_pg_result **accounts) {
    struct pay_error error;
    for (int at = 0;;) {
        struct pay_pg_result *result = NULL;
        switch (pay_pg_next(pg, &result, &error)) {
        case PAY_PG_RESULT:
            if (pay_pg_result_error(result, &error) != PAY_OK) die("bare", &error);
            if (accounts != NULL && at == nth)
                *accounts = result;
            else
                pay_pg_result_free(result);
            at++;
            break;
        case PAY_PG_NOTHING: pay_pg_wait(pg, pay_clock_ms() + 1000); break;
        case PAY_PG_SYNCED:
        case PAY_PG_IDLE: return;
        case PAY_PG_LOST: die("bare", &error);
        }
    }
}

static void settle_bare(struct pay_pg *pg) {
    static struct pay_pg_args args;
    struct pay_pg_result *accounts = NULL;
    pay_pg_send(pg, "BEGIN ISOLATION LEVEL READ COMMITTED", NULL);
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, TOPIC);
    pay_pg_args_text(&args, "group");
    pay_pg_args_text(&args, "cluster");
    bind(&args, fence_arrays, 10);
    pay_pg_send_prepared(pg, "fence", &args);
    pay_pg_args_begin(&args);
    bind(&args, account_arrays, 2);
    pay_pg_send_prepared(pg, "accounts", &args);
    pay_pg_args_begin(&args);
    bind(&args, order_arrays, 2);
    pay_pg_args_int8(&args, PAY_BATCH_KNOWN_MAX);
    pay_pg_send_prepared(pg, "known", &args);
    pay_pg_sync(pg);
    read_group(pg, 2, &accounts);

    begin_arrays(balance_arrays, "r88");
    int rows = pay_pg_result_rows(accounts);
    for (int row = 0; row < rows; row++) {
        pay_pg_array_tid(&balance_arrays[0], pay_pg_result_tid(accounts, row, 1));
        pay_pg_array_int8(&balance_arrays[1], pay_pg_result_int8(accounts, row, 4) - 1);
        pay_pg_array_int8(&balance_arrays[2], pay_pg_result_int8(accounts, row, 6) + 1);
    }
    pay_pg_result_free(accounts);
    pay_pg_args_begin(&args);
    bind(&args, insert_arrays, 12);
    pay_pg_send_prepared(pg, "payments", &args);
    pay_pg_args_begin(&args);
    bind(&args, balance_arrays, 3);
    pay_pg_send_prepared(pg, "balances", &args);
    pay_pg_send(pg, "COMMIT", NULL);
    pay_pg_sync(pg);
    read_group(pg, -1, NULL);
}

/* ---- measuring ---- */

/* CPU time of a backend of this machine, precisely; 0 when it isn't here. */
static int64_t backend_cpu_us(int pid) {
    char path[64];
    long long running_ns = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    if (fscanf(file, "%lld", &running_ns) != 1) running_ns = 0;
    fclose(file);
    return running_ns / 1000;
}

static void measure(enum mode mode, struct lanes *lanes, struct pay_pg *bare, struct pay_batch *batch, int backend) {
    fill(batch, mode == REPEATS ? 30 : 0);
    make_fences(lanes);
    if (mode == BARE) make_arrays(lanes, batch);
    int64_t cpu_us = backend_cpu_us(backend), began_us = pay_clock_us();
    if (mode == BARE)
        settle_bare(bare);
    else
        settle_by_adapter(lanes, batch);
    measured[mode].busy_us += pay_clock_us() - began_us;
    measured[mode].backend_us += backend_cpu_us(backend) - cpu_us;
    measured[mode].records += options.batch_size;
}

static void prepare_books(void) {
    struct pay_pg *pg;
    struct pay_error error;
    char statement[512];
    struct pay_schema_report report;
    struct pay_schema_ledger ledger = {.topic = TOPIC, .partitions = LANES, .first_generation = 1};
    struct pay_pg_options as_login = {.url = pay_test_pg_url(), .call_timeout_ms = 600000};
    if (pay_pg_open(&as_login, &pg, &error) != PAY_OK || pay_schema_apply(pg, &report, &error) != PAY_OK ||
        pay_schema_init_ledger(pg, &ledger, &error) != PAY_OK)
        die("init", &error);
    snprintf(
        statement, sizeof statement,
        "SET ROLE paybuf_owner; INSERT INTO paybuf.account (tenant, account_id, currency, balance_minor)"
        " SELECT 'default', 'account-' || lpad(n::text, 7, '0'), 'EUR', 1000000000000 FROM generate_series(0, %lld) n",
        (long long)options.accounts - 1);
    if (pay_pg_script(pg, statement, &error) != PAY_OK) die("accounts", &error);
    pay_pg_close(pg);
}

static int backend_of(const char *application_name) {
    struct pay_pg *pg;
    struct pay_error error;
    char statement[256], pid[32] = "0";
    bool found;
    struct pay_pg_options as_login = {.url = pay_test_pg_url()};
    if (pay_pg_open(&as_login, &pg, &error) != PAY_OK) die("connect", &error);
    snprintf(statement, sizeof statement,
             "SELECT pid FROM pg_stat_activity WHERE application_name = '%s' AND datname = current_database()",
             application_name);
    if (pay_pg_exec_value(pg, statement, NULL, pid, sizeof pid, &found, &error) != PAY_OK) die("backend", &error);
    pay_pg_close(pg);
    return atoi(pid);
}

static void read_options(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        long long number;
        if (sscanf(argv[i], "--batches=%lld", &number) == 1)
            options.batches = number;
        else if (sscanf(argv[i], "--batch-size=%lld", &number) == 1 && number >= 1 && number <= PAY_BATCH_RECORDS_MAX)
            options.batch_size = number;
        else if (sscanf(argv[i], "--accounts=%lld", &number) == 1 && number >= 1)
            options.accounts = number;
        else if (strcmp(argv[i], "--random-ids") == 0)
            options.random_ids = true;
        else {
            fprintf(stderr, "usage: bench_sql [--batches=150] [--batch-size=2000] [--accounts=100000] [--random-ids]\n"
                            "Settles so many batches by each of three ways, in turns. Server: "
                            "PAYBUF_TEST_DATABASE_URL, else a private one.\n");
            exit(2);
        }
    }
}

int main(int argc, char **argv) {
    static struct lanes lanes;
    struct pay_error error;
    read_options(argc, argv);
    pay_test_pg_start();
    prepare_books();
    struct pay_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) return 1;
    struct pay_ledger_pg_options ledger_options = {.url = pay_test_pg_url(),
                                                   .application_name = "bench_sql",
                                                   .topic = TOPIC,
                                                   .group_id = "group",
                                                   .cluster_id = "cluster"};
    lanes.ledger = pay_ledger_pg_new(&ledger_options);
    if (lanes.ledger->ops->connect(lanes.ledger, &error) != PAY_OK) die("connect", &error);
    claim_lanes(&lanes);
    struct pay_pg *bare = open_bare();
    read_group(bare, -1, NULL);
    int adapter_backend = backend_of("bench_sql"), bare_backend = pay_pg_backend_pid(bare);
    for (int64_t i = 0; i < options.batches + 5; i++) {
        if (i == 5) memset(measured, 0, sizeof measured); /* warm */
        for (int mode = 0; mode < MODES; mode++)
            measure((enum mode)mode, &lanes, bare, batch, mode == BARE ? bare_backend : adapter_backend);
    }
    printf("%-9s %12s %10s %14s %9s\n", "way", "records/s", "ms/batch", "CPU us/record", "of bare");
    double bare_rate = 0;
    for (int mode = 0; mode < MODES; mode++) {
        double rate = (double)measured[mode].records * 1e6 / (double)measured[mode].busy_us;
        if (mode == BARE) bare_rate = rate;
        printf("%-9s %12.0f %10.2f %14.2f %9.2f\n", mode_names[mode], rate,
               (double)measured[mode].busy_us / 1000 / (double)options.batches,
               (double)measured[mode].backend_us / (double)measured[mode].records, rate / bare_rate);
    }
    pay_pg_close(bare);
    lanes.ledger->ops->close(lanes.ledger);
    free(batch);
    pay_test_pg_stop();
    return 0;
}
