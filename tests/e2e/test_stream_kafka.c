/*
 * The stream port's adapter and its parts against a real broker: what librdkafka's mock can't show (isolation, control records,
 * groups that take over, topics made and re-made, retention's bounds). PAYBUF_TEST_KAFKA_BOOTSTRAP says where; each run makes its own topics.
 */
#include "base/clock.h"
#include "core/claim.h"
#include "kafka/kafka_check.h"
#include "kafka/kafka_group.h"
#include "tests/mock/kafka_fixture.h"
#include "worker/stream_kafka.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PARTITIONS 3
#define LEDGER "01234567-89ab-cdef-0123-456789abcdef"

static char request_topic[64], reply_topic[64], dead_letter_topic[64], group_name[64];
static struct pay_kafka_admin *admin;
static struct pay_error error;

static void create(enum pay_kafka_topic_role role, const char *name) {
    bool created = false, late = false;
    int64_t until = pay_clock_ms() + PATIENCE_MS;
    for (;;) {
        enum pay_move move = pay_kafka_create_topic(admin, role, name, PARTITIONS, -1, PATIENCE_MS, &created, &error);
        /* A deleted topic is gone only after a moment; and one that was made too late for its answer is there at the next try. */
        if (move == PAY_OK && (created || late)) return;
        late = late || move != PAY_OK;
        if (pay_clock_ms() > until) fail_msg("%s isn't created: %s", name, error.text);
        poll(NULL, 0, 50);
    }
}

/* Every check of the three topics, as soon as the broker knows all of them: the answer to their creation may come first. */
static const struct pay_kafka_report_card *look_at(const struct pay_kafka_topic_names *names) {
    static struct pay_kafka_report_card card;
    int64_t until = pay_clock_ms() + PATIENCE_MS;
    while (pay_kafka_check_all(admin, names, PATIENCE_MS, &card, &error) != PAY_OK || !card.request.exists ||
           !card.reply.exists || !card.dead_letter.exists) {
        if (pay_clock_ms() > until) fail_msg("no report card of three topics: %s", error.text);
        poll(NULL, 0, 50);
    }
    return &card;
}

/* What control records make of the log's end shows a moment after the answer to the transaction's end. */
static void await_log_end(struct pay_kafka_reader *reader, int64_t expected) {
    int64_t start = 0, end = -1, until = pay_clock_ms() + PATIENCE_MS;
    while (pay_kafka_reader_bounds(reader, request_topic, 0, PATIENCE_MS, &start, &end, &error) != PAY_OK ||
           end != expected) {
        if (pay_clock_ms() > until) fail_msg("the log ends at %lld: %s", (long long)end, error.text);
        poll(NULL, 0, 20);
    }
}

static int set_up(void **state) {
    (void)state;
    static int run;
    int id = (int)(pay_wall_clock_us() / 1000 % 100000000);
    run++;
    snprintf(request_topic, sizeof request_topic, "test.%d.%d.requests", id, run);
    snprintf(reply_topic, sizeof reply_topic, "test.%d.%d.replies", id, run);
    snprintf(dead_letter_topic, sizeof dead_letter_topic, "test.%d.%d.dlq", id, run);
    snprintf(group_name, sizeof group_name, "test.%d.%d", id, run);
    const struct pay_kafka_options options = options_for("test-admin");
    assert_int_equal(pay_kafka_admin_open(&options, &admin, &error), PAY_OK);
    create(PAY_KAFKA_REQUESTS, request_topic);
    create(PAY_KAFKA_REPLIES, reply_topic);
    create(PAY_KAFKA_DEAD_LETTERS, dead_letter_topic);
    return 0;
}

/* A handle of librdkafka of the test's own, for what the product never does. */
static rd_kafka_t *raw_producer(const char *transactional_id) {
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", getenv("PAYBUF_TEST_KAFKA_BOOTSTRAP"), why, sizeof why);
    rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    if (transactional_id != NULL) rd_kafka_conf_set(conf, "transactional.id", transactional_id, why, sizeof why);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    assert_non_null(rk);
    if (transactional_id != NULL) assert_null(rd_kafka_init_transactions(rk, PATIENCE_MS));
    return rk;
}

static void delete_topics(const char *first, const char *second, const char *third) {
    const char *names[] = {first, second, third};
    rd_kafka_t *rk = raw_producer(NULL);
    rd_kafka_DeleteTopic_t *topics[3];
    size_t count = 0;
    for (size_t i = 0; i < 3; i++)
        if (names[i] != NULL) topics[count++] = rd_kafka_DeleteTopic_new(names[i]);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteTopics(rk, topics, count, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
    assert_non_null(event);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy_array(topics, count);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

static int tear_down(void **state) {
    (void)state;
    pay_kafka_admin_close(admin);
    delete_topics(request_topic, reply_topic, dead_letter_topic);
    assert_true(pay_kafka_reaper_wait(PATIENCE_MS));
    return 0;
}

static struct pay_stream *open_stream(void) {
    const struct pay_kafka_options kafka = options_for("unused");
    const struct pay_stream_kafka_options options = {.settings = kafka.settings,
                                                     .setting_count = kafka.setting_count,
                                                     .request_topic = request_topic,
                                                     .reply_topic = reply_topic,
                                                     .dead_letter_topic = dead_letter_topic,
                                                     .group = group_name,
                                                     .linger_ms = 1,
                                                     .call_timeout_ms = PATIENCE_MS};
    struct pay_stream *stream = pay_stream_kafka_new(&options);
    pay_stream_kafka_set_ledger_id(stream, LEDGER);
    if (stream->ops->open(stream, &error) != PAY_OK) fail_msg("%s", error.text);
    return stream;
}

/* --- topics --- */

static void topics_that_init_makes_pass_every_check(void **state) {
    (void)state;
    const struct pay_kafka_topic_names names = {request_topic, reply_topic, dead_letter_topic};
    const struct pay_kafka_report_card *card = look_at(&names);
    assert_int_equal(pay_kafka_check_failures(card, &error), 0);
    assert_int_equal(card->request.partitions, PARTITIONS);
    assert_string_not_equal(card->cluster_id, "");
    bool created = true;
    assert_int_equal(
        pay_kafka_create_topic(admin, PAY_KAFKA_REQUESTS, request_topic, PARTITIONS, -1, PATIENCE_MS, &created, &error),
        PAY_OK);
    assert_false(created);
}

static void a_topic_as_kafka_makes_it_by_default_is_refused_by_name(void **state) {
    (void)state;
    char plain[80];
    bool created;
    snprintf(plain, sizeof plain, "%s.plain", reply_topic);
    const struct pay_kafka_topic_setting settings[] = {{"cleanup.policy", "compact"}, {"retention.bytes", "1000000"}};
    const struct pay_kafka_new_topic topic = {plain, PARTITIONS + 1, 1, settings, 2};
    assert_int_equal(pay_kafka_admin_create(admin, &topic, PATIENCE_MS, &created, &error), PAY_OK);
    const struct pay_kafka_topic_names names = {request_topic, plain, dead_letter_topic};
    const struct pay_kafka_report_card *card = look_at(&names);
    assert_int_equal(pay_kafka_check_failures(card, &error), 4);
    assert_int_equal(error.move, PAY_REFUSE);
    /* The size is a warning: Kafka's default is 12 bytes over and harms nobody (docs/decisions/015). */
    static const char *const wrong[] = {"message.timestamp.type", "cleanup.policy", "retention.bytes", "partitions",
                                        "max.message.bytes"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bool mere_warning = strcmp(wrong[i], "max.message.bytes") == 0;
        bool found = false;
        for (uint32_t j = 0; j < card->count; j++) {
            const struct pay_kafka_check *check = &card->checks[j];
            if (strncmp(check->name, plain, strlen(plain)) != 0 || check->name[strlen(plain)] != ' ' || check->ok)
                continue;
            found = found || (strcmp(check->name + strlen(plain) + 1, wrong[i]) == 0 && check->fix[0] != '\0' &&
                              check->warning == mere_warning);
        }
        if (!found) fail_msg("%s wasn't found at fault", wrong[i]);
    }
    delete_topics(plain, NULL, NULL);
}

/* --- reading --- */

static void a_seek_delivers_from_exactly_that_offset(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    struct pay_kafka_publisher *publisher = open_publisher(request_topic, 1);
    publish_numbers(publisher, 0, 0, COUNT);
    publish_numbers(publisher, 1, 0, COUNT);
    pay_kafka_publisher_close(publisher);
    unsigned seed = 7;
    for (int committed = 0; committed < 2; committed++) {
        struct pay_kafka_reader *reader = open_reader(committed == 1);
        int64_t next[2] = {0, 0};
        seek_to(reader, request_topic, 0, 0);
        seek_to(reader, request_topic, 1, 0);
        for (int i = 0; i < 300; i++) {
            int32_t which = rand_r(&seed) % 2;
            for (int again = rand_r(&seed) % 3; again >= 0; again--) {
                bool back = rand_r(&seed) % 3 == 0 && next[which] > 50;
                next[which] = back ? next[which] - rand_r(&seed) % 50 : rand_r(&seed) % (COUNT - 500);
                seek_to(reader, request_topic, which, next[which]);
            }
            for (int reads = rand_r(&seed) % 300; reads >= 0 && next[which] < COUNT;) {
                struct pay_kafka_read read = await_read(reader);
                if (read.kind != PAY_KAFKA_READ_RECORD) continue;
                assert_int_equal(read.record.offset, next[read.record.partition]);
                assert_int_equal(number_in(&read.record), next[read.record.partition]);
                next[read.record.partition]++;
                reads -= read.record.partition == which;
            }
        }
        pay_kafka_reader_close(reader);
    }
}

static void put(rd_kafka_t *rk, int32_t partition, const char *value) {
    assert_int_equal(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(request_topic), RD_KAFKA_V_PARTITION(partition),
                                       RD_KAFKA_V_VALUE((void *)(uintptr_t)value, strlen(value)),
                                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                     0);
}

/* Reads records up to the next end; answers their number and the end's position. */
static int64_t read_to_end(struct pay_kafka_reader *reader, int64_t *ret_end) {
    int64_t count = 0;
    struct pay_kafka_read read;
    while ((read = await_read(reader)).kind == PAY_KAFKA_READ_RECORD) count++;
    assert_int_equal(read.kind, PAY_KAFKA_READ_END);
    *ret_end = read.record.offset;
    return count;
}

static void ends_lie_behind_control_records_and_before_open_transactions(void **state) {
    (void)state;
    int64_t start = 0, end = 0;
    rd_kafka_t *rk = raw_producer(request_topic);
    assert_null(rd_kafka_begin_transaction(rk));
    for (int i = 0; i < 5; i++) put(rk, 0, "1");
    assert_null(rd_kafka_commit_transaction(rk, PATIENCE_MS)); /* 0-4, control record 5 */
    assert_null(rd_kafka_begin_transaction(rk));
    for (int i = 0; i < 5; i++) put(rk, 0, "2");
    rd_kafka_flush(rk, PATIENCE_MS);
    assert_null(rd_kafka_abort_transaction(rk, PATIENCE_MS)); /* 6-10, control record 11 */

    struct pay_kafka_reader *committed = open_reader(true);
    struct pay_kafka_reader *all = open_reader(false);
    await_log_end(all, 12);
    seek_to(committed, request_topic, 0, 0);
    assert_int_equal(read_to_end(committed, &end), 5);
    assert_int_equal(end, 12);
    seek_to(all, request_topic, 0, 0);
    assert_int_equal(read_to_end(all, &end), 10);
    assert_int_equal(end, 12);

    assert_null(rd_kafka_begin_transaction(rk));
    put(rk, 0, "3"); /* 12: open */
    rd_kafka_flush(rk, PATIENCE_MS);
    struct pay_kafka_publisher *publisher = open_publisher(request_topic, 1);
    publish_numbers(publisher, 0, 0, 2); /* 13, 14: committed, and held back */
    pay_kafka_publisher_close(publisher);
    assert_int_equal(pay_kafka_reader_bounds(all, request_topic, 0, PATIENCE_MS, &start, &end, &error), PAY_OK);
    assert_int_equal(end, 15); /* E */
    assert_int_equal(pay_kafka_reader_bounds(committed, request_topic, 0, PATIENCE_MS, &start, &end, &error), PAY_OK);
    assert_int_equal(end, 12); /* only the last stable offset */
    seek_to(committed, request_topic, 0, 3);
    assert_int_equal(read_to_end(committed, &end), 2);
    assert_int_equal(end, 12);
    assert_null(rd_kafka_abort_transaction(rk, PATIENCE_MS)); /* 15 */
    assert_int_equal(read_to_end(committed, &end), 2);
    assert_int_equal(end, 16);
    pay_kafka_reader_close(committed);
    pay_kafka_reader_close(all);
    rd_kafka_destroy(rk);
}

static void times_are_found_as_offsets(void **state) {
    (void)state;
    struct pay_kafka_publisher *publisher = open_publisher(request_topic, 1);
    struct pay_kafka_reader *reader = open_reader(false);
    int64_t offset = -1;
    publish_numbers(publisher, 0, 0, 5);
    poll(NULL, 0, 20);
    int64_t middle = pay_wall_clock_us() / 1000;
    poll(NULL, 0, 20);
    publish_numbers(publisher, 0, 5, 10);
    assert_int_equal(pay_kafka_reader_offset_at(reader, request_topic, 0, middle, PATIENCE_MS, &offset, &error),
                     PAY_OK);
    assert_int_equal(offset, 5);
    assert_int_equal(pay_kafka_reader_offset_at(reader, request_topic, 0, 0, PATIENCE_MS, &offset, &error), PAY_OK);
    assert_int_equal(offset, 0);
    assert_int_equal(
        pay_kafka_reader_offset_at(reader, request_topic, 0, middle + 3600000, PATIENCE_MS, &offset, &error), PAY_OK);
    assert_int_equal(offset, 10);
    pay_kafka_publisher_close(publisher);
    pay_kafka_reader_close(reader);
}

/* --- the group --- */

static uint32_t look(struct pay_kafka_group *group, uint32_t owned) {
    struct pay_kafka_group_event event;
    pay_kafka_group_next(group, &event);
    if (event.kind == PAY_KAFKA_GROUP_ASSIGNED) return event.partition_count;
    if (event.kind != PAY_KAFKA_GROUP_REVOKED && event.kind != PAY_KAFKA_GROUP_LOST) return owned;
    pay_kafka_group_confirm_revoked(group);
    return 0;
}

static void a_group_shares_and_takes_over_within_seconds(void **state) {
    (void)state;
    struct pay_kafka_group *members[2] = {NULL, NULL};
    uint32_t owned[2] = {0, 0};
    struct pay_kafka_group_options options = {options_for("member-0"), group_name, request_topic};
    assert_int_equal(pay_kafka_group_open(&options, &members[0], &error), PAY_OK);
    int64_t until = pay_clock_ms() + 2 * PATIENCE_MS; /* the first group of a broker */
    for (; owned[0] < PARTITIONS && pay_clock_ms() < until; poll(NULL, 0, 5)) owned[0] = look(members[0], owned[0]);
    options.kafka.client_id = "member-1";
    assert_int_equal(pay_kafka_group_open(&options, &members[1], &error), PAY_OK);
    /* Each hears of its share in its own time. */
    until = pay_clock_ms() + PATIENCE_MS;
    for (; (owned[0] == 0 || owned[1] == 0 || owned[0] + owned[1] != PARTITIONS) && pay_clock_ms() < until;
         poll(NULL, 0, 5))
        for (int i = 0; i < 2; i++) owned[i] = look(members[i], owned[i]);
    assert_true(owned[0] > 0 && owned[1] > 0);
    assert_int_equal(owned[0] + owned[1], PARTITIONS);
    pay_kafka_group_close(members[0], 5000);
    int64_t left_ms = pay_clock_ms();
    until = left_ms + PATIENCE_MS;
    for (; owned[1] < PARTITIONS && pay_clock_ms() < until; poll(NULL, 0, 5)) owned[1] = look(members[1], owned[1]);
    assert_int_equal(owned[1], PARTITIONS);
    assert_true(pay_clock_ms() - left_ms < 8000); /* by leaving, not by the session timeout of 10 s */
    pay_kafka_group_close(members[1], 5000);
}

/* --- the port --- */

static void publish_reply(struct pay_stream *stream, int32_t partition, int64_t source_offset, int64_t covers_from) {
    char source[24], covers[24];
    const struct pay_header headers[] = {
        {"source-offset", source, (size_t)snprintf(source, sizeof source, "%lld", (long long)source_offset)},
        {"covers-from", covers, (size_t)snprintf(covers, sizeof covers, "%lld", (long long)covers_from)},
        {"log-generation", "1", 1},
        {"ledger-id", LEDGER, strlen(LEDGER)},
    };
    const struct pay_outgoing reply = {partition, source_offset, "k", 1, "{}", 2, headers, 4};
    while (stream->ops->publish(stream, 0, &reply, &error) == PAY_AGAIN) poll(NULL, 0, 1);
}

static struct pay_report await_stream_report(struct pay_stream *stream) {
    struct pay_report report;
    struct pay_stream_event event;
    int64_t until = pay_clock_ms() + PATIENCE_MS;
    for (;;) {
        stream->ops->next_event(stream, &event);
        if (stream->ops->next_report(stream, &report)) return report;
        if (pay_clock_ms() > until) fail_msg("no report");
        struct pollfd descriptor = {.fd = stream->ops->descriptor(stream, true), .events = POLLIN};
        poll(&descriptor, 1, 1000);
    }
}

struct marks {
    int64_t ours, foreign, next;
};

static void count_mark(void *argument, const struct pay_reply_mark *mark) {
    struct marks *marks = argument;
    if (!mark->ours) {
        marks->foreign++;
        return;
    }
    assert_true(mark->same_ledger);
    assert_int_equal(mark->source_offset, marks->next);
    assert_int_equal(mark->covers_from, marks->next == 0 ? 0 : marks->next);
    marks->next = mark->source_offset + 1;
    marks->ours++;
}

static void replies_are_published_acknowledged_and_read_again_by_a_claim(void **state) {
    (void)state;
    struct pay_stream *stream = open_stream();
    struct marks marks = {0, 0, 0};
    int64_t start = 0, end = 0;
    assert_int_equal(stream->ops->open_publisher(stream, 0, &error), PAY_OK);
    for (int64_t offset = 0; offset < 500; offset++) publish_reply(stream, 1, offset, offset);
    for (int64_t offset = 0; offset < 500; offset++) {
        struct pay_report report = await_stream_report(stream);
        assert_false(report.failed);
        assert_int_equal(report.publisher, 0);
        assert_int_equal(report.partition, 1);
        assert_int_equal(report.source_offset, offset);
        assert_int_equal(report.log_offset, offset);
    }
    struct pay_kafka_publisher *stranger = open_publisher(reply_topic, 1);
    publish_numbers(stranger, 1, 0, 3);
    pay_kafka_publisher_close(stranger);
    assert_int_equal(stream->ops->reply_bounds(stream, 1, &start, &end, &error), PAY_OK);
    assert_int_equal(end, 503);
    assert_int_equal(stream->ops->read_replies(stream, 1, start, end, count_mark, &marks, &error), PAY_OK);
    assert_int_equal(marks.ours, 500);
    assert_int_equal(marks.foreign, 3);
    stream->ops->close(stream, 5000);
}

static void dead_letters_come_back_with_the_place_of_their_request(void **state) {
    (void)state;
    struct pay_stream *stream = open_stream();
    const struct pay_outgoing letter = {2, 123456789012, NULL, 0, "no json", 7, NULL, 0};
    assert_int_equal(stream->ops->dead_letter(stream, &letter, &error), PAY_OK);
    struct pay_report report = await_stream_report(stream);
    assert_int_equal(report.publisher, PAY_DEAD_LETTER_SLOT);
    assert_int_equal(report.partition, 2);
    assert_int_equal(report.source_offset, 123456789012);
    assert_false(report.failed);
    stream->ops->close(stream, 5000);
}

/* A letter that is taken and then refused would end the lane again and again; one that isn't taken becomes a stub. */
static void a_letter_that_is_taken_fits_into_its_topic(void **state) {
    (void)state;
    const size_t limit = PAY_KAFKA_DEAD_LETTER_BYTES_MAX;
    struct pay_stream *stream = open_stream();
    uint32_t random = 1, taken = 0, split = 0;
    char *value = malloc(limit);
    for (size_t i = 0; i < limit; i++) { /* bytes that can't be compressed */
        random = random * 1664525 + 1013904223;
        value[i] = (char)(random >> 24);
    }
    const struct pay_header headers[] = {
        {"reason", "poison", 6}, {"source-offset", "5", 1}, {"traceparent", value, 55}};
    for (size_t length = limit - 400; length <= limit; length += 8) {
        const struct pay_outgoing letter = {2, 5, "key", 3, value, length, headers, 3};
        enum pay_move move = stream->ops->dead_letter(stream, &letter, &error);
        taken += move == PAY_OK;
        split += move == PAY_SPLIT;
        if (move != PAY_OK) continue;
        struct pay_report report = await_stream_report(stream);
        if (report.failed) fail_msg("%zu bytes of value: %s", length, report.code);
    }
    assert_true(taken > 0 && split > 0);
    free(value);
    stream->ops->close(stream, 5000);
}

/* PITFALLS: a topic deleted and re-created under a consumer goes on at its old offset without an error of its own; the anchor notices.
   And the reply producer's offsets fall back, which is no acknowledgement. */
static void topics_made_anew_are_noticed(void **state) {
    (void)state;
    struct pay_anchor before, after;
    struct pay_stream *stream = open_stream();
    struct pay_kafka_publisher *publisher = open_publisher(request_topic, 1);
    publish_numbers(publisher, 0, 0, 10);
    pay_kafka_publisher_close(publisher);
    assert_int_equal(stream->ops->read_anchor(stream, 0, 9, &before, &error), PAY_OK);
    assert_true(before.present);
    assert_int_equal(stream->ops->open_publisher(stream, 0, &error), PAY_OK);
    for (int64_t offset = 0; offset < 5; offset++) publish_reply(stream, 0, offset, offset);
    for (int64_t offset = 0; offset < 5; offset++) assert_int_equal(await_stream_report(stream).log_offset, offset);

    delete_topics(request_topic, reply_topic, NULL);
    create(PAY_KAFKA_REQUESTS, request_topic);
    create(PAY_KAFKA_REPLIES, reply_topic);
    publisher = open_publisher(request_topic, 1);
    publish_numbers(publisher, 0, 0, 20);
    pay_kafka_publisher_close(publisher);
    int64_t until = pay_clock_ms() + PATIENCE_MS;
    while ((stream->ops->read_anchor(stream, 0, 9, &after, &error) != PAY_OK || !after.present) &&
           pay_clock_ms() < until)
        poll(NULL, 0, 50);
    assert_true(after.present);
    assert_int_equal(after.crc32c, before.crc32c);                 /* the same bytes */
    assert_int_not_equal(after.timestamp_ms, before.timestamp_ms); /* another time: another record */

    publish_reply(stream, 0, 5, 5);
    struct pay_report report = await_stream_report(stream);
    assert_true(report.fatal || report.failed || report.log_offset <= 4);
    stream->ops->close(stream, 5000);
}

static void an_anchor_that_is_not_there_is_said_to_be_absent(void **state) {
    (void)state;
    struct pay_anchor seen;
    struct pay_stream *stream = open_stream();
    rd_kafka_t *rk = raw_producer(request_topic);
    assert_null(rd_kafka_begin_transaction(rk));
    put(rk, 0, "1");
    assert_null(rd_kafka_commit_transaction(rk, PATIENCE_MS)); /* 0, control record 1 */
    rd_kafka_destroy(rk);
    struct pay_kafka_reader *all = open_reader(false);
    await_log_end(all, 2);
    assert_int_equal(stream->ops->read_anchor(stream, 0, 0, &seen, &error), PAY_OK);
    assert_true(seen.present);
    assert_int_equal(stream->ops->read_anchor(stream, 0, 1, &seen, &error), PAY_OK);
    assert_false(seen.present); /* a control record is no record */
    assert_int_equal(stream->ops->read_anchor(stream, 0, 2, &seen, &error), PAY_OK);
    assert_false(seen.present); /* the end */
    struct pay_kafka_publisher *publisher = open_publisher(request_topic, 1);
    publish_numbers(publisher, 0, 0, 1); /* 2 */
    pay_kafka_publisher_close(publisher);
    await_log_end(all, 3);
    pay_kafka_reader_close(all);
    assert_int_equal(stream->ops->read_anchor(stream, 0, 1, &seen, &error), PAY_OK);
    assert_false(seen.present); /* what is read from there on is another record */
    assert_int_equal(stream->ops->read_anchor(stream, 0, 50, &seen, &error),
                     PAY_AGAIN); /* beyond it: the bounds say more */
    stream->ops->close(stream, 5000);
}

static void lanes_are_fetched_in_order_and_a_bad_offset_is_trouble(void **state) {
    (void)state;
    struct pay_stream *stream = open_stream();
    struct pay_kafka_publisher *publisher = open_publisher(request_topic, 1);
    publish_numbers(publisher, 0, 0, 1000);
    pay_kafka_publisher_close(publisher);
    assert_int_equal(stream->ops->fetch(stream, 0, 400, &error), PAY_OK);
    assert_int_equal(stream->ops->fetch(stream, 1, 7, &error),
                     PAY_OK); /* beyond the end: TROUBLE, never a silent reset */
    int64_t next = 400, end = -1, until = pay_clock_ms() + PATIENCE_MS;
    bool trouble = false;
    while ((end < 0 || !trouble) && pay_clock_ms() < until) {
        struct pay_stream_event event;
        struct pay_log_record record;
        enum pay_record_kind kind;
        for (stream->ops->next_event(stream, &event); event.kind != PAY_STREAM_NOTHING;
             stream->ops->next_event(stream, &event))
            trouble = trouble || (event.kind == PAY_STREAM_TROUBLE && event.partition == 1);
        while ((kind = stream->ops->next_record(stream, &record)) != PAY_RECORD_NONE) {
            assert_int_equal(record.partition, 0);
            if (kind == PAY_RECORD_DATA)
                assert_int_equal(record.offset, next++);
            else
                end = record.offset;
        }
        struct pollfd descriptor = {.fd = stream->ops->descriptor(stream, true), .events = POLLIN};
        poll(&descriptor, 1, 1000);
    }
    assert_true(trouble);
    assert_int_equal(next, 1000);
    assert_int_equal(end, 1000);
    stream->ops->close(stream, 5000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(topics_that_init_makes_pass_every_check, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_topic_as_kafka_makes_it_by_default_is_refused_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_seek_delivers_from_exactly_that_offset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends_lie_behind_control_records_and_before_open_transactions, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(times_are_found_as_offsets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_group_shares_and_takes_over_within_seconds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replies_are_published_acknowledged_and_read_again_by_a_claim, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(dead_letters_come_back_with_the_place_of_their_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_letter_that_is_taken_fits_into_its_topic, set_up, tear_down),
        cmocka_unit_test_setup_teardown(topics_made_anew_are_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_anchor_that_is_not_there_is_said_to_be_absent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lanes_are_fetched_in_order_and_a_bad_offset_is_trouble, set_up, tear_down),
    };
    if (getenv("PAYBUF_TEST_KAFKA_BOOTSTRAP") == NULL) {
        fprintf(stderr, "PAYBUF_TEST_KAFKA_BOOTSTRAP isn't set: ./dev test e2e starts a broker for this test\n");
        return 1;
    }
    use_brokers(getenv("PAYBUF_TEST_KAFKA_BOOTSTRAP"));
    cmocka_set_test_filter(getenv("PAYBUF_TEST_NAME"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
