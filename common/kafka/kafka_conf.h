/*
 * kafka_conf.h - what every handle of librdkafka is made from: the user's [kafka] settings by the allow list
 * of base/kafka_settings.h, and our fixed ones.
 *
 * Promises: a setting that isn't on the list is an error with a suggestion (a deny list always misses one: test.mock.num.brokers
 * would accept payments into memory); no user setting can override one of ours; nothing here logs: librdkafka's own log lines
 * go to `log`, called from the thread that polls the handle (never from a background thread).
 * Memory: options are borrowed for the length of a call, `log_argument` for the life of the handle. Threads: any.
 */
#ifndef PAY_KAFKA_KAFKA_CONF_H
#define PAY_KAFKA_KAFKA_CONF_H

#include "base/settings.h"
#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

#define PAY_KAFKA_CLIENT_ID_MAX 32 /* longer ones hit librdkafka#4689 */

/* A line of librdkafka's own log; `level` is syslog's (3 error .. 7 debug). */
typedef void (*pay_kafka_log_fn)(void *argument, int level, const char *facility, const char *text);

struct pay_kafka_options {
    const struct pay_setting *settings; /* [kafka], among them bootstrap.servers */
    uint32_t setting_count;
    const char *client_id; /* at most PAY_KAFKA_CLIENT_ID_MAX characters */
    pay_kafka_log_fn log;  /* NULL: librdkafka's lines are dropped */
    void *log_argument;
};

/* Judges the settings without making a handle: REFUSE names the first one at fault and what to write instead. For --check-config. */
enum pay_move pay_kafka_settings_check(const struct pay_setting *settings, uint32_t count, struct pay_error *error);

/* "librdkafka 2.0.2", for --version and the start-up line. Static. */
const char *pay_kafka_library_version(void);

#endif
