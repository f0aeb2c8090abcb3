"""GET /v1/results: every reply once and in order per partition, whatever breaks; a resume is exact, from memory and from the log."""
import hashlib
import http.client
import json
import random
import signal
import socket
import threading
import time
from contextlib import contextmanager

import pytest

import intake_calls
from event_stream import EventStream, Refused
from intake_calls import metrics, order
from stack import wait_until

ACCOUNTS = ["alice", "bob", "carol"]


@pytest.fixture(scope="module")
def paying(servers):
    """A ledger that pays; each test starts the intake that it wants."""
    stack = servers.new_ledger("intake_results", accounts=ACCOUNTS)
    yield stack


@contextmanager
def intake(stack, **settings):
    with intake_calls.intake(stack, **settings):
        wait_placed(stack)
        yield stack


def wait_placed(stack):
    """Until the intake just started knows where each partition is, by its last reply: a stream that begins earlier may be told that one, too."""
    consumer, bounds = intake_calls.open_log(stack, stack.replies)
    consumer.close()
    partitions = sum(high > low for low, high in bounds.values())
    wait_until(lambda: metrics(stack, 'paybuf_intake_replies_total{move="taken"}')[0] >= partitions, 60, "each partition's last reply read")


def end_of_log(stack):
    """The places of a stream that begins now, as its first id."""
    stream = EventStream(stack)
    stream.close()
    return stream.last_id


def answers(stack, tenant="default"):
    """{position: reply}, from the log, by a reader that shares no code with the intake."""
    return {f"1-{p}-{s}": reply for (p, s), reply in stack.answers().items() if reply["tenant"] == tenant}


def assert_exactly(stream, wanted):
    """These positions, each once, in order per partition."""
    got = stream.positions()
    assert len(got) == len(set(got)), "a result came twice"
    assert set(got) == set(wanted), (len(got), len(wanted), list(set(wanted) - set(got))[:5], list(set(got) - set(wanted))[:5])
    for partition in {p.split("-")[1] for p in got}:
        offsets = [int(p.split("-")[2]) for p in got if p.split("-")[1] == partition]
        assert offsets == sorted(offsets)


def wait_for(stream, wanted, timeout_s=120):
    wait_until(lambda: len(stream.events) >= len(wanted), timeout_s, f"{len(wanted)} results on a stream")
    assert_exactly(stream, wanted)


def pay(stack, count, seed, **workload):
    positions = stack.append(stack.workload(count, ACCOUNTS, seed=seed, **workload))
    return {f"1-{p}-{o}" for p, o in positions}


def test_each_result_comes_once_as_the_log_has_it(paying):
    with intake(paying):
        stream = EventStream(paying)
        wanted = pay(paying, 300, 1)
        wait_for(stream, wanted)
        log = answers(paying)
        assert all(document == log[document["position"]] for _, document in stream.events)
        assert len({document["outcome"] for _, document in stream.events}) >= 2
        stream.close()


def test_a_resume_from_any_id_is_exact_from_memory_and_from_the_log(paying):
    with intake(paying):
        first = EventStream(paying)
        wanted = pay(paying, 200, 2)
        wait_for(first, wanted)
        order_of, ids = first.positions(), first.ids
        first.close()

        def resume(count):
            stream = EventStream(paying, last_id=ids[count])
            wait_for(stream, order_of[count + 1:])
            stream.close()
        for count in (0, 99, 198, 199):
            resume(count)
        assert metrics(paying, 'paybuf_intake_streams_resumed_total{from="memory"}') == [4]
        paying.kill("producer")
        paying.start("producer")
        for count in (0, 99, 198, 199):
            resume(count)
        assert metrics(paying, 'paybuf_intake_streams_resumed_total{from="log"}')[0] >= 3


def test_nothing_is_lost_or_repeated_when_the_intake_is_killed(paying):
    with intake(paying):
        stream = EventStream(paying, reconnect=True)
        wanted = set()
        for round_ in range(4):
            load = []
            thread = threading.Thread(target=lambda: load.append(pay(paying, 400, 30 + round_)))
            thread.start()
            time.sleep(0.15)
            paying.kill("producer")
            paying.start("producer")
            thread.join(120)
            wanted |= load[0]
            wait_until(lambda: stream.connections >= round_ + 2, 60, "the stream resumed")
        wait_for(stream, wanted)
        stream.close()


def test_fifty_streams_see_everything_that_is_theirs_while_payments_flow(paying):
    with intake(paying):
        rng = random.Random(4)
        filters = [{}, {"account_id": "alice"}, {"outcome": "conflict"}, {"account_id": "bob", "outcome": "paid,declined"}, {"outcome": "invalid"}]
        streams = [(f, EventStream(paying, reconnect=True, **f)) for f in (filters[i % 5] for i in range(50))]
        wanted = set()
        dropped = {}
        for burst in range(6):
            wanted |= pay(paying, 250, 40 + burst)
            for _, stream in rng.sample(streams, 5):
                dropped[stream] = stream.connections
                stream.drop()
        paying.wait_at_rest()
        wait_until(lambda: all(stream.connections > before for stream, before in dropped.items()), 60, "those dropped come again")
        log = {position: reply for position, reply in answers(paying).items() if position in wanted}
        for chosen, stream in streams:
            mine = [p for p, reply in log.items() if chosen.get("account_id") in (None, reply["account_id"])
                    and reply["outcome"] in chosen.get("outcome", reply["outcome"]).split(",")]
            wait_for(stream, mine)
        wait_until(lambda: metrics(paying, "paybuf_intake_streams") == [50], 60, "the dropped ones' ends seen")
        for _, stream in streams:
            stream.closing = True
        for _, stream in streams:
            stream.close()


def test_a_filtered_streams_resume_point_moves_on_with_pings(paying):
    with intake(paying):
        stream, witness = EventStream(paying, outcome="invalid"), EventStream(paying)
        begin = stream.last_id
        wanted = pay(paying, 50, 5, duplicates=0)
        wait_for(witness, wanted)
        end = end_of_log(paying)                      # a ping before may have been of somewhere in the middle
        wait_until(lambda: "ping" in stream.comments and stream.last_id == end, 60, "a ping from there")
        assert begin != end and stream.events == []
        resumed, from_begin = EventStream(paying, last_id=stream.last_id), EventStream(paying, last_id=begin)
        wait_for(from_begin, wanted)
        more = pay(paying, 5, 6, duplicates=0)
        wait_for(resumed, more)
        for each in (stream, witness, resumed, from_begin):
            each.close()


def test_a_slow_reader_is_ended_and_goes_on_exactly(paying):
    with intake(paying, results_stream_bytes=1 << 20):
        slow = EventStream(paying, start=False)
        answer = slow.connect()
        answer.readline(), answer.readline()          # retry and id; from here on it takes nothing
        begin = end_of_log(paying)
        wanted = set()
        for burst in range(20):                       # more than sockets and ring hold
            wanted |= pay(paying, 1500, 60 + burst)
            paying.wait_at_rest()
            if paying.metric("producer", "paybuf_intake_streams_ended_total", reason="slow") > 0:
                break
        wait_until(lambda: paying.metric("producer", "paybuf_intake_streams_ended_total", reason="slow") == 1, 60, "the slow reader cut")
        wait_until(lambda: metrics(paying, "paybuf_intake_streams") == [0], 60, "its stream gone")
        assert metrics(paying, "paybuf_intake_stream_bytes")[0] <= 1 << 20
        try:
            answer.readline()                         # the blank line
            slow.read(answer)
        except (OSError, AssertionError, ValueError, http.client.HTTPException):
            pass                                      # cut in the middle of a block: that one doesn't count
        slow.last_id = slow.last_id or begin
        assert 0 < len(slow.events) < len(wanted)
        slow.reconnect = True
        slow.thread.start()
        wait_for(slow, wanted)
        slow.close()


def test_who_asks_for_what_retention_took_is_told_so(paying):
    with intake(paying):
        stream = EventStream(paying)
        begin = stream.last_id
        wait_for(stream, pay(paying, 100, 7))         # else the intake may not have read them all yet
        stream.close()
        behind = stream.last_id
    ends = {p: high for p, (_, high) in paying.bounds(paying.replies).items()}
    paying.delete_records(paying.replies, 2, ends[2] - 1)
    with intake(paying):
        with pytest.raises(Refused) as refused:
            EventStream(paying, last_id=begin)
        assert refused.value.status == 410 and refused.value.document["code"] == "gone" and not refused.value.document["retryable"]
        stream = EventStream(paying, last_id=behind)
        wanted = pay(paying, 20, 8)
        wait_for(stream, wanted)
        stream.close()


def test_a_key_sees_its_tenants_results_only(paying, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{name} {tenant} {scope} {hashlib.sha256(name.encode()).hexdigest()}\n" for name, tenant, scope in
                            (("shop", "acme", "pay"), ("books", "acme", "read"), ("other", "rival", "admin"))))
    with intake(paying, api_keys=keys):
        for headers, status in (({}, 401), ({"Authorization": "Bearer shop"}, 403)):
            with pytest.raises(Refused) as refused:
                EventStream(paying, headers=headers)
            assert refused.value.status == status
        acme, rival = (EventStream(paying, headers={"Authorization": f"Bearer {key}"}) for key in ("books", "other"))
        begin = acme.last_id
        assert paying.post(order("tenant-1"), headers={"authorization": "Bearer shop"})[0] == 202
        wait_until(lambda: acme.events, 60, "acme's result")
        assert acme.events[0][1]["tenant"] == "acme" and acme.events[0][1]["order_id"] == "tenant-1"
        resumed = EventStream(paying, headers={"Authorization": "Bearer other"}, last_id=begin)
        assert paying.post(order("tenant-2"), headers={"authorization": "Bearer other"})[0] == 202
        for stream in (rival, resumed):
            wait_until(lambda: stream.events, 60, "the rival's result")
            assert [(document["tenant"], document["order_id"]) for _, document in stream.events] == [("rival", "tenant-2")]
        for stream in (acme, rival, resumed):
            stream.close()


def test_no_more_streams_than_allowed(paying):
    with intake(paying, results_streams_max=2):
        streams = [EventStream(paying), EventStream(paying)]
        with pytest.raises(Refused) as refused:
            EventStream(paying, patient=False)
        assert refused.value.status == 503 and refused.value.document["code"] == "unavailable" and refused.value.headers["retry-after"]
        streams[0].close()
        wait_until(lambda: metrics(paying, "paybuf_intake_streams") == [1], 60, "the first one's end seen")
        third = EventStream(paying)
        for stream in (streams[1], third):
            stream.close()


def test_stopping_ends_streams_cleanly(paying):
    with intake(paying):
        stream = EventStream(paying)
        paying.signal("producer", signal.SIGTERM)
        assert stream.ended.wait(60)
        assert [comment for comment in stream.comments if comment != "ping"] == ["this server is shutting down"] and stream.error is None


def test_what_isnt_an_event_id_is_refused(paying):
    with intake(paying):
        good = end_of_log(paying)
        for bad in ("x", good[:-1], good + "A", "AQ", "1-2-3", good.swapcase()):
            with pytest.raises(Refused) as refused:
                EventStream(paying, last_id=bad)
            assert refused.value.status == 400 and refused.value.document["code"] == "bad_parameter"
            with pytest.raises(Refused):
                EventStream(paying, last_event_id=bad)
        for query in ({"outcome": "payed"}, {"account_id": "a b"}, {"accountid": "alice"}):
            with pytest.raises(Refused) as refused:
                EventStream(paying, **query)
            assert refused.value.status == 400
        EventStream(paying, last_event_id=good).close()


def test_a_client_that_hangs_up_is_noticed(paying):
    with intake(paying):
        host, port = paying.env["PAYBUF_HTTP_URL"][len("http://"):].split(":")
        with socket.create_connection((host, int(port)), timeout=60) as client:
            client.sendall(b"GET /v1/results HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
            assert metrics(paying, "paybuf_intake_streams") == [1]
        wait_until(lambda: metrics(paying, "paybuf_intake_streams") == [0], 60, "the hang-up noticed")


# --- a reply log that the test writes itself: repeats of zombies, gaps, other generations ---

LEDGER_ID = "6f3c2a44-52f5-4e0e-8f06-0d5a2c1b9e01"


class Replies:
    """Replies as a worker publishes them, for request records that never were."""

    def __init__(self, stack):
        self.stack = stack
        self.producer = stack.producer()

    def put(self, sources, covers=None, partition=0, generation=1):
        for source in sources:
            covers = source if covers is None else covers
            value = {"schema": 1, "tenant": "default", "order_id": f"o-{source}", "attempt": 1, "outcome": "paid", "reason": None, "duplicate": False,
                     "account_id": "alice", "amount_minor": 1, "currency": "EUR", "balance_after_minor": 1, "account_version": 2,
                     "position": f"{generation}-{partition}-{source}", "original": f"{generation}-{partition}-{source}",
                     "decided_at": "2026-11-21T12:00:00.000000Z", "stored": None, "metadata": None}
            headers = {"source-offset": source, "covers-from": covers, "log-generation": generation, "ledger-id": LEDGER_ID}
            self.producer.produce(self.stack.replies, key=f"o-{source}", value=json.dumps(value, separators=(",", ":")), partition=partition,
                                  headers={name: str(text) for name, text in headers.items()})
            covers = source + 1
        assert self.producer.flush(60) == 0


def at(*sources, partition=0, generation=1):
    return [f"{generation}-{partition}-{source}" for source in sources]


def test_repeats_of_zombies_neither_hide_nor_repeat_anything(new_ledger):
    stack = new_ledger(partitions=1, workers=())
    replies = Replies(stack)
    with intake(stack):
        first = EventStream(stack)
        replies.put(range(0, 101))
        wait_for(first, at(*range(0, 101)))
        ids = first.ids
        replies.put(range(50, 61))                      # a zombie's: lower ones behind higher ones
        first.close()

        def resume(count, ends):
            stream = EventStream(stack, last_id=ids[count])
            wait_for(stream, at(*range(count + 1, ends)))
            stream.close()
        for from_log in (False, True):
            if from_log:
                stack.kill("producer")
                replies.put(range(101, 120))            # the intake's next beginning is behind them
                stack.start("producer")
            for count in (0, 48, 49, 55, 60, 61, 99):
                resume(count, 120 if from_log else 101)


def test_a_resume_waits_for_no_reply_that_lies_before_a_repeat_at_the_logs_end(new_ledger):
    stack = new_ledger(partitions=1, workers=())
    replies = Replies(stack)
    with intake(stack):
        first = EventStream(stack)
        replies.put(range(0, 3000))
        wait_for(first, at(*range(0, 3000)))
        ids = first.ids
        first.close()
        stack.kill("producer")
        replies.put(range(1000, 2500))
        replies.put([3000])
        stack.start("producer")
        for count in (500, 1200, 2000, 2498, 2999):
            stream = EventStream(stack, last_id=ids[count])
            wait_for(stream, at(*range(count + 1, 3001)))
            stream.close()


def test_a_stream_ends_at_a_gap_and_goes_on_when_it_is_filled(new_ledger):
    stack = new_ledger(partitions=1, workers=())
    replies = Replies(stack)
    with intake(stack):
        stream = EventStream(stack, reconnect=True)
        replies.put(range(0, 10))
        wait_for(stream, at(*range(0, 10)))
        replies.put(range(15, 20))                      # 10..14 are missing: an alarm, and nobody is told 15
        wait_until(lambda: metrics(stack, "paybuf_intake_reply_gaps") == [1], 60, "the gap seen")
        assert len(stream.events) == 10
        replies.put(range(10, 15))
        replies.put(range(15, 20))
        wait_for(stream, at(*range(0, 20)))
        stream.close()


def test_a_new_generation_begins_anew(new_ledger):
    stack = new_ledger(partitions=1, workers=())
    replies = Replies(stack)
    with intake(stack):
        stream = EventStream(stack)
        replies.put(range(0, 5))
        replies.put(range(0, 5), generation=2)
        wanted = at(*range(0, 5)) + at(*range(0, 5), generation=2)
        wait_until(lambda: len(stream.events) == 10, 60, "both generations")
        assert stream.positions() == wanted
        stack.kill("producer")
        stack.start("producer", PAYBUF_PRODUCER_LOG_GENERATION="2")
        for count in (2, 4, 6):
            resumed = EventStream(stack, last_id=stream.ids[count])
            wait_until(lambda: len(resumed.events) == 9 - count, 60, "the rest")
            assert resumed.positions() == wanted[count + 1:]
            resumed.close()
