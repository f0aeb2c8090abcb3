"""Replays: decided on paper, answered again, sent again. What nobody touched differs in nothing; what was edited is named."""
import hashlib
import json
import signal
import subprocess

import pytest

from intake_calls import PATIENT        # else a line that waits long is sent twice, as it may be
from stack import wait_until

ACCOUNTS = [f"a-{i}" for i in range(6)]


@pytest.fixture(scope="module")
def ledger(servers):
    ledger = servers.new_ledger("replay", workers=("worker-1",), accounts=ACCOUNTS)
    ledger.cli("account", "open", "poor", "--currency", "EUR", "--opening-minor", "100")
    ledger.append(ledger.workload(1500, ACCOUNTS + ["poor", "nobody"], seed=3) + [(b"bad", b"{", [])])
    ledger.append([{"order_id": "late", "attempt": 3, "account_id": "a-0", "amount_minor": 1, "currency": "EUR"}])
    ledger.wait_at_rest()
    ledger.start("producer", **PATIENT)
    return ledger


def dry_run(ledger, *arguments):
    done = ledger.cli("replay", "--dry-run", "-o", "json", *arguments, ok=(0, 4))
    report = json.loads(done.stdout)
    assert (done.returncode == 4) == bool(report["differences"])
    return report


def fields(report):
    return [(one["order_id"], one["field"]) for one in report["differences"]]


def books(ledger):
    return ledger.sql("SELECT account_id, balance_minor, version FROM paybuf.account ORDER BY 1"), ledger.sql("SELECT count(*) FROM paybuf.payment")


def one_paid(ledger, account="a-1"):
    """The account's first payment whose order never asked for a second attempt: that one's answer would follow an edit of the first's row."""
    retried = [answer["order_id"] for answer in ledger.answers().values() if answer["attempt"] not in (None, 1)]
    return ledger.sql("SELECT order_id, attempt, src_partition, src_offset FROM paybuf.payment WHERE account_id = %s AND outcome = 'paid' "
                      "AND order_id <> ALL (%s) ORDER BY account_version LIMIT 1", account, retried)[0]


# --- on paper ---

def test_an_untouched_ledger_is_decided_again_without_a_difference(ledger, tmp_path):
    before = books(ledger)
    report = dry_run(ledger)
    assert report["differences"] == [] and report["summary"]["selected"] == report["summary"]["read"] == 1502
    ledger.cli("dump", str(tmp_path / "dump"))
    assert dry_run(ledger, "--from-dump", str(tmp_path / "dump")) == report
    assert books(ledger) == before


def test_filters_select_what_they_say(ledger):
    order, attempt, partition, offset = one_paid(ledger)
    outcomes = {word: dry_run(ledger, "--outcome", word)["summary"]["selected"] for word in ("paid", "declined", "conflict", "invalid")}
    assert sum(outcomes.values()) == 1502 and all(outcomes.values())
    one = dry_run(ledger, "--partition", str(partition), "--from-offset", str(offset), "--to-offset", str(offset))
    assert one["summary"]["selected"] == 1
    copies = dry_run(ledger, "--order", order)["summary"]["selected"]
    assert copies == sum(answer["order_id"] == order for answer in ledger.answers().values())
    assert dry_run(ledger, "--tenant", "shop")["summary"]["selected"] == 0
    assert dry_run(ledger, "--until", "2020-01-01T00:00:00Z")["summary"]["selected"] == 0
    assert dry_run(ledger, "--since", "2020-01-01T00:00:00Z")["summary"]["selected"] == 1502


EDITS = {
    "amount_minor": "amount_minor = amount_minor + 1",
    "balance_after_minor": "balance_after_minor = balance_after_minor + 1",
    "currency": "currency = 'USD'",
    "outcome": "outcome = 'declined', reason = 'account_frozen'",
}


@pytest.mark.parametrize("field", EDITS)
def test_an_edited_row_is_named_with_exactly_that_field(ledger, tmp_path, field):
    order, attempt, partition, offset = one_paid(ledger)
    ledger.sql("CREATE TABLE kept AS SELECT * FROM paybuf.payment WHERE order_id = %s", order)
    try:
        ledger.sql(f"UPDATE paybuf.payment SET {EDITS[field]} WHERE order_id = %s AND attempt = %s", order, attempt)
        online = dry_run(ledger)
        ledger.cli("dump", str(tmp_path / "edited"))
        assert dry_run(ledger, "--from-dump", str(tmp_path / "edited"))["differences"] == online["differences"]
    finally:
        ledger.sql("DELETE FROM paybuf.payment WHERE order_id = %s", order)
        ledger.sql("INSERT INTO paybuf.payment TABLE kept")
        ledger.sql("DROP TABLE kept")
    named = [one for one in online["differences"] if one["position"] == f"1-{partition}-{offset}"]
    assert [one["field"] for one in named] == ([field] if field != "outcome" else ["outcome", "reason"])
    assert named == online["differences"], "nothing else differs"
    assert dry_run(ledger)["differences"] == []


def test_a_deleted_row_shows_what_would_be_decided_now(ledger):
    order, attempt, partition, offset = one_paid(ledger, "a-2")
    ledger.sql("CREATE TABLE kept AS SELECT * FROM paybuf.payment WHERE order_id = %s AND attempt = %s", order, attempt)
    try:
        ledger.sql("DELETE FROM paybuf.payment WHERE order_id = %s AND attempt = %s", order, attempt)
        report = dry_run(ledger, "--order", order)
    finally:
        ledger.sql("INSERT INTO paybuf.payment TABLE kept")
        ledger.sql("DROP TABLE kept")
    assert ("decision", f"1-{partition}-{offset}") in [(one["field"], one["position"]) for one in report["differences"]]
    assert dry_run(ledger)["differences"] == []


def test_a_topup_that_never_was_changes_what_came_behind_it(ledger):
    ledger.sql("UPDATE paybuf.adjustment SET amount_minor = 1000000 WHERE account_id = 'poor' AND kind = 'open'")
    try:
        report = dry_run(ledger, "--account", "poor")
    finally:
        ledger.sql("UPDATE paybuf.adjustment SET amount_minor = 100 WHERE account_id = 'poor' AND kind = 'open'")
    changed = {one["order_id"]: (one["stored"], one["replayed"]) for one in report["differences"] if one["field"] == "outcome"}
    declined = ledger.sql("SELECT count(*) FROM paybuf.payment WHERE account_id = 'poor' AND reason = 'insufficient_funds'")[0][0]
    assert len(changed) > 0 and set(changed.values()) == {("declined", "paid")} and declined > 0
    assert "the account was active then, balance 1000000" in report["differences"][0]["why"]


def test_a_raised_generation_and_what_lies_before_it_differ_in_nothing(servers, tmp_path):
    """After `recover` accepted a loss the same partition holds requests of two generations; refusals and rows of the first keep theirs."""
    ledger = servers.new_ledger("generation", partitions=2, workers=("worker-1",), accounts=ACCOUNTS)
    ledger.append(ledger.workload(300, ACCOUNTS, seed=1), partition=0)
    ledger.append([(b"bad", b"{", [])], partition=0)
    ledger.wait_at_rest()
    ledger.kill("worker-1", expel=True)
    ledger.sql("UPDATE paybuf.processed_offset SET next_offset = next_offset + 50 WHERE partition = 0")     # as if the log had lost its end
    ledger.start("worker-1")
    wait_until(lambda: ledger.lanes()[0]["halted_reason"] == "log_truncated", 90, "the lane halts")
    ledger.cli("recover", "lane", "0", "--accept", "log_truncated", "--yes")
    ledger.append(ledger.workload(100, ACCOUNTS, seed=3, prefix="new") + [(b"bad", b"[", [])], partition=0)
    wait_until(lambda: ledger.lanes()[0]["halted_reason"] is None, 90, "the lane goes on")
    ledger.wait_at_rest()
    assert dry_run(ledger)["differences"] == []
    ledger.cli("dump", str(tmp_path / "dump"))
    assert dry_run(ledger, "--from-dump", str(tmp_path / "dump"))["differences"] == []
    online = json.loads(ledger.cli("audit", "-o", "json").stdout)
    from_dump = json.loads(ledger.cli("audit", "-o", "json", "--from-dump", str(tmp_path / "dump")).stdout)
    assert online["lanes"] == from_dump["lanes"] and online["summary"]["sha256"] == from_dump["summary"]["sha256"]


# --- answered again ---

def reply_mode(ledger, *arguments, ok=(0,)):
    return ledger.cli("replay", "--reply", *arguments, ok=ok)


def test_replies_go_out_again_and_readers_drop_them(ledger):
    before, answers = ledger.bounds(ledger.replies), ledger.answers()
    asked = reply_mode(ledger, "--from", "1-1-5", ok=(2,))
    assert "--yes" in asked.stderr and ledger.bounds(ledger.replies) == before
    reply_mode(ledger, "--from", "1-1-5", "--to-offset", "44", "--yes")
    after = ledger.bounds(ledger.replies)
    assert after[1][1] == before[1][1] + 40 and {p: after[p] for p in (0, 2, 3)} == {p: before[p] for p in (0, 2, 3)}
    assert ledger.answers() == answers
    ledger.check()
    ledger.kill("worker-1", expel=True)         # and the next claim reads them as what they are
    ledger.start("worker-1")
    ledger.wait_claimed()
    ledger.append([{"order_id": "behind-the-replay", "account_id": "a-0", "amount_minor": 1, "currency": "EUR"}], partition=1)
    ledger.wait_at_rest()
    ledger.check()


def test_a_gap_is_closed_and_the_reader_goes_on_by_itself(ledger):
    """A broker that lost replies in the middle: a topic that holds them but for some; the missing ones come from the replay."""
    name = f"{ledger.group}.gap"
    ledger.create_topic(name, ledger.partitions)
    producer = ledger.producer()
    for message in ledger.read(ledger.replies)[2]:
        if not 20 <= int(dict(message.headers())["source-offset"]) < 30:
            producer.produce(name, message.value(), message.key(), 2, headers=message.headers())
    assert producer.flush(60) == 0
    kept, ledger.env = ledger.env, {**ledger.env, "PAYBUF_REPLY_TOPIC": name}
    try:
        stopped = ledger.cli("listen", "--from", "start", "--until-idle", "2", ok=(4,))
        assert "1-2-20" in stopped.stderr, stopped.stderr
        reply_mode(ledger, "--from", "1-2-20", "--yes")
        assert ledger.cli("listen", "--from", "start", "--until-idle", "2").stdout.count("\n") == len(ledger.answers(2))
    finally:
        ledger.env = kept


def test_what_no_worker_has_answered_is_not_the_replays_to_answer(ledger):
    end = ledger.bounds()[0][1]
    refused = reply_mode(ledger, "--from", f"1-0-{end + 5}", "--yes", ok=(1,))
    assert "begin earlier" in refused.stderr
    assert reply_mode(ledger, "--from", "2-0-0", "--yes", ok=(3,)).returncode == 3
    assert reply_mode(ledger, "--from", "1-0-0", "--account", "a-1", "--yes", ok=(2,)).returncode == 2


def test_nothing_is_published_from_a_halted_or_restarted_database(ledger):
    before = ledger.bounds(ledger.replies)
    ledger.sql("UPDATE paybuf.ledger SET halted = true, halted_reason = 'database_rolled_back'")
    try:
        assert "halted" in reply_mode(ledger, "--from", "1-0-0", "--yes", ok=(1,)).stderr
    finally:
        ledger.sql("UPDATE paybuf.ledger SET halted = false, halted_reason = NULL")
    assert ledger.bounds(ledger.replies) == before


def test_answers_go_to_a_file_or_another_topic_filtered(ledger, tmp_path):
    target = tmp_path / "lost.ndjson"
    reply_mode(ledger, "--from", "1-3-0", "--to-file", str(target), "--account", "a-1", "--yes")
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert lines == [answer for (_, _), answer in sorted(ledger.answers(3).items()) if answer["account_id"] == "a-1"]
    name = f"{ledger.group}.copy"
    ledger.create_topic(name, ledger.partitions)
    reply_mode(ledger, "--from", "1-3-0", "--to-topic", name, "--yes")
    missing = reply_mode(ledger, "--from", "1-3-0", "--to-topic", "nobody.made.this", "--yes", ok=(78,))
    assert "the topic nobody.made.this doesn't exist" in missing.stderr
    copied = {int(dict(m.headers())["source-offset"]): m.value() for m in ledger.read(name)[3]}
    assert {s: json.loads(value) for s, value in copied.items()} == {s: answer for (_, s), answer in ledger.answers(3).items()}


def test_no_copy_of_replies_goes_into_a_topic_of_the_ledger(ledger, tmp_path):
    """A reply among the requests would be decided as one; filtered among the replies it would hide those between."""
    ledger.cli("dump", str(tmp_path / "dump"))
    others = {"PAYBUF_REQUEST_TOPIC": "other.requests", "PAYBUF_REPLY_TOPIC": "other.replies", "PAYBUF_DLQ_TOPIC": "other.dlq"}
    topics = (ledger.requests, ledger.replies, ledger.letters)
    before, kept = [ledger.bounds(topic) for topic in topics], ledger.env
    for topic in topics:
        for dump in ([], ["--from-dump", str(tmp_path / "dump")]):
            asked = reply_mode(ledger, "--from", "1-3-0", "--to-topic", topic, "--account", "a-1", "--yes", *dump, ok=(2,))
            assert f"--to-topic {topic}" in asked.stderr
        ledger.env = {**kept, **others}
        try:
            named_by_dump = reply_mode(ledger, "--from", "1-3-0", "--to-topic", topic, "--yes", "--from-dump", str(tmp_path / "dump"), ok=(2,))
        finally:
            ledger.env = kept
        assert f"--to-topic {topic}" in named_by_dump.stderr
    assert [ledger.bounds(topic) for topic in topics] == before


# --- sent again ---

def append_mode(ledger, *arguments, ok=(0,)):
    return ledger.cli("replay", "--append", "-o", "json", *arguments, ok=ok)


def test_requests_sent_again_are_duplicates_and_move_no_money(ledger):
    before, ends = books(ledger), ledger.bounds()
    assert "--yes" in append_mode(ledger, "--account", "a-3", ok=(2,)).stderr and ledger.bounds() == ends
    sent = json.loads(append_mode(ledger, "--account", "a-3", "--yes").stdout)
    assert sent["sent"] == sent["selected"] > 0 and sent["refused"] == 0
    ledger.wait_at_rest()
    fresh = [answer for (p, o), answer in ledger.answers().items() if o >= ends[p][1]]
    assert len(fresh) == sent["sent"]
    assert all(answer["duplicate"] or answer["outcome"] in ("conflict", "invalid") for answer in fresh) and any(answer["duplicate"] for answer in fresh)
    assert books(ledger) == before
    ledger.check()


def test_an_interrupted_sending_goes_on_where_it_stood(ledger, tmp_path):
    before, ends, state = books(ledger), ledger.bounds(), tmp_path / "sent.state"
    arguments = ["replay", "--append", "--partition", "0", "--rate", "10", "--state", str(state), "--yes", "-o", "json"]
    child = subprocess.Popen([ledger.binary("paybuf"), "--config", str(ledger.run_dir / "paybuf.conf"), *arguments],
                             env={**ledger.environment, **ledger.env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(state.exists, 60, "the first batch is noted")
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 75, err
    first = json.loads(out)["sent"]
    rest = json.loads(append_mode(ledger, "--partition", "0", "--state", str(state), "--yes", ok=(0, 4)).stdout)
    ledger.wait_at_rest()
    again = json.loads(append_mode(ledger, "--partition", "0", "--state", str(state), "--yes").stdout)
    assert again["selected"] == again["sent"] == 0, "what it sent itself lies behind the end that the state keeps"
    valid = sum(answer["outcome"] != "invalid" or answer["reason"] == "attempt_out_of_sequence" for (p, o), answer in ledger.answers(0).items() if o < ends[0][1])
    assert 0 < first < valid and first + rest["sent"] + rest["refused"] == valid
    assert books(ledger) == before
    ledger.check()


def test_another_tenants_key_sends_nothing_and_the_right_one_does(ledger, tmp_path):
    """With a key the intake knows the tenant by the key alone: another one's would make a new payment of every duplicate."""
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{tenant} {tenant} pay,read {hashlib.sha256(key.encode()).hexdigest()}\n" for tenant, key in (("shop", "key-of-shop"), ("default", "key-of-default"))))
    ledger.stop("producer")
    ledger.start("producer", PAYBUF_PRODUCER_API_KEYS=str(keys), PAYBUF_PRODUCER_DATABASE=ledger.env["PAYBUF_DATABASE_URL"], **PATIENT)
    ends, before, kept = ledger.bounds(), books(ledger), ledger.env
    try:
        for key in ("key-of-shop", "a-key-that-nobody-knows"):
            ledger.env = {**kept, "PAYBUF_API_KEY": key}
            assert "nothing was sent" in append_mode(ledger, "--account", "a-4", "--yes", ok=(1,)).stderr
            assert ledger.bounds() == ends
        ledger.env = {**kept, "PAYBUF_API_KEY": "key-of-default"}
        assert json.loads(append_mode(ledger, "--account", "a-4", "--yes").stdout)["sent"] > 0
    finally:
        ledger.env = kept
        ledger.stop("producer")
        ledger.start("producer", **PATIENT)
    ledger.wait_at_rest()
    assert books(ledger) == before


def test_a_mode_is_asked_for_and_options_belong_to_one(ledger):
    for wrong in ([], ["--dry-run", "--append"], ["--dry-run", "--to-file", "x"], ["--reply"], ["--append", "--limit", "3"], ["--dry-run", "--from-offset", "3"]):
        assert ledger.cli("replay", *wrong, check=False).returncode == 2, wrong
