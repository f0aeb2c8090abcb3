/*
 * sim_reader.h - somebody who reads replies by core's rule (core/reader.h), crashes and goes on from what it has stored.
 *
 * Its store holds its integers, its position in the reply log and its effects, and all three change together; a crash loses what
 * came since. It starts at 0, in the middle or at the end, follows one partition, and bears retention: when the log's start passes
 * its position and a gap comes, it begins in the middle again, as a person would let it.
 * Judged: effects in ascending order, each request once; once synced no request is passed over; a gap is alarmed only where replies
 * are really gone; in the end it has what a reader from 0 has.
 * Memory: sim_reader_free. Threads: one.
 */
#ifndef PAY_TESTS_SIM_READER_H
#define PAY_TESTS_SIM_READER_H

#include "rig.h"
#include "sim_plan.h"

#include "core/reader.h"

enum sim_reader_event { READER_STARTS_AT, READER_TAKES, READER_ALARMS, READER_CRASHES, READER_JUMPS };

struct sim_reader {
    struct rig_actor actor; /* first */
    struct rig *rig;
    uint32_t number, a, b, turns;
    int32_t partition;
    enum sim_reader_start start;
    bool positioned, started;
    struct sim_reader_state {
        struct pay_reader reader;
        int64_t position; /* next record of the reply log */
        size_t effects;
        bool passed_by; /* retention took replies that it hadn't read */
    } memory, store;
    int64_t *effects; /* source offsets taken */
    size_t capacity;
};

void sim_reader_init(struct sim_reader *reader, struct rig *rig, uint32_t number, enum sim_reader_start start,
                     uint32_t a, uint32_t b);
void sim_reader_free(struct sim_reader *reader);
/* Has read the log to its end. */
bool sim_reader_done(const struct sim_reader *reader);
void sim_reader_judge(const struct sim_reader *reader, bool complete);

#endif
