#include "reply_watch.h"

#include "base/clock.h"
#include "core/reader.h"
#include "kafka/kafka_admin.h"
#include "kafka/kafka_reader.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ASK_TIMEOUT_MS 15000
#define SEEK_AGAIN_US 500000 /* a partition in trouble is looked at again after this */
#define SLOTS_AT_FIRST (1u << 16)

/* One position: what the 202 said of it, what its reply said. Whichever came first waits here for the other. */
struct slot {
    int64_t offset;
    int32_t partition;
    bool used, accepted, replied;
    uint64_t order_hash; /* of the one that came first */
    int64_t sent_us, replied_us;
};

struct lane {
    struct pay_reader reader;
    int64_t next;       /* position in the reply log */
    int64_t seek_at_us; /* 0: delivers */
};

struct pay_reply_watch {
    struct pay_kafka_reader *reader;
    char reply_topic[PAY_TOPIC_MAX + 1];
    int32_t partitions;
    uint32_t troubled;
    struct lane *lanes;
    uint32_t slots_used, slots_size; /* size: a power of two */
    struct slot *slots;
    struct pay_reply_counts counts;
    struct pay_histogram latency;
};

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* FNV-1a. */
static uint64_t hash_text(const char *text, size_t length) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)text[i]) * 0x100000001B3u;
    return hash;
}

/* The slot of a position, or the free one where it belongs. */
static struct slot *find_slot(struct slot *slots, uint32_t size, int32_t partition, int64_t offset) {
    uint32_t at = (uint32_t)mix((uint64_t)offset << 12 ^ (uint64_t)partition);
    for (;; at++) {
        struct slot *slot = &slots[at & (size - 1)];
        if (!slot->used || (slot->partition == partition && slot->offset == offset)) return slot;
    }
}

static bool grow(struct pay_reply_watch *watch) {
    uint32_t size = watch->slots_size * 2;
    struct slot *slots = size > PAY_REPLY_WATCH_MAX ? NULL : calloc(size, sizeof *slots);
    if (slots == NULL) return false;
    for (uint32_t i = 0; i < watch->slots_size; i++) {
        struct slot *old = &watch->slots[i];
        if (old->used) *find_slot(slots, size, old->partition, old->offset) = *old;
    }
    free(watch->slots);
    watch->slots = slots;
    watch->slots_size = size;
    return true;
}

/* NULL: the table is as large as it may get, and nearly full. */
static struct slot *take_slot(struct pay_reply_watch *watch, int32_t partition, int64_t offset) {
    if (watch->slots_used >= watch->slots_size / 4 * 3 && !grow(watch)) return NULL;
    struct slot *slot = find_slot(watch->slots, watch->slots_size, partition, offset);
    if (!slot->used) {
        *slot = (struct slot){.used = true, .partition = partition, .offset = offset};
        watch->slots_used++;
    }
    return slot;
}

static void meet(struct pay_reply_watch *watch, const struct slot *slot, uint64_t order_hash) {
    watch->counts.answered++;
    if (slot->order_hash != order_hash) watch->counts.wrong_order++;
    pay_histogram_record(&watch->latency, slot->replied_us - slot->sent_us);
}

bool pay_reply_watch_accepted(struct pay_reply_watch *watch, const struct pay_position *position, const char *order_id,
                              int64_t sent_us) {
    uint64_t order_hash = hash_text(order_id, strlen(order_id));
    struct slot *slot = take_slot(watch, position->partition, position->offset);
    if (slot == NULL) return false;
    if (slot->accepted) {
        watch->counts.doubly_accepted++;
        return true;
    }
    watch->counts.accepted++;
    slot->accepted = true;
    slot->sent_us = sent_us;
    if (slot->replied)
        meet(watch, slot, order_hash);
    else
        slot->order_hash = order_hash;
    return true;
}

static const struct pay_header *find_header(const struct pay_log_record *record, const char *name) {
    for (size_t i = 0; i < record->header_count; i++)
        if (strcmp(record->headers[i].name, name) == 0) return &record->headers[i];
    return NULL;
}

static bool number_header(const struct pay_log_record *record, const char *name, int64_t *ret_number) {
    const struct pay_header *header = find_header(record, name);
    return header != NULL && header->value != NULL && pay_decimal_parse(header->value, header->length, ret_number);
}

static bool contains(const char *text, size_t length, const char *wanted) {
    size_t wanted_length = strlen(wanted);
    for (const char *end = text + length, *at = text; (at = memchr(at, wanted[0], (size_t)(end - at))) != NULL; at++) {
        if ((size_t)(end - at) < wanted_length) return false;
        if (memcmp(at, wanted, wanted_length) == 0) return true;
    }
    return false;
}

/* The outcome is the last word of ce_type; `duplicate` stands only in the value, before anything that a sender wrote. */
static void count_outcome(struct pay_reply_counts *counts, const struct pay_log_record *record) {
    const struct pay_header *type = find_header(record, "ce_type");
    const char *text = type == NULL || type->value == NULL ? "" : type->value;
    size_t length = type == NULL || type->value == NULL ? 0 : type->length;
    if (record->value != NULL && contains(record->value, record->value_length, "\"duplicate\":true"))
        counts->duplicates++;
    else if (contains(text, length, ".paid"))
        counts->paid++;
    else if (contains(text, length, ".declined"))
        counts->declined++;
    else if (contains(text, length, ".conflict"))
        counts->conflicts++;
    else if (contains(text, length, ".invalid"))
        counts->invalid++;
    else
        counts->foreign++;
}

static void take_reply(struct pay_reply_watch *watch, const struct pay_log_record *record, int64_t source_offset) {
    watch->counts.replies++;
    count_outcome(&watch->counts, record);
    struct slot *slot = take_slot(watch, record->partition, source_offset);
    if (slot == NULL || slot->replied) return;
    uint64_t order_hash = hash_text(record->key == NULL ? "" : record->key, record->key_length);
    slot->replied = true;
    slot->replied_us = pay_clock_us();
    if (slot->accepted)
        meet(watch, slot, order_hash);
    else
        slot->order_hash = order_hash;
}

static void read_record(struct pay_reply_watch *watch, const struct pay_log_record *record) {
    int64_t source_offset, covers_from;
    struct lane *lane = &watch->lanes[record->partition];
    lane->next = record->offset + 1;
    if (!number_header(record, "source-offset", &source_offset) ||
        !number_header(record, "covers-from", &covers_from)) {
        watch->counts.foreign++;
        return;
    }
    switch (pay_reader_take(&lane->reader, source_offset, covers_from)) {
    case PAY_READER_TAKE: take_reply(watch, record, source_offset); return;
    case PAY_READER_DROP: watch->counts.copies++; return;
    case PAY_READER_GAP: watch->counts.gaps++; return;
    }
}

static void note_trouble(struct pay_reply_watch *watch, int32_t partition) {
    if (partition < 0 || partition >= watch->partitions || watch->lanes[partition].seek_at_us != 0) return;
    watch->lanes[partition].seek_at_us = pay_clock_us() + SEEK_AGAIN_US;
    watch->troubled++;
}

static void seek_again(struct pay_reply_watch *watch) {
    struct pay_error error;
    int64_t now_us = pay_clock_us();
    for (int32_t i = 0; watch->troubled > 0 && i < watch->partitions; i++) {
        struct lane *lane = &watch->lanes[i];
        if (lane->seek_at_us == 0 || lane->seek_at_us > now_us) continue;
        if (pay_kafka_reader_seek(watch->reader, watch->reply_topic, i, lane->next, &error) == PAY_OK) {
            lane->seek_at_us = 0;
            watch->troubled--;
        } else {
            lane->seek_at_us = now_us + SEEK_AGAIN_US;
        }
    }
}

uint32_t pay_reply_watch_run(struct pay_reply_watch *watch, uint32_t records) {
    struct pay_kafka_read read;
    seek_again(watch);
    for (uint32_t done = 0; done < records; done++) {
        pay_kafka_reader_next(watch->reader, 0, &read);
        switch (read.kind) {
        case PAY_KAFKA_READ_NOTHING: return done;
        case PAY_KAFKA_READ_RECORD: read_record(watch, &read.record); break;
        case PAY_KAFKA_READ_END: break;
        case PAY_KAFKA_READ_TROUBLE: note_trouble(watch, read.record.partition); break;
        }
    }
    return records;
}

/* From the end of its reply partition; E0 is read after that end was fixed, and before the first reply. */
static enum pay_move start_lane(struct pay_reply_watch *watch, const char *request_topic, int32_t partition,
                                struct pay_error *error) {
    int64_t start, end, request_start, request_end;
    struct lane *lane = &watch->lanes[partition];
    enum pay_move move =
        pay_kafka_reader_bounds(watch->reader, watch->reply_topic, partition, ASK_TIMEOUT_MS, &start, &end, error);
    if (move == PAY_OK)
        move = pay_kafka_reader_bounds(watch->reader, request_topic, partition, ASK_TIMEOUT_MS, &request_start,
                                       &request_end, error);
    if (move != PAY_OK) return move;
    lane->next = end;
    if (end == 0)
        pay_reader_start_at(&lane->reader, 0);
    else
        pay_reader_start_in_the_middle(&lane->reader, request_end);
    return pay_kafka_reader_seek(watch->reader, watch->reply_topic, partition, end, error);
}

static enum pay_move count_partitions(const struct pay_kafka_options *kafka, const char *topic, int32_t *ret_count,
                                      struct pay_error *error) {
    struct pay_kafka_admin *admin;
    struct pay_kafka_topic about;
    enum pay_move move = pay_kafka_admin_open(kafka, &admin, error);
    if (move != PAY_OK) return move;
    move = pay_kafka_admin_topic(admin, topic, ASK_TIMEOUT_MS, &about, error);
    pay_kafka_admin_close(admin);
    if (move == PAY_OK && !about.exists) {
        snprintf(error->text, sizeof error->text, "there is no topic %s; make it with `paybuf init`", topic);
        return PAY_REFUSE;
    }
    *ret_count = about.partitions;
    return move;
}

static enum pay_move start(struct pay_reply_watch *watch, const struct pay_reply_watch_options *options,
                           struct pay_error *error) {
    struct pay_setting bootstrap = {.name = "bootstrap.servers"};
    snprintf(bootstrap.value, sizeof bootstrap.value, "%s", options->bootstrap);
    struct pay_kafka_reader_options reader = {
        .kafka = {.settings = &bootstrap, .setting_count = 1, .client_id = "paybuf-storm"}, .fetch_wait_ms = 100};
    enum pay_move move = count_partitions(&reader.kafka, options->reply_topic, &watch->partitions, error);
    if (move == PAY_OK) move = pay_kafka_reader_open(&reader, &watch->reader, error);
    if (move != PAY_OK) return move;
    watch->lanes = calloc((size_t)watch->partitions, sizeof *watch->lanes);
    if (watch->lanes == NULL) {
        snprintf(error->text, sizeof error->text, "out of memory for %" PRId32 " partitions", watch->partitions);
        return PAY_REFUSE;
    }
    for (int32_t i = 0; move == PAY_OK && i < watch->partitions; i++)
        move = start_lane(watch, options->request_topic, i, error);
    return move;
}

struct pay_reply_watch *pay_reply_watch_open(const struct pay_reply_watch_options *options, char *ret_message,
                                             size_t message_size) {
    struct pay_error error = {.text = "out of memory"};
    struct pay_reply_watch *watch = calloc(1, sizeof *watch);
    if (watch != NULL) {
        snprintf(watch->reply_topic, sizeof watch->reply_topic, "%s", options->reply_topic);
        watch->slots_size = SLOTS_AT_FIRST;
        watch->slots = calloc(watch->slots_size, sizeof *watch->slots);
    }
    if (watch == NULL || watch->slots == NULL || start(watch, options, &error) != PAY_OK) {
        snprintf(ret_message, message_size, "can't listen to %s: %s", options->reply_topic, error.text);
        pay_reply_watch_close(watch);
        return NULL;
    }
    return watch;
}

void pay_reply_watch_close(struct pay_reply_watch *watch) {
    if (watch == NULL) return;
    pay_kafka_reader_close(watch->reader);
    free(watch->lanes);
    free(watch->slots);
    free(watch);
}

int pay_reply_watch_descriptor(const struct pay_reply_watch *watch) {
    return pay_kafka_reader_descriptor(watch->reader);
}
const struct pay_reply_counts *pay_reply_watch_counts(const struct pay_reply_watch *watch) { return &watch->counts; }
const struct pay_histogram *pay_reply_watch_latency(const struct pay_reply_watch *watch) { return &watch->latency; }

void pay_reply_watch_print_unanswered(const struct pay_reply_watch *watch, FILE *out, uint32_t most) {
    for (uint32_t i = 0; i < watch->slots_size && most > 0; i++) {
        const struct slot *slot = &watch->slots[i];
        if (!slot->accepted || slot->replied) continue;
        fprintf(out, "no reply to partition %" PRId32 ", offset %" PRId64 "\n", slot->partition, slot->offset);
        most--;
    }
}
