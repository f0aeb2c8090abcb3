/*
 * fake_broker.h - the logs in memory, as nasty as a broker: topics, producer state, produce requests on the wire, one group.
 *
 * Every worker connects its own fake_stream (fake_stream.h) to one fake_broker. What lives here survives the workers: requests
 * that a dead producer had sent still land. The nasty parts, each seen on a real broker or its client (PROTOCOL 3, 7, PITFALLS):
 *   - no producer state for a producer id: any first sequence is taken; state can be dropped at any time;
 *   - each produce request has a fate (fault.h): refused, lost, late, its answer lost or late, reported as failed though kept, as
 *     delivered though in no log (-1001), cut off by a leader change before it was replicated;
 *   - with requests_in_flight_max > 1 a refused first request leaves a hole, and the library calls its records delivered;
 *   - a leader dies with what its followers don't have, and the next one shows a high watermark that is lower for a while;
 *   - control records and records of aborted transactions take offsets; an open transaction holds the last stable offset;
 *   - the log start moves up, a log is cut, a topic is made anew under the same name without any error to those who read it;
 *   - a member that is silent for session_timeout_ms is out, whether it knows or not (fake_broker_deafen); every change of
 *     members takes everything from everybody first.
 *
 * Memory: owns everything; fake_broker_free. Threads: one.
 */
#ifndef PAY_TESTS_FAKE_BROKER_H
#define PAY_TESTS_FAKE_BROKER_H

#include "fake_clock.h"
#include "fault.h"

#include "core/log_record.h"
#include "worker/stream.h"

#define FAKE_PARTITIONS_MAX 16
#define FAKE_MEMBERS_MAX 8
#define FAKE_REQUEST_RECORDS_MAX 8 /* records of one produce request */
#define FAKE_TROUBLES_MAX 32
#define FAKE_DOOMS_MAX 8

struct fake_record {
    int64_t offset;
    int64_t timestamp_ms; /* the broker's append time */
    int64_t appended_us;
    int64_t made_us; /* when its producer was given it; 0: from outside */
    void *key;       /* NULL: none */
    size_t key_length;
    void *value;
    size_t value_length;
    struct pay_header *headers;
    size_t header_count;
    bool control;      /* a transaction marker: nobody sees it, its offset is gone */
    bool aborted;      /* of an aborted transaction: read_committed readers don't see it */
    bool acknowledged; /* somebody was handed an honest report about it */
    uint32_t writer;   /* worker, 0: from outside */
};

/* What the broker remembers of one producer id in one partition. */
struct fake_producer_state {
    int64_t producer_id;
    int32_t next_sequence;
    int32_t last_count; /* records of the last request, and where they went: a repeat is answered from here */
    int64_t last_offset;
};

struct fake_log {
    struct fake_record *
        *records; /* ascending offsets, none below what was cut; those below `start` are kept for the checker */
    size_t count, capacity;
    int64_t start;          /* log start */
    int64_t end;            /* next offset of the leader */
    int64_t high_watermark; /* replicated up to here: what readers may see; below `end` while a tail waits */
    uint32_t cuts;          /* how often something that readers had seen was cut off */
    int64_t tail_until_us;  /* then the leader dies and the tail with it; 0: no tail waits */
    struct fake_producer_state *states_before_tail; /* what the followers know */
    uint32_t states_before_tail_count;
    int64_t tail_stale_by; /* of the leader after the tail: how much less it tells, and for how long */
    int64_t tail_stale_ms;
    int64_t stale_watermark;     /* what a new leader tells for the high watermark; -1: the truth */
    int64_t stale_until_us;      /* then it knows; what it has appended meanwhile is acknowledged then */
    int64_t told_stale_first_us; /* when somebody was told less than the truth, for the first and for the last time; */
    int64_t told_stale_last_us;  /* 0: never. Two such answers 10 s apart are a truncation, as PROTOCOL 1 judges */
    int64_t open_transaction;    /* first offset of a transaction still open, -1: none */
    struct fake_producer_state *states;
    uint32_t state_count;
};

struct fake_topic {
    struct fake_log logs[FAKE_PARTITIONS_MAX];
    uint32_t created; /* 1, 2, ..: made anew so often */
};

enum fake_topic_name { TOPIC_REQUESTS, TOPIC_REPLIES, TOPIC_DEAD_LETTERS, TOPIC_COUNT };

struct fake_produce;

/* A client as the broker sees it (a fake_stream begins with one). */
struct fake_client {
    bool frozen;                         /* its process stands still: it neither sends, hears nor heartbeats */
    bool lost;                           /* the group has thrown it out, and it doesn't know yet */
    int64_t deaf_until_us;               /* its coordinator doesn't hear it, nor it the coordinator: a stale view */
    int32_t troubles[FAKE_TROUBLES_MAX]; /* partitions (or -1) of error events it hasn't taken yet */
    uint32_t trouble_count;
    /* Sends what its producers hold; called whenever time has passed. */
    void (*send)(struct fake_client *client);
    /* The answer to a request (or its timeout) is there. Takes the request over: to send it again, or to free it. */
    void (*answered)(struct fake_client *client, struct fake_produce *produce);
};

/* What a client is told about a request. */
enum fake_answer {
    ANSWER_OK,    /* at base_offset */
    ANSWER_RETRY, /* refused, or timed out: the library sends it again by itself */
    ANSWER_FAILED,
    ANSWER_LIE, /* delivered, without an offset */
    ANSWER_FATAL
};

/* A produce request on the wire. */
struct fake_produce {
    uint32_t number; /* 1, 2, ..: what a script's pN means */
    enum fake_topic_name topic;
    int32_t partition;
    int64_t producer_id;
    int32_t first_sequence;
    uint32_t writer;
    struct fake_record *records[FAKE_REQUEST_RECORDS_MAX]; /* owned; the log gets copies */
    int64_t source_offsets[FAKE_REQUEST_RECORDS_MAX];
    int32_t source_partitions[FAKE_REQUEST_RECORDS_MAX];
    uint32_t count;
    struct fault_entry fate;
    bool landed; /* the broker is done with it: its answer (or the timeout) is on the way */
    enum fake_answer answer;
    int64_t base_offset;        /* with ANSWER_OK */
    int64_t due_us;             /* next thing to happen: landing, or the answer's arrival */
    struct fake_client *client; /* NULL: gone, nobody hears the answer */
    struct fake_produce *next;
};

/* A fate that waits for its produce request, beside the script's. */
struct fake_doom {
    uint32_t number;
    enum fault_fate fate;
    int64_t ms;
};

/* One member of the group. Both sides of the protocol are in here, eager rebalancing only. */
enum fake_member_state {
    MEMBER_OUT,       /* slot unused */
    MEMBER_JOINED,    /* nothing assigned, ready for the next assignment */
    MEMBER_ASSIGNING, /* an assignment waits for its next_event */
    MEMBER_STABLE,
    MEMBER_REVOKING,  /* a REVOKED waits for its next_event */
    MEMBER_CONFIRMING /* it knows; the group waits for its word */
};

struct fake_member {
    enum fake_member_state state;
    struct fake_client *client; /* NULL: dead, until the session times out */
    int64_t heard_us;
    bool assigned[FAKE_PARTITIONS_MAX];
};

struct fake_broker {
    struct fake_clock *clock;
    const struct fault_script *script; /* fates of produce requests; NULL: all land */
    char cluster_id[64];
    uint32_t partition_count;
    struct fake_topic topics[TOPIC_COUNT];
    bool down;

    int64_t latency_ms;        /* one way */
    int64_t socket_timeout_ms; /* then a lost request or answer is sent again */
    int64_t retry_ms;          /* then a refused request is */
    int64_t session_timeout_ms;
    uint32_t requests_in_flight_max; /* of one producer; 1 as the protocol wants it */
    uint32_t records_per_request;
    size_t dead_letter_max_bytes;
    bool dead_letters_hang; /* the dead letter topic's requests aren't answered */
    const char *refusal;    /* a failed precondition that open() answers; NULL: none */

    int64_t leaders_due_us; /* the first tail or stale watermark that ends; INT64_MAX: none */
    struct fake_doom dooms[FAKE_DOOMS_MAX];
    uint32_t doom_count;

    struct fake_client *clients[FAKE_MEMBERS_MAX];
    struct fake_produce *wire;
    uint32_t produce_count;
    int64_t producer_ids;
    struct fake_member members[FAKE_MEMBERS_MAX];
    bool rebalancing;
    uint32_t rebalances;
    int64_t group_offsets[FAKE_PARTITIONS_MAX]; /* G: a courtesy */
    struct fault_complaints complaints;
    struct trace *trace; /* NULL: nothing is traced */

    /* The fate of a request that neither the script nor a doom has one for, by what is the case now; NULL: none. */
    struct fault_entry (*choose_fate)(void *argument, const struct fake_produce *produce);
    void *fate_argument;

    /* The checker's: a leader has appended a record. */
    void (*on_append)(void *argument, enum fake_topic_name topic, int32_t partition, const struct fake_record *record);
    void *argument;
};

void fake_broker_init(struct fake_broker *broker, struct fake_clock *clock, uint32_t partition_count);
void fake_broker_free(struct fake_broker *broker);
struct fake_log *fake_broker_log(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition);

/* Appends from outside. Answers the offset. Strings end with NUL; `key` NULL: none. */
int64_t fake_broker_append(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition, const char *key,
                           const char *value, const struct pay_header *headers, size_t header_count);
int64_t fake_broker_append_request(struct fake_broker *broker, int32_t partition, const char *key, const char *value);

/* A transactional producer from outside: records between begin and end are one transaction; its marker takes an offset. */
void fake_broker_begin_transaction(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition);
void fake_broker_end_transaction(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition,
                                 bool commit);
/* A marker alone: a transaction that wrote elsewhere, or nothing. */
void fake_broker_append_control(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition);

/* What operators and broken brokers do. */
void fake_broker_move_start(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition, int64_t start);
void fake_broker_truncate(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition, int64_t end);
void fake_broker_recreate(struct fake_broker *broker, enum fake_topic_name topic);
void fake_broker_forget_producers(struct fake_broker *broker);

/*
 * A leader change that loses what nobody was promised: for `lives_ms` the leader appends without its followers (nobody sees
 * it, nobody gets an acknowledgement), then it dies and the tail with it. The next one tells a high watermark that is lower by
 * `stale_by`, for stale_ms; the truth only from then on. False: this partition's leader is being changed already.
 */
bool fake_broker_elect(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition, int64_t lives_ms,
                       int64_t stale_by, int64_t stale_ms);
/* The fate of the produce request that comes `ahead` from now (0: the next). False: too many of them wait already. */
bool fake_broker_doom(struct fake_broker *broker, uint32_t ahead, enum fault_fate fate, int64_t ms);
/* The coordinator and this client don't hear each other for `ms`; everything else of it works. */
void fake_broker_deafen(struct fake_broker *broker, struct fake_client *client, int64_t ms);
bool fake_client_deaf(const struct fake_broker *broker, const struct fake_client *client);

/* The group takes everything from everybody and gives it again. */
void fake_broker_rebalance(struct fake_broker *broker);
/* An error event for everybody who reads. */
void fake_broker_trouble(struct fake_broker *broker, int32_t partition);

/* Everything that is due now. */
void fake_broker_run(struct fake_broker *broker);
int64_t fake_broker_next_due_us(const struct fake_broker *broker);

/* The high watermark as the leader tells it now: never above what is true. */
int64_t fake_log_visible(const struct fake_log *log);
/* Somebody was told that watermark. */
void fake_log_told(struct fake_log *log, int64_t told, int64_t now_us);
/* For the checker, who must know what a log held before somebody cut it, whatever its leader told of it. NULL is fine for the second. */
struct fake_log *fake_log_copy(const struct fake_log *log);
void fake_log_free_copy(struct fake_log *log);
/* The last stable offset: read_committed readers see below it. */
int64_t fake_log_stable(const struct fake_log *log);
/* The record at `offset`; NULL when there is none, or only a marker. */
const struct fake_record *fake_log_find(const struct fake_log *log, int64_t offset);
/* The index of the first record at or above `offset`; log->count when there is none. */
size_t fake_log_seek(const struct fake_log *log, int64_t offset);
/* A request as the worker sees it. */
bool fake_record_is_request(const struct fake_record *record);
const struct pay_header *fake_record_header(const struct fake_record *record, const char *name);

/* For fake_stream. */
struct fake_record *fake_record_new(const struct pay_outgoing *outgoing);
void fake_record_free(struct fake_record *record);
void fake_produce_free(struct fake_produce *produce);
void fake_broker_add_client(struct fake_broker *broker, struct fake_client *client);
/* The client is gone: its requests on the wire are nobody's, its group member is silent from now on. */
void fake_broker_remove_client(struct fake_broker *broker, struct fake_client *client);
/* Puts a request on the wire (again); takes it over. */
void fake_broker_send(struct fake_broker *broker, struct fake_produce *produce);
/* Requests of one producer id are nobody's any more. */
void fake_broker_orphan(struct fake_broker *broker, int64_t producer_id);
/* Takes an earlier request of the same producer and partition that isn't answered yet off the wire; NULL: there is none. */
struct fake_produce *fake_broker_recall(struct fake_broker *broker, const struct fake_produce *acknowledged);
struct fake_member *fake_broker_join(struct fake_broker *broker, struct fake_client *client);
struct fake_member *fake_broker_member(struct fake_broker *broker,
                                       const struct fake_client *client); /* NULL: not in the group */
void fake_broker_leave(struct fake_broker *broker, struct fake_member *member);
/* An honest report about the record was handed out. */
void fake_broker_acknowledged(struct fake_broker *broker, enum fake_topic_name topic, int32_t partition,
                              int64_t offset);

#endif
