/* test_config.c - the settings: where they come from, which wins, and what is said about a wrong one. One test, one sentence. */
#include "base/address.h"
#include "base/config.h"
#include "base/config_table.h"
#include "base/kafka_settings.h"
#include "base/suggest.h"
#include "temp_file.h"

extern char **environ;

static struct pay_config config;
static char message[1024];
static struct temp_file file;

static int clean_environment(void **state) {
    (void)state;
    clearenv();
    message[0] = '\0';
    return 0;
}

static int remove_file(void **state) {
    (void)state;
    temp_file_remove(&file);
    return 0;
}

static bool load_text(const char *text) {
    temp_file_write(&file, text);
    return pay_config_load(&config, file.path, NULL, NULL, message, sizeof message);
}

static bool load_flags(int *argc, char **argv) {
    return pay_config_load(&config, NULL, argc, argv, message, sizeof message);
}

static const char *kafka_value(const char *name) {
    for (uint32_t i = 0; i < config.kafka_count; i++) {
        if (strcmp(config.kafka[i].name, name) == 0) return config.kafka[i].value;
    }
    return NULL;
}

#define SAYS(text) assert_non_null(strstr(message, text))

static void without_anything_there_are_defaults(void **state) {
    (void)state;
    assert_true(pay_config_load(&config, NULL, NULL, NULL, message, sizeof message));
    assert_string_equal(config.producer_listen, "127.0.0.1:8080");
    assert_string_equal(config.producer_admin, "127.0.0.1:9464");
    assert_string_equal(config.request_topic, "pay.requests");
    assert_int_equal(config.producer_log_generation, 1);
    assert_int_equal(config.worker_batch_records_max, 2000);
    assert_false(config.database_allow_unsafe);
    assert_string_equal(kafka_value("bootstrap.servers"), "127.0.0.1:9092");
}

static void the_file_is_read(void **state) {
    (void)state;
    assert_true(load_text("# comment\n[kafka]\nbootstrap.servers = a:1,b:2\nlinger.ms=3\n[producer]\nlisten = "
                          "[::1]:0\nrequest_timeout_ms = 250\n"
                          "[database]\nallow_unsafe = Yes\n"));
    assert_string_equal(kafka_value("bootstrap.servers"), "a:1,b:2");
    assert_string_equal(kafka_value("linger.ms"), "3");
    assert_string_equal(config.producer_listen, "[::1]:0");
    assert_int_equal(config.producer_request_timeout_ms, 250);
    assert_true(config.database_allow_unsafe);
}

static void environment_wins_over_file_and_flags_over_both(void **state) {
    (void)state;
    char first[] = "program", flag[] = "--producer.drain_ms=3", rest[] = "verb";
    char *argv[] = {first, flag, rest, NULL};
    int argc = 3;
    temp_file_write(&file, "[producer]\ndrain_ms = 1\nstall_ms = 51\n[topics]\nrequest = file\n");
    setenv("PAYBUF_CONFIG", file.path, 1);
    setenv("PAYBUF_PRODUCER_DRAIN_MS", "2", 1);
    setenv("PAYBUF_REQUEST_TOPIC", "environment", 1);
    setenv("PAYBUF_KAFKA_BOOTSTRAP", "c:3", 1);
    assert_true(load_flags(&argc, argv));
    assert_int_equal(config.producer_drain_ms, 3);
    assert_int_equal(config.producer_stall_ms, 51);
    assert_string_equal(config.request_topic, "environment");
    assert_string_equal(kafka_value("bootstrap.servers"), "c:3");
    assert_int_equal(argc, 2);
    assert_string_equal(argv[1], "verb");
}

static void flags_after_two_dashes_are_left_alone(void **state) {
    (void)state;
    char first[] = "program", dashes[] = "--", flag[] = "--producer.drain_ms=3";
    char *argv[] = {first, dashes, flag, NULL};
    int argc = 3;
    assert_true(load_flags(&argc, argv));
    assert_int_equal(argc, 3);
    assert_int_equal(config.producer_drain_ms, 10000);
}

static void a_kafka_setting_by_flag_may_contain_dots(void **state) {
    (void)state;
    char first[] = "program", flag[] = "--kafka.security.protocol=ssl";
    char *argv[] = {first, flag, NULL};
    int argc = 2;
    assert_true(load_flags(&argc, argv));
    assert_string_equal(kafka_value("security.protocol"), "ssl");
}

static void an_unknown_key_is_an_error_with_a_suggestion(void **state) {
    (void)state;
    assert_false(load_text("[producer]\nrequest_timeot_ms = 5\n"));
    SAYS("line 2: [producer] request_timeot_ms");
    SAYS("did you mean request_timeout_ms in [producer]?");
}

static void a_misspelt_section_is_an_error_with_a_suggestion(void **state) {
    (void)state;
    assert_false(load_text("[porducer]\nlisten = 127.0.0.1:1\n"));
    SAYS("did you mean listen in [producer]?");
}

static void a_misspelt_variable_is_an_error_but_a_foreign_one_is_not(void **state) {
    (void)state;
    setenv("PAYBUF_HTTP_URL", "http://127.0.0.1:1", 1);
    setenv("PAYBUF_KAFKA_VERSION", "3.9.1", 1);
    setenv("PAYBUF_PORT_PRODUCER", "1", 1);
    assert_true(pay_config_load(&config, NULL, NULL, NULL, message, sizeof message));
    setenv("PAYBUF_KAFKA_BOOTSTRP", "x:1", 1);
    assert_false(pay_config_load(&config, NULL, NULL, NULL, message, sizeof message));
    SAYS("did you mean PAYBUF_KAFKA_BOOTSTRAP?");
}

static void a_variable_named_after_a_section_is_a_setting_or_an_error(void **state) {
    (void)state;
    setenv("PAYBUF_PRODUCER_INFLIGHT_RECORDS", "5", 1);
    assert_false(pay_config_load(&config, NULL, NULL, NULL, message, sizeof message));
    SAYS("PAYBUF_PRODUCER_INFLIGHT_RECORDS in the environment isn't a setting; paybuf --help-settings");
}

static void each_topic_has_a_name_of_its_own(void **state) {
    (void)state;
    assert_false(load_text("[topics]\nrequest = same\nreply = same\n"));
    SAYS("[topics] request and reply are both same; give each a topic of its own");
    assert_false(load_text("[topics]\ndlq = pay.requests\n"));
    SAYS("request and dlq are both pay.requests");
    assert_false(load_text("[topics]\nreply = x\ndlq = x\n"));
    SAYS("reply and dlq are both x");
}

static void a_value_out_of_range_says_the_range(void **state) {
    (void)state;
    assert_false(load_text("[worker]\nbatch_records_max = 2001\n"));
    SAYS("out of range");
    SAYS("from 1 to 2000");
}

static void a_value_that_is_no_number_says_so(void **state) {
    (void)state;
    static const char *const wrong[] = {"5s", "-1", "+5", "", "1e3", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("PAYBUF_PRODUCER_DRAIN_MS", wrong[i], 1);
        assert_false(pay_config_load(&config, NULL, NULL, NULL, message, sizeof message));
        SAYS("PAYBUF_PRODUCER_DRAIN_MS=");
        SAYS("whole number from 0 to 600000");
    }
}

static void addresses_topics_and_flags_are_judged(void **state) {
    (void)state;
    assert_false(load_text("[producer]\nlisten = 8080\n"));
    SAYS("host:port");
    remove_file(state);
    assert_false(load_text("[topics]\nreply = pay replies\n"));
    SAYS("isn't a name that Kafka takes");
    remove_file(state);
    assert_false(load_text("[database]\nallow_unsafe = maybe\n"));
    SAYS("true or false");
}

static void a_key_given_twice_is_an_error(void **state) {
    (void)state;
    assert_false(load_text("[producer]\nlinger_ms = 1\nlinger_ms = 2\n"));
    SAYS("line 3");
    SAYS("given twice");
    remove_file(state);
    assert_false(load_text("[kafka]\nlinger.ms = 1\nlinger.ms = 2\n"));
    SAYS("given twice");
}

static void a_line_that_is_nothing_is_an_error_with_its_number(void **state) {
    (void)state;
    assert_false(load_text("[producer]\n\nwhat is this\n"));
    SAYS("line 3");
    SAYS("neither");
}

static void a_line_that_is_too_long_is_an_error_not_two_lines(void **state) {
    (void)state;
    char text[600] = "[database]\nurl = ";
    memset(text + strlen(text), 'x', 400);
    assert_false(load_text(text));
    SAYS("line 2");
    SAYS("longer than");
}

static void a_missing_file_says_which(void **state) {
    (void)state;
    assert_false(pay_config_load(&config, "/nonexistent/paybuf.conf", NULL, NULL, message, sizeof message));
    SAYS("/nonexistent/paybuf.conf");
    SAYS("--config");
}

static void kafka_settings_pass_by_an_allow_list_only(void **state) {
    (void)state;
    static const char *const refused[] = {"test.mock.num.brokers",
                                          "socket.max.fails",
                                          "acks",
                                          "enable.ssl.certificate.verification",
                                          "ssl.endpoint.identification.algorithm",
                                          "enable.idempotence",
                                          "max.in.flight",
                                          "plugin.library.paths",
                                          "message.timeout.ms",
                                          "isolation.level",
                                          "socket.timeout.ms",
                                          "opaque"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char text[160];
        snprintf(text, sizeof text, "[kafka]\n%s = 1\n", refused[i]);
        assert_false(load_text(text));
        SAYS(refused[i]);
        remove_file(state);
    }
    assert_false(load_text("[kafka]\nbootstrap.server = a:1\n"));
    SAYS("did you mean bootstrap.servers?");
}

static void secrets_are_neither_printed_nor_quoted_in_errors(void **state) {
    (void)state;
    char *text = NULL;
    size_t length = 0;
    assert_true(load_text("[kafka]\nsasl.password = hunter2\n[database]\nurl = postgresql://u:hunter2@h:1/d\n"));
    FILE *out = open_memstream(&text, &length);
    pay_config_print(&config, out);
    fclose(out);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "url = postgresql://u:***@h:1/d ; file"));
    free(text);
    remove_file(state);
    assert_false(load_text("[kafka]\nsasl.pasword = hunter2\n"));
    assert_null(strstr(message, "hunter2"));
}

/* Each is one that libpq takes with the password s3cr3t in it, or, with the slash, one that is easily written by mistake. */
static void a_password_is_hidden_however_the_url_carries_it(void **state) {
    (void)state;
    static const char *const urls[] = {"postgresql://u:x?s3cr3t@h/d", "postgresql://u:x/s3cr3t@h/d",
                                       "postgresql://u:x@s3cr3t@h/d", "postgresql://u@h/d?p%61ssword=s3cr3t",
                                       "host=h application_name=a://b password = s3cr3t"};
    char program[] = "x", flag[128], text[4096];
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        char *argv[] = {program, flag, NULL};
        int argc = 2;
        snprintf(flag, sizeof flag, "--database.url=%s", urls[i]);
        assert_true(load_flags(&argc, argv));
        FILE *out = fmemopen(text, sizeof text, "w");
        pay_config_print(&config, out);
        fclose(out);
        assert_non_null(strstr(text, "***"));
        assert_null(strstr(text, "s3cr3t"));
    }
}

static void what_is_printed_loads_again_to_the_same(void **state) {
    (void)state;
    static struct pay_config before;
    char *text = NULL;
    size_t length = 0;
    assert_true(load_text("[producer]\nlisten = localhost:1\ninflight_bytes_max = 9000\n[worker]\ngroup = "
                          "other\n[kafka]\nclient.rack = r1\n"));
    before = config;
    FILE *out = open_memstream(&text, &length);
    pay_config_print(&config, out);
    fclose(out);
    remove_file(state);
    assert_true(load_text(text));
    free(text);
    memcpy(config.sources, before.sources, sizeof config.sources);
    for (uint32_t i = 0; i < config.kafka_count; i++) config.kafka[i].source = before.kafka[i].source;
    assert_memory_equal(&config, &before, sizeof config);
}

static void the_sample_loads_and_changes_nothing(void **state) {
    (void)state;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    pay_config_sample(out, NULL);
    fclose(out);
    assert_true(load_text(text));
    for (size_t i = 0; i < pay_config_row_count; i++) assert_int_equal(config.sources[i], PAY_FROM_DEFAULT);
    for (char *hash = text; (hash = strstr(hash, "\n# ")) != NULL;
         hash++) { /* ... and uncommented, each setting is a right one */
        if (strchr(hash + 3, '=') != NULL && strcspn(hash + 3, " ") + 1 == strcspn(hash + 3, "="))
            memmove(hash + 1, hash + 3, strlen(hash + 3) + 1);
    }
    remove_file(state);
    assert_true(load_text(text));
    for (size_t i = 0; i < pay_config_row_count; i++) assert_int_equal(config.sources[i], PAY_FROM_FILE);
    free(text);
}

static void help_names_every_setting_and_its_variable(void **state) {
    (void)state;
    char *text = NULL, variable[128];
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    pay_config_help(out);
    fclose(out);
    for (size_t i = 0; i < pay_config_row_count; i++) {
        pay_config_row_variable(&pay_config_rows[i], variable, sizeof variable);
        assert_non_null(strstr(text, pay_config_rows[i].key));
        assert_non_null(strstr(text, variable));
    }
    free(text);
}

static void an_address_splits_into_host_and_port(void **state) {
    (void)state;
    char host[32];
    uint16_t port = 0;
    assert_true(pay_address_split("[::1]:80", host, sizeof host, &port));
    assert_string_equal(host, "::1");
    assert_int_equal(port, 80);
    assert_true(pay_address_split("localhost:65535", host, sizeof host, &port));
    static const char *const wrong[] = {"",        "8080",    ":80",    "host:", "host:65536",
                                        "host:8x", "host:-1", "::1:80", "[]:80", "host:000080"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(pay_address_split(wrong[i], host, sizeof host, &port));
}

static void edit_distance_counts_swaps_as_one(void **state) {
    (void)state;
    assert_int_equal(pay_edit_distance("linger", "linger"), 0);
    assert_int_equal(pay_edit_distance("lniger", "linger"), 1);
    assert_int_equal(pay_edit_distance("LINGER", "linger"), 0);
    assert_int_equal(pay_edit_distance("", "abc"), 3);
    assert_int_equal(pay_edit_distance("kitten", "sitting"), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, clean_environment, remove_file)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(without_anything_there_are_defaults),
        TEST(the_file_is_read),
        TEST(environment_wins_over_file_and_flags_over_both),
        TEST(flags_after_two_dashes_are_left_alone),
        TEST(a_kafka_setting_by_flag_may_contain_dots),
        TEST(an_unknown_key_is_an_error_with_a_suggestion),
        TEST(a_misspelt_section_is_an_error_with_a_suggestion),
        TEST(a_misspelt_variable_is_an_error_but_a_foreign_one_is_not),
        TEST(a_variable_named_after_a_section_is_a_setting_or_an_error),
        TEST(each_topic_has_a_name_of_its_own),
        TEST(a_value_out_of_range_says_the_range),
        TEST(a_value_that_is_no_number_says_so),
        TEST(addresses_topics_and_flags_are_judged),
        TEST(a_key_given_twice_is_an_error),
        TEST(a_line_that_is_nothing_is_an_error_with_its_number),
        TEST(a_line_that_is_too_long_is_an_error_not_two_lines),
        TEST(a_missing_file_says_which),
        TEST(kafka_settings_pass_by_an_allow_list_only),
        TEST(secrets_are_neither_printed_nor_quoted_in_errors),
        TEST(a_password_is_hidden_however_the_url_carries_it),
        TEST(what_is_printed_loads_again_to_the_same),
        TEST(the_sample_loads_and_changes_nothing),
        TEST(help_names_every_setting_and_its_variable),
        TEST(an_address_splits_into_host_and_port),
        TEST(edit_distance_counts_swaps_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
