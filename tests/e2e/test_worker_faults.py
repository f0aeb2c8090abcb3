"""The worker on real servers: killed, frozen, moved, its servers killed. Each run ends in both proofs."""
import os
import random
import threading
import time

from stack import wait_until

OWN_SERVERS = True                   # a pair of its own: see conftest.servers
ACCOUNTS = [f"a-{i}" for i in range(50)]


class Feed(threading.Thread):
    """Appends in the background at about `rate` a second; end() waits for it and passes its failure on."""

    def __init__(self, stack, requests, rate):
        super().__init__()
        self.stack, self.requests, self.rate, self.failure = stack, requests, rate, None
        self.start()

    def run(self):
        try:
            producer = self.stack.producer()
            began = time.monotonic()
            for start in range(0, len(self.requests), 50):
                self.stack.append(self.requests[start:start + 50], producer=producer)
                time.sleep(max(0, began + (start + 50) / self.rate - time.monotonic()))
        except BaseException as failure:
            self.failure = failure

    def end(self, timeout_s=300):
        self.join(timeout_s)
        assert not self.is_alive(), "the feed didn't end"
        if self.failure:
            raise self.failure


def claims(ledger):
    return sum(lane["owner_epoch"] for lane in ledger.lanes().values())


def test_a_worker_killed_at_thirty_random_moments_loses_and_doubles_nothing(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS)
    rng = random.Random(20261121)
    feed = Feed(ledger, ledger.workload(30_000, ACCOUNTS, seed=7), rate=800)
    for number in range(30):
        if number % 2:                                          # else it may be killed before it has done anything
            wait_until(lambda: claims(ledger) > claimed, 60, "the new worker claims a lane")
        time.sleep(rng.uniform(0.05, 1.2))
        ledger.kill(expel=True)
        claimed = claims(ledger)
        ledger.start(wait=False)
    feed.end()
    ledger.wait_at_rest()
    ledger.check()


def test_a_frozen_worker_is_replaced_and_its_thawed_twin_changes_nothing(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, workers=("worker-1", "worker-2"))
    ledger.wait_claimed(("worker-1", "worker-2"))
    feed = Feed(ledger, ledger.workload(8_000, ACCOUNTS, seed=8), rate=500)
    time.sleep(1)
    ledger.freeze("worker-1")
    wait_until(lambda: sum(ledger.metric("worker-2", "paybuf_lane_open", partition=p) for p in range(4)) == 4, 90, "worker-2 took all lanes over")
    time.sleep(1)
    ledger.thaw("worker-1")
    feed.end()
    ledger.wait_at_rest()
    ledger.check()


def test_partitions_move_from_one_worker_to_three_and_back(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=6)
    ledger.wait_claimed()
    feed = Feed(ledger, ledger.workload(8_000, ACCOUNTS, seed=11), rate=800)
    ledger.start("worker-2", wait=False)
    ledger.start("worker-3", wait=False)
    wait_until(lambda: all(sum(ledger.metric(w, "paybuf_lane_open", partition=p) for p in range(6)) == 2 for w in ("worker-1", "worker-2", "worker-3")),
               90, "two lanes each")
    time.sleep(1)
    ledger.stop("worker-2")
    ledger.stop("worker-3")
    ledger.wait_claimed()
    feed.end()
    ledger.wait_at_rest()
    assert all(lane["owner_epoch"] >= 3 for lane in ledger.lanes().values()), "a lane that never moved"
    ledger.check()


def test_sigterm_drains_what_was_received_and_ends_within_its_bound(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS)
    ledger.wait_claimed()
    ledger.append(ledger.workload(5_000, ACCOUNTS, seed=12))
    began = time.monotonic()
    status = ledger.stop("worker-1")
    assert status == 0 and "drained" in ledger.log("worker-1")
    assert time.monotonic() - began < 20                       # drain_ms is 10 s
    for lane in ledger.lanes().values():
        assert lane["anchor_offset"] is None or lane["replied_offset"] == lane["anchor_offset"] + 1, f"settled and not answered: {lane}"
    ledger.start("worker-1")
    ledger.wait_at_rest()
    ledger.check()


def test_the_broker_killed_and_restarted_under_load(new_ledger, servers):
    ledger = new_ledger(accounts=ACCOUNTS)
    ledger.wait_claimed()
    feed = Feed(ledger, ledger.workload(8_000, ACCOUNTS, seed=9), rate=1000)
    time.sleep(2)
    servers.dev("kill", "kafka")
    time.sleep(2)
    servers.dev("start", "kafka")
    feed.end()
    ledger.wait_at_rest()
    ledger.check()


def test_the_database_killed_under_load_and_back_after_a_while_needs_no_operator(new_ledger, servers):
    ledger = new_ledger(accounts=ACCOUNTS, workers=("worker-1", "worker-2"))
    ledger.wait_claimed(("worker-1", "worker-2"))
    feed = Feed(ledger, ledger.workload(5_000, ACCOUNTS, seed=10), rate=1000)
    time.sleep(1.5)
    servers.dev("kill", "postgres")
    feed.end()
    wait_until(lambda: ledger.admin("worker-1", "/readyz")[0] == 503, 60, "not ready without a database")
    servers.dev("start", "postgres")
    ledger.wait_at_rest()
    ledger.check()
    assert "the database is as new as the logs" in ledger.log("worker-1") + ledger.log("worker-2")


def cpu_seconds(ledger, name):
    times = open(f"/proc/{ledger.pid(name)}/stat").read().rsplit(") ", 1)[1].split()
    return sum(map(int, times[11:13])) / os.sysconf("SC_CLK_TCK")


def test_an_idle_worker_says_that_its_database_is_gone_and_waits_without_burning_a_core(new_ledger, servers):
    ledger = new_ledger(accounts=ACCOUNTS)
    ledger.append(ledger.workload(10, ACCOUNTS, seed=14))
    ledger.wait_at_rest()
    servers.dev("stop", "postgres")
    try:
        wait_until(lambda: ledger.admin("worker-1", "/readyz")[0] == 503, 60, "not ready without a database")
        before = cpu_seconds(ledger, "worker-1")
        time.sleep(3)
        assert cpu_seconds(ledger, "worker-1") - before < 0.5
    finally:
        servers.dev("start", "postgres")
    ledger.wait_ready("worker-1")
