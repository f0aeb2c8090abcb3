/*
 * Books every answer of a paybuf ledger exactly once into an SQLite database of its own. Kill it whenever you like.
 *
 *     cc listener.c -o listener $(pkg-config --cflags --libs paybuf-listener sqlite3)
 *     PAYBUF_KAFKA_BOOTSTRAP=127.0.0.1:9092 ./listener books.db
 */
#include <paybuf/listener.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH 500
#define PARTITIONS_MAX 1000

static sqlite3 *db;

static void end(const char *why) { /* an open transaction is rolled back */
    fprintf(stderr, "listener: %s\n", why);
    exit(1);
}

static void run(const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) end(sqlite3_errmsg(db));
}

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) end(sqlite3_errmsg(db));
    return statement;
}

static void step(sqlite3_stmt *statement) {
    if (sqlite3_step(statement) != SQLITE_DONE) end(sqlite3_errmsg(db));
    sqlite3_reset(statement);
}

/* What you do with a reply, and where you stand behind it: both in the transaction that is open. */
static void book(const struct paybuf_listener_reply *reply) {
    static sqlite3_stmt *booking, *position;
    if (booking == NULL) {
        booking = prepare("INSERT INTO booking SELECT ?1 ->> 'position', ?1 ->> 'order_id', ?1 ->> 'account_id',"
                          " ?1 ->> 'outcome', ?1 ->> 'duplicate', ?1 ->> 'amount_minor'");
        position = prepare("INSERT INTO position VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE"
                           " SET next = ?3, reply_offset = ?4, resync_until = ?5 WHERE next = ?7");
    }
    sqlite3_bind_text(booking, 1, reply->value, (int)reply->value_length, SQLITE_TRANSIENT);
    step(booking);
    sqlite3_bind_int(position, 1, reply->position.partition);
    sqlite3_bind_int64(position, 2, reply->position.generation);
    sqlite3_bind_int64(position, 3, reply->position.next);
    sqlite3_bind_int64(position, 4, reply->position.reply_offset);
    sqlite3_bind_int64(position, 5, reply->position.resync_until);
    sqlite3_bind_text(position, 6, reply->ledger_id, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(position, 7, reply->replaces_next);
    step(position);
    if (sqlite3_changes(db) != 1) end("another listener writes these books");
}

static struct paybuf_listener *open_listener(void) {
    static struct paybuf_listener_position positions[PARTITIONS_MAX];
    static char ledger_id[64];
    const struct paybuf_listener_setting kafka = {"bootstrap.servers", getenv("PAYBUF_KAFKA_BOOTSTRAP")};
    struct paybuf_listener_options options = {.size = sizeof options,
                                              .kafka = &kafka,
                                              .kafka_count = 1,
                                              .reply_topic = getenv("PAYBUF_REPLY_TOPIC"),
                                              .request_topic = getenv("PAYBUF_REQUEST_TOPIC"),
                                              .positions = positions};
    struct paybuf_listener *listener;
    char why[512];
    sqlite3_stmt *rows =
        prepare("SELECT partition, generation, next, reply_offset, resync_until, ledger FROM position");
    while (sqlite3_step(rows) == SQLITE_ROW && options.position_count < PARTITIONS_MAX) {
        positions[options.position_count++] =
            (struct paybuf_listener_position){.partition = sqlite3_column_int(rows, 0),
                                              .generation = sqlite3_column_int64(rows, 1),
                                              .next = sqlite3_column_int64(rows, 2),
                                              .reply_offset = sqlite3_column_int64(rows, 3),
                                              .resync_until = sqlite3_column_int64(rows, 4)};
        snprintf(ledger_id, sizeof ledger_id, "%s", (const char *)sqlite3_column_text(rows, 5));
        options.ledger_id = ledger_id;
    }
    sqlite3_finalize(rows);
    if (paybuf_listener_open(&options, &listener, why, sizeof why) != PAYBUF_LISTENER_NOTHING) end(why);
    return listener;
}

int main(int argc, char **argv) {
    if (argc != 2 || getenv("PAYBUF_KAFKA_BOOTSTRAP") == NULL)
        end("usage: PAYBUF_KAFKA_BOOTSTRAP=HOST:PORT listener FILE");
    if (sqlite3_open(argv[1], &db) != SQLITE_OK) end(sqlite3_errmsg(db));
    sqlite3_busy_timeout(db, 10000);
    run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE IF NOT EXISTS booking (position, order_id, account_id, outcome, duplicate, amount_minor);"
        "CREATE TABLE IF NOT EXISTS position (partition, generation, next, reply_offset, resync_until, ledger,"
        " PRIMARY KEY (partition, generation))");
    struct paybuf_listener *listener = open_listener();
    for (int booked = 0;;) {
        const struct paybuf_listener_reply *reply;
        enum paybuf_listener_result result = paybuf_listener_next(listener, booked > 0 ? 0 : 1000, &reply);
        if (result == PAYBUF_LISTENER_REPLY) {
            if (booked++ == 0) run("BEGIN IMMEDIATE");
            book(reply);
        }
        if (booked == BATCH || (booked > 0 && result != PAYBUF_LISTENER_REPLY)) {
            run("COMMIT");
            booked = 0;
        }
        if (result >= PAYBUF_LISTENER_GAP) fprintf(stderr, "listener: %s\n", paybuf_listener_why(listener));
        if (result == PAYBUF_LISTENER_REFUSED) return 1;
    }
}
