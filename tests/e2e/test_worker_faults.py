"""The worker on real servers: killed, frozen, restarted around, rebalanced. Each run ends in both proofs."""
import random
import threading
import time

from stack import wait_until

ACCOUNTS = [f"a-{i}" for i in range(50)]


def feed(stack, requests, rate):
    """Appends in the background at about `rate` a second; answers the thread."""
    def run():
        producer = stack.producer()
        for start in range(0, len(requests), 100):
            stack.append(requests[start:start + 100], producer=producer)
            time.sleep(100 / rate)
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_worker_killed_at_thirty_random_moments_loses_and_doubles_nothing(make_stack):
    stack = make_stack()
    stack.up(workers=("worker-1",))
    stack.open_accounts(ACCOUNTS)
    rng = random.Random(20261121)
    feeder = feed(stack, stack.workload(30_000, ACCOUNTS, seed=7), rate=1000)
    kills = 0
    while kills < 30:
        time.sleep(rng.uniform(0.05, 0.9))
        stack.dev("kill", "worker-1")
        kills += 1
        stack.dev("start", "worker-1")
    feeder.join(120)
    stack.wait_at_rest(120)
    stack.check()


def test_a_frozen_worker_is_replaced_and_its_thawed_twin_changes_nothing(make_stack):
    stack = make_stack()
    stack.up(workers=("worker-1", "worker-2"))
    stack.open_accounts(ACCOUNTS)
    feeder = feed(stack, stack.workload(15_000, ACCOUNTS, seed=8), rate=500)
    time.sleep(3)
    stack.freeze("worker-1")
    time.sleep(14)                  # past its session in the group
    stack.thaw("worker-1")
    feeder.join(120)
    stack.wait_at_rest(120)
    stack.check()


def test_the_broker_killed_and_restarted_under_load(make_stack):
    stack = make_stack()
    stack.up(workers=("worker-1",))
    stack.open_accounts(ACCOUNTS)
    feeder = feed(stack, stack.workload(10_000, ACCOUNTS, seed=9), rate=1000)
    time.sleep(2)
    stack.dev("kill", "kafka")
    time.sleep(3)
    stack.dev("start", "kafka")
    feeder.join(180)
    stack.wait_at_rest(180)
    stack.check()


def test_the_database_killed_and_restarted_under_load(make_stack):
    stack = make_stack()
    stack.up(workers=("worker-1", "worker-2"))
    stack.open_accounts(ACCOUNTS)
    feeder = feed(stack, stack.workload(10_000, ACCOUNTS, seed=10), rate=1000)
    time.sleep(3)
    stack.dev("kill", "postgres")
    time.sleep(2)
    stack.dev("start", "postgres")
    feeder.join(120)
    stack.wait_at_rest(120)
    stack.check()


def test_partitions_move_from_one_worker_to_three_and_back(make_stack):
    stack = make_stack(partitions=6)
    stack.up(workers=("worker-1",))
    stack.open_accounts(ACCOUNTS)
    feeder = feed(stack, stack.workload(15_000, ACCOUNTS, seed=11), rate=1000)
    time.sleep(2)
    stack.dev("start", "worker-2")
    stack.dev("start", "worker-3")
    time.sleep(5)
    stack.dev("stop", "worker-2")
    stack.dev("kill", "worker-3")
    feeder.join(120)
    stack.wait_at_rest(120)
    stack.check()
    assert len({row["owner_epoch"] for row in stack.lanes().values()}) >= 1


def test_sigterm_drains_what_was_received_and_ends_within_its_bound(make_stack):
    stack = make_stack()
    stack.up(workers=("worker-1",))
    stack.open_accounts(ACCOUNTS)
    stack.append(stack.workload(5_000, ACCOUNTS, seed=12))
    began = time.monotonic()
    stack.dev("stop", "worker-1")
    assert time.monotonic() - began < 15
    settled = sum(row["next_offset"] for row in stack.lanes().values())
    stack.dev("start", "worker-1")
    stack.wait_at_rest(60)
    stack.check()
    assert settled >= 0
    assert "drained" in stack.log("worker-1")


def test_a_worker_waits_for_a_database_that_is_down_for_a_while_and_goes_on_alone(make_stack):
    stack = make_stack()
    stack.up(workers=("worker-1",))
    stack.open_accounts(ACCOUNTS)
    stack.dev("stop", "postgres")
    stack.append(stack.workload(2_000, ACCOUNTS, seed=13))
    time.sleep(20)
    stack.dev("start", "postgres")
    wait_until(lambda: stack.dev("status", check=False).stdout.count("ready") >= 2, 60, "worker ready again without an operator")
    stack.wait_at_rest(60)
    stack.check()
