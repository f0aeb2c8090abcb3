"""Dumps and the audit without servers: the same judgement and the same hash; whatever is changed from outside is named."""
import json
import random
import shutil
from pathlib import Path

import pytest

EUR = {"currency": "EUR"}


@pytest.fixture(scope="module")
def ledger(servers):
    """A ledger at rest with some of everything: duplicates, conflicts, declines, attempts, garbage."""
    ledger = servers.new_ledger("dump_audit", workers=("worker-1",), accounts=[f"a-{i}" for i in range(10)])
    ledger.cli("account", "open", "poor", "--currency", "EUR", "--opening-minor", "10")
    work = ledger.workload(2000, [f"a-{i}" for i in range(10)] + ["poor", "nobody"], seed=7)
    garbage = [(b"bad", b"not json", []), (b"other-key", json.dumps(work[0]).encode(), []), (b"t", b"{}", [("tenant", b"no tenant!")])]
    ledger.append(work + garbage + [{**work[5], "attempt": 9}])
    ledger.wait_at_rest()
    return ledger


@pytest.fixture
def dump(ledger, tmp_path):
    folder = tmp_path / "dump"
    ledger.cli("dump", str(folder))
    return folder


def audit(ledger, *arguments):
    done = ledger.cli("audit", "-o", "json", *arguments, ok=(0, 4))
    return json.loads(done.stdout)


def offline(ledger, folder, *arguments):
    """Without any address of a server: nothing but the dump may be asked."""
    nowhere = {"PAYBUF_KAFKA_BOOTSTRAP": "127.0.0.1:1", "PAYBUF_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    kept, ledger.env = ledger.env, {**ledger.env, **nowhere}
    try:
        return audit(ledger, "--from-dump", str(folder), *arguments)
    finally:
        ledger.env = kept


def kinds(report):
    return {difference["kind"] for difference in report["differences"]}


def test_a_dump_is_judged_as_the_servers_are_and_has_the_same_hash(ledger, dump):
    online, from_dump = audit(ledger), offline(ledger, dump)
    assert online["differences"] == from_dump["differences"] == []
    assert online["lanes"] == from_dump["lanes"]
    for name in ("ledger_id", "requests", "decisions", "replies", "dead_letters", "accounts", "account_events", "sha256"):
        assert online["summary"][name] == from_dump["summary"][name], name
    assert len(online["summary"]["sha256"]) == 64 and online["summary"]["requests"] == 2004


def test_a_reply_topic_that_is_not_there_is_named(ledger):
    assert "the topic nobody.made.this doesn't exist" in ledger.cli("audit", "--topics.reply=nobody.made.this", ok=(78,)).stderr


def test_the_last_lines_are_signed_off_for_the_records(ledger, dump):
    text = ledger.cli("audit", "--from-dump", str(dump)).stdout.splitlines()
    hash_of = offline(ledger, dump)["summary"]["sha256"]
    assert text[-1] == "0 differences"
    line, = [line for line in text if line.startswith("audited: ledger ")]
    assert line.endswith(f"2004 requests, 2004 replies, 0 differences, sha256 {hash_of}")


def test_one_partition_and_counts_only_work_from_a_dump(ledger, dump):
    one = offline(ledger, dump, "--partition", "2")
    assert [lane["partition"] for lane in one["lanes"]] == [2] and one["differences"] == []
    quick = offline(ledger, dump, "--quick")
    assert quick["differences"] == [] and quick["summary"]["sha256"] is None
    assert [lane["requests"] for lane in quick["lanes"]] == [lane["requests"] for lane in audit(ledger)["lanes"]]


def test_every_altered_byte_is_named_with_its_file(ledger, dump):
    rng = random.Random(3)
    files = sorted(path for path in dump.iterdir() if path.stat().st_size > 0)
    for path in files:
        good = path.read_bytes()
        for at in {0, len(good) - 1, rng.randrange(len(good)), rng.randrange(len(good))}:
            path.write_bytes(good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1:])
            done = ledger.cli("audit", "--from-dump", str(dump), "-o", "json", ok=(4,))
            assert path.name in done.stdout + done.stderr, f"byte {at} of {path.name}: {done.stdout}{done.stderr}"
            if path.name != "MANIFEST":
                found = json.loads(done.stdout)["differences"]
                assert [(one["kind"], one["where"]) for one in found] == [("dump_damaged", path.name)]
                # The entry that is named begins at or before the altered byte.
                assert int(found[0]["detail"].split("byte ")[1].split()[0].rstrip(":")) <= at
        path.write_bytes(good)
    assert offline(ledger, dump)["differences"] == []


def test_cut_missing_and_exchanged_entries_are_named(ledger, dump):
    path = dump / "requests-00001.dump"
    good = path.read_bytes()
    for broken in (good[:-1], good[:len(good) // 2], good[:good.index(b"\n") + 1], good + good[-40:]):
        path.write_bytes(broken)
        assert kinds(offline(ledger, dump)) == {"dump_damaged"}
    path.unlink()
    assert kinds(offline(ledger, dump)) == {"dump_damaged"}
    shutil.copy(dump / "requests-00002.dump", path)
    assert kinds(offline(ledger, dump)) == {"dump_damaged"}
    path.write_bytes(good)
    (dump / "MANIFEST").unlink()
    done = ledger.cli("audit", "--from-dump", str(dump), ok=(4,))
    assert "finished dump" in done.stderr


def test_a_dump_is_never_written_over_another_one(ledger, dump):
    done = ledger.cli("dump", str(dump), ok=(1,))
    assert "File exists" in done.stderr
    assert offline(ledger, dump)["differences"] == []


def decline_at(place):
    """A made-up decline that no account's books have to show."""
    return ("INSERT INTO paybuf.payment SELECT tenant, 'made-up', 1, account_id, currency, amount_minor, outcome, reason, NULL, NULL, "
            f"{place}, decided_at FROM paybuf.payment WHERE reason = 'unknown_account' ORDER BY order_id LIMIT 1")


# Changes from outside, each with what the audit must call it; made as the owner of the tables, and taken back.
DAMAGES = {
    "a payment row deleted": ("DELETE FROM paybuf.payment WHERE ctid = (SELECT ctid FROM paybuf.payment WHERE outcome = 'paid' ORDER BY order_id LIMIT 1)",
                              {"undecided", "version_hole"}),
    "a balance changed": ("UPDATE paybuf.account SET balance_minor = balance_minor + 1 WHERE account_id = 'a-3'", {"balance"}),
    "an amount changed": ("UPDATE paybuf.payment SET amount_minor = amount_minor + 1 WHERE ctid = (SELECT ctid FROM paybuf.payment WHERE outcome = 'paid' ORDER BY order_id LIMIT 1)",
                          {"reply_differs", "balance_after"}),
    "a refusal deleted": ("DELETE FROM paybuf.refusal WHERE ctid = (SELECT ctid FROM paybuf.refusal WHERE code = 'malformed_json' LIMIT 1)", {"undecided"}),
    "a refusal made up": ("INSERT INTO paybuf.refusal SELECT log_generation, src_partition, src_offset, 'too_large', NULL, decided_at FROM paybuf.payment ORDER BY order_id LIMIT 1",
                          {"refusal_without_request"}),
    "an adjustment deleted": ("DELETE FROM paybuf.adjustment WHERE account_id = 'a-4'", {"version_hole", "wrong_decision"}),
    "a payment made up": ("INSERT INTO paybuf.payment SELECT tenant, 'made-up', 1, account_id, currency, amount_minor, outcome, reason, balance_after_minor, account_version, "
                          "log_generation, src_partition, src_offset, decided_at FROM paybuf.payment WHERE outcome = 'paid' ORDER BY order_id LIMIT 1",
                          {"payment_without_request", "version_twice"}),
    "a payment in a partition that isn't there": (decline_at("1, 99, 5"), {"payment_without_request"}),
    "a payment of a generation that never began": (decline_at("9, 3, 5"), {"payment_without_request"}),
    "a refusal of a generation that never began": ("INSERT INTO paybuf.refusal VALUES (9, 3, 5, 'too_large', NULL, now())", {"refusal_without_request"}),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_to_the_tables_is_named_online_and_from_a_dump_alike(ledger, tmp_path, name):
    statement, wanted = DAMAGES[name]
    before = audit(ledger)
    assert before["differences"] == []
    tables = ("payment", "refusal", "account", "adjustment")
    for table in tables:
        ledger.sql(f"CREATE TABLE kept_{table} AS TABLE paybuf.{table}")
    try:
        ledger.sql(statement)
        ledger.cli("dump", str(tmp_path / "damaged"))
        online, from_dump = audit(ledger), offline(ledger, tmp_path / "damaged")
    finally:
        ledger.sql("TRUNCATE paybuf.payment, paybuf.refusal, paybuf.adjustment, paybuf.account")
        for table in ("account", "adjustment", "payment", "refusal"):
            ledger.sql(f"INSERT INTO paybuf.{table} TABLE kept_{table}")
            ledger.sql(f"DROP TABLE kept_{table}")
    assert wanted <= kinds(online), kinds(online)
    assert online["differences"] == from_dump["differences"]
    assert online["summary"]["sha256"] == from_dump["summary"]["sha256"] != before["summary"]["sha256"]
    assert audit(ledger)["summary"]["sha256"] == before["summary"]["sha256"], "the damage was taken back"


@pytest.mark.parametrize("change", ["src_offset = -5", "src_partition = -1", "log_generation = 0", "outcome = 'perhaps'", "outcome = 'declined', reason = 'moon'"])
def test_a_row_with_a_value_that_no_worker_writes_is_named_with_its_order(ledger, tmp_path, change):
    constraints = ledger.sql("SELECT string_agg(format('ALTER TABLE paybuf.payment ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)), ';') FROM pg_constraint "
                             "WHERE conname IN ('payment_possible', 'payment_decision')")[0][0]
    order, partition, offset = ledger.sql("SELECT order_id, src_partition, src_offset FROM paybuf.payment WHERE outcome = 'paid' ORDER BY order_id LIMIT 1")[0]
    ledger.sql("ALTER TABLE paybuf.payment DROP CONSTRAINT payment_possible, DROP CONSTRAINT payment_decision; CREATE TABLE kept AS TABLE paybuf.payment")
    try:
        ledger.sql(f"UPDATE paybuf.payment SET {change} WHERE order_id = %s AND src_partition = %s AND src_offset = %s", order, partition, offset)
        ledger.cli("dump", str(tmp_path / "damaged"))
        online, from_dump = audit(ledger), offline(ledger, tmp_path / "damaged")
        replay = ledger.cli("replay", "--reply", "--from", f"1-{partition}-{offset}", "--to-file", str(tmp_path / "replies"), "--yes", ok=(1,))
    finally:
        ledger.sql(f"TRUNCATE paybuf.payment; INSERT INTO paybuf.payment TABLE kept; DROP TABLE kept; {constraints}")
    assert {"kind": "impossible_row", "where": f"1-{partition}-{offset}"}.items() <= online["differences"][0].items() and order in online["differences"][0]["detail"]
    assert "payment_without_request" in kinds(online) and f"order default/{order}, attempt 1" in json.dumps(online["differences"])
    assert online["differences"] == from_dump["differences"]
    assert f"1-{partition}-{offset}" in replay.stderr and "changed by hand" in replay.stderr
    assert audit(ledger)["differences"] == []


def with_headers(message, **changed):
    changed = {name if name.startswith("ce_") else name.replace("_", "-"): value for name, value in changed.items()}
    return [(name, changed.get(name, value)) for name, value in message.headers()]


def source_offset(message):
    return int(dict(message.headers())["source-offset"])


# What a reply log can look like after somebody's hands were in it: made from the replies of one partition, (value, headers) each.
REPLY_DAMAGES = {
    "replies removed": (lambda m: [] if 20 <= source_offset(m) < 30 else [(m.value(), m.headers())], {"gap"}),
    "a reply removed and its place covered": (lambda m: [] if source_offset(m) == 20 else [(m.value(), with_headers(m, covers_from=b"20") if source_offset(m) == 21 else m.headers())],
                                              {"missing_reply"}),
    "a value changed": (lambda m: [(m.value().replace(b'"amount_minor":', b'"amount_minor":1') if source_offset(m) == 25 else m.value(), m.headers())], {"reply_differs"}),
    "a header changed": (lambda m: [(m.value(), with_headers(m, ce_time=b"1970-01-01T00:00:00.000000Z") if source_offset(m) == 25 else m.headers())], {"reply_header_differs"}),
    "a source changed": (lambda m: [(m.value(), with_headers(m, ce_source=b"/paybuf/other") if source_offset(m) == 25 else m.headers())], {"reply_header_differs"}),
    "a header added": (lambda m: [(m.value(), m.headers() + [("x", b"y")] if source_offset(m) == 25 else m.headers())], {"reply_header_differs"}),
    "a header twice": (lambda m: [(m.value(), m.headers() + [("ce_source", b"/paybuf/other")] if source_offset(m) == 25 else m.headers())], {"reply_header_differs"}),
    "a second, other answer": (lambda m: [(m.value(), m.headers())] + ([(m.value() + b" ", m.headers())] if source_offset(m) == 25 else []), {"copy_differs"}),
    "an answer to what was never asked": (lambda m: [(m.value(), m.headers())] + ([(m.value(), with_headers(m, source_offset=b"900000", covers_from=b"26"))]
                                                                                  if source_offset(m) == 25 else []), {"reply_beyond_settled"}),
    "a reply behind which nothing can come": (lambda m: [(m.value(), m.headers())] + ([(m.value(), with_headers(m, source_offset=b"9223372036854775807", covers_from=b"26"))]
                                                                                     if source_offset(m) == 25 else []), {"reply_impossible"}),
    "a reply that begins behind itself": (lambda m: [(m.value(), m.headers())] + ([(m.value(), with_headers(m, source_offset=b"27", covers_from=b"30"))]
                                                                                 if source_offset(m) == 25 else []), {"reply_impossible"}),
    "another ledger's reply": (lambda m: [(m.value(), m.headers())] + ([(m.value(), with_headers(m, ledger_id=b"11111111-2222-3333-4444-555555555555"))] if source_offset(m) == 25 else []),
                               {"foreign_ledger"}),
}


@pytest.mark.parametrize("name", REPLY_DAMAGES)
def test_damage_to_the_reply_log_is_named_online_and_from_a_dump_alike(ledger, tmp_path, name):
    change, wanted = REPLY_DAMAGES[name]
    topic = f"{ledger.group}.{list(REPLY_DAMAGES).index(name)}"
    ledger.create_topic(topic, ledger.partitions)
    producer = ledger.producer()
    for partition, messages in ledger.read(ledger.replies).items():
        for message in messages:
            for value, headers in change(message) if partition == 1 else [(message.value(), message.headers())]:
                producer.produce(topic, value, message.key(), partition, headers=headers)
        producer.poll(0)
    assert producer.flush(60) == 0
    kept, ledger.env = ledger.env, {**ledger.env, "PAYBUF_REPLY_TOPIC": topic}
    try:
        ledger.cli("dump", str(tmp_path / "damaged"))
        online, from_dump = audit(ledger), offline(ledger, tmp_path / "damaged")
    finally:
        ledger.env = kept
    assert wanted <= kinds(online), kinds(online)
    assert all(difference["where"].startswith("1-1-") for difference in online["differences"]), online["differences"]
    assert online["differences"] == from_dump["differences"] and online["lanes"] == from_dump["lanes"]
    assert online["summary"]["sha256"] == from_dump["summary"]["sha256"]


def test_what_retention_deleted_is_counted_as_expired_online_and_from_a_dump_alike(servers, tmp_path):
    ledger = servers.new_ledger("expired", workers=("worker-1",), accounts=["a-0", "a-1"])
    ledger.append(ledger.workload(600, ["a-0", "a-1"], seed=5))
    ledger.wait_at_rest()
    ledger.delete_records(ledger.requests, 0, 50)
    ledger.delete_records(ledger.replies, 1, 60)
    ledger.cli("dump", str(tmp_path / "rest"))
    online, from_dump = audit(ledger), offline(ledger, tmp_path / "rest")
    assert online["differences"] == from_dump["differences"] == [] and online["lanes"] == from_dump["lanes"]
    assert [lane["expired"] > 0 for lane in online["lanes"]] == [True, True, False, False]
    assert online["summary"]["sha256"] == from_dump["summary"]["sha256"]
    again = ledger.cli("replay", "--dry-run", "--from-dump", str(tmp_path / "rest"), "-o", "json")
    assert json.loads(again.stdout)["summary"]["selected"] == 550


def test_audit_and_dump_of_a_ledger_at_work_agree_and_find_nothing(servers, tmp_path):
    ledger = servers.new_ledger("at_work", workers=("worker-1",), accounts=["a-0", "a-1"])
    ledger.append(ledger.workload(500, ["a-0", "a-1"], seed=1))
    for round_ in range(3):
        ledger.append(ledger.workload(1000, ["a-0", "a-1"], seed=10 + round_, prefix="w"))
        assert audit(ledger)["differences"] == []
        folder = tmp_path / f"round-{round_}"
        ledger.cli("dump", str(folder))
        assert offline(ledger, folder)["differences"] == []
    ledger.wait_at_rest()
    ledger.cli("dump", str(tmp_path / "rest"))
    assert audit(ledger)["summary"]["sha256"] == offline(ledger, tmp_path / "rest")["summary"]["sha256"]
    assert Path(tmp_path / "rest" / "MANIFEST").exists()
