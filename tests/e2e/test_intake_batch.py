"""POST /v1/payments:batch on a real log: every answer line is true, whatever the client or the broker does in the middle."""
import json
import os
import re
import socket
import threading
import time
from pathlib import Path

import pytest

from intake_calls import PATIENT, assert_honest, metrics, order, read_log, record_at, wait_idle
from raw_http import Connection, message
from stack import wait_until

OWN_SERVERS = True           # one test freezes the broker


@pytest.fixture(scope="module")
def intake(servers):
    stack = servers.new_ledger("intake_batch", workers=())
    stack.start("producer", **PATIENT, PAYBUF_PRODUCER_BATCH_LINES_MAX="60000", PAYBUF_PRODUCER_BATCH_BYTES_MAX="2000000")
    yield stack


class SlowSender:
    """A whole line, and then a byte now and then, until the server has enough; beside the other tests."""

    def __init__(self, url):
        self.connection, self.lived_s = Connection(url), 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        began = time.monotonic()
        self.connection.send(head(self.connection, "Content-Length: 1000000") + ndjson([order("dripping")]))
        try:
            while time.monotonic() - began < 120:
                self.connection.send(b" ")
                time.sleep(0.5)
        except OSError:
            pass
        self.lived_s = time.monotonic() - began


@pytest.fixture(scope="module", autouse=True)
def slow_sender(intake):
    intake.slow_sender = SlowSender(intake.env["PAYBUF_HTTP_URL"])
    return intake.slow_sender


def ndjson(documents):
    return b"".join(d if isinstance(d, bytes) else json.dumps(d).encode() + b"\n" for d in documents)


def head(connection, *lines):
    return message(connection.host, ["Content-Type: application/x-ndjson", *lines], request_line="POST /v1/payments:batch HTTP/1.1")


def send(connection, documents):
    body = ndjson(documents)
    connection.send(head(connection, f"Content-Length: {len(body)}") + body)
    return lines_of(connection.answer())


def lines_of(answer):
    assert answer is not None, "the server closed without an answer"
    status, headers, body = answer
    assert status == 200 and headers["content-type"] == "application/x-ndjson", answer
    assert headers["x-request-id"] and headers["traceparent"]
    lines = [json.loads(line) for line in body.decode().splitlines()]
    for line in lines:
        assert {"line", "status", "code", "order_id", "position"} <= set(line)
        assert (line["position"] is not None) == (line["status"] == 202)
    return lines


def open_batches(stack):
    """But for the slow sender's: its thread hears of its end a little later than we."""
    return metrics(stack, "paybuf_intake_batches")[0] - stack.slow_sender.thread.is_alive()


def assert_lines_honest(stack, lines):
    assert_honest(stack, {line["order_id"]: (line["status"], line["position"]) for line in lines if line["order_id"]})


def test_a_thousand_lines_lie_where_their_answers_say_in_order(intake, connection):
    ids = [f"thousand-{i}" for i in range(1000)]
    lines = send(connection, [order(i) for i in ids])
    assert [line["order_id"] for line in lines] == ids
    assert [line["line"] for line in lines] == list(range(1, 1001))
    assert {(line["status"], line["code"]) for line in lines} == {(202, "accepted")}
    assert all(re.fullmatch(r"1-\d+-\d+", line["position"]) for line in lines)
    assert_lines_honest(intake, lines)
    assert connection.post(order("after-thousand"))[0] == 202, "the connection goes on"


def test_bad_lines_stand_between_good_ones(intake, connection):
    lines = send(connection, [order("mixed-1"), b"\n", b"{oops\n", order("mixed-2", amount_minor="7"), order("mixed-3", x=1), b"\xff\xfe\n",
                              json.dumps(order("mixed-4")).encode().ljust(9000) + b"x\n", order("mixed-5"), b'{"order_id":"a","order_id":"b"}\n'])
    assert [(line["line"], line["status"], line["code"], line["order_id"]) for line in lines] == [
        (1, 202, "accepted", "mixed-1"), (3, 400, "malformed_json", None), (4, 400, "bad_field", "mixed-2"), (5, 400, "bad_field", "mixed-3"),
        (6, 400, "malformed_json", None), (7, 413, "too_large", None), (8, 202, "accepted", "mixed-5"), (9, 400, "malformed_json", None)]
    assert lines[2]["errors"][0]["pointer"] == "/amount_minor" and lines[3]["errors"][0]["pointer"] == "/x"
    assert_lines_honest(intake, lines)


def test_lines_are_appended_as_they_come(intake, connection):
    """The first line is in the log while the second isn't sent yet."""
    connection.send(head(connection, "Transfer-Encoding: chunked"))
    first, second = ndjson([order("stream-1")]), ndjson([order("stream-2")])
    connection.send(b"%x\r\n%s\r\n" % (len(first), first))
    wait_until(lambda: "stream-1" in read_log(intake), 50, "the first line is in the log")
    connection.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(second), second))
    lines = lines_of(connection.answer())
    assert [line["status"] for line in lines] == [202, 202]
    assert_lines_honest(intake, lines)


def test_a_batch_byte_by_byte_in_chunks_of_one(connection):
    connection.send(head(connection, "Transfer-Encoding: chunked"))
    for byte in ndjson([order("bytes-1"), order("bytes-2")]):
        connection.send(b"1\r\n%c\r\n" % byte)
    connection.send(b"0\r\n\r\n")
    assert [line["status"] for line in lines_of(connection.answer())] == [202, 202]


def test_a_trace_and_a_request_id_go_with_every_record(intake, connection):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = ndjson([order("trace-1"), order("trace-2")])
    connection.send(head(connection, f"Content-Length: {len(body)}", f"traceparent: {trace}", "X-Request-Id: batch-1") + body)
    _, headers, text = answer = connection.answer()
    assert headers["traceparent"] == trace and headers["x-request-id"] == "batch-1"
    for line in lines_of(answer):
        assert dict(record_at(intake, line["position"]).headers())["traceparent"] == trace.encode()


def test_too_many_lines_and_bytes_end_a_batch_with_one_last_word(intake, connection):
    lines = send(connection, [order("many-first"), *[b"x\n"] * 59_998, order("many-last"), order("many-beyond"), *[b"x" * 999 + b"\n"] * 1500])
    assert len(lines) == 60_001 and lines[0]["status"] == lines[59_999]["status"] == 202
    assert (lines[-1]["line"], lines[-1]["status"], lines[-1]["code"]) == (60_001, 413, "too_large")
    with Connection(intake.env["PAYBUF_HTTP_URL"]) as announced:
        announced.send(head(announced, "Content-Length: 2000001"))
        assert announced.answer()[0] == 413
    with Connection(intake.env["PAYBUF_HTTP_URL"]) as chunked:
        big = [order(f"big-{i}", metadata={"a": "x" * 1900}) for i in range(1100)]
        chunked.send(head(chunked, "Transfer-Encoding: chunked"))
        body = ndjson(big)
        for at in range(0, len(body), 60000):
            piece = body[at:at + 60000]
            chunked.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        chunked.send(b"0\r\n\r\n")
        lines += (more := lines_of(chunked.answer()))
        assert (more[-1]["status"], more[-1]["code"]) == (413, "too_large") and 900 < len(more) < 1100
    assert_lines_honest(intake, lines)


def test_an_endless_batch_is_cut_off(intake):
    with Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
        connection.send(head(connection, "Transfer-Encoding: chunked"))
        piece = b"\n" * 0x4000
        with pytest.raises(ConnectionError):
            for _ in range(100_000):
                connection.send(b"4000\r\n" + piece + b"\r\n")


@pytest.mark.parametrize("lines, body, status", [
    (["Content-Type: application/json"], b"{}\n", 415), (["Content-Type: application/x-ndjson"], b"", 400), (["Content-Type: application/x-ndjson"], b"\n\n", 400),
    (["Content-Type: application/x-ndjson", "Idempotency-Key: a"], b"{}\n", 400)])
def test_a_call_that_is_no_batch_is_refused_as_a_whole(connection, lines, body, status):
    connection.send(message(connection.host, [*lines, f"Content-Length: {len(body)}"], body, request_line="POST /v1/payments:batch HTTP/1.1"))
    got, headers, text = connection.answer()
    assert got == status and headers["content-type"] == "application/problem+json", text
    assert connection.post(order("after-no-batch"))[0] == 202


@pytest.mark.parametrize("lines", [["Content-Length: 94", "Content-Length: 94"], ["Content-Length: 94", "Transfer-Encoding: chunked"], ["Transfer-Encoding: gzip, chunked"],
                                   ["Content-Length: +94"], ["Content-Length: 94", "Content-Type: application/json"]], ids=range(5))
def test_a_dangerous_head_is_refused_and_nothing_is_read(intake, lines):
    with Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
        connection.send(head(connection, *lines) + ndjson([order("smuggled-0")]) + head(connection, "Content-Length: 94") + ndjson([order("smuggled-1")]))
        answer = connection.answer()
        assert answer is None or answer[0] == 400, answer
        assert connection.answer() is None
    assert not {"smuggled-0", "smuggled-1"} & set(read_log(intake))


@pytest.mark.parametrize("chunk", [b"-5\r\n", b"zz\r\n", b"FFFFFFFFFFFFFFFFF\r\n", b"5\r\nhelloX\r\n", b"\x00\r\n"], ids=range(5))
def test_a_broken_chunk_ends_the_batch_and_what_follows_isnt_read(intake, chunk, request):
    before, after = f"chunk-{request.node.callspec.id}-before", f"chunk-{request.node.callspec.id}-after"
    first, second = ndjson([order(before)]), ndjson([order(after)])
    with Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
        connection.send(head(connection, "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n" % (len(first), first) + chunk +
                        b"%x\r\n%s\r\n0\r\n\r\n" % (len(second), second) + head(connection, f"Content-Length: {len(second)}") + second)
        answer = connection.answer()
        assert answer is None or answer[0] in (400, 413), answer
        assert connection.answer() is None
    log = read_log(intake)
    assert len(log.get(before, [])) <= 1 and after not in log


def test_clients_that_hang_up_leave_nothing_behind(intake):
    def resident_kib():
        with open(f"/proc/{intake.pid('producer')}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    body = ndjson([order(f"hang-{i}") for i in range(300)])
    for round_ in range(60):
        with Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
            connection.send(head(connection, f"Content-Length: {len(body)}") + body[:len(body) * round_ // 59])
        if round_ % 5 == 0:                 # what is on its way takes memory: never more than these
            wait_until(lambda: open_batches(intake) == 0, 60, "all batches are gone")
            wait_idle(intake)
        if round_ == 20:
            before = resident_kib()
    wait_until(lambda: open_batches(intake) == 0, 60, "all batches are gone")
    wait_idle(intake)
    if "asan" not in Path(f"/proc/{intake.pid('producer')}/maps").read_text():      # which keeps freed memory for a while
        assert resident_kib() < before + 4096


MEGABYTES_OF_ANSWER = b"x\n" * 50_000          # more than the kernel takes for a client that doesn't read


def test_a_client_that_reads_slowly_gets_it_all(intake):
    with Connection(intake.env["PAYBUF_HTTP_URL"], timeout_s=40, receive_buffer=4096) as connection:
        connection.send(head(connection, f"Content-Length: {len(MEGABYTES_OF_ANSWER)}") + MEGABYTES_OF_ANSWER)
        time.sleep(3)
        wait_until(lambda: open_batches(intake) == 1, 10, "it is being sent")
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)      # it has 20 s, slow or not
        assert len(lines_of(connection.answer())) == 50_000
    wait_until(lambda: open_batches(intake) == 0, 60, "it is over")


def test_a_client_that_never_reads_is_closed(intake):
    with Connection(intake.env["PAYBUF_HTTP_URL"], timeout_s=40, receive_buffer=4096) as connection:
        connection.send(head(connection, f"Content-Length: {len(MEGABYTES_OF_ANSWER)}") + MEGABYTES_OF_ANSWER)
        time.sleep(3)
        wait_until(lambda: open_batches(intake) == 1, 10, "it is being sent")
        wait_until(lambda: open_batches(intake) == 0, 60, "it is closed")


def test_more_batches_than_allowed_are_refused_before_they_are_read(new_ledger):
    alone = new_ledger(workers=())          # no slow sender may end just now
    alone.start("producer", **PATIENT, PAYBUF_PRODUCER_BATCHES_MAX="9")
    opened = []
    try:
        for i in range(9):
            opened.append(Connection(alone.env["PAYBUF_HTTP_URL"]))
            opened[-1].send(head(opened[-1], "Content-Length: 1000") + ndjson([order(f"open-{i}")]))
        wait_until(lambda: metrics(alone, "paybuf_intake_batches") == [9], 50, "as many as allowed are open")
        with Connection(alone.env["PAYBUF_HTTP_URL"]) as connection:
            connection.send(head(connection, "Content-Length: 10") + b"          ")
            status, headers, body = connection.answer()
            assert status == 503 and json.loads(body)["code"] == "not_accepted" and int(headers["retry-after"]) >= 1
            assert connection.post(order("single-beside-batches"))[0] == 202
    finally:
        for connection in opened:
            connection.close()
    wait_idle(alone, "paybuf_intake_batches")


def test_a_broker_that_freezes_in_the_middle_makes_honest_lines(new_ledger, servers):
    alone = new_ledger(workers=())
    alone.start("producer", PAYBUF_PRODUCER_REQUEST_TIMEOUT_MS="9000", PAYBUF_PRODUCER_STALL_MS="5000", PAYBUF_PRODUCER_INFLIGHT_RECORDS_MAX="3000")
    wait_until(lambda: Connection(alone.env["PAYBUF_HTTP_URL"]).post(order("first"))[0] == 202, 60, "the broker has begun")
    before = metrics(alone, "paybuf_intake_acknowledged_total")[0]
    with Connection(alone.env["PAYBUF_HTTP_URL"], timeout_s=55) as connection:
        connection.send(head(connection, "Transfer-Encoding: chunked"))

        def chunk(name, count):
            body = ndjson([order(f"{name}-{i}") for i in range(count)])
            connection.send(b"%x\r\n%s\r\n" % (len(body), body))

        chunk("before", 100)
        wait_until(lambda: metrics(alone, "paybuf_intake_acknowledged_total") == [before + 100], 30, "the first ones are acknowledged")
        servers.freeze("kafka")
        try:
            chunk("frozen", 3500)       # more than inflight_records_max
            wait_until(lambda: alone.admin("producer", "/readyz")[0] == 503, 30, "stall_ms is over")
            chunk("stalled", 100)
            connection.send(b"0\r\n\r\n")
            lines = lines_of(connection.answer())
        finally:
            servers.thaw("kafka")
    of = {}
    for line in lines:
        of.setdefault(line["order_id"].split("-")[0], []).append(line["status"])
    assert [len(of[name]) for name in ("before", "frozen", "stalled")] == [100, 3500, 100]
    assert set(of["before"]) == {202}
    assert of["frozen"].count(504) == 3000 and of["frozen"].count(503) == 500
    assert set(of["stalled"]) == {503}
    alone.wait_ready("producer")
    wait_idle(alone)
    assert_lines_honest(alone, lines)


def test_a_client_that_waits_for_100_continue_gets_it(connection):
    body = ndjson([order(f"expect-{i}") for i in range(50)])
    connection.send(head(connection, f"Content-Length: {len(body)}", "Expect: 100-continue"))
    assert connection.answer()[0] == 100
    connection.send(body)
    assert [line["status"] for line in lines_of(connection.answer())] == [202] * 50


def test_a_client_that_sends_slowly_is_closed_after_a_minute(intake, slow_sender):
    slow_sender.thread.join(130)
    assert not slow_sender.thread.is_alive() and 50 < slow_sender.lived_s < 110
    assert "dripping" in read_log(intake), "what it sent before was taken"


def test_sigterm_finishes_a_batch_under_way(intake):
    with Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
        body = ndjson([order(f"term-{i}") for i in range(200)])
        before, = metrics(intake, "paybuf_intake_acknowledged_total")
        connection.send(head(connection, f"Content-Length: {len(body)}") + body[:len(body) // 2])
        wait_until(lambda: metrics(intake, "paybuf_intake_acknowledged_total")[0] >= before + 90, 50, "half of it is accepted")
        os.kill(intake.pid("producer"), 15)
        wait_until(lambda: "stopping: " in intake.log("producer"), 60, "it stops")
        connection.send(body[len(body) // 2:])
        lines = lines_of(connection.answer())
        assert {line["status"] for line in lines[:90]} == {202} and {line["status"] for line in lines[110:]} == {503}
        assert connection.is_closed()
    assert intake.children["producer"].wait(60) == 0
    assert_lines_honest(intake, lines)


def test_a_body_that_ends_after_the_drain_ran_out_is_refused_or_unanswered(intake):
    intake.start("producer", PAYBUF_PRODUCER_DRAIN_MS="300")
    with Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
        body = json.dumps(order("late-1")).encode()
        connection.send(message(connection.host, ["Content-Type: application/json", f"Content-Length: {len(body)}", "Expect: 100-continue"]))
        assert connection.answer()[0] == 100        # so it has begun
        connection.send(body[:-1])
        os.kill(intake.pid("producer"), 15)
        wait_until(lambda: "drain_ms is over" in intake.log("producer"), 60, "the drain ran out")
        try:
            connection.send(body[-1:])
            answer = connection.answer()
        except ConnectionError:
            answer = None
        assert answer is None or answer[0] == 503
    assert intake.children["producer"].wait(60) == 0
    assert "late-1" not in read_log(intake)
