#include "tools/tool.h"

#include "base/clock.h"
#include "codec/time_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FETCH_WAIT_MS 100

static void say(const struct tool *tool, const char *format, va_list arguments) {
    fflush(stdout);
    flockfile(stderr); /* a line is one line, whoever else speaks */
    fprintf(stderr, "paybuf%s%s: ", tool->verb[0] != '\0' ? " " : "", tool->verb);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    funlockfile(stderr);
}

enum pay_exit tool_fail(const struct tool *tool, enum pay_exit exit_code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(tool, format, arguments);
    va_end(arguments);
    return exit_code;
}

void tool_note(const struct tool *tool, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(tool, format, arguments);
    va_end(arguments);
}

enum pay_exit tool_error(const struct tool *tool, const struct pay_error *error) {
    if (strcmp(error->code, "42P01") == 0 || strcmp(error->code, "3F000") == 0)
        return tool_fail(tool, PAY_EXIT_CONFIG, "this database holds no books yet (%s); run paybuf init", error->text);
    switch (error->move) {
    case PAY_AGAIN:
    case PAY_REDO: return tool_fail(tool, PAY_EXIT_TEMPORARY, "%s; trying again is safe", error->text);
    case PAY_SESSION_OVER: return tool_fail(tool, PAY_EXIT_TEMPORARY, "%s", error->text);
    case PAY_REFUSE: return tool_fail(tool, PAY_EXIT_CONFIG, "%s", error->text);
    case PAY_OK:
    case PAY_SPLIT:
    case PAY_FENCED:
    case PAY_HALTED: break;
    }
    return tool_fail(tool, PAY_EXIT_FAILURE, "%s", error->text);
}

/* A mere timeout says little; librdkafka's last log line often has the reason. */
enum pay_exit tool_unavailable(const struct tool *tool, const struct pay_error *error) {
    if (error->move == PAY_REFUSE) return tool_error(tool, error);
    bool known = strstr(error->text, "Connect") != NULL || tool->kafka_trouble[0] == '\0';
    return tool_fail(tool, PAY_EXIT_UNAVAILABLE,
                     "%s%s%s%s. Is Kafka running? [kafka] bootstrap.servers or PAYBUF_KAFKA_BOOTSTRAP says where it is",
                     error->text, known ? "" : " (", known ? "" : tool->kafka_trouble, known ? "" : ")");
}

enum pay_exit tool_no_database(const struct tool *tool, const struct pay_error *error) {
    if (error->move == PAY_REFUSE) return tool_error(tool, error);
    return tool_fail(tool, PAY_EXIT_UNAVAILABLE, "%s. [database] url or PAYBUF_DATABASE_URL says where it is",
                     error->text);
}

static void keep_log_line(void *argument, int level, const char *facility, const char *text) {
    struct tool *tool = argument;
    (void)facility;
    if (level <= 4) snprintf(tool->kafka_trouble, sizeof tool->kafka_trouble, "%s", text);
}

struct pay_kafka_options tool_kafka_options(struct tool *tool) {
    return (struct pay_kafka_options){.settings = tool->config.kafka,
                                      .setting_count = tool->config.kafka_count,
                                      .client_id = "paybuf",
                                      .log = keep_log_line,
                                      .log_argument = tool};
}

enum pay_exit tool_open_database(struct tool *tool, enum pay_pg_role role, struct pay_pg **ret_pg) {
    const struct pay_pg_options options = {.url = tool->config.database_url,
                                           .application_name = "paybuf",
                                           .role = role,
                                           .allow_unix_socket = tool->config.database_allow_unix_socket,
                                           .allow_unsafe = tool->config.database_allow_unsafe};
    struct pay_error error;
    return pay_pg_open(&options, ret_pg, &error) == PAY_OK ? PAY_EXIT_OK : tool_no_database(tool, &error);
}

enum pay_exit tool_open_admin(struct tool *tool, struct pay_kafka_admin **ret_admin) {
    const struct pay_kafka_options options = tool_kafka_options(tool);
    struct pay_error error;
    return pay_kafka_admin_open(&options, ret_admin, &error) == PAY_OK ? PAY_EXIT_OK : tool_unavailable(tool, &error);
}

enum pay_exit tool_open_reader(struct tool *tool, bool committed_only, struct pay_kafka_reader **ret_reader) {
    const struct pay_kafka_reader_options options = {
        .kafka = tool_kafka_options(tool), .committed_only = committed_only, .fetch_wait_ms = FETCH_WAIT_MS};
    struct pay_error error;
    return pay_kafka_reader_open(&options, ret_reader, &error) == PAY_OK ? PAY_EXIT_OK : tool_unavailable(tool, &error);
}

enum pay_exit tool_topic(struct tool *tool, const char *topic, struct pay_kafka_topic *ret_topic) {
    struct pay_kafka_admin *admin;
    struct pay_error error;
    enum pay_exit status = tool_open_admin(tool, &admin);
    if (status != PAY_EXIT_OK) return status;
    if (pay_kafka_admin_topic(admin, topic, TOOL_KAFKA_TIMEOUT_MS, ret_topic, &error) != PAY_OK)
        status = tool_unavailable(tool, &error);
    else if (!ret_topic->exists)
        status =
            tool_fail(tool, PAY_EXIT_CONFIG,
                      "the topic %s doesn't exist; make it with paybuf init, or name another one in [topics]", topic);
    pay_kafka_admin_close(admin);
    return status;
}

enum pay_exit tool_partitions(struct tool *tool, const char *topic, int32_t *ret_partitions) {
    struct pay_kafka_topic found;
    enum pay_exit status = tool_topic(tool, topic, &found);
    if (status == PAY_EXIT_OK) *ret_partitions = found.partitions;
    return status;
}

enum pay_exit tool_read_time(const struct tool *tool, const char *option, const char *text, int64_t *ret_ms) {
    int64_t time_us;
    if (text == NULL) return PAY_EXIT_OK;
    if (!pay_time_parse(text, strlen(text), &time_us))
        return tool_fail(tool, PAY_EXIT_USAGE, "%s: '%s' is no time in UTC as 2026-11-21T12:00:00Z", option, text);
    *ret_ms = time_us / 1000;
    return PAY_EXIT_OK;
}

void tool_pace(int64_t rate, int64_t done, int64_t began_ms) {
    if (rate == 0) return;
    int64_t ahead_ms = began_ms + done * 1000 / rate - pay_clock_ms();
    if (ahead_ms > 0)
        nanosleep(&(struct timespec){.tv_sec = ahead_ms / 1000, .tv_nsec = ahead_ms % 1000 * 1000000}, NULL);
}

json_t *tool_text(const char *text_or_null) { return text_or_null != NULL ? json_string(text_or_null) : json_null(); }

json_t *tool_column_text(const struct pay_pg_row *row, int column) { return tool_text(pay_pg_column(row, column)); }

json_t *tool_column_number(const struct pay_pg_row *row, int column) {
    return pay_pg_column(row, column) != NULL ? json_integer(pay_pg_column_int8(row, column)) : json_null();
}

json_t *tool_column_bool(const struct pay_pg_row *row, int column) {
    return pay_pg_column(row, column) != NULL ? json_boolean(pay_pg_column_bool(row, column)) : json_null();
}
