/* fake_broker_private.h - what the files of fake_broker share. Not for anybody else. */
#ifndef PAY_TESTS_FAKE_BROKER_PRIVATE_H
#define PAY_TESTS_FAKE_BROKER_PRIVATE_H

#include "fake_broker.h"

/* fake_broker.c */
void *fake_broker_must(void *memory);
struct fake_record *fake_broker_copy_record(const struct fake_record *record);
/* Takes the record over and stamps it: LogAppendTime. Answers the offset. */
int64_t fake_broker_take(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition,
                         struct fake_record *record);
void fake_log_cut(struct fake_log *log, int64_t end);
void fake_log_forget_producers(struct fake_log *log);

/* fake_wire.c */
void fake_broker_run_wire(struct fake_broker *broker);
int64_t fake_broker_wire_due_us(const struct fake_broker *broker);

/* fake_leader.c */
void fake_broker_run_leaders(struct fake_broker *broker);
void fake_log_begin_tail(struct fake_broker *broker, struct fake_log *log, int64_t lives_ms);

/* fake_group.c */
void fake_broker_run_group(struct fake_broker *broker);
int64_t fake_broker_group_due_us(const struct fake_broker *broker);

#endif
