"""The listeners of docs/examples on reply logs that the test writes itself: gaps, generations, retention, another ledger's replies."""
import random
import time

from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions

from example_listeners import LISTENERS, kind, listen  # noqa: F401
from stack import QUIET, wait_until

LEDGER_ID = "d03dbc18-12e4-46be-9a87-433a64143dd2"


class Log:
    """A ledger without workers: the test writes the replies to the one partition itself."""

    def __init__(self, servers):
        name = f"hand-{random.getrandbits(32):08x}"
        self.requests, self.replies = f"{name}.requests", f"{name}.replies"
        self.bootstrap, self.connect, self.binary, self.env = servers.bootstrap, servers.connect, servers.binary, servers.env
        for topic in (self.requests, self.replies):
            servers.create_topic(topic, 1)
        self.producer = Producer({"bootstrap.servers": servers.bootstrap(), **QUIET})

    def write(self, *replies, generation=1, ledger_id=LEDGER_ID, partition=0):
        """(source offset, covers from), ..."""
        failed = []
        for s, c in replies:
            value = f'{{"position":"{generation}-{partition}-{s}","order_id":"o-{s}","outcome":"paid","duplicate":false,"account_id":"a","amount_minor":1}}'
            headers = {"source-offset": str(s), "covers-from": str(c), "log-generation": str(generation), "ledger-id": ledger_id}
            self.producer.produce(self.replies, partition=partition, key=f"o-{s}", value=value, headers=list(headers.items()),
                                  on_delivery=lambda error, _: error is None or failed.append(error))
        assert self.producer.flush(60) == 0 and not failed, failed


def stays(listener, positions):
    """The books are so, and stay so."""
    wait_until(lambda: listener.positions() == positions, 90, f"{positions} booked, not {listener.positions()}:\n{listener.said()[-2000:]}")
    time.sleep(0.5)
    assert listener.positions() == positions


def says(listener, *words):
    wait_until(lambda: all(word in listener.said() for word in words), 60, f"{words} said")


def test_at_a_gap_a_listener_waits_and_goes_on_when_it_was_closed(servers, listen):
    log = Log(servers)
    listener = listen(log)
    log.write((0, 0), (1, 1), (4, 4), (5, 5))
    listener.start()
    stays(listener, ["1-0-0", "1-0-1"])
    says(listener, "1-0-2", "replay")
    listener.kill()                         # the gap is seen again after a restart
    listener.start()
    log.write((2, 2))
    stays(listener, ["1-0-0", "1-0-1", "1-0-2"])
    log.write((3, 3))
    stays(listener, [f"1-0-{s}" for s in range(6)])
    log.write((4, 4), (6, 6))
    log.write((0, 0), (1, 1), generation=2)  # a loss was accepted: positions begin anew
    log.write((7, 7))
    stays(listener, [f"1-0-{s}" for s in range(7)] + ["2-0-0", "2-0-1", "1-0-7"])


def test_a_listener_that_begins_after_retention_finds_its_place_and_notices_gaps_from_there(servers, listen):
    log = Log(servers)
    listener = listen(log)
    for _ in range(8):                      # E0 is 8
        log.producer.produce(log.requests, partition=0, value=b"a request")
    log.write((0, 0), (1, 1), (2, 2), (1, 1), (2, 2), (3, 3))
    servers.delete_records(log.replies, 0, 3)
    listener.start()
    stays(listener, ["1-0-1", "1-0-2", "1-0-3"])
    listener.kill()
    log.write((6, 6))                       # a jump: it isn't in the picture yet
    listener.start()
    stays(listener, ["1-0-1", "1-0-2", "1-0-3", "1-0-6"])
    log.write((7, 7), (8, 8), (12, 12))     # now it is
    stays(listener, ["1-0-1", "1-0-2", "1-0-3", "1-0-6", "1-0-7", "1-0-8"])
    says(listener, "1-0-9")


def test_a_reply_of_another_ledger_is_not_booked_and_said(servers, listen):
    log = Log(servers)
    listener = listen(log)
    log.write((0, 0))
    listener.start()
    stays(listener, ["1-0-0"])
    log.write((1, 1), ledger_id="4e68d77c-99c3-454e-831d-bc4f08c129e1")
    says(listener, "4e68d77c")
    listener.kill()
    assert listener.positions() == ["1-0-0"]


def test_partitions_of_a_topic_that_grows_are_booked_from_their_start_by_listeners_that_run(servers, tmp_path):
    log = Log(servers)
    listeners = [kind(log, tmp_path) for kind in LISTENERS.values()]    # side by side: each looks every 10 s only
    log.write((0, 0), (1, 1))
    try:
        for listener in listeners:
            listener.start()
        for listener in listeners:
            listener.wait_booked(2)
        for topic in (log.replies, log.requests):
            for future in servers.admin_client().create_partitions([NewPartitions(topic, 3)]).values():
                future.result(30)
            wait_until(lambda: len(servers.admin_client().list_topics(topic, timeout=20).topics[topic].partitions) == 3, 60, f"the broker shows that {topic} grew")
        log.producer = Producer({"bootstrap.servers": log.bootstrap(), **QUIET})     # the old one still knows one partition
        log.write((0, 0), (2, 1), partition=1)
        log.write((0, 0), partition=2)
        log.write((2, 2))
        grown = ["1-0-0", "1-0-1", "1-0-2", "1-1-0", "1-1-2", "1-2-0"]
        for listener in listeners:
            wait_until(lambda: sorted(listener.positions()) == grown, 90, f"{grown} booked, not {listener.positions()}:\n{listener.said()[-2000:]}")
        for listener in listeners:
            listener.kill()
            listener.start()
        log.write((2, 1), (3, 3), partition=1)
        for listener in listeners:
            listener.wait_booked(7)
            stays(listener, listener.positions()[:6] + ["1-1-3"])
    finally:
        for listener in listeners:
            listener.kill()
