"""A broker that refuses, lies and keeps waiting (kafka_proxy): the reply log has no hole, and no client is told a tale."""
import json
import threading
import time
from datetime import datetime, timezone

import pytest
from kafka_proxy import NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND, NOT_LEADER, REQUEST_TIMED_OUT, KafkaProxy

from stack import wait_until

ACCOUNTS = [f"a-{i}" for i in range(20)]
REPLIES, LETTERS, INTAKE = "paybuf-worker-replies", "paybuf-worker-letters", "paybuf-producer"


@pytest.fixture
def proxy(servers):
    with KafkaProxy(servers.bootstrap()) as proxy:
        yield proxy


def behind(proxy):
    return {"PAYBUF_KAFKA_BOOTSTRAP": proxy.address}


def replied_up_to_the_end(ledger):
    return all(lane["anchor_offset"] is None or lane["replied_offset"] == lane["anchor_offset"] + 1 for lane in ledger.lanes().values())


# --- the worker ---

@pytest.mark.parametrize("error", [NOT_ENOUGH_REPLICAS, NOT_LEADER], ids=["not_enough_replicas", "not_leader"])
def test_a_refused_first_request_leaves_no_hole_in_the_reply_log(new_ledger, proxy, error):
    ledger = new_ledger(workers=(), accounts=ACCOUNTS, partitions=2)
    ledger.start(**behind(proxy))
    ledger.append(ledger.workload(5, ACCOUNTS, prefix="warm"), partition=1)
    ledger.wait_at_rest()
    # One reply a request, and a refusal that takes its time: with more than one request in flight the broker, which knows nothing of
    # this producer in partition 0 yet, would take the next ones, and librdkafka would call the first delivered (offset -1001).
    # (Tried: with max.in.flight=5 the worker notices the lie and answers again, but readers saw a gap, and this fails.)
    refused = proxy.refuse(error, REPLIES, late_s=0.4)
    for request in ledger.workload(15, ACCOUNTS):
        ledger.append([request], partition=0)
        time.sleep(0.02)
    ledger.wait_at_rest()
    assert refused.used == 1
    assert replied_up_to_the_end(ledger)
    ledger.check()


def test_replies_that_were_appended_and_then_refused_are_seen_once_by_every_reader(new_ledger, proxy):
    ledger = new_ledger(workers=(), accounts=ACCOUNTS)
    ledger.append(ledger.workload(2000, ACCOUNTS))
    lies = [proxy.lie(error, REPLIES, times=1) for error in (NOT_ENOUGH_REPLICAS_AFTER_APPEND, REQUEST_TIMED_OUT, NOT_LEADER)]
    ledger.start(**behind(proxy), PAYBUF_WORKER_BATCH_RECORDS_MAX="100")
    ledger.wait_at_rest()
    assert [lie.used for lie in lies] == [1, 1, 1]
    assert replied_up_to_the_end(ledger)
    ledger.check()


def test_a_zombies_late_replies_are_repeats_that_every_reader_drops(new_ledger, proxy):
    ledger = new_ledger(workers=(), accounts=ACCOUNTS)
    ledger.append(ledger.workload(1500, ACCOUNTS))
    held = proxy.hold(REPLIES)
    ledger.start("worker-1", **behind(proxy))
    settled = {p: high for p, (_, high) in ledger.bounds().items()}
    wait_until(lambda: held.used >= 2 and {p: lane["next_offset"] for p, lane in ledger.lanes().items()} == settled, 60,
               "all settled, and a request of both reply producers on its way")
    ledger.kill("worker-1", expel=True)                     # it is gone; what it sent is still on the wire
    ledger.start("worker-2")
    ledger.append(ledger.workload(500, ACCOUNTS, prefix="later"))
    ledger.wait_at_rest()
    looked_up, again = (ledger.metric("worker-2", f"paybuf_worker_{name}_total") for name in ("looked_up", "sessions_ended"))
    assert looked_up == sum(settled.values()) or looked_up > sum(settled.values()) and again, "answered from rows: what the first one had settled"
    before = {p: high for p, (_, high) in ledger.bounds(ledger.replies).items()}
    held.released.set()
    # A request has one partition; a repeat of it, sent when no answer came, adds nothing.
    wait_until(lambda: sum(high > before[p] for p, (_, high) in ledger.bounds(ledger.replies).items()) == 2, 60, "the zombie's replies arrived, of both producers")
    ledger.append(ledger.workload(300, ACCOUNTS, prefix="last"))
    ledger.wait_at_rest()
    ledger.check()
    readers_that_start_anywhere_take_each_reply_once(ledger)
    listeners_take_each_reply_once(ledger, before)
    ledger.kill("worker-2", expel=True)                     # and the next claim reads R behind the repeats
    ledger.start("worker-1")
    ledger.append(ledger.workload(100, ACCOUNTS, prefix="end"))
    ledger.wait_at_rest()
    ledger.check()


def listeners_take_each_reply_once(ledger, repeats_from):
    """`paybuf listen` over the whole log, and from the moment at which the zombie's repeats begin."""
    settled = {p: high for p, (_, high) in ledger.bounds().items()}

    def heard(since):
        lines = ledger.cli("listen", "--from", since, "--until-idle", "1").stdout.splitlines()
        positions = [json.loads(line)["position"] for line in lines]
        assert len(positions) == len(set(positions)), "a reply twice"
        return {tuple(map(int, position.split("-")[1:])) for position in positions}

    assert heard("start") == {(p, offset) for p, end in settled.items() for offset in range(end)}
    log = ledger.read(ledger.replies)
    first_repeat_ms = min(messages[repeats_from[p]].timestamp()[1] for p, messages in log.items() if repeats_from[p] < len(messages))
    since = datetime.fromtimestamp(first_repeat_ms / 1000, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    later = {(p, int(dict(message.headers())["source-offset"])) for p, messages in log.items() for message in messages[repeats_from[p]:]}
    assert heard(since) == later, "stuck at a false gap, or something missed"


def readers_that_start_anywhere_take_each_reply_once(ledger):
    """PROTOCOL 5 for a start in the middle, from every offset of the log: never stuck, nothing behind its first reply missed, nothing twice."""
    ends = {p: high for p, (_, high) in ledger.bounds().items()}
    for p, messages in ledger.read(ledger.replies).items():
        marks = [(int(headers["source-offset"]), int(headers["covers-from"])) for headers in (dict(message.headers()) for message in messages)]
        for start in range(len(marks)):
            # E0 is read when the start is fixed. Any E0 from what was answered there to the end of today must do.
            answered = max([s for s, _ in marks[:start]] or [-1]) + 1
            for e0 in {answered, ends[p]}:
                taken = read_from_the_middle(marks[start:], e0)
                assert taken == sorted(set(taken)) and set(taken) >= set(range(max(answered, taken[0]), ends[p])), \
                    f"partition {p}: a start at {start} with E0 {e0} took {len(taken)}, wants all from {answered} to {ends[p]}"


def read_from_the_middle(marks, e0):
    taken, n, synced = [], None, False
    for s, c in marks:
        if n is not None and s < n:
            continue
        assert n is None or c <= n or not synced, f"a false gap: source offset {s} covers from {c}, the reader wants {n}"
        taken.append(s)
        n = s + 1
        synced = synced or s >= e0
    return taken


def test_what_was_settled_and_can_no_longer_be_answered_halts_its_lane_replies_lost(new_ledger, proxy):
    ledger = new_ledger(workers=(), accounts=ACCOUNTS, partitions=2)
    ledger.append(ledger.workload(300, ACCOUNTS), partition=0)
    held = proxy.hold(REPLIES)
    ledger.start("worker-1", **behind(proxy))
    wait_until(lambda: held.used and ledger.lanes()[0]["next_offset"] == 300, 60, "settled and not answered")
    ledger.kill("worker-1", expel=True)
    proxy.close()
    ledger.delete_records(ledger.requests, 0, 300)          # retention was quicker than the repair
    ledger.start("worker-2")
    wait_until(lambda: ledger.lanes()[0]["halted_reason"] == "replies_lost", 60, "halted replies_lost")
    ledger.append(ledger.workload(50, ACCOUNTS, prefix="other"), partition=1)
    wait_until(lambda: ledger.lanes()[1]["replied_offset"] == 50, 60, "the other lane goes on")
    assert ledger.lanes()[0]["next_offset"] == 300 and not ledger.answers(0)


def test_a_reply_waits_for_its_dead_letter_and_other_lanes_do_not(new_ledger, proxy):
    ledger = new_ledger(workers=(), accounts=ACCOUNTS, partitions=2)
    held = proxy.hold(LETTERS)
    ledger.start(**behind(proxy))
    ledger.append([("g", b"garbage", [])], partition=0)
    ledger.append(ledger.workload(20, ACCOUNTS), partition=0)
    ledger.append(ledger.workload(20, ACCOUNTS, prefix="other"), partition=1)
    wait_until(lambda: held.begun.is_set() and ledger.lanes()[1]["replied_offset"] == 20, 60, "the other lane is answered")
    wait_until(lambda: ledger.lanes()[0]["next_offset"] > 0, 60, "the garbage is settled")
    time.sleep(0.5)
    assert not ledger.answers(0), "answered before its dead letter was acknowledged"
    held.released.set()
    ledger.wait_at_rest()
    ledger.check()


def test_refused_dead_letters_are_sent_again_and_their_lane_goes_on(new_ledger, proxy):
    ledger = new_ledger(workers=(), accounts=ACCOUNTS, partitions=2)
    refused = proxy.refuse(NOT_ENOUGH_REPLICAS, LETTERS)
    ledger.start(**behind(proxy))
    for _ in range(5):
        ledger.append([("g", b"garbage", [])] * 3, partition=0)
    ledger.wait_at_rest()
    assert refused.used == 1
    ledger.check()


# --- the intake ---

def post_many(ledger, count, threads=16, prefix="p", stagger_s=0.0):
    """[(order_id, status, document)] of payments posted by several threads at once; stagger_s: that begin so far apart."""
    told, lock, numbers = [], threading.Lock(), iter(range(count))

    def run():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            order_id = f"{prefix}-{number:05d}"
            status, document, _ = ledger.post({"order_id": order_id, "account_id": ACCOUNTS[number % 20], "amount_minor": 5, "currency": "EUR"})
            with lock:
                told.append((order_id, status, document))

    pool = [threading.Thread(target=run) for _ in range(threads)]
    for thread in pool:
        thread.start()
        time.sleep(stagger_s)
    for thread in pool:
        thread.join(300)
    assert len(told) == count
    return told


def accepted_file(ledger, told):
    path = ledger.run_dir / "accepted"
    path.write_text("".join(json.dumps({"order_id": o, "position": d["position"]}) + "\n" for o, status, d in told if status == 202))
    return path


@pytest.mark.parametrize("error", [NOT_ENOUGH_REPLICAS, NOT_LEADER], ids=["not_enough_replicas", "not_leader"])
def test_no_client_is_told_202_for_what_a_refused_first_request_lost(new_ledger, proxy, error):
    ledger = new_ledger(accounts=ACCOUNTS)
    refused = proxy.refuse(error, INTAKE, times=4, late_s=0.3)     # several requests are in flight here: the next ones are taken
    ledger.start("producer", **behind(proxy))
    told = post_many(ledger, 200, stagger_s=0.02)
    # However many of them were told to come again: in the end the broker has refused its four, is honest, and says so.
    wait_until(lambda: told.extend(post_many(ledger, 1, prefix=f"more-{len(told)}")) or refused.used == 4 and told[-1][1] == 202, 60, "accepting again")
    statuses = {status for _, status, _ in told}
    assert statuses <= {202, 503, 504}, statuses
    ledger.wait_at_rest()
    ledger.check(accepted=accepted_file(ledger, told))
    assert_503_is_never_stored(ledger, told)


@pytest.mark.parametrize("error", [NOT_ENOUGH_REPLICAS_AFTER_APPEND, NOT_LEADER], ids=["not_enough_replicas_after_append", "not_leader"])
def test_a_leader_that_appends_and_answers_an_error_makes_504_and_never_503(new_ledger, proxy, error):
    ledger = new_ledger(accounts=ACCOUNTS)
    ledger.start("producer", **behind(proxy), PAYBUF_PRODUCER_REQUEST_TIMEOUT_MS="1500", PAYBUF_PRODUCER_STALL_MS="60000")
    wait_until(lambda: {status for _, status, _ in post_many(ledger, 20, prefix="before")} == {202}, 120, "accepting, in time: a broker's first seconds are slow")
    lie = proxy.lie(error, INTAKE, times=1_000_000)
    told = post_many(ledger, 40)
    assert lie.used > 0
    lie.times = 0                                           # an honest broker again
    stored = {message.key().decode() for messages in ledger.read(ledger.requests).values() for message in messages}
    assert any(order_id in stored for order_id, status, _ in told if status != 202), "nothing was appended: the proxy didn't lie"
    for order_id, status, document in told:
        # 503 only where nothing was given to the library: when a busy machine keeps the probe waiting for 5 s.
        assert status in (202, 504) or status == 503 and order_id not in stored, f"{order_id}: {status} {document}"
        if status == 504:
            assert document["code"] == "outcome_unknown" and document["retryable"] is True
    wait_until(lambda: ledger.post({"order_id": "after", "account_id": "a-0", "amount_minor": 1, "currency": "EUR"})[0] == 202, 60, "accepting again")
    again = [(o, *ledger.post({"order_id": o, "account_id": ACCOUNTS[int(o[-5:]) % 20], "amount_minor": 5, "currency": "EUR"})[:2])
             for o, status, _ in told if status == 504]
    ledger.wait_at_rest()
    ledger.check(accepted=accepted_file(ledger, told + again))
    assert_503_is_never_stored(ledger, told)


def assert_503_is_never_stored(ledger, told):
    stored = {message.key().decode() for messages in ledger.read(ledger.requests).values() for message in messages}
    for order_id, status, document in told:
        assert status != 503 or order_id not in stored, f"{order_id}: 503 {document}, but it is in the log"
