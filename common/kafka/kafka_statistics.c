#include "kafka/kafka_statistics.h"

#include <jansson.h>
#include <string.h>

static int64_t led_partitions(const json_t *broker, const char *topic) {
    const char *key;
    json_t *partition;
    int64_t count = 0;
    json_object_foreach(json_object_get(broker, "toppars"), key, partition) {
        const char *name = json_string_value(json_object_get(partition, "topic"));
        count += name != NULL && strcmp(name, topic) == 0;
    }
    return count;
}

int64_t pay_kafka_turn_us(const char *text, size_t length, const char *topic) {
    const char *name;
    json_t *broker, *statistics = json_loadb(text, length, 0, NULL);
    int64_t longest_us = -1;
    json_object_foreach(json_object_get(statistics, "brokers"), name, broker) {
        const json_t *round_trip = json_object_get(broker, "rtt");
        int64_t requests = json_integer_value(json_object_get(round_trip, "cnt"));
        int64_t turn_us = json_integer_value(json_object_get(round_trip, "p50")) * led_partitions(broker, topic);
        if (requests > 0 && turn_us > longest_us) longest_us = turn_us;
    }
    json_decref(statistics);
    return longest_us;
}
