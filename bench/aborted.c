#include "aborted.h"

#include "base/clock.h"
#include "base/options.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <string.h>
#include <unistd.h>

#define STEP_TIMEOUT_MS 20000
#define MESSAGE_MAX 512

/* False: *ret_message says why; takes the error. */
static bool went_well(rd_kafka_error_t *error, const char *what, char ret_message[MESSAGE_MAX]) {
    if (error == NULL) return true;
    snprintf(ret_message, MESSAGE_MAX, "%s: %s", what, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return false;
}

static rd_kafka_t *open_producer(const struct pay_storm_options *options, char ret_message[MESSAGE_MAX]) {
    char id[64];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    snprintf(id, sizeof id, "paybuf-storm-%ld-%" PRId64, (long)getpid(), pay_wall_clock_us());
    const char *settings[][2] = {{"bootstrap.servers", options->kafka},
                                 {"transactional.id", id},
                                 {"partitioner", "murmur2_random"},
                                 {"linger.ms", "0"}};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], ret_message, MESSAGE_MAX) != RD_KAFKA_CONF_OK) {
            rd_kafka_conf_destroy(conf);
            return NULL;
        }
    }
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, ret_message, MESSAGE_MAX);
    if (producer == NULL) rd_kafka_conf_destroy(conf);
    return producer;
}

static bool produce_all(rd_kafka_t *producer, const struct pay_storm_options *options, char ret_message[MESSAGE_MAX]) {
    for (uint64_t i = 0; i < (uint64_t)options->count; i++) {
        struct pay_workload_item item;
        char body[PAY_WORKLOAD_BODY_MAX];
        pay_workload_item(&options->workload, i, &item);
        size_t length = pay_workload_body(&item, body);
        rd_kafka_resp_err_t error =
            rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(options->request_topic),
                              RD_KAFKA_V_KEY(item.order_id, strlen(item.order_id)), RD_KAFKA_V_VALUE(body, length),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_BLOCK), RD_KAFKA_V_END);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
            snprintf(ret_message, MESSAGE_MAX, "produce: %s", rd_kafka_err2str(error));
            return false;
        }
        rd_kafka_poll(producer, 0);
    }
    if (rd_kafka_flush(producer, STEP_TIMEOUT_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
    snprintf(ret_message, MESSAGE_MAX, "the broker didn't take the records within %d s", STEP_TIMEOUT_MS / 1000);
    return false;
}

int pay_aborted_run(const struct pay_storm_options *options) {
    char message[MESSAGE_MAX];
    rd_kafka_t *producer = open_producer(options, message);
    bool good = producer != NULL &&
                went_well(rd_kafka_init_transactions(producer, STEP_TIMEOUT_MS), "init_transactions", message) &&
                went_well(rd_kafka_begin_transaction(producer), "begin_transaction", message) &&
                produce_all(producer, options, message) &&
                went_well(rd_kafka_abort_transaction(producer, STEP_TIMEOUT_MS), "abort_transaction", message);
    if (producer != NULL) rd_kafka_destroy(producer);
    if (!good)
        fprintf(stderr, "paybuf-storm: no aborted transaction on %s: %s\n", options->request_topic, message);
    else
        printf("{\"aborted\":%" PRId64 "}\n", options->count);
    return good ? PAY_EXIT_OK : PAY_EXIT_UNAVAILABLE;
}
