/* What may stand in [kafka], and what an error about it says. */
#include "kafka_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct pay_error error;

static enum pay_move check(const char *name, const char *value) {
    struct pay_setting settings[2];
    memset(settings, 0, sizeof settings);
    snprintf(settings[0].name, sizeof settings[0].name, "bootstrap.servers");
    snprintf(settings[0].value, sizeof settings[0].value, "127.0.0.1:9092");
    snprintf(settings[1].name, sizeof settings[1].name, "%s", name);
    snprintf(settings[1].value, sizeof settings[1].value, "%s", value);
    memset(&error, 0, sizeof error);
    return pay_kafka_settings_check(settings, 2, &error);
}

static void ordinary_settings_are_taken(void **state) {
    (void)state;
    assert_int_equal(check("security.protocol", "plaintext"), PAY_OK);
    assert_int_equal(check("client.rack", "a"), PAY_OK);
    assert_int_equal(check("linger.ms", "3"), PAY_OK);
    assert_int_equal(check("fetch.max.bytes", "1000000"), PAY_OK);
    assert_int_equal(check("compression.type", "zstd"), PAY_OK);
}

/* Each of these would break a promise; PITFALLS and PROTOCOL say how. */
static void dangerous_settings_are_refused(void **state) {
    (void)state;
    static const char *const names[] = {
        "test.mock.num.brokers",
        "socket.max.fails",
        "acks",
        "request.required.acks",
        "enable.idempotence",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "message.timeout.ms",
        "delivery.timeout.ms",
        "retries",
        "transactional.id",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "isolation.level",
        "check.crcs",
        "partitioner",
        "allow.auto.create.topics",
        "enable.ssl.certificate.verification",
        "ssl.endpoint.identification.algorithm",
        "plugin.library.paths",
        "ssl.engine.location",
        "group.id",
        "group.instance.id",
        "session.timeout.ms",
        "client.id",
        "enable.partition.eof",
        "log.queue",
        "enable.gapless.guarantee",
        "partition.assignment.strategy",
        "message.max.bytes",
        "debug",
        "builtin.features",
        "",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (check(names[i], "1") != PAY_REFUSE) fail_msg("%s was taken", names[i]);
        assert_int_equal(error.move, PAY_REFUSE);
        assert_non_null(strstr(error.text, names[i]));
    }
}

static void a_slip_gets_a_suggestion(void **state) {
    (void)state;
    assert_int_equal(check("sasl.pasword", "hunter2"), PAY_REFUSE);
    assert_non_null(strstr(error.text, "sasl.password"));
    assert_null(strstr(error.text, "hunter2"));
}

static void a_bad_value_is_refused_with_the_reason(void **state) {
    (void)state;
    assert_int_equal(check("security.protocol", "carrier-pigeon"), PAY_REFUSE);
    assert_non_null(strstr(error.text, "security.protocol"));
}

static void without_brokers_nothing_goes(void **state) {
    (void)state;
    assert_int_equal(pay_kafka_settings_check(NULL, 0, &error), PAY_REFUSE);
    assert_non_null(strstr(error.text, "PAYBUF_KAFKA_BOOTSTRAP"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_settings_are_taken),  cmocka_unit_test(dangerous_settings_are_refused),
        cmocka_unit_test(a_slip_gets_a_suggestion),     cmocka_unit_test(a_bad_value_is_refused_with_the_reason),
        cmocka_unit_test(without_brokers_nothing_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
