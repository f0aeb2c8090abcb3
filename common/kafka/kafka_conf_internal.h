/* kafka_conf_internal.h - for the files of this folder only: the configuration of a handle, in librdkafka's types. */
#ifndef PAY_KAFKA_KAFKA_CONF_INTERNAL_H
#define PAY_KAFKA_KAFKA_CONF_INTERNAL_H

#include "kafka/kafka_conf.h"

#include <librdkafka/rdkafka.h>

#define PAY_KAFKA_ERRSTR_MAX 256 /* librdkafka cuts its reasons to the room there is; an error's text has 384 */

enum pay_kafka_role { PAY_KAFKA_CONSUMER = 1, PAY_KAFKA_PRODUCER = 2 };

/* A setting of ours. `may_override`: the user's [kafka] value wins over it. */
struct pay_kafka_fixed {
    const char *name;
    const char *value;
    bool may_override;
};

/* The configuration of a handle: our defaults, the user's settings, what is fixed; in this order, later wins. */
enum pay_move pay_kafka_conf_new(const struct pay_kafka_options *options, enum pay_kafka_role role,
                                 const struct pay_kafka_fixed *fixed, rd_kafka_conf_t **ret_conf,
                                 struct pay_error *error);

#endif
