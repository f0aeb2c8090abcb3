"""The intake while its broker is away, frozen, or lies: 202 is stored, 503 certainly isn't, 504 may be; nothing is appended twice by one call.

Each order is sent exactly once and never again, so that the log shows what became of each call.
"""
import json
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from conftest import own_stack
from intake_calls import assert_honest, order
from kafka_proxy import NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND, NOT_LEADER, KafkaProxy
from raw_http import Connection
from stack import wait_until


@pytest.fixture(scope="module", params=[1], ids=["one-partition"])
def servers(request):
    """Kafka and the topics; each test starts the intake as it needs it."""
    with own_stack(request, "intake-outage", partitions=request.param) as stack:
        stack.up(workers=(), producer=False)
        yield stack


class Intake:
    """The program itself, outside of ./dev, which would wait for its readiness."""

    def __init__(self, stack, **settings):
        self.url, self.admin = stack.env["PAYBUF_HTTP_URL"], stack.env["PAYBUF_ADMIN_URL"]
        environment = {**stack.environment, "PAYBUF_PRODUCER_REQUEST_TIMEOUT_MS": "3000", "PAYBUF_PRODUCER_STALL_MS": "1000", **settings}
        self.log_path = stack.run_dir / "log" / "producer.log"
        with self.log_path.open("a") as log:
            self.process = subprocess.Popen([stack.binary("paybuf-producer"), "--config", str(stack.run_dir / "paybuf.conf")], env=environment, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        wait_until(lambda: self.get("/livez")[0] == 200, 60, "the intake listens")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        code = self.process.poll()
        if code is None:
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(60)
        if kind is None:
            assert code == 0, f"the intake exited {code}"

    def get(self, path):
        try:
            with urllib.request.urlopen(self.admin + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name):
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split(" ")[1])
        raise AssertionError(f"no metric {name}")

    def await_ready(self, timeout_s=120):
        wait_until(lambda: self.get("/readyz")[0] == 200, timeout_s, "ready")

    def post(self, order_id, timeout_s=40):
        with Connection(self.url, timeout_s) as connection:
            return judge(connection.post(order(order_id)))

    def await_accepted(self, prefix):
        """Until a payment is accepted: a broker that has just come may take its time for the first. {order_id: answer} of all that were tried."""
        answers = {}

        def is_accepted():
            order_id = f"{prefix}-{len(answers)}"
            answers[order_id] = self.post(order_id)
            return answers[order_id][0] == 202
        wait_until(is_accepted, 120, "202")
        return answers


def judge(answer):
    """(status, code or position) of an answer that keeps the contract; (0, '') for a broken connection."""
    if answer is None:
        return 0, ""
    status, headers, body = answer
    document = json.loads(body)
    if status == 202:
        return status, document["position"]
    assert (status, document["code"]) in ((503, "not_accepted"), (504, "outcome_unknown")), answer
    assert document["retryable"] is True
    if status == 503:
        assert 1 <= int(headers["retry-after"]) <= 60
    return status, document["code"]


class Clients:
    """Closed-loop clients that send fresh orders, each once, and remember what was said about each."""

    def __init__(self, intake, prefix, count=16):
        self.answers, self.times, self.stopping, self.lock = {}, [], False, threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(intake, f"{prefix}-{i}"), daemon=True) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, intake, prefix):
        number, connection = 0, None
        while not self.stopping:
            order_id = f"{prefix}-{number}"
            number += 1
            began = time.monotonic()
            try:
                connection = connection or Connection(intake.url)
                answer = judge(connection.post(order(order_id)))
            except OSError:
                answer = (0, "")
            if answer[0] == 0:
                connection = None
                time.sleep(0.05)
            elif answer[0] == 503:
                time.sleep(0.02)
            with self.lock:
                self.answers[order_id] = answer
                self.times.append((began, time.monotonic() - began, answer[0]))

    def counts(self):
        with self.lock:
            return Counter(status for status, _ in self.answers.values())

    def await_more(self, least, *statuses):
        """Until so many more of each of these answers came."""
        before = self.counts()
        wait_until(lambda: all(self.counts()[status] >= before[status] + least for status in statuses), 120, f"{least} more of {statuses}")

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(90)
            assert not thread.is_alive()
        return self.counts()


def test_it_starts_without_a_broker_says_so_and_recovers_without_a_restart(servers):
    servers.dev("stop", "kafka")
    try:
        with Intake(servers) as intake:
            status, reason = intake.get("/readyz")
            assert status == 503 and "pay.requests" in reason
            began = time.monotonic()
            answers = {f"early-{i}": intake.post(f"early-{i}") for i in range(20)}
            assert time.monotonic() - began < 20       # at once: nobody waits for request_timeout_ms
            assert {a for a in answers.values()} == {(503, "not_accepted")}
            servers.dev("start", "kafka")
            intake.await_ready()
            assert_honest(servers, {**answers, **intake.await_accepted("early-ok")})
    finally:
        servers.dev("start", "kafka")


@pytest.mark.parametrize("how", ["kill"])
def test_a_broker_that_goes_away_and_comes_back(servers, how):
    with Intake(servers) as intake:
        intake.await_ready()
        clients = Clients(intake, f"away-{how}")
        clients.await_more(100, 202)
        servers.dev(how, "kafka")
        gone = time.monotonic()
        time.sleep(6)
        clients.await_more(100, 503)
        assert intake.get("/readyz")[0] == 503
        back = time.monotonic()
        servers.dev("start", "kafka")
        intake.await_ready()
        clients.await_more(100, 202)
        clients.stop()
        slow = [t for t in clients.times if t[1] > 3 + 5]       # ... and what a busy machine adds
        assert not slow, f"answers must come within request_timeout_ms: {slow[:5]}"
        late = [t for t in clients.times if gone + 4.5 < t[0] < back and t[2] != 503]
        assert not late, f"after a while without acknowledgements everything is refused up front: {late[:5]}"
        assert_honest(servers, clients.answers)


def test_a_frozen_broker_makes_504_then_503_and_late_acknowledgements_hurt_nobody(servers):
    with Intake(servers) as intake:
        intake.await_ready()
        clients = Clients(intake, "frozen")
        clients.await_more(50, 202)
        servers.freeze("kafka")
        try:
            before = clients.counts()
            clients.await_more(1, 504)
            clients.await_more(50, 503)
            in_the_ice = clients.counts() - before
        finally:
            servers.thaw("kafka")
        assert in_the_ice[504] <= 40, in_the_ice           # 16 clients, each but once
        intake.await_ready()
        clients.await_more(50, 202)
        clients.stop()
        wait_until(lambda: intake.metric("paybuf_intake_late_acknowledgements_total") >= 1, 60, "late acknowledgements")
        wait_until(lambda: intake.metric("paybuf_intake_in_flight_records") == 0, 60, "nothing under way")
        assert_honest(servers, clients.answers)


def test_a_broker_frozen_for_longer_than_anybody_waits_gets_a_new_producer(servers):
    with Intake(servers, PAYBUF_PRODUCER_REQUEST_TIMEOUT_MS="500", PAYBUF_PRODUCER_STALL_MS="200") as intake:
        intake.await_ready()
        clients = Clients(intake, "long")
        clients.await_more(50, 202)
        replaced = intake.metric("paybuf_intake_producers_replaced_total")
        servers.freeze("kafka")
        try:
            wait_until(lambda: intake.metric("paybuf_intake_producers_replaced_total") > replaced, 60, "the producer is replaced")
            assert intake.metric("paybuf_intake_in_flight_records") == 0
        finally:
            servers.thaw("kafka")
        intake.await_ready()
        clients.await_more(1, 202)
        clients.stop()
        assert_honest(servers, clients.answers)


def test_a_missing_topic_is_refused_up_front(servers):
    with Intake(servers, PAYBUF_REQUEST_TOPIC="pay.nothing") as intake:
        status, reason = intake.get("/readyz")
        assert status == 503 and "pay.nothing" in reason
        assert intake.post("nothing-1") == (503, "not_accepted")
        admin = AdminClient({"bootstrap.servers": servers.env["PAYBUF_KAFKA_BOOTSTRAP"]})
        admin.create_topics([NewTopic("pay.nothing", 1, 1)])["pay.nothing"].result(60)
        intake.await_ready()
        intake.await_accepted("nothing-2")


def test_a_full_budget_is_503_at_once(servers):
    with Intake(servers, PAYBUF_PRODUCER_INFLIGHT_RECORDS_MAX="3", PAYBUF_PRODUCER_STALL_MS="20000", PAYBUF_PRODUCER_REQUEST_TIMEOUT_MS="20000") as intake:
        intake.await_ready()
        servers.freeze("kafka")
        try:
            clients = Clients(intake, "budget", count=12)
            clients.await_more(20, 503)
            assert clients.counts().keys() == {503}
            assert intake.metric("paybuf_intake_in_flight_records") == 3
        finally:
            servers.thaw("kafka")
        clients.await_more(1, 202)
        clients.stop()
        assert_honest(servers, clients.answers)


def test_no_connection_carries_a_second_append_before_the_first_is_answered(servers):
    """With more on their way, a leader change can append one call twice: docs/decisions/026."""
    with KafkaProxy(servers.env["PAYBUF_KAFKA_BOOTSTRAP"]) as proxy:
        with Intake(servers, PAYBUF_KAFKA_BOOTSTRAP=proxy.address, PAYBUF_PRODUCER_LINGER_MS="0") as intake:
            intake.await_ready()
            clients = Clients(intake, "one", count=32)
            clients.await_more(300, 202)
            clients.stop()
            assert proxy.most_unanswered == 1


def test_a_first_request_that_is_refused_yields_no_202_for_what_isnt_stored(servers):
    """PITFALLS: librdkafka reports the refused batch as delivered, with offset -1001; the records are in no log."""
    with KafkaProxy(servers.env["PAYBUF_KAFKA_BOOTSTRAP"]) as proxy:
        refused = proxy.refuse(NOT_ENOUGH_REPLICAS)
        with Intake(servers, PAYBUF_KAFKA_BOOTSTRAP=proxy.address, PAYBUF_PRODUCER_LINGER_MS="0") as intake:
            intake.await_ready()
            clients = Clients(intake, "lie", count=32)
            wait_until(lambda: refused.used == 1, 60, "the first request refused")
            clients.await_more(100, 202)
            counts = clients.stop()
            print("answers", counts, "odd acknowledgements", intake.metric('paybuf_intake_unknown_total{reason="odd_acknowledgement"}'))
            assert_honest(servers, clients.answers)


@pytest.mark.parametrize("error", [NOT_ENOUGH_REPLICAS_AFTER_APPEND, NOT_LEADER], ids=["not-enough-replicas-after-append", "not-leader"])
def test_a_leader_that_appends_and_then_says_no_never_yields_503(servers, error):
    with KafkaProxy(servers.env["PAYBUF_KAFKA_BOOTSTRAP"]) as proxy:
        lied = proxy.lie(error, times=10_000, when=lambda n: n % 7 == 3)
        with Intake(servers, PAYBUF_KAFKA_BOOTSTRAP=proxy.address) as intake:
            intake.await_ready()
            clients = Clients(intake, f"append-{error}", count=16)
            wait_until(lambda: lied.used > 5, 120, "lies told")
            clients.await_more(50, 202)
            counts = clients.stop()
            print("answers", counts)
            assert_honest(servers, clients.answers)


def test_an_answer_that_never_comes_is_504_and_the_intake_goes_on(servers):
    with KafkaProxy(servers.env["PAYBUF_KAFKA_BOOTSTRAP"]) as proxy:
        swallowed = proxy.swallow(when=lambda n: n == 5)
        with Intake(servers, PAYBUF_KAFKA_BOOTSTRAP=proxy.address) as intake:
            intake.await_ready()
            clients = Clients(intake, "swallow", count=16)
            wait_until(lambda: swallowed.used == 1 and clients.counts()[504] >= 1, 60, "an answer lost")
            clients.await_more(1, 202)
            intake.await_ready()
            clients.stop()
            assert_honest(servers, clients.answers)


def test_sigterm_with_the_broker_gone_ends_in_time(servers):
    servers.freeze("kafka")
    try:
        intake = Intake(servers, PAYBUF_PRODUCER_DRAIN_MS="1000")
        intake.process.send_signal(signal.SIGTERM)
        assert intake.process.wait(30) == 0
    finally:
        servers.thaw("kafka")
    with Intake(servers, PAYBUF_PRODUCER_DRAIN_MS="1000", PAYBUF_PRODUCER_STALL_MS="60000", PAYBUF_PRODUCER_REQUEST_TIMEOUT_MS="60000") as intake:
        intake.await_ready()
        servers.freeze("kafka")
        try:
            clients = Clients(intake, "term", count=4)
            wait_until(lambda: intake.metric("paybuf_intake_in_flight_records") == 4, 60, "all wait")
            intake.process.send_signal(signal.SIGTERM)
            assert intake.process.wait(30) == 0         # they would wait for 60
            assert clients.stop()[504] >= 1
        finally:
            servers.thaw("kafka")
    assert_honest(servers, clients.answers)
