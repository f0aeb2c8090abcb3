"""Owners that stand still at the worst moment, connections cut in the middle of a COMMIT: nobody commits for another, nothing is doubled."""
import threading
import time

from stack import wait_until
from tcp_gate import TcpGate

ACCOUNTS = [f"a-{i}" for i in range(20)]
# One that began to wait just now: it gives up after 5 s, and what it is wanted for must happen before.
WAITING = """SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid)
             WHERE datname = current_database() AND NOT granted AND clock_timestamp() - waitstart < interval '2 s'"""


def freeze_between_the_round_trips(ledger, requests):
    """Lets worker-1's settle run into a held account, freezes it there, lets go: its transaction stands open, with nobody to end it."""
    lock = ledger.connect()
    try:
        with lock.cursor() as cursor:
            cursor.execute("SELECT 1 FROM paybuf.account ORDER BY tenant, account_id FOR UPDATE")
        ledger.append(requests)
        wait_until(lambda: ledger.sql(WAITING)[0][0] == 1, 60, "the settle waits for an account")
        ledger.freeze("worker-1")
        lock.rollback()
    finally:
        lock.close()


def locks_are_free(ledger):
    """Nobody holds a lane or an account any more."""
    return ledger.sql("""SELECT count(*) = 0 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                         WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                           AND c.relname IN ('processed_offset', 'account') AND l.mode IN ('RowShareLock', 'RowExclusiveLock')""")[0][0]


def test_a_worker_frozen_between_its_round_trips_holds_its_locks_for_two_seconds_and_its_thawed_twin_commits_nothing(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS)
    ledger.wait_claimed()
    ledger.append(ledger.workload(500, ACCOUNTS))
    ledger.wait_at_rest()
    freeze_between_the_round_trips(ledger, ledger.workload(500, ACCOUNTS, prefix="frozen"))
    frozen = time.monotonic()
    wait_until(lambda: locks_are_free(ledger), 60, "the database ended the frozen worker's transaction")
    assert time.monotonic() - frozen < 8                # 2 s, on a machine that has other things to do
    ledger.expel_members()                              # as the group would after 10 s
    ledger.start("worker-2")
    ledger.wait_claimed(("worker-2",))
    ledger.wait_at_rest()
    settled = ledger.sql("SELECT count(*) FROM paybuf.payment")
    ledger.thaw("worker-1")
    wait_until(lambda: ledger.metric("worker-1", "paybuf_worker_sessions_ended_total") > 0, 60, "the thawed one noticed that its session is over")
    assert ledger.metric("worker-1", "paybuf_worker_records_total") == 500, "the thawed one believes that it committed"
    assert ledger.sql("SELECT count(*) FROM paybuf.payment") == settled
    ledger.append(ledger.workload(300, ACCOUNTS, prefix="both"))
    ledger.wait_at_rest()
    ledger.check()


def test_a_worker_frozen_with_unread_results_loses_its_connection_and_its_locks(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, workers=(), partitions=2)
    # Twenty declined attempts of each order, long names: what the database knows of a batch of repeats is more than a megabyte.
    name = "x" * 56
    chains = [{"order_id": f"{name}-{i}", "account_id": f"{name}-none", "amount_minor": 1, "currency": "EUR", "attempt": attempt}
              for i in range(300) for attempt in range(1, 21)]
    ledger.append(chains, partition=0)
    ledger.start()
    ledger.wait_at_rest()
    ledger.kill(expel=True)
    # All of the batch is there before the worker is: its first settle has all of it, and waits for an account.
    ledger.append([{**chains[20 * i], "account_id": "a-0"} for i in range(300)], partition=0)
    url = ledger.env["PAYBUF_DATABASE_URL"]
    address = url.split("@")[1].split("/")[0]
    gate = TcpGate(address.split(":")[0], int(address.split(":")[1]))
    lock = ledger.connect()
    try:
        with lock.cursor() as cursor:
            cursor.execute("SELECT 1 FROM paybuf.account FOR UPDATE")
        ledger.start(PAYBUF_DATABASE_URL=url.replace(address, f"127.0.0.1:{gate.port}"), wait=False)
        wait_until(lambda: ledger.sql(WAITING)[0][0] == 1, 60, "the settle waits for an account")
        ledger.freeze("worker-1")
        gate.open.clear()
        lock.rollback()
        unread = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'ClientWrite'"
        wait_until(lambda: ledger.sql(unread)[0][0] == 1, 60, "its backend can't get rid of its results")
        stuck = time.monotonic()
        wait_until(lambda: locks_are_free(ledger), 60, "the database gave the frozen connection up")
        assert time.monotonic() - stuck < 20            # 3 s, seen at the next probe of the closed window
        ledger.expel_members()
        ledger.start("worker-2")
        ledger.wait_at_rest()
        gate.open.set()                                 # the thawed one gets its share of the lanes, and must reach the database
        ledger.thaw("worker-1")
        ledger.append(ledger.workload(200, ACCOUNTS))
        ledger.wait_at_rest()
        ledger.check()
    finally:
        lock.close()
        gate.close()


def test_backends_ended_at_random_moments_under_load_leave_no_commit_unknown(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, workers=("worker-1", "worker-2"))
    ledger.wait_claimed(("worker-1", "worker-2"))
    requests = ledger.workload(8000, ACCOUNTS, seed=3)
    feeder = threading.Thread(target=lambda: [ledger.append(requests[i:i + 100]) for i in range(0, len(requests), 100)])
    feeder.start()
    ended, rounds = set(), 0
    database = ledger.connect()
    database.autocommit = True

    def sessions_ended():
        return sum(ledger.metric(worker, "paybuf_worker_sessions_ended_total") for worker in ("worker-1", "worker-2"))

    with database.cursor() as cursor:
        deadline = time.monotonic() + 180
        while len(ended) < 40 or sessions_ended() < 20:         # some were ended while they were still being made
            assert time.monotonic() < deadline and all(child.poll() is None for child in ledger.children.values()), \
                f"{len(ended)} backends, {sessions_ended()} sessions ended:\n{ledger.log('worker-1')[-2000:]}\n{ledger.log('worker-2')[-2000:]}"
            # One that is in the middle of something; of a COMMIT, with luck.
            cursor.execute("""SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                              AND application_name = 'paybuf-worker' AND state <> 'idle' LIMIT 1""")
            ended |= {pid for pid, _ in cursor.fetchall()}
            if not feeder.is_alive() and all(high == ledger.lanes()[p]["next_offset"] for p, (_, high) in ledger.bounds().items()):
                rounds += 1
                ledger.append(ledger.workload(1000, ACCOUNTS, seed=100 + rounds))
            time.sleep(0.02)
    database.close()
    feeder.join(120)
    assert not feeder.is_alive()
    ledger.wait_at_rest()
    ledger.check()
