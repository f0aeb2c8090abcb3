"""intake_calls - what the intake's tests share: an order, a problem document, and what the log has of the calls that were made."""
import json
import os
import subprocess
import time
from contextlib import contextmanager

from confluent_kafka import KafkaException, TopicPartition

from stack import wait_until

# For every test that isn't about it: a broker that has just begun, on a machine that is busy, may take seconds for an append. That is honestly 503 or 504.
PATIENT = {"PAYBUF_PRODUCER_STALL_MS": "20000", "PAYBUF_PRODUCER_REQUEST_TIMEOUT_MS": "25000"}


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
        record = wait_until(lambda: next((r for r in [consumer.poll(0.5)] if r is not None and r.error() is None), None), 60, f"the record at {position}")
        assert record.offset() == offset
        return record
    finally:
        consumer.close()


def open_log(stack, topic):
    """(a consumer, {partition: (start, end)}). A broker that was frozen, or is busy, forgets for a moment who leads; a consumer that heard so may keep
    to it for long, so it is another one that asks again."""
    def ask():
        consumer = stack.consumer()
        try:
            return consumer, {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=20) for p in range(stack.partitions)}
        except KafkaException:
            consumer.close()
            return None
    return wait_until(ask, 120, f"where {topic} ends")


def read_log(stack):
    """{order_id: ["1-p-o", ...]} of the whole request log, each one's in the order of a partition."""
    (consumer, bounds), found = open_log(stack, stack.requests), {}
    try:
        for partition, (low, high) in bounds.items():
            consumer.assign([TopicPartition(stack.requests, partition, low)])
            at, deadline = low, time.monotonic() + 60
            while at < high:
                assert time.monotonic() < deadline, "the log can't be read"
                for record in consumer.consume(10_000, timeout=1):
                    if record.error() is not None or record.partition() != partition:
                        continue            # until the deadline; or it is the last partition's, whose log has grown meanwhile
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


def metrics(stack, *names):
    """The values of the intake's metrics at one moment. An admin port that doesn't answer is no 0, as it is to stack.metric: this asks until it does."""
    values = wait_until(lambda: stack.metrics("producer"), 60, "the intake's metrics")
    return [values.get(name, 0) for name in names]


def wait_idle(stack, *others):
    """Until no record is on its way to the log, and these gauges are 0."""
    names = ("paybuf_intake_in_flight_records", *others)
    wait_until(lambda: not any(metrics(stack, *names)), 60, f"nothing is left of {', '.join(names)}")


@contextmanager
def intake(stack, **settings):
    """The ledger with an intake of these [producer] settings, which ends well when it is stopped."""
    stack.start("producer", **PATIENT, **{f"PAYBUF_PRODUCER_{name.upper()}": str(value) for name, value in settings.items()})
    try:
        yield stack
    finally:
        assert stack.stop("producer") == 0


def run_producer(stack, *arguments):
    """The program with these arguments and nothing of the stack's settings."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PAYBUF_")}
    return subprocess.run([stack.binary("paybuf-producer"), *arguments], env=environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
