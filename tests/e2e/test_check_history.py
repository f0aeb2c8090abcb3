"""The second opinion itself: each hand-made break of a whole history is found. One small ledger; every break is taken back."""
import json

import pytest
from confluent_kafka import Producer

from stack import QUIET

ACCOUNTS = [f"a-{i}" for i in range(5)]
TABLES = ("payment", "refusal", "account", "adjustment", "processed_offset", "ledger")


@pytest.fixture(scope="module")
def ledger(servers):
    ledger = servers.new_ledger("history", partitions=2, accounts=ACCOUNTS)
    ledger.append(ledger.workload(200, ACCOUNTS))
    ledger.append([(b"g", b"garbage", []), (b"g", json.dumps({"order_id": "g", "account_id": "a-0", "amount_minor": 1, "currency": "EUR", "attempt": 7}).encode(), []),
                   (b"p", json.dumps({"order_id": "p", "account_id": "a-0", "amount_minor": 2**50, "currency": "EUR"}).encode(), [])])
    ledger.wait_at_rest()
    ledger.kill()
    ledger.check()
    for table in TABLES:
        ledger.sql(f"CREATE TABLE paybuf.kept_{table} AS TABLE paybuf.{table}")
        # Breaks that the tables themselves refuse aren't the checker's; others must come through.
        for name, in ledger.sql("SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype IN ('c', 'f')", f"paybuf.{table}"):
            ledger.sql(f'ALTER TABLE paybuf.{table} DROP CONSTRAINT "{name}"')
    return ledger


def differences(ledger):
    done = ledger.check_history()
    assert done.returncode in (0, 4), done.stderr[-2000:]
    return int(done.stdout.rsplit(", ", 1)[1].split()[0]), done.stdout


ROWS = {
    "a payment deleted": "DELETE FROM paybuf.payment WHERE order_id = (SELECT min(order_id) FROM paybuf.payment WHERE outcome = 'paid')",
    "an amount altered": "UPDATE paybuf.payment SET amount_minor = amount_minor + 1 WHERE order_id = (SELECT min(order_id) FROM paybuf.payment)",
    "a payment invented": "INSERT INTO paybuf.payment SELECT tenant, 'invented', 1, account_id, currency, 1, outcome, reason, balance_after_minor, account_version, "
                          "log_generation, src_partition, 99999, decided_at FROM paybuf.payment LIMIT 1",
    "a decline turned into a payment": "UPDATE paybuf.payment SET outcome = 'paid', reason = NULL WHERE outcome = 'declined'",
    "another account charged": "UPDATE paybuf.payment SET account_id = CASE account_id WHEN 'a-0' THEN 'a-1' ELSE 'a-0' END "
                               "WHERE order_id = (SELECT max(order_id) FROM paybuf.payment WHERE outcome = 'paid')",
    "a decision's time altered": "UPDATE paybuf.payment SET decided_at = decided_at + interval '1 second' WHERE order_id = (SELECT min(order_id) FROM paybuf.payment)",
    "a decision moved to another record": "UPDATE paybuf.payment SET src_offset = src_offset + 1 WHERE order_id = (SELECT min(order_id) FROM paybuf.payment)",
    "an account version used twice": "UPDATE paybuf.payment SET account_version = account_version - 1 WHERE ctid = (SELECT max(ctid) FROM paybuf.payment WHERE account_version > 2)",
    "a balance changed": "UPDATE paybuf.account SET balance_minor = balance_minor - 1 WHERE account_id = 'a-0'",
    "an account's version changed": "UPDATE paybuf.account SET version = version + 1 WHERE account_id = 'a-0'",
    "an account deleted": "DELETE FROM paybuf.account WHERE account_id = 'a-0'",
    "an opening altered": "UPDATE paybuf.adjustment SET amount_minor = amount_minor + 1 WHERE account_id = 'a-0'",
    "a refusal deleted": "DELETE FROM paybuf.refusal WHERE code = 'malformed_json'",
    "an out of sequence refusal deleted": "DELETE FROM paybuf.refusal WHERE code = 'attempt_out_of_sequence' AND src_offset = (SELECT max(src_offset) FROM paybuf.refusal "
                                          "WHERE code = 'attempt_out_of_sequence')",
    "a refusal's reason altered": "UPDATE paybuf.refusal SET code = 'too_large' WHERE code = 'malformed_json'",
    "P put back": "UPDATE paybuf.processed_offset SET next_offset = next_offset - 1 WHERE partition = 0",
    "another ledger's id": "UPDATE paybuf.ledger SET ledger_id = '11111111-2222-3333-4444-555555555555'",
    "the ledger halted": "UPDATE paybuf.ledger SET halted = true, halted_reason = 'database_rolled_back'",
}


@pytest.mark.parametrize("what", ROWS)
def test_a_row_that_was_changed_by_hand_is_found(ledger, what):
    ledger.sql(ROWS[what])
    try:
        count, text = differences(ledger)
        assert count >= 1, f"{what}: {text}"
    finally:
        for table in TABLES:
            ledger.sql(f"DELETE FROM paybuf.{table}")
            ledger.sql(f"INSERT INTO paybuf.{table} SELECT * FROM paybuf.kept_{table}")
    assert differences(ledger)[0] == 0, "the tables are whole again"


# --- the reply log: copied into another topic, one message dropped or changed ---

def last_paid(messages):
    return max(i for i, message in enumerate(messages) if json.loads(message.value())["outcome"] == "paid")


def copy(message, value=None, **headers):
    return (message.key(), value if value is not None else message.value(),
            [(n, headers.get(n.replace("-", "_"), v)) for n, v in message.headers()])


def altered(message, **members):
    return json.dumps({**json.loads(message.value()), **members}, separators=(",", ":")).encode()


def broken_logs(messages):
    """{what: the log that must be found broken}"""
    whole = [copy(m) for m in messages]
    at = last_paid(messages)
    paid = messages[at]
    put = lambda reply: whole[:at] + [reply] + whole[at + 1:]               # noqa: E731
    return {
        "whole": whole,
        "repeats of the last ten": whole + whole[-10:],
        "a reply missing in the middle": whole[:at // 2] + whole[at // 2 + 1:],
        "the last reply missing": whole[:-1],
        "an amount altered": put(copy(paid, altered(paid, amount_minor=1 << 40))),
        "an outcome altered": put(copy(paid, altered(paid, outcome="declined", reason="insufficient_funds"))),
        "a duplicate flag altered": put(copy(paid, altered(paid, duplicate=not json.loads(paid.value())["duplicate"]))),
        "a copy that differs": whole + [copy(paid, altered(paid, balance_after_minor=0))],
        "a covers-from that skips": put(copy(paid, covers_from=paid.headers()[0][1] + b"0")),
        "a reply for a record that isn't there": whole + [copy(paid, source_offset=b"77777", covers_from=str(int(dict(messages[-1].headers())["source-offset"]) + 1).encode())],
        "another key": put((b"other", paid.value(), paid.headers())),
    }


def test_a_reply_log_that_was_changed_by_hand_is_found_and_repeats_are_no_difference(ledger):
    log = ledger.read(ledger.replies)
    producer = Producer({"bootstrap.servers": ledger.bootstrap(), **QUIET})
    env = dict(ledger.env)
    whole = {p: [copy(m) for m in messages] for p, messages in log.items()}
    try:
        for number, (what, replies) in enumerate(broken_logs(log[0]).items()):
            topic = f"{ledger.group}.replies-{number}"
            ledger.create_topic(topic, 2)
            for partition, messages in {0: replies, 1: whole[1]}.items():
                for key, value, headers in messages:
                    producer.produce(topic, value, key, partition, headers=headers)
            assert producer.flush(20) == 0
            ledger.env["PAYBUF_REPLY_TOPIC"] = topic
            count, text = differences(ledger)
            assert (count >= 1) == (what not in ("whole", "repeats of the last ten")), f"{what}: {text}"
    finally:
        ledger.env = env


def test_a_202_for_what_is_not_in_the_log_is_found(ledger):
    told = ledger.run_dir / "told"
    told.write_text('{"order_id": "never-stored", "position": "1-0-3"}\n')
    assert ledger.check_history("--accepted", str(told)).returncode == 4


def test_a_missing_dead_letter_is_found(ledger):
    env = dict(ledger.env)
    try:
        ledger.create_topic(f"{ledger.group}.no-letters", 2)
        ledger.env["PAYBUF_DLQ_TOPIC"] = f"{ledger.group}.no-letters"
        assert differences(ledger)[0] == 1
    finally:
        ledger.env = env
