/*
 * tool.h - what every verb stands on: settings, output, connections, and one way to say that something went wrong.
 *
 * A message on stderr says what, why and what to do; the exit code says it to scripts (INTERFACES). Threads: one.
 */
#ifndef PAY_TOOLS_TOOL_H
#define PAY_TOOLS_TOOL_H

#include "base/config.h"
#include "base/options.h"
#include "core/error.h"
#include "kafka/kafka_admin.h"
#include "kafka/kafka_check.h"
#include "kafka/kafka_reader.h"
#include "pg/pg.h"
#include "tools/out.h"

#define TOOL_KAFKA_TIMEOUT_MS 10000

struct tool {
    struct pay_config config;
    struct out out;
    const char *verb;        /* "account open" */
    char kafka_trouble[256]; /* the last line of librdkafka's own log: often the reason of a timeout */
};

/* "paybuf VERB: ..." on stderr; answers `exit_code`. */
enum pay_exit tool_fail(const struct tool *tool, enum pay_exit exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A note on stderr. */
void tool_note(const struct tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says the error and answers its exit code: 69 not reachable, 75 not now, 78 settings or preconditions, else 1. */
enum pay_exit tool_error(const struct tool *tool, const struct pay_error *error);
/* The same of a question to the broker, where "again" means that it isn't reachable. */
enum pay_exit tool_unavailable(const struct tool *tool, const struct pay_error *error);

/* The same of a connection to PostgreSQL. */
enum pay_exit tool_no_database(const struct tool *tool, const struct pay_error *error);

/* PAY_EXIT_OK, or everything was said. */
enum pay_exit tool_open_database(struct tool *tool, enum pay_pg_role role, struct pay_pg **ret_pg);
enum pay_exit tool_open_admin(struct tool *tool, struct pay_kafka_admin **ret_admin);
enum pay_exit tool_open_reader(struct tool *tool, bool committed_only, struct pay_kafka_reader **ret_reader);

/* Settings and log of any Kafka handle of a verb. */
struct pay_kafka_options tool_kafka_options(struct tool *tool);

/* A topic that must exist, and the number of its partitions. */
enum pay_exit tool_topic(struct tool *tool, const char *topic, struct pay_kafka_topic *ret_topic);
enum pay_exit tool_partitions(struct tool *tool, const char *topic, int32_t *ret_partitions);

/* An option's time into *ret_ms, which stays as it is where `text` is NULL. */
enum pay_exit tool_read_time(const struct tool *tool, const char *option, const char *text, int64_t *ret_ms);

/* Waits as long as `rate` a second asks for after `done` since `began_ms`; 0: no limit. */
void tool_pace(int64_t rate, int64_t done, int64_t began_ms);

/* ---- JSON from text that may be NULL ---- */
json_t *tool_text(const char *text_or_null);
/* A column of a row: null, text, number, yes/no. */
json_t *tool_column_text(const struct pay_pg_row *row, int column);
json_t *tool_column_number(const struct pay_pg_row *row, int column);
json_t *tool_column_bool(const struct pay_pg_row *row, int column);

#endif
