#include "producer/books.h"

#include "base/clock.h"
#include "pg/payment_row.h"
#include "pg/pg.h"
#include "producer/reply_log.h"
#include "producer/settled.h"
#include "sql/pay_sql.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REOPEN_MS 500
#define ROWS_MAX (PAY_BOOKS_QUESTIONS_MAX * PAY_ATTEMPT_MAX)

struct pay_books {
    const struct pay_config *config;
    struct pay_pg *pg;    /* NULL: not connected */
    int64_t reopen_ms;    /* not before */
    struct pay_error why; /* the last attempt failed */
    struct pay_pg_array tenants, orders;
    struct pay_progress rows[PAY_PLACES_MAX];
    uint32_t row_count;
    bool has_progress; /* ... read since these questions came */
    int64_t ends[PAY_PLACES_MAX];
    struct pay_reply_log log;
};

/* --- the database ------------------------------------------------------------------------------------------------------------- */

static enum pay_move connect_database(struct pay_books *books, struct pay_error *error) {
    const struct pay_pg_options options = {.url = books->config->producer_database,
                                           .application_name = "paybuf-producer",
                                           .role = PAY_PG_READER,
                                           .allow_unix_socket = true,
                                           .allow_unsafe = true, /* a reader loses nothing by it */
                                           .connect_timeout_ms = PAY_BOOKS_CALL_MS,
                                           .call_timeout_ms = PAY_BOOKS_CALL_MS};
    if (books->pg != NULL && !pay_pg_broken(books->pg)) return PAY_OK;
    pay_pg_close(books->pg);
    books->pg = NULL;
    if (pay_clock_ms() >= books->reopen_ms) {
        books->why.move = pay_pg_open(&options, &books->pg, &books->why);
        books->reopen_ms = pay_clock_ms() + REOPEN_MS;
    }
    *error = books->why;
    return books->why.move;
}

/* Whatever went wrong with a reader's statement: a new connection is the cure. */
static enum pay_move ask(struct pay_books *books, const char *sql, const struct pay_pg_args *args, pay_pg_row_fn each,
                         void *argument, struct pay_error *error) {
    enum pay_move move = connect_database(books, error);
    if (move != PAY_OK) return move;
    move = pay_pg_exec(books->pg, sql, args, each, argument, NULL, error);
    if (move == PAY_OK) return PAY_OK;
    pay_pg_close(books->pg);
    books->pg = NULL;
    books->why = *error;
    return move;
}

static bool take_progress(void *argument, const struct pay_pg_row *row) {
    struct pay_books *books = argument;
    if (books->row_count == PAY_PLACES_MAX) return false;
    books->rows[books->row_count++] =
        (struct pay_progress){(int32_t)pay_pg_column_int8(row, 0), pay_pg_column_int8(row, 1),
                              pay_pg_column_int8(row, 2), pay_pg_column_int8(row, 3)};
    return true;
}

static enum pay_move read_progress(struct pay_books *books, struct pay_error *error) {
    struct pay_pg_args args;
    books->has_progress = false;
    books->row_count = 0;
    pay_pg_args_begin(&args);
    pay_pg_args_text(&args, books->config->request_topic);
    enum pay_move move = ask(books, pay_sql_progress, &args, take_progress, books, error);
    books->has_progress = move == PAY_OK;
    return move;
}

/* --- answers ------------------------------------------------------------------------------------------------------------------ */

static void close_all(struct pay_question *const *questions, uint32_t count, bool by_position, const char *reason) {
    for (uint32_t i = 0; i < count; i++) {
        if (questions[i]->end != PAY_BOOKS_OPEN || questions[i]->by_position != by_position) continue;
        questions[i]->end = PAY_BOOKS_UNAVAILABLE;
        snprintf(questions[i]->reason, sizeof questions[i]->reason, "%s", reason);
    }
}

/* --- by order ----------------------------------------------------------------------------------------------------------------- */

/* The reply that the decided record got, but for metadata: they aren't on file. */
static void answer_from_row(struct pay_question *question, const struct pay_decision *decision) {
    struct pay_record record;
    struct pay_answer answer;
    pay_record_from_decision(question->tenant, question->order_id, decision, &record);
    pay_answer_from_decision(&record, decision, &answer);
    question->length = pay_reply_format(&record, &answer, question->value, sizeof question->value);
    memcpy(question->key, question->order_id, sizeof question->key);
    question->end = PAY_BOOKS_FOUND;
}

struct row_reading {
    struct pay_question *const *asked;
    struct pay_decision *latest; /* per question; attempt 0: none yet */
    const char *broken;
};

static bool take_row(void *argument, const struct pay_pg_row *row) {
    struct row_reading *reading = argument;
    size_t nth = (size_t)pay_pg_column_int8(row, 0) - 1;
    const struct pay_question *question = reading->asked[nth];
    struct pay_decision decision = {.attempt = 0};
    const char *broken = pay_payment_row_read(row, 1, &decision);
    if (broken != NULL) reading->broken = broken;
    bool wanted = question->attempt == 0 ? decision.attempt > reading->latest[nth].attempt
                                         : decision.attempt == question->attempt;
    if (wanted) reading->latest[nth] = decision;
    return true;
}

/* Answers those that are on file. */
static enum pay_move read_rows(struct pay_books *books, struct pay_question *const *questions, uint32_t count,
                               struct pay_error *error) {
    struct pay_question *asked[PAY_BOOKS_QUESTIONS_MAX];
    struct pay_decision latest[PAY_BOOKS_QUESTIONS_MAX] = {{.attempt = 0}};
    struct row_reading reading = {.asked = asked, .latest = latest};
    struct pay_pg_args args;
    uint32_t asked_count = 0;
    pay_pg_array_begin(&books->tenants, PAY_PG_TEXT);
    pay_pg_array_begin(&books->orders, PAY_PG_TEXT);
    for (uint32_t i = 0; i < count; i++) {
        if (questions[i]->by_position || questions[i]->end != PAY_BOOKS_OPEN) continue;
        asked[asked_count++] = questions[i];
        pay_pg_array_text(&books->tenants, questions[i]->tenant);
        pay_pg_array_text(&books->orders, questions[i]->order_id);
    }
    if (asked_count == 0) return PAY_OK;
    pay_pg_args_begin(&args);
    pay_pg_args_array(&args, &books->tenants);
    pay_pg_args_array(&args, &books->orders);
    pay_pg_args_int8(&args, ROWS_MAX);
    enum pay_move move = ask(books, pay_sql_tools_audit_payments, &args, take_row, &reading, error);
    if (move == PAY_OK && reading.broken != NULL) {
        *error = (struct pay_error){.move = PAY_REFUSE};
        snprintf(error->text, sizeof error->text,
                 "%s holds a word that this program doesn't know; install a newer paybuf", reading.broken);
        return PAY_REFUSE;
    }
    for (uint32_t i = 0; i < asked_count && move == PAY_OK; i++)
        if (latest[i].attempt > 0) answer_from_row(asked[i], &latest[i]);
    return move;
}

static enum pay_move read_ends(struct pay_books *books, int32_t *ret_partitions, struct pay_error *error) {
    const char *topic = books->config->request_topic;
    struct pay_kafka_reader *reader = books->log.reader;
    enum pay_move move = pay_kafka_reader_partitions(reader, topic, PAY_BOOKS_CALL_MS, ret_partitions, error);
    if (move != PAY_OK) return move;
    if (*ret_partitions > PAY_PLACES_MAX) {
        *error = (struct pay_error){.move = PAY_REFUSE, .text = "more partitions than can be looked at"};
        return PAY_REFUSE;
    }
    return pay_kafka_reader_ends(reader, topic, *ret_partitions, PAY_BOOKS_CALL_MS, books->ends, error);
}

static bool any_open(struct pay_question *const *questions, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (!questions[i]->by_position && questions[i]->end == PAY_BOOKS_OPEN) return true;
    return false;
}

/* A row seen at once is an answer. For the others the order matters: ends, then P, then the rows. */
static enum pay_move answer_by_order(struct pay_books *books, struct pay_question *const *questions, uint32_t count,
                                     struct pay_error *error) {
    int32_t partitions = 0;
    enum pay_move move = read_rows(books, questions, count, error);
    if (move != PAY_OK) return move;
    for (uint32_t i = 0; i < count; i++)
        if (!questions[i]->by_position && questions[i]->rows_only && questions[i]->end == PAY_BOOKS_OPEN)
            questions[i]->end = PAY_BOOKS_QUEUED;
    if (!any_open(questions, count)) return PAY_OK;
    move = read_ends(books, &partitions, error);
    if (move == PAY_OK) move = read_progress(books, error);
    if (move == PAY_OK) move = read_rows(books, questions, count, error);
    if (move != PAY_OK) return move;
    bool settled = pay_settled_everywhere(books->ends, partitions, books->rows, books->row_count);
    for (uint32_t i = 0; i < count; i++)
        if (!questions[i]->by_position && questions[i]->end == PAY_BOOKS_OPEN)
            questions[i]->end = settled ? PAY_BOOKS_NOWHERE : PAY_BOOKS_QUEUED;
    return PAY_OK;
}

/* --- by position -------------------------------------------------------------------------------------------------------------- */

/* Was this record answered? The asker may know; else replied_offset does, a little late. */
static enum pay_move judge_position(struct pay_books *books, struct pay_question *question, struct pay_error *error) {
    const struct pay_position *position = &question->position;
    if (question->answered) return PAY_OK;
    enum pay_move move = books->has_progress ? PAY_OK : read_progress(books, error);
    if (move != PAY_OK) return move;
    const struct pay_progress *row = pay_progress_of(books->rows, books->row_count, position->partition);
    if (row == NULL || position->generation > row->generation)
        question->end = PAY_BOOKS_NOWHERE;
    else if (position->generation == row->generation && position->offset >= row->replied)
        question->end = PAY_BOOKS_QUEUED;
    return PAY_OK;
}

static void take_reply(struct pay_books *books, struct pay_question *question) {
    const struct pay_log_record *record = &books->log.record;
    question->end = PAY_BOOKS_NOWHERE; /* larger than any reply: somebody else's, though it looks like ours */
    if (record->value == NULL || record->value_length > sizeof question->value) return;
    memcpy(question->value, record->value, record->value_length);
    question->length = record->value_length;
    question->key[0] = '\0';
    if (record->key != NULL && record->key_length <= PAY_ID_MAX) {
        memcpy(question->key, record->key, record->key_length);
        question->key[record->key_length] = '\0';
    }
    question->end = PAY_BOOKS_FOUND;
}

static enum pay_move search_log(struct pay_books *books, struct pay_question *question, struct pay_error *error) {
    const struct pay_position *position = &question->position;
    const struct pay_place wanted = {position->generation, position->offset};
    struct pay_reply_mark mark;
    enum pay_reply_found found;
    books->log.deadline_ms = pay_clock_ms() + 2 * PAY_BOOKS_CALL_MS;
    enum pay_move move = pay_reply_log_find(&books->log, position->partition, &wanted, -1, true, &found, &mark, error);
    if (move != PAY_OK) return move;
    if (found == PAY_REPLY_GONE) question->end = PAY_BOOKS_GONE;
    if (found == PAY_REPLY_MISSING) {
        question->end = PAY_BOOKS_MISSING;
        snprintf(question->reason, sizeof question->reason,
                 "the books say that %lld-%d-%lld was answered, but the reply log has no such reply; paybuf audit "
                 "tells more",
                 (long long)position->generation, (int)position->partition, (long long)position->offset);
    }
    if (found != PAY_REPLY_FOUND) return PAY_OK;
    /* The next reply behind it covers it: there is no request at that offset (a hole), so nothing to answer. */
    if (mark.generation != position->generation || mark.source_offset != position->offset) {
        question->end = PAY_BOOKS_NOWHERE;
        return PAY_OK;
    }
    move = pay_reply_log_read(&books->log, &mark, error);
    if (move == PAY_OK) take_reply(books, question);
    return move;
}

/* One failure is all's: who is away for one is away for the next, and each would wait for him. */
static enum pay_move answer_by_position(struct pay_books *books, struct pay_question *const *questions, uint32_t count,
                                        struct pay_error *error) {
    enum pay_move move = PAY_OK;
    for (uint32_t i = 0; i < count && move == PAY_OK; i++) {
        if (!questions[i]->by_position) continue;
        move = judge_position(books, questions[i], error);
        if (move == PAY_OK && questions[i]->end == PAY_BOOKS_OPEN) move = search_log(books, questions[i], error);
    }
    return move;
}

/* --- all ---------------------------------------------------------------------------------------------------------------------- */

void pay_books_answer(struct pay_books *books, struct pay_question *const *questions, uint32_t count) {
    struct pay_error error;
    assert(count <= PAY_BOOKS_QUESTIONS_MAX);
    books->has_progress = false;
    if (answer_by_order(books, questions, count, &error) != PAY_OK) close_all(questions, count, false, error.text);
    if (answer_by_position(books, questions, count, &error) != PAY_OK) close_all(questions, count, true, error.text);
}

struct pay_books *pay_books_open(const struct pay_config *config, const struct pay_kafka_options *kafka,
                                 struct pay_error *error) {
    struct pay_books *books = calloc(1, sizeof *books);
    if (books == NULL) abort(); /* out of memory: accepted payments are in the log */
    books->config = config;
    if (pay_reply_log_open(&books->log, kafka, config->reply_topic, error) == PAY_OK) return books;
    pay_books_close(books);
    return NULL;
}

void pay_books_close(struct pay_books *books) {
    if (books == NULL) return;
    pay_pg_close(books->pg);
    pay_reply_log_close(&books->log);
    pay_pg_array_free(&books->tenants);
    pay_pg_array_free(&books->orders);
    free(books);
}
