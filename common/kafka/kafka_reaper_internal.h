/* kafka_reaper_internal.h - for the files of this folder only: giving a handle to the reaper. */
#ifndef PAY_KAFKA_KAFKA_REAPER_INTERNAL_H
#define PAY_KAFKA_KAFKA_REAPER_INTERNAL_H

#include "kafka/kafka_internal.h"
#include "kafka/kafka_reaper.h"

/* For the reaper: the thread that destroys. False: too many are closing. */
bool pay_kafka_reaper_has_room(void);
void pay_kafka_reap(struct pay_kafka_handle *handle);

#endif
