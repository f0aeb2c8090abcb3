/*
 * What can only be shown on a server of one's own: it is restarted, hung, switched to unsafe settings, reached over its unix socket.
 * CMakeLists.txt hides PAYBUF_TEST_DATABASE_URL from this program.
 */
#include "tests/pg/pg_test.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct pay_error open_with(const char *url, enum pay_pg_role role, bool batch_session) {
    struct pay_error error = {.move = PAY_OK};
    struct pay_pg *pg = NULL;
    struct pay_pg_options options = {
        .url = url, .role = role, .batch_session = batch_session, .connect_timeout_ms = 20000};
    if (pay_pg_open(&options, &pg, &error) == PAY_OK) pay_pg_close(pg);
    return error;
}

static void assert_refused(const struct pay_error *error, const char *why) {
    assert_move(PAY_REFUSE, error);
    if (strstr(error->text, why) == NULL) print_error("\"%s\" doesn't say \"%s\"\n", error->text, why);
    assert_non_null(strstr(error->text, why));
}

/* ---- what is refused ---- */

static void test_fsync_off_is_refused(void **state) {
    (void)state;
    struct pay_pg *admin;
    struct pay_error error = {.move = PAY_OK};
    struct pay_pg_options options = {.url = pay_test_pg_admin_url()};
    pay_pg_open(&options, &admin, &error);
    assert_move(PAY_OK, &error);
    sql(admin, "ALTER SYSTEM SET fsync = off");
    sql(admin, "SELECT pg_reload_conf()");
    until(admin, "SELECT current_setting('fsync') = 'off'");
    struct pay_error refused = open_with(pay_test_pg_url(), PAY_PG_WORKER, true);
    sql(admin, "ALTER SYSTEM RESET fsync");
    sql(admin, "SELECT pg_reload_conf()");
    until(admin, "SELECT current_setting('fsync') = 'on'");
    pay_pg_close(admin);
    assert_refused(&refused, "fsync");
}

static void test_a_unix_socket_is_refused_unless_told(void **state) {
    (void)state;
    struct pay_error error = open_with(pay_test_pg_socket_url(), PAY_PG_WORKER, true);
    assert_refused(&error, "unix socket");
    struct pay_pg *pg;
    error = (struct pay_error){.move = PAY_OK};
    struct pay_pg_options options = {.url = pay_test_pg_socket_url(), .allow_unix_socket = true};
    pay_pg_open(&options, &pg, &error);
    assert_move(PAY_OK, &error);
    pay_pg_close(pg);
}

/* ---- a pooler ---- */

/* Passes bytes on between one client and the server; the first BackendKeyData ('K', length 12, pid, secret) gets a pid of its own. */
static void forward(int from, int to, bool *change_pid) {
    unsigned char bytes[65536];
    ssize_t length = read(from, bytes, sizeof bytes);
    if (length <= 0) _exit(0);
    for (ssize_t i = 0; *change_pid && i + 13 <= length; i++) {
        if (memcmp(bytes + i, "K\0\0\0\x0c", 5) != 0) continue;
        bytes[i + 8] ^= 1;
        *change_pid = false;
    }
    for (ssize_t at = 0; at < length;) {
        ssize_t sent = write(to, bytes + at, (size_t)(length - at));
        if (sent <= 0) _exit(0);
        at += sent;
    }
}

static void be_a_pooler(int listener) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)pay_test_pg_port()),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool change_pid = true, unchanged = false;
    int client = accept(listener, NULL, NULL), server = socket(AF_INET, SOCK_STREAM, 0);
    if (client < 0 || server < 0 || connect(server, (struct sockaddr *)&address, sizeof address) != 0) _exit(1);
    for (;;) {
        struct pollfd ends[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
        poll(ends, 2, 5000);
        if (ends[0].revents != 0) forward(client, server, &unchanged);
        if (ends[1].revents != 0) forward(server, client, &change_pid);
    }
}

static void test_a_pooler_is_refused(void **state) {
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(0, bind(listener, (struct sockaddr *)&address, sizeof address));
    assert_int_equal(0, listen(listener, 1));
    assert_int_equal(0, getsockname(listener, (struct sockaddr *)&address, &length));
    fflush(NULL);
    pid_t pooler = fork();
    if (pooler == 0) be_a_pooler(listener);
    char url[700];
    snprintf(url, sizeof url, "postgresql://paybuf@127.0.0.1:%d%s?sslmode=disable&gssencmode=disable",
             ntohs(address.sin_port), strrchr(pay_test_pg_url(), '/'));
    struct pay_error error = open_with(url, PAY_PG_WORKER, true);
    kill(pooler, SIGKILL);
    waitpid(pooler, NULL, 0);
    close(listener);
    assert_refused(&error, "pooler");
}

/* ---- restarts and hangs ---- */

static void test_after_a_restart_of_the_server_nothing_settles_until_it_is_adopted(void **state) {
    (void)state;
    struct pay_ledger_row row;
    bool adopted = false;
    open_account("alice", 1000);
    struct session *s = session_open("one");
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 10);
    books_disconnect();
    pay_test_pg_restart();
    books_connect();
    assert_int_equal(PAY_SETTLE_FAILED, settle(s));
    assert_move(PAY_SESSION_OVER, &s->error);
    s->error = (struct pay_error){.move = PAY_OK};
    s->ledger->ops->connect(s->ledger, &s->error);
    assert_move(PAY_OK, &s->error);
    session_claim(s, 0);
    assert_int_equal(PAY_SETTLE_FAILED, settle(s));
    assert_move(PAY_HALTED, &s->error);
    assert_int_equal(PAY_OK, s->ledger->ops->read_ledger(s->ledger, &row, &s->error));
    assert_true(row.server_started_us > row.incarnation_us);
    assert_int_equal(PAY_OK, s->ledger->ops->adopt(s->ledger, row.incarnation_us, &adopted, &s->error));
    assert_true(adopted);
    assert_commits(s);
    session_close(s);
}

static void test_a_server_that_hangs_is_given_up_in_time(void **state) {
    (void)state;
    struct pay_ledger_row row;
    struct pay_error error = {.move = PAY_OK};
    struct pay_ledger_pg_options options = {.url = pay_test_pg_url(),
                                            .application_name = "impatient",
                                            .topic = TOPIC,
                                            .group_id = "group",
                                            .call_timeout_ms = 700};
    struct pay_ledger *ledger = pay_ledger_pg_new(&options);
    ledger->ops->connect(ledger, &error);
    assert_move(PAY_OK, &error);
    pid_t backend = (pid_t)sql_number(watcher, "SELECT pid FROM pg_stat_activity WHERE application_name = 'impatient'");
    assert_int_equal(0, kill(backend, SIGSTOP));
    int64_t before_ms = pay_clock_ms();
    assert_int_equal(PAY_SESSION_OVER, ledger->ops->read_ledger(ledger, &row, &error));
    assert_in_range(pay_clock_ms() - before_ms, 600, 10000);
    kill(backend, SIGCONT);
    ledger->ops->close(ledger);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fsync_off_is_refused, books_reset),
        cmocka_unit_test_setup(test_a_unix_socket_is_refused_unless_told, books_reset),
        cmocka_unit_test_setup(test_a_pooler_is_refused, books_reset),
        cmocka_unit_test_setup(test_after_a_restart_of_the_server_nothing_settles_until_it_is_adopted, books_reset),
        cmocka_unit_test_setup(test_a_server_that_hangs_is_given_up_in_time, books_reset),
    };
    const char *one = getenv("PAYBUF_TEST_NAME");
    if (one != NULL) cmocka_set_test_filter(one);
    return cmocka_run_group_tests_name("private_server", tests, books_open, books_close);
}
