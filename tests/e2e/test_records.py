"""What lies in the request log, whatever it is: races, clients' clocks, transactions, garbage, attempts. One small ledger for all of it."""
import json
import struct
import time

import pytest
from confluent_kafka import Producer, TopicPartition

from stack import QUIET, wait_until

EUR = {"currency": "EUR"}


@pytest.fixture(scope="module")
def ledger(request, servers):
    """Every test here leaves a whole history behind: the proof comes when the last one is done."""
    ledger = servers.new_ledger("records", workers=("worker-1",), accounts=["alice", "bob"] + [f"a-{i}" for i in range(20)])
    yield ledger
    if not getattr(request.session, "some_test_failed", False):
        ledger.wait_at_rest()
        ledger.check()


def pay(order_id, account_id="alice", amount_minor=100, **more):
    return {"order_id": order_id, "account_id": account_id, "amount_minor": amount_minor, **EUR, **more}


def answer_to(ledger, where):
    return wait_until(lambda: ledger.answers(where[0]).get(where), 60, f"an answer to {where}")


def balance(ledger, account_id="alice"):
    return ledger.sql("SELECT balance_minor FROM paybuf.account WHERE tenant = 'default' AND account_id = %s", account_id)[0][0]


def append_one(ledger, request, partition=None, **produce):
    return ledger.append([request], partition=partition, **produce)[0]


# --- the same identity twice ---

@pytest.fixture
def release_at_once(new_ledger):
    """(ledger, race): race(batch0, batch1, held) lets two workers, one on each partition, decide these two batches at the same moment: when
    both stand before what the statement `held` locks. Answers how often the two have redone a batch up to then."""
    ledger = new_ledger(accounts=[f"a-{i}" for i in range(4)], partitions=2, workers=("worker-1", "worker-2"))
    ledger.wait_claimed(("worker-1", "worker-2"))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    def race(batch0, batch1, held):
        lock = ledger.connect()
        try:
            with lock.cursor() as cursor:
                cursor.execute(held)
            ledger.append(batch0, partition=0)
            ledger.append(batch1, partition=1)
            wait_until(lambda: ledger.sql(waiting)[0][0] == 2, 60, f"both workers wait: {held}")
            before = redone(ledger)
            lock.rollback()
        finally:
            lock.close()
        return before

    return ledger, race


def redone(ledger):
    return sum(ledger.metric(worker, "paybuf_worker_redone_total") for worker in ("worker-1", "worker-2"))


def test_the_same_identity_on_two_partitions_at_once_is_one_debit_and_one_duplicate(release_at_once):
    ledger, race = release_at_once
    for round_ in range(4):
        orders = [pay(f"same-{round_}-{i}", f"a-{i % 4}", 7) for i in range(50)]
        race(orders, orders, "SELECT 1 FROM paybuf.account ORDER BY tenant, account_id FOR UPDATE")
    ledger.wait_at_rest()
    ledger.check()
    answers = ledger.answers()
    assert len(answers) == 400 and all(answer["outcome"] == "paid" for answer in answers.values())
    assert sum(answer["duplicate"] for answer in answers.values()) == 200, "each order once decided, once a duplicate"
    assert ledger.sql("SELECT count(*), sum(amount_minor) FROM paybuf.payment") == [(200, 1400)]


def test_the_same_identity_on_two_partitions_for_two_accounts_at_once_debits_one_of_them(release_at_once):
    # No account's lock is shared here: only the primary key stands between two debits, and the loser's batch must be redone. The table's lock
    # lets both read what is known, decide, and come to their INSERT; so neither can see the other's payments in time.
    ledger, race = release_at_once
    for round_ in range(4):
        before = race([pay(f"other-{round_}-{i}", f"a-{i % 2}", 7) for i in range(50)], [pay(f"other-{round_}-{i}", f"a-{2 + i % 2}", 7) for i in range(50)],
                      "LOCK TABLE paybuf.payment IN SHARE MODE")
        wait_until(lambda: redone(ledger) > before, 60, "the loser's batch is redone")
        ledger.wait_at_rest()
    ledger.check()
    outcomes = [(answer["outcome"], answer["reason"]) for answer in ledger.answers().values()]
    assert outcomes.count(("paid", None)) == 200 and outcomes.count(("conflict", "account_id_differs")) == 200
    assert ledger.sql("SELECT count(*), sum(amount_minor) FROM paybuf.payment") == [(200, 1400)]


# --- clients' clocks ---

def test_a_client_that_stamps_1970_gets_the_brokers_time_and_an_answer(ledger):
    before_ms = time.time() * 1000
    partition, offset = append_one(ledger, pay("from-1970"), timestamp=1)
    assert answer_to(ledger, (partition, offset))["outcome"] == "paid"
    stored = ledger.read(ledger.requests)[partition]
    (kind, timestamp_ms), = [message.timestamp() for message in stored if message.offset() == offset]
    assert kind == 2 and timestamp_ms >= before_ms - 1000, "LogAppendTime: a client's stamp would let retention delete it at once"


# --- transactions ---

def transactional(ledger, name):
    producer = Producer({"bootstrap.servers": ledger.bootstrap(), "transactional.id": f"e2e-{name}", "transaction.timeout.ms": 60000, **QUIET})
    producer.init_transactions(60)          # the first of a broker makes the topic for their state
    return producer


def in_transaction(ledger, producer, requests, partition, commit):
    producer.begin_transaction()
    for request in requests:
        producer.produce(ledger.requests, json.dumps(request).encode(), request["order_id"].encode(), partition)
    assert producer.flush(60) == 0
    (producer.commit_transaction if commit else producer.abort_transaction)(60)


def test_records_of_an_aborted_transaction_are_no_requests_and_committed_ones_are(ledger):
    producer = transactional(ledger, "aborted")
    in_transaction(ledger, producer, [pay("aborted-1"), pay("aborted-2")], 0, commit=False)
    in_transaction(ledger, producer, [pay("committed-1")], 0, commit=True)
    ledger.wait_at_rest()
    decided = {row[0] for row in ledger.sql("SELECT order_id FROM paybuf.payment WHERE order_id ~ '^(aborted|committed)'")}
    assert decided == {"committed-1"}


def test_control_records_at_the_end_are_passed_at_rest_and_the_next_claim_sees_no_gap(ledger):
    _, before = append_one(ledger, pay("before-the-hole"), partition=1)
    producer = transactional(ledger, "hole")
    for round_ in range(2):
        in_transaction(ledger, producer, [pay(f"hole-{round_}")], 1, commit=False)
    end = before + 1 + 2 * 2    # a record and its control record each; the last one may come after the answer to its abort
    wait_until(lambda: ledger.bounds()[1][1] == end, 60, f"the log ends at {end}")
    ledger.wait_at_rest()       # P behind the control records (an empty batch)
    assert ledger.lanes()[1]["next_offset"] == end
    ledger.kill("worker-1", expel=True)
    ledger.start("worker-1")
    ledger.wait_claimed()
    where = append_one(ledger, pay("behind-the-hole"), partition=1)
    assert answer_to(ledger, where)["outcome"] == "paid"      # answers() fails at a gap
    assert where[1] == end
    # And once more with nothing but a control record between two claims.
    in_transaction(ledger, producer, [], 1, commit=True)
    in_transaction(ledger, producer, [pay("hole-again")], 1, commit=False)
    ledger.kill("worker-1", expel=True)
    where = append_one(ledger, pay("behind-the-second-hole"), partition=1)
    ledger.start("worker-1")
    assert answer_to(ledger, where)["outcome"] == "paid"


def test_an_open_transaction_holds_its_lane_without_an_error_until_it_commits(ledger):
    ledger.wait_claimed()
    ended = ledger.metric("worker-1", "paybuf_worker_sessions_ended_total")
    producer = transactional(ledger, "open")
    producer.begin_transaction()
    producer.produce(ledger.requests, json.dumps(pay("in-the-open")).encode(), b"in-the-open", 2)
    assert producer.flush(60) == 0
    behind = append_one(ledger, pay("behind-the-open"), partition=2)
    elsewhere = append_one(ledger, pay("beside-the-open"), partition=3)
    assert answer_to(ledger, elsewhere)["outcome"] == "paid"
    time.sleep(1.5)
    assert behind not in ledger.answers(2), "answered although a transaction before it is open"
    assert ledger.lanes()[2]["next_offset"] <= behind[1] - 1
    producer.commit_transaction(60)
    assert answer_to(ledger, behind)["outcome"] == "paid"
    assert (2, behind[1] - 1) in ledger.answers(2)
    assert ledger.metric("worker-1", "paybuf_worker_sessions_ended_total") == ended and ledger.lanes()[2]["halted_reason"] is None


# --- garbage ---

GOOD = json.dumps(pay("g")).encode()
GARBAGE = {
    "no value": ((b"g", None, []), "malformed_json", None),
    "an empty value": ((b"g", b"", []), "malformed_json", None),
    "not JSON": ((b"g", b"\x00\xff\xfe garbage", []), "malformed_json", None),
    "an array": ((b"g", b"[1]", []), "malformed_json", None),
    "trailing bytes": ((b"g", GOOD + b"x", []), "malformed_json", None),
    "a byte order mark": ((b"g", b"\xef\xbb\xbf" + GOOD, []), "malformed_json", None),
    "invalid UTF-8": ((b"g", GOOD.replace(b"alice", b"al\xc3\x28"), []), "malformed_json", None),
    "a member twice": ((b"g", GOOD[:-1] + b', "amount_minor": 1}', []), "malformed_json", None),
    "an escaped NUL": ((b"g", GOOD[:-1] + b', "x": "\\u0000"}', []), "malformed_json", None),
    "8193 bytes": ((b"g", GOOD + b" " * (8193 - len(GOOD)), []), "too_large", None),
    "one MiB": ((b"g", b"x" * (1000 * 1000), []), "too_large", None),
    "no order_id": ((b"g", b'{"account_id":"alice","amount_minor":1,"currency":"EUR"}', []), "bad_field", "order_id"),
    "a long order_id": ((b"g" * 65, GOOD.replace(b'"g"', b'"' + b"g" * 65 + b'"'), []), "bad_field", "order_id"),
    "attempt 0": ((b"g", json.dumps(pay("g", attempt=0)).encode(), []), "bad_field", "attempt"),
    "attempt 100": ((b"g", json.dumps(pay("g", attempt=100)).encode(), []), "bad_field", "attempt"),
    "a blank in account_id": ((b"g", json.dumps(pay("g", "a b")).encode(), []), "bad_field", "account_id"),
    "amount 1.0": ((b"g", GOOD.replace(b"100", b"1.0"), []), "bad_field", "amount_minor"),
    "amount 1e3": ((b"g", GOOD.replace(b"100", b"1e3"), []), "bad_field", "amount_minor"),
    "amount 0": ((b"g", GOOD.replace(b"100", b"0"), []), "bad_field", "amount_minor"),
    "amount 2^53": ((b"g", GOOD.replace(b"100", b"9007199254740992"), []), "bad_field", "amount_minor"),
    "amount as text": ((b"g", GOOD.replace(b"100", b'"100"'), []), "bad_field", "amount_minor"),
    "currency eur": ((b"g", GOOD.replace(b"EUR", b"eur"), []), "bad_field", "currency"),
    "metadata as list": ((b"g", json.dumps(pay("g", metadata=[1])).encode(), []), "bad_field", "metadata"),
    "metadata too large": ((b"g", json.dumps(pay("g", metadata={"x": "y" * 2048})).encode(), []), "bad_field", "metadata"),
    "tenant twice": ((b"g", GOOD, [("tenant", b"default"), ("tenant", b"default")]), "bad_tenant", None),
    "a malformed tenant": ((b"g", GOOD, [("tenant", b"a b")]), "bad_tenant", None),
    "an empty tenant": ((b"g", GOOD, [("tenant", b"")]), "bad_tenant", None),
    "no key": ((None, GOOD, []), "key_mismatch", None),
    "another key": ((b"h", GOOD, []), "key_mismatch", None),
    "an empty key": ((b"", GOOD, []), "key_mismatch", None),
}


def test_garbage_of_every_kind_is_answered_invalid_and_kept_byte_for_byte(ledger):
    producer = ledger.producer(**{"message.max.bytes": 1048576})
    before = balance(ledger)
    odd = [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("odd", b"\x00\xff"), ("empty", b""), ("null", None)]
    where = {}
    for name, ((key, value, headers), _, _) in GARBAGE.items():
        where[name], = ledger.append([(key, value, headers + odd)], partition=3, producer=producer)
    good = append_one(ledger, (b"g", GOOD, odd), partition=3)
    assert answer_to(ledger, good)["outcome"] == "paid", "the lane goes on behind garbage"
    assert balance(ledger) == before - 100
    answers = ledger.answers(3)
    letters = {dict(message.headers())["position"].decode(): message for messages in ledger.read(ledger.letters).values() for message in messages}
    for name, ((key, value, headers), reason, field) in GARBAGE.items():
        answer = answers[where[name]]
        assert (answer["outcome"], answer["reason"], answer.get("field")) == ("invalid", reason, field), f"{name}: {answer}"
        assert "garbage" not in json.dumps(answer) and answer["order_id"] is None, f"{name}: raw bytes echoed: {answer}"
        letter = letters[f"1-3-{where[name][1]}"]
        assert (letter.key(), letter.value()) == (key, value), f"{name}: the dead letter differs"
        assert letter.headers() == [("position", letter.headers()[0][1]), ("reason", reason.encode())] + [(f"orig-{n}", v) for n, v in headers + odd], name


def test_a_letter_is_in_the_log_no_later_than_its_reply(ledger):
    for _ in range(3):
        append_one(ledger, (b"x", b"more garbage", []), partition=3)
    ledger.wait_at_rest()
    letters = {dict(message.headers())["position"].decode(): message.timestamp()[1] for messages in ledger.read(ledger.letters).values() for message in messages}
    replies = [message for message in ledger.read(ledger.replies)[3] if dict(message.headers())["ce_type"] == b"paybuf.payment.invalid"]
    for message in replies:
        position = json.loads(message.value())["position"]
        if json.loads(message.value())["reason"] != "attempt_out_of_sequence":
            assert letters[position] <= message.timestamp()[1], f"{position}: answered before its letter was stored"


# --- where a reply goes ---

def murmur2(data):
    """Java's DefaultPartitioner, from its definition."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for k, in struct.iter_unpack("<I", data[:whole]):
        k = k * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def test_a_reply_lies_in_its_requests_partition_under_its_requests_key(ledger):
    orders = [f"place-{'x' * (i % 9)}{i}" for i in range(60)]
    ledger.append([pay(order, "bob", 1) for order in orders])
    ledger.wait_at_rest()
    place = {order: (murmur2(order.encode()) & 0x7FFFFFFF) % ledger.partitions for order in orders}
    assert len(set(place.values())) == ledger.partitions
    for topic in (ledger.requests, ledger.replies):
        found = {message.key().decode(): p for p, messages in ledger.read(topic).items() for message in messages if message.key() and message.key().startswith(b"place-")}
        assert found == place, topic


# --- attempts ---

def test_a_declined_attempt_may_be_followed_and_a_paid_one_ends_the_order(ledger):
    ledger.open_accounts(["purse"], opening_minor=50)

    def attempt(number, amount_minor):
        return answer_to(ledger, append_one(ledger, pay("chain", "purse", amount_minor, attempt=number)))

    first = attempt(1, 80)
    assert (first["outcome"], first["reason"], first["balance_after_minor"]) == ("declined", "insufficient_funds", 50)
    second = attempt(2, 30)
    assert (second["outcome"], second["balance_after_minor"]) == ("paid", 20)
    late = attempt(1, 80)
    assert (late["outcome"], late["reason"], late["duplicate"]) == ("declined", "insufficient_funds", True)
    assert late["original"] == first["position"] and late["decided_at"] == first["decided_at"]
    third = attempt(3, 10)
    assert (third["outcome"], third["reason"], third["original"]) == ("conflict", "already_paid", second["position"])
    assert third["stored"] == {"attempt": 2, "account_id": "purse", "amount_minor": 30, "currency": "EUR", "outcome": "paid"}
    again = attempt(2, 30)
    assert again["duplicate"] and again["original"] == second["position"]
    other = attempt(2, 31)
    assert (other["outcome"], other["reason"]) == ("conflict", "amount_minor_differs")
    assert balance(ledger, "purse") == 20


def test_an_attempt_that_overtakes_is_not_final_and_a_later_copy_is_decided(ledger):
    ledger.open_accounts(["slow-purse"], opening_minor=50)

    def attempt(number, amount_minor):
        where = append_one(ledger, pay("overtaken", "slow-purse", amount_minor, attempt=number))
        return where, answer_to(ledger, where)

    where, early = attempt(3, 10)
    assert (early["outcome"], early["reason"], early["original"]) == ("invalid", "attempt_out_of_sequence", None)
    assert early["order_id"] == "overtaken" and early["attempt"] == 3
    assert attempt(1, 60)[1]["outcome"] == "declined"
    assert attempt(2, 70)[1]["outcome"] == "declined"
    assert ledger.answers(where[0])[where] == early, "its answer stays what it was"
    assert attempt(3, 10)[1]["outcome"] == "paid"
    letters = [dict(message.headers())["position"] for messages in ledger.read(ledger.letters).values() for message in messages]
    assert f"1-{where[0]}-{where[1]}".encode() not in letters, "an overtaking attempt is no dead letter"


def test_every_reason_for_a_decline_is_answered_in_the_contracts_order(ledger):
    ledger.open_accounts(["frozen", "shut", "poor"], opening_minor=10)
    ledger.cli("account", "freeze", "frozen")
    ledger.cli("account", "freeze", "shut")
    ledger.cli("account", "close", "shut")
    cases = [("nobody", "EUR", "unknown_account"), ("shut", "USD", "account_closed"), ("frozen", "USD", "account_frozen"),
             ("poor", "USD", "currency_mismatch"), ("poor", "EUR", "insufficient_funds")]
    for account, currency, reason in cases:
        answer = answer_to(ledger, append_one(ledger, {**pay(f"decline-{account}-{currency}", account, 11), "currency": currency}))
        assert (answer["outcome"], answer["reason"]) == ("declined", reason)
        assert (answer["balance_after_minor"] is None) == (reason == "unknown_account")
