"""The group's committed offset is a courtesy to lag tools: it must not crowd out what keeps a worker in its group.

A broker answers one request per connection at a time, heartbeats included, and with three brokers a commit takes as long as its
replication. A commit for each settled batch and lane is more than that connection carries: the worker is thrown out of its group with
nothing broken (found by ./dev chaos)."""
import time

from confluent_kafka import Consumer, TopicPartition
from stack import wait_until

OWN_SERVERS = True                      # all groups of a broker share __consumer_offsets


def commits_written(ledger):
    """Each partition of a commit is a record of __consumer_offsets."""
    return ledger.consumer().get_watermark_offsets(TopicPartition("__consumer_offsets", 0), timeout=20)[1]


def test_a_worker_commits_at_most_once_a_second_and_in_the_end_the_last(new_ledger):
    ledger = new_ledger(accounts=["a-1"])
    ledger.wait_claimed()
    began, before = time.monotonic(), commits_written(ledger)
    for i in range(300):
        ledger.append([{"order_id": f"o-{i}", "account_id": "a-1", "amount_minor": 1, "currency": "EUR"}])
        time.sleep(0.01)
    ledger.wait_at_rest()
    seconds = time.monotonic() - began
    batches = ledger.metric("worker-1", "paybuf_worker_batches_total")
    assert batches > 100, "the load was too easy to prove anything"
    assert commits_written(ledger) - before <= (seconds + 2) * ledger.partitions

    ends = {p: high for p, (_, high) in ledger.bounds().items()}
    consumer = Consumer({"bootstrap.servers": ledger.bootstrap(), "group.id": ledger.group, "log_level": 0})
    wait_until(lambda: {p.partition: p.offset for p in consumer.committed([TopicPartition(ledger.requests, p) for p in ends], timeout=10)} == ends, 10,
               f"the group's offsets at the logs' ends {ends}")
