"""The group's committed offset is a courtesy to lag tools: it must not crowd out what keeps a worker in its group.

A broker answers one request per connection at a time, heartbeats included, and with three brokers a commit takes as long as its
replication. A commit for each settled batch and lane is more than that connection carries: the worker is thrown out of its group with
nothing broken (found by ./dev chaos)."""
import json
import time

from confluent_kafka import Consumer, TopicPartition
from stack import wait_until

OWN_SERVERS = True                      # all groups of a broker share __consumer_offsets


def commits_written(ledger):
    """Each partition of a commit is a record of __consumer_offsets."""
    consumer = ledger.consumer()
    try:
        return consumer.get_watermark_offsets(TopicPartition("__consumer_offsets", 0), timeout=60)[1]
    finally:
        consumer.close()


def test_a_worker_commits_at_most_once_a_second_and_in_the_end_the_last(new_ledger):
    ledger = new_ledger(accounts=["a-1"])
    ledger.wait_claimed()
    began, before = time.monotonic(), commits_written(ledger)

    def most():
        return (time.monotonic() - began + 2) * ledger.partitions

    def settled():
        return ledger.metric("worker-1", "paybuf_worker_batches_total")

    # A commit for each batch would be seen, however slow the machine: there are more of them than may be written.
    producer, appended = ledger.producer(**{"linger.ms": 0}), 0
    while appended < 300 or settled() < 100 + most():
        assert appended < 20_000, f"{settled()} batches in {time.monotonic() - began:.0f} s: the load is too easy to prove anything"
        order = {"order_id": f"o-{appended}", "account_id": "a-1", "amount_minor": 1, "currency": "EUR"}
        producer.produce(ledger.requests, value=json.dumps(order).encode(), key=order["order_id"].encode())
        producer.poll(0.005)
        appended += 1
    assert producer.flush(60) == 0
    ledger.wait_at_rest()
    written = commits_written(ledger) - before
    assert written <= most(), f"{written} in {time.monotonic() - began:.1f} s"

    ends = {p: high for p, (_, high) in ledger.bounds().items()}
    consumer = Consumer({"bootstrap.servers": ledger.bootstrap(), "group.id": ledger.group, "log_level": 0})
    wait_until(lambda: {p.partition: p.offset for p in consumer.committed([TopicPartition(ledger.requests, p) for p in ends], timeout=60)} == ends, 60,
               f"the group's offsets at the logs' ends {ends}")
    consumer.close()
