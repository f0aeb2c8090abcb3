"""intake_calls - what the intake's tests share: an order, a problem document, and what the log has of the calls that were made."""
import json
import os
import subprocess
import time
from contextlib import contextmanager

from confluent_kafka import TopicPartition

from stack import wait_until


def order(order_id, **members):
    return {"order_id": order_id, "account_id": "alice", "amount_minor": 1250, "currency": "EUR", **members}


def problem(answer, status, code):
    """Asserts an RFC 9457 answer and gives its document."""
    assert answer is not None, "the server closed without an answer"
    got, headers, body = answer
    assert got == status, (got, body)
    assert headers["content-type"] == "application/problem+json"
    document = json.loads(body)
    assert document["status"] == status and document["code"] == code, document
    assert document["request_id"] == headers["x-request-id"]
    assert document["retryable"] is (status in (429, 503, 504))
    assert document["title"] and document["detail"] and document["type"]
    return document


def record_at(stack, position):
    generation, partition, offset = (int(word) for word in position.split("-"))
    assert generation == 1
    consumer = stack.consumer()
    try:
        consumer.assign([TopicPartition(stack.requests, partition, offset)])
        record = wait_until(lambda: consumer.poll(0.5), 20, f"the record at {position}")
        assert record.error() is None and record.offset() == offset
        return record
    finally:
        consumer.close()


def read_log(stack):
    """{order_id: ["1-p-o", ...]} of the whole request log."""
    consumer, found = stack.consumer(), {}
    try:
        for partition in range(stack.partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(stack.requests, partition), timeout=20)
            consumer.assign([TopicPartition(stack.requests, partition, low)])
            at, deadline = low, time.monotonic() + 60
            while at < high:
                assert time.monotonic() < deadline, "the log can't be read"
                for record in consumer.consume(10_000, timeout=1):
                    assert record.error() is None
                    found.setdefault(record.key().decode(), []).append(f"1-{partition}-{record.offset()}")
                    at = record.offset() + 1
    finally:
        consumer.close()
    return found


def assert_honest(stack, answers):
    """{order_id: (status, position)} of orders that were sent once each, 0 for a broken connection: 202 lies where it says, 504 and a
    broken connection lie at most once anywhere, everything else nowhere."""
    log = read_log(stack)
    for order_id, (status, position) in answers.items():
        places = log.get(order_id, [])
        if status == 202:
            assert places == [position], f"202 {position} for {order_id}, but it lies at {places}"
        else:
            assert len(places) <= (status in (0, 504)), f"{status} for {order_id}, but it lies at {places}"


@contextmanager
def intake(stack, **settings):
    """The ledger with an intake of these [producer] settings, which ends well when it is stopped."""
    stack.start("producer", **{f"PAYBUF_PRODUCER_{name.upper()}": str(value) for name, value in settings.items()})
    try:
        yield stack
    finally:
        assert stack.stop("producer") == 0


def run_producer(stack, *arguments):
    """The program with these arguments and nothing of the stack's settings."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PAYBUF_")}
    return subprocess.run([stack.binary("paybuf-producer"), *arguments], env=environment, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
