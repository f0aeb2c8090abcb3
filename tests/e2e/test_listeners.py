"""The listeners of docs/examples, killed at random: every reply is booked exactly once.

PAYBUF_LISTENER_KILLS=200 for the campaign (8 otherwise), PAYBUF_LISTENER_SEED for its instants.
"""
import os
import random
import threading
import time
from collections import Counter
from itertools import count

from example_listeners import LISTENERS, kind, listen  # noqa: F401
from stack import wait_until

ACCOUNTS = [f"a-{i}" for i in range(20)]
KILLS = int(os.environ.get("PAYBUF_LISTENER_KILLS", "8"))
SEED = int(os.environ.get("PAYBUF_LISTENER_SEED", str(random.SystemRandom().getrandbits(32))))


class Load(threading.Thread):
    """Payments with repeats and conflicts until stop; now and then a zombie's copies of replies that were given long ago."""

    def __init__(self, ledger):
        super().__init__()
        self.ledger, self.ending, self.copies, self.error = ledger, threading.Event(), 0, None
        self.requests, self.replies = ledger.producer(), ledger.producer()
        self.rng, self.given = random.Random(SEED), None

    def run(self):
        try:
            seed = 0
            while not self.ending.wait(0.25):
                seed += 1
                self.ledger.append(self.ledger.workload(40, ACCOUNTS, seed=seed), producer=self.requests)
                if seed % 500 == 0 or seed in (10, 50):
                    self.given = self.ledger.read(self.ledger.replies)
                if self.given is not None and seed % 10 == 0:
                    self.haunt()
        except BaseException as error:      # told by stop, in the test's thread
            self.error = error

    def haunt(self):
        """A thawed worker's repeats: a run of one partition's replies once more, byte for byte, at the end of the log."""
        partition, messages = self.rng.choice(list(self.given.items()))
        begin = self.rng.randrange(max(1, len(messages)))
        for message in messages[begin:begin + 30]:
            self.replies.produce(self.ledger.replies, partition=partition, key=message.key(), value=message.value(), headers=message.headers())
            self.copies += 1
        assert self.replies.flush(30) == 0

    def stop(self):
        self.ending.set()
        self.join(90)
        assert not self.is_alive(), "Kafka takes no requests"
        if self.error is not None:
            raise self.error


def kill_a_worker_now_and_then(ledger, over, failures):
    try:
        while not over.wait(5):
            ledger.kill("worker-1", expel=True)
            ledger.start("worker-1")
    except BaseException as error:
        failures.append(("worker-1", error))


def die_often(listener, failures):
    rng = random.Random(f"{SEED} {listener.language}")
    try:
        for _ in range(KILLS):
            listener.live_and_die(rng)
        listener.start()
    except BaseException as error:
        failures.append((listener.language, error))


def check_books(ledger, listener):
    """Each reply once; per partition in order; and the money is that of paybuf's rows."""
    expected = Counter(reply["position"] for reply in ledger.answers().values())
    listener.wait_booked(sum(expected.values()), 300)
    time.sleep(1.5)                         # one that is booked twice would come now
    listener.kill()
    booked = listener.positions()
    got = Counter(booked)
    assert got == expected, (f"seed {SEED}, {listener.language}: {len(expected - got)} missing {list(expected - got)[:5]}, "
                             f"{len(got - expected)} too many {list(got - expected)[:5]}")
    for p in range(ledger.partitions):
        offsets = [int(position.split("-")[2]) for position in booked if position.split("-")[1] == str(p)]
        assert offsets == sorted(offsets), f"seed {SEED}, {listener.language}: out of order in partition {p}"
    paid = "SELECT count(*), coalesce(sum(amount_minor), 0) FROM {} WHERE outcome = 'paid'"
    assert tuple(listener.select(paid.format("booking") + " AND NOT duplicate")[0]) == tuple(ledger.sql(paid.format("paybuf.payment"))[0])
    return len(booked)


def test_listeners_killed_at_any_instant_book_each_reply_exactly_once(new_ledger, tmp_path):
    ledger = new_ledger(accounts=ACCOUNTS)
    listeners = [kind(ledger, tmp_path) for kind in LISTENERS.values()]
    load, over, failures = Load(ledger), threading.Event(), []
    killer = threading.Thread(target=kill_a_worker_now_and_then, args=(ledger, over, failures))
    lives = [threading.Thread(target=die_often, args=(listener, failures)) for listener in listeners]
    for thread in (load, killer, *lives):
        thread.start()
    try:
        for thread in lives:
            thread.join()
        over.set()
        killer.join(240)
        assert not killer.is_alive(), "the worker doesn't come back"
        load.stop()
        assert not failures, f"seed {SEED}: {failures}"
        ledger.wait_at_rest()
        in_log = sum(len(messages) for messages in ledger.read(ledger.replies).values())
        for listener in listeners:
            booked = check_books(ledger, listener)
            print(f"seed {SEED}: {listener.language}: {KILLS} kills, {booked} replies booked once each, {in_log} in the log")
    finally:
        over.set()
        load.ending.set()
        for listener in listeners:
            listener.kill()
    assert in_log > booked and load.copies > 0, "there were no copies to be fooled by"


def test_of_two_that_write_the_same_books_one_ends_and_each_reply_is_booked_once(new_ledger, listen):
    ledger = new_ledger(accounts=ACCOUNTS)
    first, second = listen(ledger), listen(ledger)
    for name in {"books", "url", "environment"} & vars(first).keys():
        setattr(second, name, getattr(first, name))
    ledger.append(ledger.workload(200, ACCOUNTS))
    first.start()
    first.wait_booked(1)
    first.kill()
    ledger.append(ledger.workload(200, ACCOUNTS, seed=2))
    ledger.wait_at_rest()
    with first.held():                      # both have read where they stand, and have the same replies in hand
        first.start()
        second.start()
        first.wait_until_wait(2)
    seeds = count(100)

    def one_found_the_other():
        ledger.append(ledger.workload(1, ACCOUNTS, seed=next(seeds)))       # for one that came too late for what was there
        return "another listener" in first.said()
    wait_until(one_found_the_other, 60, "one of them found the other's position")
    wait_until(lambda: sum(listener.process.poll() is None for listener in (first, second)) == 1, 60, "and ended")
    second.kill()
    first.kill()
    ledger.wait_at_rest()
    first.start()
    check_books(ledger, first)


def test_no_metadata_of_a_customer_stops_a_listener(new_ledger, listen):
    ledger = new_ledger(accounts=ACCOUNTS)
    metadata = ['{"n":1e400000}', '{"n":-1e-400000}', '{"n":' + "9" * 1000 + "}", '{"n":' + "[" * 29 + "]" * 29 + "}", '{"n":"\\ud83d\\ude00"}', "{}"]
    ledger.append([(f"o-{i}".encode(), f'{{"order_id":"o-{i}","account_id":"a-1","amount_minor":1,"currency":"EUR","metadata":{data}}}'.encode(), [])
                   for i, data in enumerate(metadata)])
    ledger.wait_at_rest()
    assert {answer["outcome"] for answer in ledger.answers().values()} == {"paid"}
    listener = listen(ledger)
    listener.start()
    listener.wait_booked(len(metadata))
    listener.kill()
    assert {row[0] for row in listener.select("SELECT order_id FROM booking")} == {f"o-{i}" for i in range(len(metadata))}
