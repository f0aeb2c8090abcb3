"""paybuf recover database where the redo range has holes: those that the reader's rule allows, and those that it doesn't."""
import json

import pytest
from confluent_kafka import Producer

from recovering import orders
from stack import QUIET, wait_until

BACKUP = 20                          # the database comes back as it was after so many requests


def append_and_abort(ledger, requests):
    """Records that are no requests: their transaction is aborted. They and the marker behind them, which the broker writes when it comes to it, leave holes."""
    end = ledger.bounds()[0][1] + len(requests) + 1
    producer = Producer({"bootstrap.servers": ledger.bootstrap(), "transactional.id": f"{ledger.requests}-aborting", **QUIET})
    producer.init_transactions(60)
    producer.begin_transaction()
    for request in requests:
        producer.produce(ledger.requests, json.dumps(request), request["order_id"], 0)
    assert producer.flush(60) == 0
    producer.abort_transaction(60)
    wait_until(lambda: ledger.bounds()[0][1] == end, 60, "the marker of the abort is in the log")


def older(ledger):
    """Rows and accounts of a database that is as old as the first BACKUP requests; what came behind is only in the logs."""
    ledger.append(orders("kept", BACKUP), partition=0)
    ledger.wait_at_rest()
    lane = ledger.sql("SELECT next_offset, replied_offset, reply_position, anchor_offset, anchor_timestamp_ms, anchor_crc32c FROM paybuf.processed_offset WHERE partition = 0")[0]
    accounts = ledger.sql("SELECT balance_minor, version, account_id FROM paybuf.account")
    append_and_abort(ledger, orders("aborted", 3))
    ledger.append(orders("lost", 10), partition=0)
    append_and_abort(ledger, orders("aborted-too", 2))
    ledger.append(orders("lost-too", 10), partition=0)
    ledger.wait_at_rest()
    ledger.kill(expel=True)
    before = ledger.sql("SELECT tenant, order_id, outcome, balance_after_minor, account_version, src_offset, decided_at FROM paybuf.payment ORDER BY src_offset")
    ledger.sql("DELETE FROM paybuf.payment WHERE src_offset >= %s", BACKUP)
    for balance, version, account in accounts:
        ledger.sql("UPDATE paybuf.account SET balance_minor = %s, version = %s WHERE account_id = %s", balance, version, account)
    ledger.sql("UPDATE paybuf.processed_offset SET next_offset = %s, replied_offset = %s, reply_position = %s, anchor_offset = %s, anchor_timestamp_ms = %s, "
               "anchor_crc32c = %s WHERE partition = 0", *lane)
    return before


def rewrite_replies(ledger, change):
    """The reply log as a broker could have kept it: change(replies in order) -> replies in order."""
    replies = change(ledger.read(ledger.replies)[0])
    ledger.replace_topic(ledger.replies)
    producer = ledger.producer()
    for reply in replies:
        producer.produce(ledger.replies, reply.value(), reply.key(), 0, headers=reply.headers())
    assert producer.flush(60) == 0


@pytest.fixture
def ledger(new_ledger):
    made = new_ledger(accounts=[f"a-{i}" for i in range(10)], partitions=1)
    made.before = older(made)
    return made


def contradictions(done):
    return json.loads(done.stdout)["contradictions"]


def is_recovered(ledger):
    ledger.cli("recover", "database", "--yes")
    after = ledger.sql("SELECT tenant, order_id, outcome, balance_after_minor, account_version, src_offset, decided_at FROM paybuf.payment ORDER BY src_offset")
    assert after == ledger.before
    ledger.start()
    ledger.append(orders("later", 5), partition=0)
    ledger.wait_at_rest()
    assert "0 differences" in ledger.cli("audit").stdout


def test_aborted_transactions_between_the_requests_are_no_gap(ledger):
    offsets = [row[5] for row in ledger.before]
    assert len(offsets) == 40 and offsets[-1] > 45, "the transactions left no holes"
    assert contradictions(ledger.cli("recover", "database", "-o", "json", ok=(4,))) == []
    is_recovered(ledger)


def test_a_gap_that_a_replay_closed_further_down_the_log_is_none(ledger):
    rewrite_replies(ledger, lambda replies: replies[:25] + replies[28:] + replies[25:])
    assert contradictions(ledger.cli("recover", "database", "-o", "json", ok=(4,))) == []
    is_recovered(ledger)


def test_a_gap_that_nothing_closes_names_its_range_and_what_comes_next(ledger):
    first, until = ledger.before[25][5], ledger.before[28][5]
    rewrite_replies(ledger, lambda replies: replies[:25] + replies[28:])
    for arguments in ([], ["--yes"]):
        done = ledger.cli("recover", "database", *arguments, "-o", "json", ok=(4,))
        found, = [row for row in contradictions(done) if row["kind"] == "gap"]
        assert found["where"] == f"1-0-{first}"
        assert f"from 1-0-{first} up to offset {until - 1} are missing" in found["detail"]
        assert f"P of partition 0 is {until} or more, then paybuf recover database" in found["detail"]
    assert ledger.sql("SELECT count(*) FROM paybuf.payment") == [(BACKUP,)], "rows were written across a gap"
