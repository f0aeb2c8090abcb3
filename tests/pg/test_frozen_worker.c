/*
 * A worker that was frozen (SIGSTOP, a paused virtual machine) in the middle of a settle keeps its lanes for seconds, not for ever:
 * the server ends its transaction, another worker's claim gets through in under five seconds, and the frozen one learns it when it
 * wakes up.
 */
#include "tests/pg/pg_test.h"

#include "base/clock.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLAIM_WITHIN_MS 7000 /* five, and what a busy machine needs */

/* Forks a worker; its part runs in the child, which then answers the parent's question by its exit status. */
static pid_t start_worker(void (*act)(int tell)) {
    int pipe_ends[2];
    char byte;
    assert_int_equal(0, pipe(pipe_ends));
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(pipe_ends[0]);
        act(pipe_ends[1]);
        _exit(9);
    }
    close(pipe_ends[1]);
    assert_int_equal(1, read(pipe_ends[0], &byte, 1)); /* it is where the test wants it */
    close(pipe_ends[0]);
    return pid;
}

static void tell_parent(int tell) {
    if (write(tell, "x", 1) != 1) _exit(8);
}

static int status_of(pid_t pid) {
    int status;
    assert_int_equal(pid, waitpid(pid, &status, 0));
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Claims until it is got; answers how long that took. */
static int64_t claim_in(struct session *s, int32_t partition) {
    int64_t began_ms = pay_clock_ms();
    for (;;) {
        bool missing;
        s->error = (struct pay_error){.move = PAY_OK};
        enum pay_move move =
            s->ledger->ops->claim(s->ledger, partition, s->owner, &s->rows[partition], &missing, &s->error);
        if (move == PAY_OK) return pay_clock_ms() - began_ms;
        assert_move(PAY_AGAIN, &s->error);
        assert_true(pay_clock_ms() - began_ms < 4 * CLAIM_WITHIN_MS);
    }
}

/* In the child: a settle up to READ. */
static struct session *settle_half(const char *name) {
    struct session *s = session_open(name);
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 100);
    if (begin_settle(s) != PAY_OK || wait_settle(s) != PAY_SETTLE_READ) _exit(7);
    return s;
}

/* What the worker's loop does next, from wherever it is. */
static enum pay_settle_state settle_on(struct session *s) {
    enum pay_settle_state ended = wait_settle(s);
    if (ended != PAY_SETTLE_READ) return ended;
    pay_batch_decide(s->batch, s->decided_at_us);
    if (s->ledger->ops->settle_write(s->ledger, &s->error) != PAY_OK) return PAY_SETTLE_FAILED;
    return wait_settle(s);
}

static void between_the_halves(int tell) {
    struct session *s = settle_half("frozen");
    tell_parent(tell);
    raise(SIGSTOP);
    /* Awake again. It doesn't know how long it slept until it looks at the clock; if it didn't look, the server would tell. */
    if (settle_on(s) == PAY_SETTLE_COMMITTED) _exit(1);
    _exit(0);
}

static void test_frozen_between_the_halves_it_loses_its_lane_and_commits_nothing(void **state) {
    (void)state;
    open_account("alice", 1000);
    pid_t worker = start_worker(between_the_halves);
    struct session *next = session_open("next");
    int64_t took_ms = claim_in(next, 0);
    print_message("             claimed after %lld ms\n", (long long)took_ms);
    assert_in_range(took_ms, 0, CLAIM_WITHIN_MS);
    assert_int_equal(0, next->rows[0].next_offset);
    add_record(next, 0, "o-1", 1, "alice", 100);
    assert_commits(next);
    kill(worker, SIGCONT);
    assert_int_equal(0, status_of(worker));
    assert_int_equal(1, sql_number(books, "SELECT count(*) FROM paybuf.payment"));
    assert_books_balance();
    session_close(next);
}

/* Straight on the worker's kind of session: a lane's row locked, and then more results than the buffers between them hold. */
static void with_unread_results(int tell) {
    struct pay_pg *pg;
    struct pay_error error;
    struct pay_pg_options options = {
        .url = pay_test_pg_url(), .application_name = "frozen", .role = PAY_PG_WORKER, .batch_session = true};
    if (pay_pg_open(&options, &pg, &error) != PAY_OK || pay_pg_pipeline_enter(pg, &error) != PAY_OK) _exit(7);
    pay_pg_send(pg, "BEGIN", NULL);
    pay_pg_send(pg, "UPDATE paybuf.processed_offset SET updated_at = now() WHERE partition = 0", NULL);
    pay_pg_send(pg, "SELECT repeat('x', 1000) FROM generate_series(1, 100000)", NULL);
    pay_pg_sync(pg);
    pay_pg_flush(pg);
    tell_parent(tell);
    raise(SIGSTOP);
    int64_t deadline_ms = pay_clock_ms() + 60000;
    for (;;) {
        struct pay_pg_result *result = NULL;
        switch (pay_pg_next(pg, &result, &error)) {
        case PAY_PG_RESULT: pay_pg_result_free(result); break;
        case PAY_PG_NOTHING:
            if (!pay_pg_wait(pg, deadline_ms)) _exit(6);
            break;
        case PAY_PG_LOST: _exit(0); /* as it should be */
        case PAY_PG_SYNCED:
        case PAY_PG_IDLE: _exit(1);
        }
    }
}

static void test_frozen_with_unread_results_it_loses_its_lane_too(void **state) {
    (void)state;
    pid_t worker = start_worker(with_unread_results);
    until(watcher,
          "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'frozen' AND wait_event = 'ClientWrite'");
    int64_t frozen_ms = pay_clock_ms();
    struct session *next = session_open("next");
    claim_in(next, 0);
    int64_t took_ms = pay_clock_ms() - frozen_ms;
    print_message("             claimed after %lld ms\n", (long long)took_ms);
    assert_in_range(took_ms, 0, CLAIM_WITHIN_MS);
    kill(worker, SIGCONT);
    assert_int_equal(0, status_of(worker));
    session_close(next);
}

static void waiting_for_an_account(int tell) {
    struct session *s = session_open("frozen");
    session_claim(s, 0);
    add_record(s, 0, "o-1", 1, "alice", 100);
    if (begin_settle(s) != PAY_OK) _exit(7);
    tell_parent(tell);
    raise(SIGSTOP);
    /* What was read before the server hung up may still come; the COMMIT can't. */
    if (settle_on(s) == PAY_SETTLE_COMMITTED) _exit(1);
    _exit(0);
}

static void test_frozen_while_it_waits_for_an_account_it_loses_its_lane_when_the_wait_ends(void **state) {
    (void)state;
    open_account("alice", 1000);
    sql(books, "BEGIN; SELECT FROM paybuf.account FOR UPDATE");
    pid_t worker = start_worker(waiting_for_an_account);
    until(watcher,
          "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'frozen' AND wait_event_type = 'Lock'");
    sql(books, "ROLLBACK");
    int64_t frozen_ms = pay_clock_ms();
    struct session *next = session_open("next");
    claim_in(next, 0);
    int64_t took_ms = pay_clock_ms() - frozen_ms;
    print_message("             claimed after %lld ms\n", (long long)took_ms);
    assert_in_range(took_ms, 0, CLAIM_WITHIN_MS);
    kill(worker, SIGCONT);
    assert_int_equal(0, status_of(worker));
    session_close(next);
}

static void killed_between_the_halves(int tell) {
    settle_half("killed");
    tell_parent(tell);
    pause();
}

static void test_killed_between_the_halves_it_loses_its_lane_at_once(void **state) {
    (void)state;
    open_account("alice", 1000);
    pid_t worker = start_worker(killed_between_the_halves);
    struct session *next = session_open("next");
    kill(worker, SIGKILL);
    int64_t took_ms = claim_in(next, 0);
    assert_in_range(took_ms, 0, 1900); /* not by any of the server's timeouts, the shortest of which is 2 s */
    assert_int_equal(worker, waitpid(worker, NULL, 0));
    session_close(next);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_frozen_between_the_halves_it_loses_its_lane_and_commits_nothing, books_reset),
        cmocka_unit_test_setup(test_frozen_with_unread_results_it_loses_its_lane_too, books_reset),
        cmocka_unit_test_setup(test_frozen_while_it_waits_for_an_account_it_loses_its_lane_when_the_wait_ends,
                               books_reset),
        cmocka_unit_test_setup(test_killed_between_the_halves_it_loses_its_lane_at_once, books_reset),
    };
    const char *one = getenv("PAYBUF_TEST_NAME");
    if (one != NULL) cmocka_set_test_filter(one);
    return cmocka_run_group_tests_name("frozen_worker", tests, books_open, books_close);
}
