/* Membership: who reads what, and that nobody is told late. */
#include "kafka_fixture.h"

#include "base/clock.h"
#include "kafka/kafka_group.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOPIC "pay.requests"
#define PARTITIONS 6

static struct mock mock;

static int set_up(void **state) {
    (void)state;
    mock = open_mock(1);
    assert_int_equal(rd_kafka_mock_topic_create(mock.cluster, TOPIC, PARTITIONS, 1), 0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    close_mock(&mock);
    return 0;
}

static struct pay_kafka_group *join(const char *client_id) {
    struct pay_kafka_group_options options = {options_for(client_id), "paybuf-worker", TOPIC};
    struct pay_kafka_group *group = NULL;
    struct pay_error error;
    assert_int_equal(pay_kafka_group_open(&options, &group, &error), PAY_OK);
    return group;
}

struct member {
    struct pay_kafka_group *group;
    bool owns[PARTITIONS];
    uint32_t count;
};

/* One look at the group, as a worker would take it: at ASSIGNED take the list, at REVOKED and LOST drop all and confirm. */
static void look(struct member *member) {
    struct pay_kafka_group_event event;
    if (member->group == NULL) return;
    pay_kafka_group_next(member->group, &event);
    if (event.kind == PAY_KAFKA_GROUP_ASSIGNED) {
        assert_int_equal(member->count, 0); /* eager: everything was taken away before */
        member->count = event.partition_count;
        for (uint32_t i = 0; i < event.partition_count; i++) member->owns[event.partitions[i]] = true;
        for (int32_t partition = 0; partition < PARTITIONS; partition++)
            assert_int_equal(pay_kafka_group_has(member->group, partition), member->owns[partition]);
    } else if (event.kind == PAY_KAFKA_GROUP_REVOKED || event.kind == PAY_KAFKA_GROUP_LOST) {
        assert_false(pay_kafka_group_has(member->group, 0));
        memset(member->owns, 0, sizeof member->owns);
        member->count = 0;
        pay_kafka_group_confirm_revoked(member->group);
    }
}

/* Until the members own these many; nobody ever owns what another one owns. */
static void await(struct member *a, uint32_t of_a, struct member *b, uint32_t of_b) {
    int64_t until = pay_clock_ms() + PATIENCE_MS;
    while (a->count != of_a || b->count != of_b) {
        assert_true(pay_clock_ms() < until);
        look(a);
        look(b);
        for (int32_t partition = 0; partition < PARTITIONS; partition++)
            assert_false(a->owns[partition] && b->owns[partition]);
        poll(NULL, 0, 5);
    }
}

static void members_share(void **state) {
    (void)state;
    struct member a = {.group = join("a")};
    struct member b = {.group = NULL};
    await(&a, PARTITIONS, &b, 0);
    b.group = join("b");
    await(&a, PARTITIONS / 2, &b, PARTITIONS / 2);
    pay_kafka_group_commit(a.group, 0, 5); /* a courtesy: nothing comes of it here */
    pay_kafka_group_close(a.group,
                          5000); /* (the mock gives a leaver's partitions away only after the session timeout) */
    pay_kafka_group_close(b.group, 5000);
}

/* The worker polls once more before it settles: a revocation that has arrived must already count. */
static void a_revocation_counts_before_it_is_told(void **state) {
    (void)state;
    struct member a = {.group = join("a")};
    struct member b = {.group = NULL};
    await(&a, PARTITIONS, &b, 0);
    b.group = join("b");
    int64_t until = pay_clock_ms() + PATIENCE_MS;
    while (pay_kafka_group_has(a.group, 0)) {
        assert_true(pay_clock_ms() < until);
        look(&b);
        poll(NULL, 0, 5);
    }
    struct pay_kafka_group_event event;
    pay_kafka_group_next(a.group, &event);
    assert_int_equal(event.kind, PAY_KAFKA_GROUP_REVOKED);
    assert_int_equal(event.partition_count, PARTITIONS);
    pay_kafka_group_confirm_revoked(a.group);
    pay_kafka_group_close(a.group, 5000);
    pay_kafka_group_close(b.group, 5000);
}

static void leaving_is_bounded_with_the_broker_down(void **state) {
    (void)state;
    struct member a = {.group = join("a")};
    struct member none = {.group = NULL};
    await(&a, PARTITIONS, &none, 0);
    rd_kafka_mock_broker_set_down(mock.cluster, 1);
    int64_t began = pay_clock_ms();
    pay_kafka_group_close(a.group, 1000);
    assert_true(pay_clock_ms() - began < 8000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(members_share, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_revocation_counts_before_it_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaving_is_bounded_with_the_broker_down, set_up, tear_down),
    };
    cmocka_set_test_filter(getenv("PAYBUF_TEST_NAME"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
