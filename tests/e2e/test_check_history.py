"""The second opinion itself: each hand-made break of a whole history is found. One small ledger; every break is taken back."""
import json

import check_history
import pytest

ACCOUNTS = [f"a-{i}" for i in range(5)]


class History:
    """What the checker reads: a connection whose changes are taken back, and the three logs."""

    def __init__(self, ledger):
        self.database = ledger.connect()
        self.requests, self.replies, self.letters = (ledger.read(topic) for topic in (ledger.requests, ledger.replies, ledger.letters))

    def differences(self, accepted=None, **other_logs):
        logs = {"requests": self.requests, "replies": self.replies, "letters": self.letters, **other_logs}
        check_history.judge(self.database, accepted=accepted, **logs)
        return check_history.DIFF.count

    def change(self, statement):
        with self.database.cursor() as cursor:
            cursor.execute(statement)
            return cursor.rowcount


@pytest.fixture(scope="module")
def whole(servers):
    ledger = servers.new_ledger("history", partitions=2, accounts=ACCOUNTS)
    ledger.append(ledger.workload(200, ACCOUNTS))
    ledger.append([(b"g", b"garbage", []), (b"g", json.dumps({"order_id": "g", "account_id": "a-0", "amount_minor": 1, "currency": "EUR", "attempt": 7}).encode(), []),
                   (b"p", json.dumps({"order_id": "p", "account_id": "a-0", "amount_minor": 2**50, "currency": "EUR"}).encode(), [])])
    ledger.wait_at_rest()
    ledger.kill()
    ledger.check()
    # What the tables themselves refuse isn't left to the checker; what they would let through, if they were other tables, is.
    for table, name in ledger.sql("SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE connamespace = 'paybuf'::regnamespace AND contype IN ('c', 'f')"):
        ledger.sql(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    history = History(ledger)
    yield history
    history.database.close()


@pytest.fixture
def history(whole):
    assert whole.differences() == 0
    yield whole
    whole.database.rollback()


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
def test_a_row_that_was_changed_by_hand_is_found(history, what):
    assert history.change(ROWS[what]) >= 1, "the break broke nothing"
    assert history.differences() >= 1


# --- the reply log ---

class Message:
    """One of the log's, with something else in it."""

    def __init__(self, like, key=None, members=None, headers=None):
        self.like, self.other_key, self.members, self.other_headers = like, key, members, headers or {}

    def key(self):
        return self.other_key or self.like.key()

    def value(self):
        return self.like.value() if self.members is None else json.dumps({**json.loads(self.like.value()), **self.members}).encode()

    def headers(self):
        return [(name, self.other_headers.get(name, value)) for name, value in self.like.headers()]

    def offset(self):
        return self.like.offset()


def source_offset(message):
    return int(dict(message.headers())["source-offset"])


def at_paid(log):
    return max(i for i, message in enumerate(log) if json.loads(message.value())["outcome"] == "paid")


def changed(log, **changes):
    at = at_paid(log)
    return log[:at] + [Message(log[at], **changes)] + log[at + 1:]


LOGS = {
    "a reply missing in the middle": lambda log: log[:50] + log[51:],
    "the first reply missing": lambda log: log[1:],
    "the last reply missing": lambda log: log[:-1],
    "all replies missing": lambda log: [],
    "two replies in the wrong order": lambda log: log[:50] + [log[51], log[50]] + log[52:],
    "an amount altered": lambda log: changed(log, members={"amount_minor": 1 << 40}),
    "an outcome altered": lambda log: changed(log, members={"outcome": "declined", "reason": "insufficient_funds"}),
    "a balance altered": lambda log: changed(log, members={"balance_after_minor": 7}),
    "a time altered": lambda log: changed(log, members={"decided_at": "2020-01-01T00:00:00.000000Z"}),
    "an original altered": lambda log: changed(log, members={"original": "1-0-0"}),
    "a member too many": lambda log: changed(log, members={"more": 1}),
    "another key": lambda log: changed(log, key=b"other"),
    "another ledger's": lambda log: changed(log, headers={"ledger-id": b"11111111-2222-3333-4444-555555555555"}),
    "a covers-from that skips": lambda log: changed(log, headers={"covers-from": b"100000"}),
    "a CloudEvents type that lies": lambda log: changed(log, headers={"ce_type": b"paybuf.payment.declined"}),
    "a copy that differs": lambda log: log + [Message(log[at_paid(log)], members={"balance_after_minor": 7})],
    "a reply to a record that isn't there": lambda log: log + [Message(log[-1], headers={
        "source-offset": b"77777", "covers-from": str(source_offset(log[-1]) + 1).encode()})],
}


@pytest.mark.parametrize("what", LOGS)
def test_a_reply_log_that_was_changed_by_hand_is_found(history, what):
    assert history.differences(replies={**history.replies, 0: LOGS[what](history.replies[0])}) >= 1


@pytest.mark.parametrize("repeated", [slice(-10, None), slice(0, 10), slice(20, 60), slice(0, None)], ids=["end", "start", "middle", "all"])
def test_repeats_are_no_difference(history, repeated):
    log = history.replies[0]
    assert history.differences(replies={**history.replies, 0: log + log[repeated]}) == 0


# --- the client's words, and dead letters ---

def test_a_202_for_what_is_not_in_the_log_is_found(history, tmp_path):
    told = tmp_path / "told"
    told.write_text('{"order_id": "never-stored", "position": "1-0-3"}\n')
    assert history.differences(accepted=told) == 1


def test_a_missing_dead_letter_is_found(history):
    assert history.differences(letters={p: [] for p in history.letters}) == 1
