#include "tools/dlq.h"

#include "base/clock.h"
#include "codec/time_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SILENCE_MS 60000

enum pay_exit dlq_open(struct tool *tool, struct dlq *ret_dlq) {
    *ret_dlq = (struct dlq){.tool = tool, .markers = {tool, tool->config.dead_letter_topic, NULL}};
    return tool_open_reader(tool, false, &ret_dlq->reader);
}

void dlq_close(struct dlq *dlq) {
    pay_kafka_reader_close(dlq->reader);
    writer_close(&dlq->markers);
    free(dlq->entries);
}

/* ---- reading ---- */

/* The next record of the partition below `end`; *ret_found false: none. */
static enum pay_exit next_record(struct dlq *dlq, int64_t end, struct pay_log_record *ret_record, bool *ret_found) {
    struct pay_kafka_read read;
    struct pay_error last = {.move = PAY_AGAIN, .text = "the broker delivers nothing"};
    *ret_found = false;
    for (int64_t until_ms = pay_clock_ms() + SILENCE_MS; pay_clock_ms() < until_ms;) {
        pay_kafka_reader_next(dlq->reader, 1000, &read);
        if (read.kind == PAY_KAFKA_READ_END) return PAY_EXIT_OK;
        if (read.kind == PAY_KAFKA_READ_TROUBLE) last = read.error;
        if (read.kind == PAY_KAFKA_READ_TROUBLE && read.record.partition >= 0)
            return tool_unavailable(dlq->tool, &last);
        if (read.kind != PAY_KAFKA_READ_RECORD) continue;
        *ret_record = read.record;
        *ret_found = read.record.offset < end;
        return PAY_EXIT_OK;
    }
    return tool_unavailable(dlq->tool, &last);
}

static int compare_positions(const struct pay_position *a, const struct pay_position *b) {
    if (a->generation != b->generation) return a->generation < b->generation ? -1 : 1;
    if (a->partition != b->partition) return a->partition < b->partition ? -1 : 1;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

/* By position; of one position the order of the log, so that the last marker wins. */
static int compare_entries(const void *a, const void *b) {
    const struct dlq_entry *left = a, *right = b;
    int order = compare_positions(&left->position, &right->position);
    if (order != 0) return order;
    if (left->partition != right->partition) return left->partition < right->partition ? -1 : 1;
    return (left->offset > right->offset) - (left->offset < right->offset);
}

static enum pay_exit add(struct dlq *dlq, const struct pay_log_record *record, void *argument) {
    struct dlq_letter letter;
    (void)argument;
    dlq_read(record, &letter);
    if (letter.kind == DLQ_OTHER) {
        dlq->others++;
        return PAY_EXIT_OK;
    }
    if (dlq->count == dlq->capacity) {
        dlq->capacity = dlq->capacity == 0 ? 1024 : 2 * dlq->capacity;
        dlq->entries = realloc(dlq->entries, dlq->capacity * sizeof *dlq->entries);
        if (dlq->entries == NULL) abort();
    }
    dlq->entries[dlq->count++] = (struct dlq_entry){.position = letter.position,
                                                    .offset = record->offset,
                                                    .timestamp_ms = record->timestamp_ms,
                                                    .partition = record->partition,
                                                    .copies = letter.kind == DLQ_LETTER,
                                                    .reason = (uint8_t)letter.reason,
                                                    .state = (uint8_t)letter.state,
                                                    .is_stub = letter.is_stub};
    return PAY_EXIT_OK;
}

/* Copies and markers of one position become one entry. A marker without its letter (retention) is nothing any more. */
static void merge(struct dlq *dlq) {
    size_t kept = 0;
    if (dlq->count > 0) qsort(dlq->entries, dlq->count, sizeof *dlq->entries, compare_entries);
    for (size_t i = 0; i < dlq->count;) {
        struct dlq_entry *whole = NULL;
        enum dlq_state state = DLQ_OPEN;
        int32_t copies = 0;
        size_t first = i;
        for (; i < dlq->count && pay_position_equal(&dlq->entries[i].position, &dlq->entries[first].position); i++) {
            if (dlq->entries[i].copies == 0)
                state = (enum dlq_state)dlq->entries[i].state;
            else if (copies++ == 0)
                whole = &dlq->entries[i];
        }
        if (whole == NULL) continue;
        dlq->entries[kept] = *whole;
        dlq->entries[kept].state = (uint8_t)state;
        dlq->entries[kept++].copies = copies;
    }
    dlq->count = kept;
}

typedef enum pay_exit (*record_fn)(struct dlq *dlq, const struct pay_log_record *record, void *argument);

static enum pay_exit each_of_partition(struct dlq *dlq, int32_t partition, record_fn each, void *argument) {
    const char *topic = dlq->tool->config.dead_letter_topic;
    struct pay_log_record record;
    struct pay_error error;
    int64_t start, end;
    bool found;
    if (pay_kafka_reader_bounds(dlq->reader, topic, partition, TOOL_KAFKA_TIMEOUT_MS, &start, &end, &error) != PAY_OK)
        return tool_unavailable(dlq->tool, &error);
    if (start >= end) return PAY_EXIT_OK;
    if (pay_kafka_reader_seek(dlq->reader, topic, partition, start, &error) != PAY_OK)
        return tool_error(dlq->tool, &error);
    enum pay_exit status;
    while ((status = next_record(dlq, end, &record, &found)) == PAY_EXIT_OK && found) {
        bool last = record.offset + 1 >= end;
        status = each(dlq, &record, argument);
        if (last || status != PAY_EXIT_OK) break;
    }
    pay_kafka_reader_stop(dlq->reader, topic, partition);
    return status;
}

static enum pay_exit each_record(struct dlq *dlq, record_fn each, void *argument) {
    int32_t partitions = 0;
    enum pay_exit status = tool_partitions(dlq->tool, dlq->tool->config.dead_letter_topic, &partitions);
    for (int32_t p = 0; p < partitions && status == PAY_EXIT_OK; p++)
        status = each_of_partition(dlq, p, each, argument);
    return status;
}

enum pay_exit dlq_scan(struct dlq *dlq) {
    enum pay_exit status = each_record(dlq, add, NULL);
    if (status == PAY_EXIT_OK) merge(dlq);
    return status;
}

struct each_letter {
    dlq_letter_fn each;
    void *argument;
};

/* A letter's first copy is the letter; what came behind the scan is none. */
static enum pay_exit give_letter(struct dlq *dlq, const struct pay_log_record *record, void *argument) {
    const struct each_letter *to = argument;
    struct dlq_letter letter;
    dlq_read(record, &letter);
    struct dlq_entry *entry = letter.kind == DLQ_LETTER ? dlq_find(dlq, &letter.position) : NULL;
    bool first = entry != NULL && entry->partition == record->partition && entry->offset == record->offset;
    return first ? to->each(to->argument, entry, record) : PAY_EXIT_OK;
}

enum pay_exit dlq_each(struct dlq *dlq, dlq_letter_fn each, void *argument) {
    return each_record(dlq, give_letter, &(struct each_letter){each, argument});
}

struct dlq_entry *dlq_find(struct dlq *dlq, const struct pay_position *position) {
    size_t least = 0, most = dlq->count;
    while (least < most) {
        size_t middle = least + (most - least) / 2;
        int order = compare_positions(&dlq->entries[middle].position, position);
        if (order == 0) return &dlq->entries[middle];
        if (order < 0)
            least = middle + 1;
        else
            most = middle;
    }
    return NULL;
}

enum pay_exit dlq_named(struct dlq *dlq, const char *text, struct dlq_entry **ret_entry) {
    struct pay_position position;
    if (!pay_position_parse(text, strlen(text), &position))
        return tool_fail(dlq->tool, PAY_EXIT_USAGE, "'%s' is no position as 1-3-1234", text);
    *ret_entry = dlq_find(dlq, &position);
    if (*ret_entry != NULL) return PAY_EXIT_OK;
    return tool_fail(dlq->tool, PAY_EXIT_NOT_FOUND, "%s holds no letter of %s; paybuf dlq list shows what is there",
                     dlq->tool->config.dead_letter_topic, text);
}

enum pay_exit dlq_fetch(struct dlq *dlq, const struct dlq_entry *entry, struct pay_log_record *ret_record) {
    const char *topic = dlq->tool->config.dead_letter_topic;
    struct pay_error error;
    bool found;
    pay_kafka_reader_stop_all(dlq->reader); /* what was fetched last may lie in another partition */
    if (pay_kafka_reader_seek(dlq->reader, topic, entry->partition, entry->offset, &error) != PAY_OK)
        return tool_error(dlq->tool, &error);
    enum pay_exit status = next_record(dlq, entry->offset + 1, ret_record, &found);
    if (status != PAY_EXIT_OK || found) return status;
    return tool_fail(dlq->tool, PAY_EXIT_NOT_FOUND, "the letter at offset %" PRId64 " of %s isn't there any more",
                     entry->offset, topic);
}

/* ---- writing ---- */

enum pay_exit dlq_mark(struct dlq *dlq, const struct dlq_entry *entry, enum dlq_state state, const char *to,
                       const char *note) {
    char position[PAY_POSITION_TEXT_MAX], at[PAY_TIME_TEXT_MAX], host[128] = "";
    const char *user = getenv("USER");
    struct pay_header headers[3];
    int32_t partition;
    int64_t offset;
    pay_position_format(&entry->position, position);
    pay_time_format(pay_wall_clock_us(), at);
    gethostname(host, sizeof host - 1);
    json_t *value = json_pack("{s:s,s:s,s:s,s:s,s:s}", "marker", dlq_state_name(state), "of", position, "at", at,
                              "user", user != NULL ? user : "", "host", host);
    if (to != NULL) json_object_set_new(value, "redriven_to", json_string(to));
    if (note != NULL) json_object_set_new(value, "note", json_string(note));
    char *text = json_dumps(value, JSON_COMPACT);
    json_decref(value);
    if (text == NULL) return tool_fail(dlq->tool, PAY_EXIT_USAGE, "--note isn't UTF-8");
    headers[0] = (struct pay_header){"marker", dlq_state_name(state), strlen(dlq_state_name(state))};
    headers[1] = (struct pay_header){"of", position, strlen(position)};
    headers[2] = (struct pay_header){"redriven-to", to, to != NULL ? strlen(to) : 0};
    const struct pay_kafka_message message = {.partition = entry->partition,
                                              .value = text,
                                              .value_length = strlen(text),
                                              .headers = headers,
                                              .header_count = to != NULL ? 3 : 2};
    enum pay_exit status = writer_append(&dlq->markers, &message, &partition, &offset);
    free(text);
    return status;
}
