/*
 * kafka_settings.h - what may stand in [kafka]: the allow list (PITFALLS: a deny list always misses one).
 *
 * A name on it can neither weaken a promise (acks, idempotence, timeouts after which a connection must close) nor replace the broker
 * (test.mock.num.brokers would accept payments into memory), nor switch off the check of the broker's identity.
 * Threads: any. Memory: static.
 */
#ifndef PAY_BASE_KAFKA_SETTINGS_H
#define PAY_BASE_KAFKA_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

struct pay_kafka_setting {
    const char *name; /* as librdkafka spells it */
    bool secret;
    const char *help;
};

/* The whole list, for help and samples. */
const struct pay_kafka_setting *pay_kafka_settings(size_t *ret_count);

/* The entry, or NULL; then *ret_hint (if wanted) says in a clause what to do instead: why a known name is refused, or the nearest one. */
const struct pay_kafka_setting *pay_kafka_settings_find(const char *name, char *ret_hint, size_t hint_size);

/* Its environment variable: PAYBUF_KAFKA_ and the name in capitals with underscores; PAYBUF_KAFKA_BOOTSTRAP for bootstrap.servers. */
void pay_kafka_settings_variable(const char *name, char *ret_variable, size_t size);

#endif
