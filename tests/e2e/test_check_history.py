"""The second opinion itself: each hand-made break of a whole history is found. One small ledger; every break is taken back."""
import json
import subprocess
import sys
from pathlib import Path

import check_history
import history as histories
import pytest

ACCOUNTS = [f"a-{i}" for i in range(5)]
GOOD = {"order_id": "g", "account_id": "a-0", "amount_minor": 1, "currency": "EUR"}


class History:
    """What the checker reads: a connection whose changes are taken back, the three logs, and what a client was told."""

    def __init__(self, ledger, directory):
        self.database = ledger.connect()
        histories.dump(directory, ledger.env)
        self.directory, dumped = directory, histories.Directory(directory)
        self.bounds = dumped.bounds
        self.logs = {kind: {p: list(dumped.records(kind, p)) for p in dumped.partitions} for kind in histories.TOPICS}
        # What a worker repeated whose session ended stays out: a break of one of two copies is none.
        self.logs["replies"] = {p: list({header(record, "source-offset"): record for record in log}.values()) for p, log in self.logs["replies"].items()}
        # What a client would have been told about every record that names an order.
        self.client = [{"order_id": record.key.decode(), "status": 202, "position": f"1-{p}-{record.offset}"}
                       for p, records in self.logs["requests"].items() for record in records if record.value[:1] == b"{"]

    def found(self, **other):
        """What is found; other: logs, bounds or client instead of the real ones."""
        tables = {table: list(histories.read_table(self.database, table)) for table in histories.TABLES}
        client, bounds = other.pop("client", self.client), other.pop("bounds", self.bounds)
        memory = histories.InMemory(bounds, {**self.logs, **other}, tables, client)
        return check_history.judge(memory, one_clock=True).first

    def with_log(self, kind, change):
        """A log in which partition 0 is another."""
        return {kind: {**self.logs[kind], 0: change(self.logs[kind][0])}}

    def change(self, statement):
        with self.database.cursor() as cursor:
            cursor.execute(statement)
            return cursor.rowcount


@pytest.fixture(scope="module")
def whole(servers, tmp_path_factory):
    ledger = servers.new_ledger("history", partitions=2, accounts=ACCOUNTS, workers=())
    ledger.cli("account", "open", "purse", "--currency", "EUR", "--opening-minor", "50")
    ledger.cli("account", "open", "shifting", "--currency", "EUR", "--opening-minor", "100", "--floor-minor", "-50")
    ledger.start()
    ledger.append(ledger.workload(200, ACCOUNTS))
    attempts = [{**GOOD, "order_id": "chain", "account_id": "purse", "amount_minor": amount, "attempt": attempt}
                for attempt, amount in ((1, 80), (2, 30), (3, 10), (2, 30), (2, 31))]
    ledger.append([(b"g", b"garbage", [("odd", b"\xff")]), (b"g", json.dumps({**GOOD, "attempt": 7}).encode(), []), (b"g", b"x" * 9000, []),
                   {**GOOD, "order_id": "p", "amount_minor": 2**50}, {**GOOD, "order_id": "called", "metadata": {"call": "call-1"}},
                   {**GOOD, "order_id": "shift-1", "account_id": "shifting", "amount_minor": 140},
                   {**GOOD, "order_id": "shift-2", "account_id": "shifting", "amount_minor": 11},
                   {**GOOD, "order_id": "nobody", "account_id": "nobody"}, *attempts], partition=0)
    ledger.wait_at_rest()
    ledger.cli("account", "floor", "shifting", "--", "-45")
    ledger.cli("account", "debit", "a-1", "1")
    ledger.cli("account", "freeze", "a-2")
    ledger.append([{**GOOD, "order_id": "frozen", "account_id": "a-2"}], partition=0)
    ledger.wait_at_rest()
    ledger.kill()
    ledger.check()
    # What the tables themselves refuse isn't left to the checker; what they would let through, if they were other tables, is.
    for table, name in ledger.sql("SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE connamespace = 'paybuf'::regnamespace"
                                  " AND contype IN ('c', 'f', 'p') ORDER BY contype = 'p'"):
        ledger.sql(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    history = History(ledger, tmp_path_factory.mktemp("history"))
    yield history
    history.database.close()


@pytest.fixture
def history(whole):
    assert whole.found() == []
    yield whole
    whole.database.rollback()


# --- rows ---

A_PAID_ROW = "ctid = (SELECT min(ctid) FROM paybuf.payment WHERE outcome = 'paid' AND src_partition = 0)"
ROWS = {
    "a payment deleted": f"DELETE FROM paybuf.payment WHERE {A_PAID_ROW}",
    "an amount altered": f"UPDATE paybuf.payment SET amount_minor = amount_minor + 1 WHERE {A_PAID_ROW}",
    "a payment invented": "INSERT INTO paybuf.payment SELECT tenant, 'invented', 1, account_id, currency, 1, outcome, reason, balance_after_minor, NULL, "
                          "log_generation, src_partition, 99999, decided_at FROM paybuf.payment WHERE reason = 'unknown_account'",
    "a payment of a partition that isn't": "UPDATE paybuf.payment SET src_partition = 77 WHERE order_id = 'nobody'",
    "a payment of a later generation": "UPDATE paybuf.payment SET log_generation = 2 WHERE order_id = 'nobody'",
    "an identity with two rows": f"INSERT INTO paybuf.payment SELECT * FROM paybuf.payment WHERE {A_PAID_ROW}",
    "an order paid twice": "UPDATE paybuf.payment SET outcome = 'paid', reason = NULL WHERE order_id = 'chain' AND attempt = 1",
    "an attempt decided without the one before": "DELETE FROM paybuf.payment WHERE order_id = 'chain' AND attempt = 1",
    "a decline turned into a payment": "UPDATE paybuf.payment SET outcome = 'paid', reason = NULL WHERE order_id = 'p'",
    "another reason for a decline": "UPDATE paybuf.payment SET reason = 'account_closed' WHERE order_id = 'frozen'",
    "another account charged": f"UPDATE paybuf.payment SET account_id = CASE account_id WHEN 'a-0' THEN 'a-1' ELSE 'a-0' END WHERE {A_PAID_ROW}",
    "a decision's time altered": f"UPDATE paybuf.payment SET decided_at = decided_at + interval '1 microsecond' WHERE {A_PAID_ROW}",
    "a decision moved to another record": f"UPDATE paybuf.payment SET src_offset = src_offset + 1 WHERE {A_PAID_ROW}",
    "an account version used twice": "UPDATE paybuf.payment SET account_version = account_version - 1 WHERE ctid = (SELECT max(ctid) FROM paybuf.payment "
                                     "WHERE account_version > 2)",
    "an account version missing": "UPDATE paybuf.payment SET account_version = NULL WHERE order_id = 'p'",
    "a balance changed": "UPDATE paybuf.account SET balance_minor = balance_minor - 1 WHERE account_id = 'a-0'",
    "an account's version changed": "UPDATE paybuf.account SET version = version + 1 WHERE account_id = 'a-0'",
    "an account's state changed": "UPDATE paybuf.account SET state = 'active' WHERE account_id = 'a-2'",
    "a floor that would have declined": "UPDATE paybuf.account SET floor_minor = 30 WHERE account_id = 'purse'",
    "a floor changed without an event": "UPDATE paybuf.account SET floor_minor = -46 WHERE account_id = 'shifting'",
    "a floor event above the balance": "UPDATE paybuf.adjustment SET amount_minor = 10 WHERE kind = 'floor'",
    "a decline that no opening floor explains": "UPDATE paybuf.payment SET reason = 'insufficient_funds', outcome = 'declined' WHERE order_id = 'shift-1'",
    "an account deleted": "DELETE FROM paybuf.account WHERE account_id = 'a-0'",
    "an account that was never opened": "INSERT INTO paybuf.account (tenant, account_id, currency) VALUES ('default', 'ghost', 'EUR')",
    "an opening altered": "UPDATE paybuf.adjustment SET amount_minor = amount_minor + 1 WHERE account_id = 'a-0'",
    "an adjustment deleted": "DELETE FROM paybuf.adjustment WHERE kind = 'debit'",
    "a refusal deleted": "DELETE FROM paybuf.refusal WHERE code = 'malformed_json'",
    "an out of sequence refusal deleted": "DELETE FROM paybuf.refusal WHERE code = 'attempt_out_of_sequence' AND src_offset = (SELECT max(src_offset) "
                                          "FROM paybuf.refusal WHERE code = 'attempt_out_of_sequence')",
    "a refusal's reason altered": "UPDATE paybuf.refusal SET code = 'too_large' WHERE code = 'malformed_json'",
    "a good record's refusal called malformed": "UPDATE paybuf.refusal SET code = 'malformed_json' WHERE code = 'attempt_out_of_sequence'",
    "a refusal's time altered": "UPDATE paybuf.refusal SET decided_at = decided_at - interval '1 second' WHERE code = 'malformed_json'",
    "a refusal twice": "INSERT INTO paybuf.refusal SELECT * FROM paybuf.refusal WHERE code = 'malformed_json'",
    "a refusal invented": "INSERT INTO paybuf.refusal SELECT 1, 1, 99999, code, field, decided_at FROM paybuf.refusal WHERE code = 'malformed_json'",
    "a second attempt refused though the first was on file":
        "WITH gone AS (DELETE FROM paybuf.payment WHERE order_id = 'chain' AND attempt = 2 RETURNING *) INSERT INTO paybuf.refusal "
        "SELECT log_generation, src_partition, src_offset, 'attempt_out_of_sequence', NULL, decided_at FROM gone",
    "P put back": "UPDATE paybuf.processed_offset SET next_offset = next_offset - 1 WHERE partition = 0",
    "P ahead of the log": "UPDATE paybuf.processed_offset SET next_offset = next_offset + 1 WHERE partition = 0",
    "an anchor elsewhere": "UPDATE paybuf.processed_offset SET anchor_offset = anchor_offset - 1 WHERE partition = 0",
    "an anchor of another time": "UPDATE paybuf.processed_offset SET anchor_timestamp_ms = anchor_timestamp_ms + 1 WHERE partition = 0",
    "an anchor with another checksum": "UPDATE paybuf.processed_offset SET anchor_crc32c = anchor_crc32c # 1 WHERE partition = 0",
    "a replied pair that never was": "UPDATE paybuf.processed_offset SET reply_position = reply_position - 1 WHERE partition = 0",
    "a generation raised without a trace in the rows": "UPDATE paybuf.processed_offset SET log_generation = 2 WHERE partition = 0",
    "a lane halted": "UPDATE paybuf.processed_offset SET halted_reason = 'poison' WHERE partition = 0",
    "a lane deleted": "DELETE FROM paybuf.processed_offset WHERE partition = 0",
    "another ledger's id": "UPDATE paybuf.ledger SET ledger_id = '11111111-2222-3333-4444-555555555555'",
    "the ledger halted": "UPDATE paybuf.ledger SET halted = true, halted_reason = 'database_rolled_back'",
}


@pytest.mark.parametrize("what", ROWS)
def test_a_row_that_was_changed_by_hand_is_found(history, what):
    assert history.change(ROWS[what]) >= 1, "the break broke nothing"
    assert history.found()


# --- the reply log ---

def header(record, name):
    return dict(record.headers)[name]


def changed(record, members=None, headers=None, **fields):
    if members is not None:
        fields["value"] = json.dumps({**json.loads(record.value), **members}).encode()
    return record._replace(headers=[(name, (headers or {}).get(name, value)) for name, value in record.headers], **fields)


def at(log, outcome):
    return max(i for i, record in enumerate(log) if json.loads(record.value)["outcome"] == outcome)


def with_one(log, outcome="paid", **changes):
    i = at(log, outcome)
    return log[:i] + [changed(log[i], **changes)] + log[i + 1:]


def number(value):
    return str(value).encode()


LOGS = {
    "a reply missing in the middle": lambda log: log[:50] + log[51:],
    "the first reply missing": lambda log: log[1:],
    "the last reply missing": lambda log: log[:-1],
    "all replies missing": lambda log: [],
    "two replies in the wrong order": lambda log: log[:50] + [log[51], log[50]] + log[52:],
    "an amount altered": lambda log: with_one(log, members={"amount_minor": 1 << 40}),
    "a version altered": lambda log: with_one(log, members={"account_version": 1 << 40}),
    "an outcome altered": lambda log: with_one(log, members={"outcome": "declined", "reason": "insufficient_funds"}),
    "a duplicate that says it is none": lambda log: with_one(log, members={"duplicate": not json.loads(log[at(log, "paid")].value)["duplicate"]}),
    "a number for false": lambda log: with_one(log, "conflict", members={"duplicate": 0}),
    "a balance altered": lambda log: with_one(log, members={"balance_after_minor": 7}),
    "a time altered": lambda log: with_one(log, members={"decided_at": "2020-01-01T00:00:00.000000Z"}),
    "an original altered": lambda log: with_one(log, members={"original": "1-0-0"}),
    "a conflict that names another member": lambda log: with_one(log, "conflict", members={"reason": "currency_differs"}),
    "a conflict with another stored decision": lambda log: with_one(log, "conflict", members={"stored": None}),
    "an invalid reply with the record's content": lambda log: with_one(log, "invalid", members={"order_id": "g"}),
    "an invalid reply without a tenant": lambda log: with_one(log, "invalid", members={"tenant": None}),
    "a member too many": lambda log: with_one(log, members={"more": 1}),
    "no JSON": lambda log: with_one(log, value=b"{"),
    "no value": lambda log: with_one(log, value=None),
    "another key": lambda log: with_one(log, key=b"other"),
    "another ledger's": lambda log: with_one(log, headers={"ledger-id": b"11111111-2222-3333-4444-555555555555"}),
    "a later generation": lambda log: with_one(log, headers={"log-generation": b"2"}),
    "a covers-from that skips": lambda log: with_one(log, headers={"covers-from": b"100000"}),
    "a covers-from before the record before": lambda log: with_one(log, headers={"covers-from": b"0"}),
    "a CloudEvents type that lies": lambda log: with_one(log, headers={"ce_type": b"paybuf.payment.declined"}),
    "a CloudEvents time that lies": lambda log: with_one(log, headers={"ce_time": b"2020-01-01T00:00:00.000000Z"}),
    "a CloudEvents id of another record": lambda log: with_one(log, headers={"ce_id": b"pay.requests/1-0-0"}),
    "a CloudEvents subject of another order": lambda log: with_one(log, headers={"ce_subject": b"other"}),
    "a header twice": lambda log: log[:-1] + [log[-1]._replace(headers=log[-1].headers + [("ce_type", header(log[-1], "ce_type"))])],
    "a traceparent that nobody sent": lambda log: log[:-1] + [log[-1]._replace(headers=log[-1].headers + [("traceparent", b"00-1-2-01")])],
    "a copy that differs in its value": lambda log: log + [changed(log[at(log, "paid")], members={"balance_after_minor": 7})],
    "a copy that differs in its key": lambda log: log + [changed(log[at(log, "paid")], key=b"other")],
    "a copy that differs in a header": lambda log: log + [changed(log[at(log, "paid")], headers={"ce_source": b"/other"})],
    "a copy that covers from elsewhere": lambda log: log + [changed(log[at(log, "paid")], headers={"covers-from": b"0"})],
    "a reply to a record that isn't there": lambda log: log + [changed(log[-1], headers={
        "source-offset": b"77777", "covers-from": number(int(header(log[-1], "source-offset")) + 1)})],
    "a reply older than its decision": lambda log: with_one(log, timestamp_ms=1),
}


@pytest.mark.parametrize("what", LOGS)
def test_a_reply_log_that_was_changed_by_hand_is_found(history, what):
    assert history.found(**history.with_log("replies", LOGS[what]))


@pytest.mark.parametrize("repeated", [slice(-10, None), slice(0, 10), slice(20, 60), slice(0, None)], ids=["end", "start", "middle", "all"])
def test_repeats_are_no_difference(history, repeated):
    assert history.found(**history.with_log("replies", lambda log: log + log[repeated])) == []


def test_a_record_that_is_none_of_ours_is_no_difference(history):
    assert history.found(**history.with_log("replies", lambda log: log[:5] + [log[5]._replace(headers=[])] + log[5:])) == []


def test_a_message_that_came_before_the_money_is_found_also_while_the_run_goes_on(history):
    history.change("UPDATE paybuf.processed_offset SET next_offset = next_offset - 1 WHERE partition = 0")
    assert any("the message came before the money" in text for text in history.found())


# --- the request log ---

REQUESTS = {
    "a record lost": lambda log: log[:50] + log[51:],
    "the last record lost": lambda log: log[:-1],
    "a record that was never answered": lambda log: log + [log[-1]._replace(offset=log[-1].offset + 1)],
    "a record's bytes changed": lambda log: log[:50] + [log[50]._replace(value=b"other")] + log[51:],
    "a record's amount changed": lambda log: [changed(log[0], members={"amount_minor": 1 << 30})] + log[1:],
    "a record's tenant changed": lambda log: log[:50] + [log[50]._replace(headers=[("tenant", b"other")])] + log[51:],
    "a record that came earlier than its decision": lambda log: [log[at_key(log, b"called")]._replace(offset=log[0].offset)] + log[1:],
}


def at_key(log, key):
    return next(i for i, record in enumerate(log) if record.key == key)


@pytest.mark.parametrize("what", REQUESTS)
def test_a_request_log_that_was_changed_by_hand_is_found(history, what):
    assert history.found(**history.with_log("requests", REQUESTS[what]))


# --- dead letters ---

def every(letters, change):
    return {p: change(log) for p, log in letters.items()}


LETTERS = {
    "all letters missing": lambda log: [],
    "another reason": lambda log: [changed(letter, headers={"reason": b"bad_field"}) for letter in log],
    "other bytes": lambda log: [changed(letter, value=b"other") for letter in log],
    "another key": lambda log: [changed(letter, key=b"other") for letter in log],
    "an original header lost": lambda log: [letter._replace(headers=letter.headers[:2]) for letter in log],
    "a second letter that differs": lambda log: log + [changed(letter, value=b"other") for letter in log],
    "a letter of a good record": lambda log: log + [changed(letter, headers={"position": b"1-0-0"}) for letter in log],
    "a stub for what isn't too large": lambda log: [letter._replace(key=None, headers=letter.headers[:2], value=b'{"stub":true,"size":7,"sha256":"00"}')
                                                    for letter in log],
    "a letter later than its reply": lambda log: [letter._replace(timestamp_ms=letter.timestamp_ms + 10**9) for letter in log],
}


@pytest.mark.parametrize("what", LETTERS)
def test_dead_letters_that_were_changed_by_hand_are_found(history, what):
    assert history.found(letters=every(history.logs["letters"], LETTERS[what]))


def test_a_dead_letter_sent_twice_is_no_difference(history):
    assert history.found(letters=every(history.logs["letters"], lambda log: log + log)) == []


# --- the client's words ---

CALLED = {"order_id": "called", "status": 202, "call": "call-1"}


def told(history, **changes):
    return [{**CALLED, "position": position_of(history, b"called"), **changes}]


def position_of(history, key):
    log = history.logs["requests"][0]
    return f"1-0-{log[at_key(log, key)].offset}"


def answer_of(history, key):
    return json.loads(next(record for record in history.logs["replies"][0] if record.key == key).value)


CLIENT = {
    "a 202 for what is not in the log": lambda history: told(history, position="1-0-99999"),
    "a 202 of a partition that isn't": lambda history: told(history, position="1-9-3"),
    "a 202 of another generation": lambda history: told(history, position=position_of(history, b"called").replace("1-", "2-", 1)),
    "a 202 without a position": lambda history: told(history, position=None),
    "a 202 for another order's record": lambda history: told(history, order_id="other"),
    "a 202 for another attempt's record": lambda history: told(history, attempt=2),
    "a 202 for another call's record": lambda history: told(history, call="call-2"),
    "one record for two calls": lambda history: told(history) + told(history),
    "a 503 for what is in the log": lambda history: [{"order_id": "called", "status": 503}],
    "a 503 for a call that is in the log": lambda history: [{**CALLED, "status": 503}] + told(history, call="call-2"),
    "a 400 for what is in the log": lambda history: [{"order_id": "called", "status": 400}],
    "an answer that the log doesn't have": lambda history: told(history, reply={**answer_of(history, b"called"), "balance_after_minor": 7}),
}


@pytest.mark.parametrize("what", CLIENT)
def test_a_client_that_was_told_something_else_is_found(history, what):
    assert history.found(client=CLIENT[what](history))


def test_a_call_that_is_in_the_log_twice_is_found(history):
    def repeat(log):
        record = log[at_key(log, b"called")]
        return [record._replace(offset=other.offset) if other.key == b"nobody" else other for other in log]
    assert any("in the log twice" in text for text in history.found(client=told(history), **history.with_log("requests", repeat)))


def test_honest_words_are_no_difference(history):
    words = told(history, reply=answer_of(history, b"called"), attempt=1)
    words += [{"order_id": "never", "status": 503}, {"order_id": "called", "status": 503, "call": "call-2"}, {"order_id": "p", "status": 504},
              {"order_id": "nobody", "status": 503}, {"order_id": "nobody", "status": 202, "position": position_of(history, b"nobody")},
              {"order_id": "gone", "status": 0}]
    assert history.found(client=words) == []


# --- a loss that a person accepted ---

def test_what_was_answered_before_a_generation_was_raised_is_no_difference(history):
    history.change("UPDATE paybuf.processed_offset SET log_generation = 2, next_offset = 0, replied_offset = 0, reply_position = 0, "
                   "anchor_offset = NULL, anchor_timestamp_ms = NULL, anchor_crc32c = NULL WHERE partition = 0")
    emptied = {**history.bounds, "requests": {**history.bounds["requests"], 0: (0, 0)}}
    assert history.found(bounds=emptied, **history.with_log("requests", lambda log: [])) == []


# --- the program ---

def test_a_directory_is_judged_without_servers_and_the_last_line_and_the_exit_code_tell(history):
    def run():
        return subprocess.run([sys.executable, "-B", str(Path(__file__).with_name("check_history.py")), str(history.directory)],
                              env={}, capture_output=True, text=True, timeout=300)
    good = run()
    assert good.returncode == 0 and good.stdout.splitlines()[-1].endswith(", 0 differences"), good
    (history.directory / "client.ndjson").write_text('{"order_id": "never-stored", "position": "1-0-99999"}\n')
    bad = run()
    assert bad.returncode == 4 and bad.stdout.splitlines()[-1].endswith(", 1 differences"), bad
