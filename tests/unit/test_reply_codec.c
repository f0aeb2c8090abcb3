/* Replies as bytes: every promise of codec/reply_codec.h and codec/time_text.h; one full literal for each outcome. */
#include "codec/reply_codec.h"
#include "codec/request_codec.h"
#include "core/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEN "abcdefghij"
#define SIXTY_FOUR TEN TEN TEN TEN TEN TEN "abcd"
#define DECIDED_AT 1795264272123456 /* 2026-11-21T12:31:12.123456Z */

static struct pay_record record_of(const char *value) {
    struct pay_record record = {.position = {1, 3, 1234}};
    struct pay_record_bytes bytes = {.key = "o-1", .key_length = 3, .value = value, .value_length = strlen(value)};
    pay_record_decode(&bytes, &record);
    return record;
}

static struct pay_record good_record(void) {
    return record_of("{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\"}");
}

static struct pay_account alice(void) {
    return (struct pay_account){.tenant = "default",
                                .account_id = "alice",
                                .currency = "EUR",
                                .found = true,
                                .balance_minor = 10000,
                                .version = 41};
}

static struct pay_answer decided(const struct pay_record *record, struct pay_account account) {
    struct pay_answer answer;
    assert_int_equal(pay_decide(record, NULL, &account, DECIDED_AT, &answer), PAY_VERDICT_DECIDED);
    return answer;
}

static struct pay_answer from_stored(const struct pay_record *record, const struct pay_decision *stored) {
    struct pay_answer answer;
    pay_answer_from_decision(record, stored, &answer);
    return answer;
}

/* What else every reply must be: the same each time, one line, read back as what it was made of. */
static void check_reply(const struct pay_record *record, const struct pay_answer *answer, const char *text,
                        size_t length) {
    char again[PAY_REPLY_TEXT_MAX];
    memset(again, 0x5a, sizeof again);
    assert_int_equal(pay_reply_format(record, answer, again, sizeof again), length);
    assert_memory_equal(text, again, length);
    for (size_t i = 0; i < length; i++) assert_true((unsigned char)text[i] >= 0x20);

    bool shown = answer->outcome != PAY_INVALID || answer->reason == PAY_ATTEMPT_OUT_OF_SEQUENCE;
    bool judged = answer->outcome == PAY_PAID || answer->outcome == PAY_DECLINED;
    struct pay_reply reply;
    if (!pay_reply_parse(text, length, &reply)) fail_msg("not read back: %.*s", (int)length, text);
    assert_string_equal(reply.tenant, record->tenant);
    assert_string_equal(reply.order_id, shown ? record->request.order_id : "");
    assert_string_equal(reply.account_id, shown ? record->request.account_id : "");
    assert_string_equal(reply.currency, shown ? record->request.currency : "");
    assert_int_equal(reply.attempt, shown ? record->request.attempt : 0);
    assert_int_equal(reply.amount_minor, shown ? record->request.amount_minor : 0);
    assert_int_equal(reply.outcome, answer->outcome);
    assert_int_equal(reply.reason, answer->reason);
    assert_int_equal(reply.field, answer->field);
    assert_int_equal(reply.duplicate, answer->duplicate);
    assert_int_equal(reply.has_balance, judged && answer->decision.has_account);
    assert_int_equal(reply.balance_after_minor, reply.has_balance ? answer->decision.balance_after_minor : 0);
    assert_int_equal(reply.account_version, reply.has_balance ? answer->decision.account_version : 0);
    assert_true(pay_position_equal(&reply.position, &record->position));
    assert_int_equal(reply.has_original, answer->has_decision);
    if (reply.has_original) assert_true(pay_position_equal(&reply.original, &answer->decision.position));
    assert_true(reply.decided_at_us == answer->decided_at_us);
}

static void expect_reply(const struct pay_record *record, const struct pay_answer *answer, const char *expected) {
    char text[PAY_REPLY_TEXT_MAX];
    size_t length = pay_reply_format(record, answer, text, sizeof text);
    if (length != strlen(expected) || memcmp(text, expected, length) != 0)
        fail_msg("got\n%.*s\nexpected\n%s", (int)length, text, expected);
    check_reply(record, answer, text, length);
}

/* ---- one full literal for each outcome ---- */

static void a_paid_reply_carries_the_decision(void **state) {
    (void)state;
    struct pay_record record = good_record();
    struct pay_answer answer = decided(&record, alice());
    expect_reply(&record, &answer,
                 "{\"schema\":1,\"tenant\":\"default\",\"order_id\":\"o-1\",\"attempt\":1,\"outcome\":\"paid\","
                 "\"reason\":null,\"duplicate\":false,"
                 "\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\",\"balance_after_minor\":8750,"
                 "\"account_version\":42,"
                 "\"position\":\"1-3-1234\",\"original\":\"1-3-1234\",\"decided_at\":\"2026-11-21T12:31:12.123456Z\","
                 "\"stored\":null,\"metadata\":null}");
}

static void a_declined_reply_carries_the_balance_it_was_judged_by(void **state) {
    (void)state;
    struct pay_record record = good_record();
    struct pay_account account = alice();
    account.balance_minor = -7;
    account.floor_minor = -1256;
    struct pay_answer answer = decided(&record, account);
    expect_reply(&record, &answer,
                 "{\"schema\":1,\"tenant\":\"default\",\"order_id\":\"o-1\",\"attempt\":1,\"outcome\":\"declined\","
                 "\"reason\":\"insufficient_funds\","
                 "\"duplicate\":false,\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\",\"balance_"
                 "after_minor\":-7,"
                 "\"account_version\":42,\"position\":\"1-3-1234\",\"original\":\"1-3-1234\",\"decided_at\":\"2026-11-"
                 "21T12:31:12.123456Z\","
                 "\"stored\":null,\"metadata\":null}");
}

static void an_unknown_account_has_neither_balance_nor_version(void **state) {
    (void)state;
    struct pay_record record = good_record();
    struct pay_answer answer = decided(&record, (struct pay_account){.found = false});
    expect_reply(&record, &answer,
                 "{\"schema\":1,\"tenant\":\"default\",\"order_id\":\"o-1\",\"attempt\":1,\"outcome\":\"declined\","
                 "\"reason\":\"unknown_account\","
                 "\"duplicate\":false,\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\",\"balance_"
                 "after_minor\":null,"
                 "\"account_version\":null,\"position\":\"1-3-1234\",\"original\":\"1-3-1234\",\"decided_at\":\"2026-"
                 "11-21T12:31:12.123456Z\","
                 "\"stored\":null,\"metadata\":null}");
}

static void a_duplicate_carries_the_stored_decision_and_its_position(void **state) {
    (void)state;
    struct pay_record first = good_record();
    struct pay_answer stored = decided(&first, alice());
    struct pay_record record = record_of("{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1250,"
                                         "\"currency\":\"EUR\",\"metadata\":{\"copy\":2}}");
    record.position = (struct pay_position){2, 3, 9};
    struct pay_answer answer = from_stored(&record, &stored.decision);
    expect_reply(&record, &answer,
                 "{\"schema\":1,\"tenant\":\"default\",\"order_id\":\"o-1\",\"attempt\":1,\"outcome\":\"paid\","
                 "\"reason\":null,\"duplicate\":true,"
                 "\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\",\"balance_after_minor\":8750,"
                 "\"account_version\":42,"
                 "\"position\":\"2-3-9\",\"original\":\"1-3-1234\",\"decided_at\":\"2026-11-21T12:31:12.123456Z\","
                 "\"stored\":null,"
                 "\"metadata\":{\"copy\":2}}");
}

static void a_conflict_shows_what_was_asked_and_what_is_stored(void **state) {
    (void)state;
    struct pay_record first = good_record();
    struct pay_answer stored = decided(&first, alice());
    struct pay_record record = record_of("{\"order_id\":\"o-1\",\"account_id\":\"bob\",\"amount_minor\":1,\"currency\":"
                                         "\"USD\",\"metadata\":{\"a\":[]}}");
    record.position.offset = 1300;
    struct pay_answer answer = from_stored(&record, &stored.decision);
    expect_reply(&record, &answer,
                 "{\"schema\":1,\"tenant\":\"default\",\"order_id\":\"o-1\",\"attempt\":1,\"outcome\":\"conflict\","
                 "\"reason\":\"account_id_differs\","
                 "\"duplicate\":false,\"account_id\":\"bob\",\"amount_minor\":1,\"currency\":\"USD\",\"balance_after_"
                 "minor\":null,"
                 "\"account_version\":null,\"position\":\"1-3-1300\",\"original\":\"1-3-1234\",\"decided_at\":\"2026-"
                 "11-21T12:31:12.123456Z\","
                 "\"stored\":{\"attempt\":1,\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\","
                 "\"outcome\":\"paid\"},"
                 "\"metadata\":{\"a\":[]}}");
}

static void a_conflict_with_a_decline_says_declined(void **state) {
    (void)state;
    struct pay_record first = good_record();
    struct pay_answer stored = decided(&first, (struct pay_account){.found = false});
    struct pay_record record =
        record_of("{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1251,\"currency\":\"EUR\"}");
    struct pay_answer answer = from_stored(&record, &stored.decision);
    expect_reply(&record, &answer,
                 "{\"schema\":1,\"tenant\":\"default\",\"order_id\":\"o-1\",\"attempt\":1,\"outcome\":\"conflict\","
                 "\"reason\":\"amount_minor_differs\","
                 "\"duplicate\":false,\"account_id\":\"alice\",\"amount_minor\":1251,\"currency\":\"EUR\",\"balance_"
                 "after_minor\":null,"
                 "\"account_version\":null,\"position\":\"1-3-1234\",\"original\":\"1-3-1234\",\"decided_at\":\"2026-"
                 "11-21T12:31:12.123456Z\","
                 "\"stored\":{\"attempt\":1,\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\","
                 "\"outcome\":\"declined\"},"
                 "\"metadata\":null}");
}

static void already_paid_shows_that_payment(void **state) {
    (void)state;
    struct pay_record first = good_record();
    struct pay_answer stored = decided(&first, alice());
    stored.decision.attempt = 2;
    struct pay_record record = record_of(
        "{\"order_id\":\"o-1\",\"attempt\":3,\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\"}");
    struct pay_answer answer;
    pay_answer_already_paid(&stored.decision, &answer);
    expect_reply(&record, &answer,
                 "{\"schema\":1,\"tenant\":\"default\",\"order_id\":\"o-1\",\"attempt\":3,\"outcome\":\"conflict\","
                 "\"reason\":\"already_paid\","
                 "\"duplicate\":false,\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\",\"balance_"
                 "after_minor\":null,"
                 "\"account_version\":null,\"position\":\"1-3-1234\",\"original\":\"1-3-1234\",\"decided_at\":\"2026-"
                 "11-21T12:31:12.123456Z\","
                 "\"stored\":{\"attempt\":2,\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\","
                 "\"outcome\":\"paid\"},"
                 "\"metadata\":null}");
}

static void an_attempt_out_of_sequence_keeps_what_was_asked(void **state) {
    (void)state;
    struct pay_record record = record_of("{\"order_id\":\"o-1\",\"attempt\":2,\"account_id\":\"alice\",\"amount_"
                                         "minor\":1250,\"currency\":\"EUR\",\"metadata\":{ \"a\" : 1 }}");
    struct pay_answer answer;
    pay_answer_from_refusal(PAY_ATTEMPT_OUT_OF_SEQUENCE, PAY_FIELD_NONE, DECIDED_AT, &answer);
    expect_reply(&record, &answer,
                 "{\"schema\":1,\"tenant\":\"default\",\"order_id\":\"o-1\",\"attempt\":2,\"outcome\":\"invalid\","
                 "\"reason\":\"attempt_out_of_sequence\","
                 "\"duplicate\":false,\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\",\"balance_"
                 "after_minor\":null,"
                 "\"account_version\":null,\"position\":\"1-3-1234\",\"original\":null,\"decided_at\":\"2026-11-21T12:"
                 "31:12.123456Z\","
                 "\"stored\":null,\"metadata\":{\"a\":1}}");
}

static void a_bad_field_is_named_behind_the_reason_and_nothing_is_echoed(void **state) {
    (void)state;
    struct pay_record record = record_of("{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":0,"
                                         "\"currency\":\"EUR\",\"metadata\":{\"a\":1}}");
    struct pay_answer answer;
    pay_answer_from_refusal(record.invalid, record.invalid_field, DECIDED_AT, &answer);
    expect_reply(
        &record, &answer,
        "{\"schema\":1,\"tenant\":\"default\",\"order_id\":null,\"attempt\":null,\"outcome\":\"invalid\",\"reason\":"
        "\"bad_field\","
        "\"field\":\"amount_minor\",\"duplicate\":false,\"account_id\":null,\"amount_minor\":null,\"currency\":null,"
        "\"balance_after_minor\":null,\"account_version\":null,\"position\":\"1-3-1234\",\"original\":null,"
        "\"decided_at\":\"2026-11-21T12:31:12.123456Z\",\"stored\":null,\"metadata\":null}");
    answer.field = PAY_FIELD_NONE; /* a refusal row changed by hand stops nobody */
    char text[PAY_REPLY_TEXT_MAX];
    size_t length = pay_reply_format(&record, &answer, text, sizeof text);
    text[length - 1] = '\0';
    assert_non_null(strstr(text, "\"reason\":\"bad_field\",\"field\":null,\"duplicate\""));
}

static void other_refusals_show_no_content(void **state) {
    (void)state;
    static const enum pay_reason reasons[] = {PAY_TOO_LARGE, PAY_MALFORMED_JSON, PAY_BAD_TENANT, PAY_KEY_MISMATCH};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        /* Even where today's parser reads a request out of the bytes: the refusal on file is the answer. */
        struct pay_record record = record_of("{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1250,"
                                             "\"currency\":\"EUR\",\"metadata\":{\"a\":1}}");
        if (reasons[i] == PAY_BAD_TENANT) record.tenant[0] = '\0';
        struct pay_answer answer;
        char expected[600];
        pay_answer_from_refusal(reasons[i], PAY_FIELD_NONE, DECIDED_AT, &answer);
        snprintf(expected, sizeof expected,
                 "{\"schema\":1,\"tenant\":%s,\"order_id\":null,\"attempt\":null,\"outcome\":\"invalid\",\"reason\":\"%"
                 "s\",\"duplicate\":false,"
                 "\"account_id\":null,\"amount_minor\":null,\"currency\":null,\"balance_after_minor\":null,\"account_"
                 "version\":null,"
                 "\"position\":\"1-3-1234\",\"original\":null,\"decided_at\":\"2026-11-21T12:31:12.123456Z\","
                 "\"stored\":null,\"metadata\":null}",
                 reasons[i] == PAY_BAD_TENANT ? "null" : "\"default\"", pay_reason_name(reasons[i]));
        expect_reply(&record, &answer, expected);
    }
}

/* ---- metadata, sizes ---- */

static void metadata_is_embedded_as_sent_without_whitespace_between_tokens(void **state) {
    (void)state;
    struct pay_record record =
        record_of("{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\","
                  "\"metadata\":\n{ \"a b\" :\t\" x\\\" y \\\\\" ,\r\n"
                  "\"n\":[ 1.50 , -0 , 1E400,99999999999999999999 ],\"u\":\"\\u00e9\xc3\xa9 \\n\" , \"e\" : { } }\n}");
    struct pay_answer answer = decided(&record, alice());
    char text[PAY_REPLY_TEXT_MAX];
    size_t length = pay_reply_format(&record, &answer, text, sizeof text);
    static const char tail[] =
        ",\"metadata\":{\"a b\":\" x\\\" y \\\\\",\"n\":[1.50,-0,1E400,99999999999999999999],\"u\":\"\\u00e9\xc3\xa9 "
        "\\n\",\"e\":{}}}";
    assert_memory_equal(text + length - strlen(tail), tail, strlen(tail));
    check_reply(&record, &answer, text, length);
}

static void balances_of_any_size_are_read_back_beside_numbers_of_no_size(void **state) {
    (void)state;
    struct pay_record record = record_of("{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1250,"
                                         "\"currency\":\"EUR\",\"metadata\":{\"a\":1e400}}");
    struct pay_answer answer = decided(&record, alice());
    static const int64_t balances[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 999999999999999999, INT64_MAX};
    for (size_t i = 0; i < sizeof balances / sizeof *balances; i++) {
        char text[PAY_REPLY_TEXT_MAX];
        answer.decision.balance_after_minor = balances[i];
        answer.decision.account_version = INT64_MAX;
        check_reply(&record, &answer, text, pay_reply_format(&record, &answer, text, sizeof text));
    }
}

static void the_largest_reply_fits_into_its_buffer(void **state) {
    (void)state;
    char metadata[PAY_METADATA_MAX + 1], text[PAY_REPLY_TEXT_MAX];
    memset(metadata, 'm', sizeof metadata);
    memcpy(metadata, "{\"a\":\"", 6);
    memcpy(metadata + sizeof metadata - 3, "\"}", 3);
    struct pay_record record = {.position = {INT64_MAX, INT32_MAX, INT64_MAX},
                                .tenant = SIXTY_FOUR,
                                .request = {.order_id = SIXTY_FOUR,
                                            .account_id = SIXTY_FOUR,
                                            .currency = "EUR",
                                            .attempt = 99,
                                            .amount_minor = PAY_AMOUNT_MAX,
                                            .metadata = metadata,
                                            .metadata_length = PAY_METADATA_MAX}};
    struct pay_decision stored = {.attempt = 99,
                                  .account_id = SIXTY_FOUR,
                                  .currency = "USD",
                                  .amount_minor = PAY_AMOUNT_MAX,
                                  .outcome = PAY_DECLINED,
                                  .reason = PAY_INSUFFICIENT_FUNDS,
                                  .has_account = true,
                                  .balance_after_minor = INT64_MIN,
                                  .account_version = INT64_MIN,
                                  .position = {INT64_MAX, INT32_MAX, INT64_MAX},
                                  .decided_at_us = INT64_MIN};
    for (enum pay_outcome outcome = PAY_PAID; outcome < PAY_OUTCOME_COUNT; outcome++)
        for (enum pay_reason reason = PAY_REASON_NONE; reason < PAY_REASON_COUNT; reason++) {
            struct pay_answer answer = {.outcome = outcome,
                                        .reason = reason,
                                        .field = reason == PAY_BAD_FIELD ? PAY_FIELD_AMOUNT_MINOR : PAY_FIELD_NONE,
                                        .duplicate = outcome <= PAY_DECLINED,
                                        .has_decision = outcome != PAY_INVALID,
                                        .decided_at_us = INT64_MIN};
            if (answer.has_decision) answer.decision = stored;
            size_t length = pay_reply_format(&record, &answer, text, sizeof text);
            assert_in_range(length, 1, PAY_REPLY_TEXT_MAX);
            check_reply(&record, &answer, text, length);
        }
}

static void the_same_answer_made_again_from_rows_gives_the_same_bytes(void **state) {
    (void)state;
    static const char *const values[] = {
        "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"EUR\",\"metadata\":{\"b\" "
        ": 1}}",
        "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":99999,\"currency\":\"EUR\"}",
        "{\"order_id\":\"o-1\",\"account_id\":\"alice\",\"amount_minor\":1250,\"currency\":\"USD\"}"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct pay_record record = record_of(values[i]);
        struct pay_answer now = decided(&record, alice()), later;
        struct pay_decision row = now.decision;
        assert_true(pay_answer_find(&record, NULL, &row, &later));
        char first[PAY_REPLY_TEXT_MAX], second[PAY_REPLY_TEXT_MAX];
        size_t length = pay_reply_format(&record, &now, first, sizeof first);
        assert_int_equal(pay_reply_format(&record, &later, second, sizeof second), length);
        assert_memory_equal(first, second, length);
    }
}

static uint64_t random_state;
static uint64_t random_bits(void) {
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int64_t random_number(void) { return (int64_t)(random_bits() >> random_bits() % 64); }

static void random_replies_are_read_back_as_what_they_were_made_of(void **state) {
    (void)state;
    random_state = 20261121;
    for (int i = 0; i < 20000; i++) {
        struct pay_record record = good_record();
        record.position = (struct pay_position){(random_number() & INT64_MAX) | 1, (int32_t)(random_bits() & INT32_MAX),
                                                random_number() & INT64_MAX};
        record.request.attempt = (int32_t)(1 + random_bits() % PAY_ATTEMPT_MAX);
        record.request.amount_minor = 1 + random_number() % PAY_AMOUNT_MAX;
        if (record.request.amount_minor < 1) record.request.amount_minor = 1;
        struct pay_answer answer = {.outcome = (enum pay_outcome)(random_bits() % PAY_OUTCOME_COUNT),
                                    .reason = (enum pay_reason)(random_bits() % PAY_REASON_COUNT),
                                    .duplicate = random_bits() % 2 == 0,
                                    .decided_at_us = random_number()};
        answer.field = answer.reason == PAY_BAD_FIELD ? (enum pay_field)(1 + random_bits() % (PAY_FIELD_COUNT - 1))
                                                      : PAY_FIELD_NONE;
        answer.has_decision = answer.outcome != PAY_INVALID;
        if (answer.has_decision) {
            answer.decision = (struct pay_decision){.attempt = 1,
                                                    .account_id = "bob",
                                                    .currency = "USD",
                                                    .amount_minor = 5,
                                                    .outcome = PAY_PAID,
                                                    .has_account = random_bits() % 2 == 0,
                                                    .balance_after_minor = random_number(),
                                                    .account_version = random_number(),
                                                    .position = {1, 2, random_number() & INT64_MAX}};
        }
        char text[PAY_REPLY_TEXT_MAX];
        check_reply(&record, &answer, text, pay_reply_format(&record, &answer, text, sizeof text));
    }
}

/* ---- reading what others wrote ---- */

static const char *const members[] = {"\"schema\":1",
                                      "\"tenant\":\"default\"",
                                      "\"order_id\":\"o-1\"",
                                      "\"attempt\":1",
                                      "\"outcome\":\"paid\"",
                                      "\"reason\":null",
                                      "\"duplicate\":false",
                                      "\"account_id\":\"alice\"",
                                      "\"amount_minor\":1250",
                                      "\"currency\":\"EUR\"",
                                      "\"balance_after_minor\":8750",
                                      "\"account_version\":42",
                                      "\"position\":\"1-3-1234\"",
                                      "\"original\":\"1-3-1234\"",
                                      "\"decided_at\":\"2026-11-21T12:31:12.123456Z\"",
                                      "\"stored\":null",
                                      "\"metadata\":null"};
#define MEMBERS (sizeof members / sizeof *members)

/* The usual reply with member `index` replaced; "" leaves it out. */
static bool parse_with(size_t index, const char *replacement, struct pay_reply *reply) {
    char text[1200] = "{\"first\":[1]";
    for (size_t i = 0; i < MEMBERS; i++) {
        const char *member = i == index ? replacement : members[i];
        if (member[0] == '\0') continue;
        strcat(text, ",");
        strcat(text, member);
    }
    strcat(text, ",\"later_version\":{\"a\":1}}");
    return pay_reply_parse(text, strlen(text), reply);
}

static size_t index_of(const char *member) {
    size_t length = (size_t)(strchr(member, ':') - member);
    for (size_t i = 0; i < MEMBERS; i++)
        if (strncmp(members[i], member, length + 1) == 0) return i;
    return MEMBERS;
}

static void members_of_later_versions_are_ignored(void **state) {
    (void)state;
    struct pay_reply reply;
    assert_true(parse_with(MEMBERS, "", &reply));
    assert_string_equal(reply.order_id, "o-1");
    assert_int_equal(reply.balance_after_minor, 8750);
}

static void a_missing_member_makes_no_reply(void **state) {
    (void)state;
    for (size_t i = 0; i < MEMBERS; i++) {
        struct pay_reply reply, before;
        memset(&before, 0x5a, sizeof before);
        memcpy(&reply, &before, sizeof reply);
        bool looked_at = i < index_of("\"stored\":");
        assert_int_equal(parse_with(i, "", &reply), !looked_at);
        if (looked_at) assert_memory_equal(&reply, &before, sizeof reply);
    }
}

static void a_member_of_the_wrong_kind_makes_no_reply(void **state) {
    (void)state;
    static const char *const bad[] = {"\"schema\":2",
                                      "\"schema\":\"1\"",
                                      "\"schema\":null",
                                      "\"tenant\":\"\"",
                                      "\"tenant\":\"a b\"",
                                      "\"tenant\":1",
                                      "\"order_id\":\"\"",
                                      "\"order_id\":[]",
                                      "\"attempt\":0",
                                      "\"attempt\":100",
                                      "\"attempt\":\"1\"",
                                      "\"attempt\":1.0",
                                      "\"outcome\":null",
                                      "\"outcome\":\"Paid\"",
                                      "\"outcome\":1",
                                      "\"reason\":\"\"",
                                      "\"reason\":\"no_such\"",
                                      "\"reason\":1",
                                      "\"duplicate\":null",
                                      "\"duplicate\":0",
                                      "\"account_id\":\"a b\"",
                                      "\"account_id\":1",
                                      "\"amount_minor\":0",
                                      "\"amount_minor\":9007199254740992",
                                      "\"amount_minor\":\"1\"",
                                      "\"amount_minor\":1.5",
                                      "\"currency\":\"eur\"",
                                      "\"currency\":1",
                                      "\"balance_after_minor\":1.0",
                                      "\"balance_after_minor\":null",
                                      "\"balance_after_minor\":9223372036854775808",
                                      "\"account_version\":\"1\"",
                                      "\"account_version\":null",
                                      "\"position\":null",
                                      "\"position\":\"1-3\"",
                                      "\"position\":\"1-3--1\"",
                                      "\"position\":1",
                                      "\"original\":\"\"",
                                      "\"original\":1",
                                      "\"decided_at\":null",
                                      "\"decided_at\":\"2026-11-21\"",
                                      "\"decided_at\":1",
                                      "\"stored\":null,\"field\":\"no_such\"",
                                      "\"stored\":null,\"stored\":null"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pay_reply reply;
        if (parse_with(index_of(bad[i]), bad[i], &reply)) fail_msg("taken: %s", bad[i]);
    }
}

static void members_may_be_null_where_the_contract_says_so(void **state) {
    (void)state;
    static const char *const good[] = {"\"tenant\":null",
                                       "\"order_id\":null",
                                       "\"attempt\":null",
                                       "\"account_id\":null",
                                       "\"amount_minor\":null",
                                       "\"currency\":null",
                                       "\"original\":null",
                                       "\"reason\":\"already_paid\"",
                                       "\"duplicate\":true",
                                       "\"balance_after_minor\":null,\"x\":1",
                                       "\"stored\":null,\"field\":null",
                                       "\"stored\":{},\"field\":\"currency\""};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct pay_reply reply;
        bool half = strncmp(good[i], "\"balance", 8) == 0; /* balance and version are null together */
        assert_int_equal(parse_with(index_of(good[i]), good[i], &reply), !half);
    }
}

static void null_stands_in_no_missing_members_place(void **state) {
    (void)state;
    static const char text[] =
        "{\"schema\":1,\"tenant\":null,\"order_id\":null,\"attempt\":null,\"outcome\":\"invalid\",\"reason\":null,"
        "\"duplicate\":false,\"account_id\":null,\"amount_minor\":null,\"currency\":null,\"balance_after_minor\":null,"
        "\"position\":\"1-3-1234\",\"original\":null,\"decided_at\":\"2026-11-21T12:31:12.123456Z\"";
    struct pay_reply reply;
    char whole[600];
    snprintf(whole, sizeof whole, "%s,\"account_version\":null}", text);
    assert_true(pay_reply_parse(whole, strlen(whole), &reply));
    assert_false(reply.has_balance);
    snprintf(whole, sizeof whole, "%s}", text);
    assert_false(pay_reply_parse(whole, strlen(whole), &reply));
}

static void bytes_that_are_no_reply_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"", "{}", "[]", "{", "null", "\xff", "\xef\xbb\xbf{}"};
    struct pay_reply reply;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(pay_reply_parse(texts[i], strlen(texts[i]), &reply));
    assert_false(pay_reply_parse(NULL, 0, &reply));
    char large[PAY_VALUE_MAX + 1];
    memset(large, ' ', sizeof large);
    assert_false(pay_reply_parse(large, sizeof large, &reply));
    assert_false(pay_reply_parse(large, sizeof large - 1, &reply));
}

/* ---- time ---- */

static void expect_time(int64_t microseconds, const char *expected) {
    char text[PAY_TIME_TEXT_MAX];
    int64_t back = 0;
    size_t length = pay_time_format(microseconds, text);
    assert_string_equal(text, expected);
    assert_int_equal(length, strlen(expected));
    assert_true(pay_time_parse(text, length, &back));
    assert_true(back == microseconds);
}

static void times_are_rfc_3339_in_utc_with_microseconds(void **state) {
    (void)state;
    expect_time(0, "1970-01-01T00:00:00.000000Z");
    expect_time(DECIDED_AT, "2026-11-21T12:31:12.123456Z");
    expect_time(1, "1970-01-01T00:00:00.000001Z");
    expect_time(999999, "1970-01-01T00:00:00.999999Z");
    expect_time(951782399999999, "2000-02-28T23:59:59.999999Z");
    expect_time(951782400000000, "2000-02-29T00:00:00.000000Z");
    expect_time(951868800000000, "2000-03-01T00:00:00.000000Z");
    expect_time(4107542400000000, "2100-03-01T00:00:00.000000Z");
    expect_time(4107542399999999, "2100-02-28T23:59:59.999999Z");
    expect_time(253402300799999999, "9999-12-31T23:59:59.999999Z");
}

static void negative_and_far_times_are_safe(void **state) {
    (void)state;
    expect_time(-1, "1969-12-31T23:59:59.999999Z");
    expect_time(-1000000, "1969-12-31T23:59:59.000000Z");
    expect_time(-86400000000, "1969-12-31T00:00:00.000000Z");
    expect_time(-62135596800000000, "0001-01-01T00:00:00.000000Z");
    expect_time(-62167219200000000, "0000-01-01T00:00:00.000000Z");
    expect_time(-62167219200000001, "-000001-12-31T23:59:59.999999Z");
    expect_time(253402300800000000, "+010000-01-01T00:00:00.000000Z");
    expect_time(INT64_MAX, "+294247-01-10T04:00:54.775807Z");
    expect_time(INT64_MIN, "-290308-12-21T19:59:05.224192Z");
}

static void every_day_of_eight_centuries_follows_the_one_before(void **state) {
    (void)state;
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t day = -135140; /* 1600-01-01 */
    for (int year = 1600; year < 2400; year++)
        for (int month = 1; month <= 12; month++) {
            bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            for (int date = 1; date <= lengths[month - 1] + (month == 2 && leap); date++, day++) {
                char text[PAY_TIME_TEXT_MAX], expected[64];
                snprintf(expected, sizeof expected, "%04d-%02d-%02dT00:00:00.000000Z", year, month, date);
                pay_time_format(day * 86400000000, text);
                assert_string_equal(text, expected);
            }
        }
    assert_int_equal(day, 157054);
}

static void random_times_come_back(void **state) {
    (void)state;
    random_state = 1;
    for (int i = 0; i < 100000; i++) {
        int64_t microseconds = (int64_t)(random_bits() >> random_bits() % 32), back;
        char text[PAY_TIME_TEXT_MAX];
        size_t length = pay_time_format(microseconds, text);
        assert_true(length < PAY_TIME_TEXT_MAX && pay_time_parse(text, length, &back) && back == microseconds);
    }
}

static void shorter_fractions_are_read_too(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t expected;
    } vectors[] = {{"1970-01-01T00:00:01Z", 1000000},
                   {"1970-01-01T00:00:00.1Z", 100000},
                   {"1970-01-01T00:00:00.00001Z", 10},
                   {"1969-12-31T23:59:59.5Z", -500000}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        int64_t microseconds;
        assert_true(pay_time_parse(vectors[i].text, strlen(vectors[i].text), &microseconds));
        assert_true(microseconds == vectors[i].expected);
    }
}

static void what_is_no_time_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-11-21",
                                      "2026-11-21T12:31:12",
                                      "2026-11-21T12:31:12z",
                                      "2026-11-21t12:31:12Z",
                                      "2026-11-21 12:31:12Z",
                                      "2026-11-21T12:31:12+00:00",
                                      "2026-11-21T12:31:12.Z",
                                      "2026-11-21T12:31:12.1234567Z",
                                      "2026-11-21T12:31:12.123456ZZ",
                                      "2026-11-21T12:31:12.12345 Z",
                                      "2026-00-21T12:31:12Z",
                                      "2026-13-21T12:31:12Z",
                                      "2026-11-00T12:31:12Z",
                                      "2026-11-31T12:31:12Z",
                                      "2026-04-31T12:31:12Z",
                                      "2026-06-31T12:31:12Z",
                                      "2026-09-31T12:31:12Z",
                                      "2026-01-32T12:31:12Z",
                                      "2026-02-29T00:00:00Z",
                                      "2100-02-29T00:00:00Z",
                                      "2000-02-30T00:00:00Z",
                                      "2024-02-30T00:00:00Z",
                                      "2026-11-21T24:00:00Z",
                                      "2026-11-21T12:60:00Z",
                                      "2026-11-21T23:59:60Z",
                                      "2026-1-21T12:31:12Z",
                                      "2026-11-1T12:31:12Z",
                                      "2026-11-21T1:31:12Z",
                                      "2026-11-21T12:3:12Z",
                                      "2026-11-21T12:31:1Z",
                                      "202-11-21T12:31:12Z",
                                      "20266-11-21T12:31:12Z",
                                      "+2026-11-21T12:31:12Z",
                                      "+002026-11-21T12:31:12Z",
                                      "-000000-01-01T00:00:00Z",
                                      "-2026-01-01T00:00:00Z",
                                      "+009999-12-31T23:59:59Z",
                                      "+294247-01-10T04:00:54.775808Z",
                                      "+294248-01-01T00:00:00Z",
                                      "+999999-12-31T23:59:59Z",
                                      "-290308-12-21T19:59:05.224191Z",
                                      "-999999-01-01T00:00:00Z",
                                      "+0100000-01-01T00:00:00Z",
                                      "2026/11/21T12:31:12Z",
                                      "2026-11-21T12.31.12Z",
                                      "x",
                                      "2026-11-21T-1:31:12Z",
                                      "2026-11-:1T12:31:12Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t microseconds = 42;
        if (pay_time_parse(bad[i], strlen(bad[i]), &microseconds)) fail_msg("taken: %s", bad[i]);
        assert_true(microseconds == 42);
    }
}

static void no_prefix_of_a_time_is_read_beyond_its_end(void **state) {
    (void)state;
    static const char text[] = "-290308-12-21T19:59:05.224192Z";
    for (size_t length = 0; length < strlen(text); length++) {
        int64_t microseconds;
        char *exact = malloc(length + (length == 0));
        memcpy(exact, text, length);
        assert_false(pay_time_parse(exact, length, &microseconds));
        free(exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_paid_reply_carries_the_decision),
        cmocka_unit_test(a_declined_reply_carries_the_balance_it_was_judged_by),
        cmocka_unit_test(an_unknown_account_has_neither_balance_nor_version),
        cmocka_unit_test(a_duplicate_carries_the_stored_decision_and_its_position),
        cmocka_unit_test(a_conflict_shows_what_was_asked_and_what_is_stored),
        cmocka_unit_test(a_conflict_with_a_decline_says_declined),
        cmocka_unit_test(already_paid_shows_that_payment),
        cmocka_unit_test(an_attempt_out_of_sequence_keeps_what_was_asked),
        cmocka_unit_test(a_bad_field_is_named_behind_the_reason_and_nothing_is_echoed),
        cmocka_unit_test(other_refusals_show_no_content),
        cmocka_unit_test(metadata_is_embedded_as_sent_without_whitespace_between_tokens),
        cmocka_unit_test(balances_of_any_size_are_read_back_beside_numbers_of_no_size),
        cmocka_unit_test(the_largest_reply_fits_into_its_buffer),
        cmocka_unit_test(the_same_answer_made_again_from_rows_gives_the_same_bytes),
        cmocka_unit_test(random_replies_are_read_back_as_what_they_were_made_of),
        cmocka_unit_test(members_of_later_versions_are_ignored),
        cmocka_unit_test(a_missing_member_makes_no_reply),
        cmocka_unit_test(a_member_of_the_wrong_kind_makes_no_reply),
        cmocka_unit_test(members_may_be_null_where_the_contract_says_so),
        cmocka_unit_test(null_stands_in_no_missing_members_place),
        cmocka_unit_test(bytes_that_are_no_reply_are_refused),
        cmocka_unit_test(times_are_rfc_3339_in_utc_with_microseconds),
        cmocka_unit_test(negative_and_far_times_are_safe),
        cmocka_unit_test(every_day_of_eight_centuries_follows_the_one_before),
        cmocka_unit_test(random_times_come_back),
        cmocka_unit_test(shorter_fractions_are_read_too),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(no_prefix_of_a_time_is_read_beyond_its_end),
    };
    pay_codec_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
