/*
 * sim_intake.h - an intake and its clients: who was told 202, 503 or 504, and whether it was true.
 *
 * The intake follows PROTOCOL 3: several requests in flight, an acknowledgement counts with err 0 and an offset larger than the
 * partition's last; any other report, a deadline, a crash is "unknown" (504), never "not stored"; 503 only for what was never given
 * to the producer. Its requests share the wire, and so the script's fates, with everybody else's.
 * A client asks; after 503 or 504, or when no answer reaches it, it asks again with the same order (rarely on another partition,
 * as after a repartitioning), a few times. Each call carries its own number in its metadata, so that it can be found in the logs.
 *
 * Judged at the end: a call answered 202 lies at its position, and the reply to it is its own; one answered 503 lies nowhere.
 * (That a retry is never charged twice, the books say: history.h.) Memory: plain. Threads: one.
 */
#ifndef PAY_TESTS_SIM_INTAKE_H
#define PAY_TESTS_SIM_INTAKE_H

#include "rig.h"

#define INTAKE_ASKS_MAX 24
#define INTAKE_CALLS_MAX 128
#define INTAKE_BUDGET 6 /* calls under way; more are refused */
#define INTAKE_DEADLINE_MS 5000
#define INTAKE_STALL_MS 2500 /* nothing acknowledged for so long: refuses up front */
#define INTAKE_TRIES_MAX 5

enum sim_answer { ANSWERED_NOT_YET, ANSWERED_202, ANSWERED_503, ANSWERED_504, ANSWERED_NEVER };

/* Told to the trace. */
enum sim_client_event {
    CLIENT_ASKS,
    CLIENT_TOLD_202,
    CLIENT_TOLD_503,
    CLIENT_TOLD_504,
    CLIENT_HEARS_NOTHING,
    INTAKE_CRASHES,
    INTAKE_STARTS,
    INTAKE_RENEWS
};

struct sim_call {
    uint32_t ask;
    int32_t partition;
    enum sim_answer answer;
    int64_t offset; /* with 202 */
    int64_t began_us;
};

struct sim_ask {
    uint32_t a, b;
    uint32_t tries;
    bool done;
    int64_t again_us; /* asks then; INT64_MAX: waits for an answer */
};

struct sim_intake {
    struct rig_actor actor; /* first */
    struct fake_client client;
    struct rig *rig;
    bool up;
    int64_t start_us; /* when it is down: then it starts again */
    int64_t producer_id;
    uint32_t in_flight, in_flight_max;
    bool broken; /* its producer said something that proves nothing: renewed at the next turn */
    int32_t next_sequence[FAKE_PARTITIONS_MAX];
    int64_t last_offset[FAKE_PARTITIONS_MAX];
    int64_t heard_us;                        /* the last honest acknowledgement, or the first call under way since */
    struct sim_call calls[INTAKE_CALLS_MAX]; /* numbered from 1 */
    uint32_t call_count, first_open;         /* calls below first_open are answered */
    uint32_t queue[INTAKE_BUDGET], queued;   /* call numbers - 1 */
    struct fake_produce *reports;            /* answered, not yet taken */
    struct sim_ask asks[INTAKE_ASKS_MAX];
    uint32_t ask_count;
};

void sim_intake_init(struct sim_intake *intake, struct rig *rig, uint32_t in_flight_max);
void sim_intake_free(struct sim_intake *intake);
/* A client asks now; its choices come from the two numbers. */
void sim_intake_ask(struct sim_intake *intake, uint32_t a, uint32_t b);
/* Every client has its 202, or has given up. */
bool sim_intake_done(const struct sim_intake *intake);
void sim_intake_judge(const struct sim_intake *intake, bool complete);

#endif
