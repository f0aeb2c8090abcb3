"""`Prefer: wait=n` and known results: who waits gets the reply to his own record or an honest 202, whatever breaks meanwhile."""
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from intake_calls import PATIENT, metrics, order, read_log, wait_idle
from intake_waiting import WAIT_S, Answer, Asking, ask, ask_many, assert_own_answers, start_following, told, waiters, waits
from kafka_proxy import KafkaProxy
from raw_http import Connection
from stack import wait_until


@pytest.fixture
def paying(new_ledger):
    """A ledger with a worker, alice's account, and an intake."""
    ledger = new_ledger(accounts=["alice"])
    start_following(ledger)
    return ledger


# --- waiting, with a real worker ---

def test_who_waits_gets_the_answer_to_his_own_record_whatever_it_is(paying):
    first = ask(paying, order("o-1"))
    again, other = ask_many(paying, [order("o-1"), order("o-1", amount_minor=7)])
    declined, early = ask_many(paying, [order("o-2", account_id="nobody"), order("o-3", attempt=2)])
    seen = [(a.document["outcome"], a.document["reason"], a.document["duplicate"]) for a in (first, again, other, declined, early)]
    assert seen == [("paid", None, False), ("paid", None, True), ("conflict", "amount_minor_differs", False),
                    ("declined", "unknown_account", False), ("invalid", "attempt_out_of_sequence", False)]
    assert "idempotent-replayed" not in again.headers
    with Connection(paying.env["PAYBUF_HTTP_URL"]) as put:
        put_answer = Answer(put.post({"account_id": "alice", "amount_minor": 3, "currency": "EUR"}, "/v1/payments/o-9", "PUT", [f"Prefer: wait={WAIT_S}"]))
    assert put_answer.document["order_id"] == "o-9"
    assert_own_answers(paying, first, again, other, declined, early, put_answer)
    assert waits(paying, "answered") == 6
    paying.check()


def test_many_with_one_identity_each_get_their_own_answer(paying):
    """Whichever comes first is paid; every other one hears of its own amount, never of somebody else's."""
    amounts = [100 + i % 10 for i in range(40)]
    answers = ask_many(paying, [order("same", amount_minor=amount) for amount in amounts])
    assert_own_answers(paying, *answers)
    assert [answer.document["amount_minor"] for answer in answers] == amounts
    assert len({answer.document["position"] for answer in answers}) == 40
    assert sum(a.document["outcome"] == "paid" and not a.document["duplicate"] for a in answers) == 1
    assert paying.sql("SELECT count(*) FROM paybuf.payment") == [(1,)]


def test_somebody_elses_answer_under_the_same_identity_wakes_nobody(idle):
    """The worker is played here, so that the other's answer comes first and alone."""
    assert ask(idle, order("same"), wait=0).status == 202
    mine = Asking(idle, order("same", amount_minor=7))
    wait_until(lambda: waiters(idle) == 1 and len(read_log(idle)["same"]) == 2, 60, "waiting")
    positions = [tuple(int(word) for word in position.split("-")) for position in read_log(idle)["same"]]
    (_, partition, first), (_, _, second) = positions
    told(idle, partition, first, value=b'{"outcome":"conflict"}')
    wait_until(lambda: idle.metric("producer", "paybuf_intake_replies_total", move="taken") == 1, 60, "the first reply taken")
    assert waiters(idle) == 1
    told(idle, partition, second, value=b'{"outcome":"mine"}')
    assert mine.end().document == {"outcome": "mine"}


def test_a_reply_before_the_acknowledgement_is_kept_for_it(paying):
    """The broker's answer to the intake is held back; the worker has long replied. On a busy machine it hasn't: then once more, for longer."""
    taken, acknowledged = 'paybuf_intake_replies_total{move="taken"}', "paybuf_intake_acknowledged_total"

    def ask_late(order_id, late_s, replies=0):
        """(answer, whether its reply, and so many others', came before its acknowledgement)"""
        partitions = sum(high > 0 for _, high in paying.bounds(paying.replies).values())
        wait_until(lambda: metrics(paying, taken)[0] >= partitions, 60, "where the logs are")
        seen, appended = metrics(paying, taken, acknowledged)
        late = proxy.delay(late_s, client="paybuf-producer", times=1)
        asking = Asking(paying, order(order_id))
        wait_until(lambda: late.used == 1 and metrics(paying, taken)[0] == seen + 1, 60, "the reply")
        if replies > 0:
            paying.append([order(f"{order_id}-{i}") for i in range(replies)])
            wait_until(lambda: metrics(paying, taken)[0] == seen + 1 + replies, 60, "the others' replies")
        came_first = metrics(paying, acknowledged) == [appended]
        return asking.end(), came_first

    with KafkaProxy(paying.bootstrap()) as proxy:
        paying.stop("producer")
        start_following(paying, PAYBUF_KAFKA_BOOTSTRAP=proxy.address)
        for late_s in (2, 8, 16):
            answer, came_first = ask_late(f"o-{late_s}", late_s)
            assert_own_answers(paying, answer)
            if came_first:
                break
        assert came_first, "the reply never came first: nothing was tried"
        # The same, but so many replies come meanwhile that it is forgotten: an honest 202 at once, no hanging.
        paying.stop("producer")
        start_following(paying, PAYBUF_KAFKA_BOOTSTRAP=proxy.address, PAYBUF_PRODUCER_RESULTS_BYTES="65536")
        for late_s in (4, 8, 16):
            answer, came_first = ask_late(f"m-{late_s}", late_s, replies=400)
            if came_first:
                break
        assert came_first and answer.status == 202 and answer.applied is None and waits(paying, "missed") >= 1


def test_a_worker_that_is_killed_delays_the_answer_and_a_missing_one_makes_it_202(paying):
    paying.kill("worker-1", expel=True)
    short = ask(paying, order("o-1"), wait=1)
    assert (short.status, short.applied) == (202, "wait=1")
    assert short.document["status"] == "accepted" and "position=" in short.headers["location"]
    waiting = [Asking(paying, order(f"k-{i}")) for i in range(10)]
    wait_until(lambda: waiters(paying) == 10, 20, "waiting")
    paying.start("worker-1", wait=False)
    assert_own_answers(paying, *(asking.end() for asking in waiting))
    # And in the middle of work: whoever doesn't hear the answer in time is told 202; all are charged once.
    with ThreadPoolExecutor(8) as pool:
        storm = [pool.submit(ask, paying, order(f"s-{i}")) for i in range(200)]
        wait_until(lambda: waits(paying, "answered") > 60, 60, "under way")
        paying.kill("worker-1", expel=True)
        paying.start("worker-1", wait=False)
        answers = [future.result(300) for future in storm]
    for answer in answers:
        assert answer.status in (200, 202)
    assert sum(answer.status == 200 for answer in answers) > 100
    paying.wait_at_rest()
    paying.check()


def test_an_intake_that_is_killed_charges_nobody_twice(paying):
    """kill -9 while they wait; everybody tries again until there is a result."""
    enough = threading.Event()

    def pay(order_id):
        deadline = time.monotonic() + 180
        while True:
            assert time.monotonic() < deadline, f"{order_id} has no result"
            answer = ask(paying, order(order_id))
            if answer is not None and answer.status == 200:
                return answer
            time.sleep(0.1)

    def pay_on(client):
        paid = []
        while not enough.is_set():
            paid.append(pay(f"o-{client}-{len(paid)}"))
        return paid

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(pay_on, client) for client in range(8)]
        try:
            for _ in range(2):
                before = waits(paying, "answered")
                wait_until(lambda: waits(paying, "answered") > before + 20, 60, "under way")
                paying.kill("producer")
                start_following(paying)
        finally:
            enough.set()
        answers = [answer for client in clients for answer in client.result(300)]
    assert all(answer.document["outcome"] == "paid" for answer in answers)
    assert paying.sql("SELECT count(*) FROM paybuf.payment") == [(len(answers),)]
    paying.wait_at_rest()
    paying.check()


# --- waiting, and its bounds ---

def test_a_client_that_hangs_up_frees_its_place(idle):
    with Connection(idle.env["PAYBUF_HTTP_URL"]) as connection:
        body = json.dumps(order("o-1"))
        connection.send(f"POST /v1/payments HTTP/1.1\r\nHost: {connection.host}\r\nContent-Type: application/json\r\nPrefer: wait=30\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        wait_until(lambda: waiters(idle) == 1, 20, "waiting")
    wait_until(lambda: metrics(idle, "paybuf_intake_waiters", 'paybuf_intake_waits_total{end="cut_short"}') == [0, 1], 20, "its place is free")
    wait_idle(idle, "paybuf_intake_connections")
    assert len(read_log(idle)["o-1"]) == 1


def test_beyond_waiters_max_it_is_202_at_once_and_sigterm_cuts_the_waits_short(idle):
    idle.stop("producer")
    start_following(idle, PAYBUF_PRODUCER_WAITERS_MAX="2")
    waiting = [Asking(idle, order(f"o-{i}")) for i in range(2)]
    wait_until(lambda: waiters(idle) == 2, 20, "waiting")
    answer = ask(idle, order("o-2"))
    assert (answer.status, answer.applied) == (202, None) and waits(idle, "refused") == 1
    assert idle.stop("producer") == 0
    for asking in waiting:
        assert (asking.end().status, asking.answer.applied) == (202, None)
        assert asking.answer.document["position"]
    idle.start("producer", **PATIENT, PAYBUF_PRODUCER_FOLLOW_REPLIES="false")
    answer = ask(idle, order("o-3"))
    assert (answer.status, answer.applied) == (202, None)


# --- known results ---

def test_a_known_result_is_told_without_a_new_record_until_it_is_forgotten(paying):
    paying.stop("producer")
    start_following(paying, PAYBUF_PRODUCER_KNOWN_RESULTS="true")
    first = ask(paying, order("o-1"))
    refused = ask(paying, order("o-2", account_id="nobody"))
    for answer, document in ((first, order("o-1")), (refused, order("o-2", account_id="nobody"))):
        again = ask(paying, document, wait=0)
        assert (again.status, again.headers["idempotent-replayed"], again.applied) == (200, "true", None)
        assert again.document == {**answer.document, "duplicate": True}
    assert ask(paying, order("o-1", metadata={"n": 2}), wait=0).document["metadata"] == {"n": 2}
    other = ask(paying, order("o-1", amount_minor=7))
    assert other.document["outcome"] == "conflict"
    assert_own_answers(paying, first, refused, other)
    log = read_log(paying)
    assert (len(log["o-1"]), len(log["o-2"])) == (2, 1)
    assert metrics(paying, *(f'paybuf_intake_known_results_total{{result="{result}"}}' for result in ("hit", "miss"))) == [3, 3]
    paying.kill("producer")
    start_following(paying, PAYBUF_PRODUCER_KNOWN_RESULTS="true")
    assert ask(paying, order("o-1"), wait=0).status == 202, "a restart forgets: the log decides"
    again = ask(paying, order("o-1"))
    assert again.document["duplicate"] is True
    paying.wait_at_rest()
    paying.check()


def test_a_storm_of_repeats_with_known_results_charges_each_once(paying):
    paying.stop("producer")
    start_following(paying, PAYBUF_PRODUCER_KNOWN_RESULTS="true")
    work = paying.workload(1500, ["alice"], seed=5, duplicates=0.5)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda document, wait: ask(paying, document, wait), work, [WAIT_S, 0, WAIT_S] * 500))
    hits, = metrics(paying, 'paybuf_intake_known_results_total{result="hit"}')
    assert hits > 50, hits
    paying.wait_at_rest()
    assert sum(len(places) for places in read_log(paying).values()) == len(work) - hits
    on_file = {(row[0], row[1]): row[2:] for row in paying.sql("SELECT order_id, attempt, outcome, amount_minor FROM paybuf.payment")}
    for document, answer in zip(work, answers):
        assert answer.status in (200, 202)
        if answer.status == 200 and answer.document["outcome"] in ("paid", "declined"):
            decided = on_file[document["order_id"], document.get("attempt", 1)]
            assert decided == (answer.document["outcome"], document["amount_minor"])
    paying.check()
