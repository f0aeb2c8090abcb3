"""Dead letters: counted, shown, exported, sent again with the link kept, discarded with a record of it; nothing is ever deleted."""
import base64
import json

import pytest

from stack import wait_until

GOOD = {"order_id": "fixed-1", "account_id": "alice", "amount_minor": 7, "currency": "EUR"}
BROKEN = json.dumps(GOOD)[:-1].encode()         # a brace is missing


@pytest.fixture
def ledger(new_ledger):
    """A ledger with four dead letters: two of one reason, bytes that are no text, and a tenant that can't be."""
    ledger = new_ledger(workers=("worker-1",), accounts=["alice"])
    letters = [(b"fixed-1", BROKEN, []), (b"x", b"\x00\xff{", []), (b"y", b'{"order_id":1}', []),
               (b"fixed-2", json.dumps({**GOOD, "order_id": "fixed-2"}).encode(), [("tenant", b"no tenant!")])]
    ledger.letters_at = [ledger.append([letter])[0] for letter in letters]
    ledger.append([GOOD | {"order_id": "good"}])
    ledger.wait_at_rest(60)
    return ledger


def at(ledger, index):
    partition, offset = ledger.letters_at[index]
    return f"1-{partition}-{offset}"


def listed(ledger, *arguments):
    return json.loads(ledger.cli("dlq", "list", "-o", "json", *arguments).stdout)


def counts(ledger):
    return {row["reason"]: (row["open"], row["redriven"], row["discarded"]) for row in listed(ledger)["reasons"]}


def test_reasons_are_counted_and_letters_listed(ledger):
    assert counts(ledger) == {"malformed_json": (2, 0, 0), "bad_field": (1, 0, 0), "bad_tenant": (1, 0, 0)}
    assert {row["position"] for row in listed(ledger)["letters"]} == {at(ledger, i) for i in range(4)}
    assert [row["position"] for row in listed(ledger, "--reason", "bad_field")["letters"]] == [at(ledger, 2)]
    assert ledger.cli("dlq", "list", "--reason", "insufficient_funds", check=False).returncode == 2


def test_a_letter_is_shown_as_text_and_in_hex(ledger):
    text = ledger.cli("dlq", "show", at(ledger, 1)).stdout
    assert "malformed_json" in text and "00 ff 7b" in text and "|..{|" in text
    shown = json.loads(ledger.cli("dlq", "show", at(ledger, 0), "-o", "json").stdout)
    assert shown["value"] == BROKEN.decode() and shown["key"] == "fixed-1" and shown["state"] == "open"
    assert ledger.cli("dlq", "show", "1-0-999999", check=False).returncode == 3


def test_an_export_holds_every_byte(ledger):
    lines = [json.loads(line) for line in ledger.cli("dlq", "export").stdout.splitlines()]
    values = {line["position"]: line["value"].encode() if "value" in line else base64.b64decode(line["value_base64"]) for line in lines}
    assert values == {at(ledger, 0): BROKEN, at(ledger, 1): b"\x00\xff{", at(ledger, 2): b'{"order_id":1}',
                      at(ledger, 3): json.dumps({**GOOD, "order_id": "fixed-2"}).encode()}
    assert {line["position"]: line["headers"] for line in lines}[at(ledger, 3)] == {"tenant": "no tenant!"}


def test_corrected_bytes_are_sent_once_and_linked_on_both_sides(ledger, tmp_path):
    value = tmp_path / "fixed.json"
    value.write_text(json.dumps(GOOD))
    bare = ledger.cli("dlq", "redrive", at(ledger, 0), ok=(1,))
    assert "refused again" in bare.stderr
    shown = ledger.cli("dlq", "redrive", at(ledger, 0), "--value", str(value), ok=(2,))
    assert "--yes" in shown.stderr and "fixed-1" in shown.stdout and counts(ledger)["malformed_json"] == (2, 0, 0)
    done = json.loads(ledger.cli("dlq", "redrive", at(ledger, 0), "--value", str(value), "--yes", "-o", "json").stdout)
    generation, partition, offset = map(int, done["redriven_to"].split("-"))
    sent, = [m for m in ledger.read(ledger.requests)[partition] if m.offset() == offset]
    assert dict(sent.headers())["redriven-from"] == at(ledger, 0).encode() and sent.key() == b"fixed-1" and json.loads(sent.value()) == GOOD
    answer = wait_until(lambda: ledger.answers().get((partition, offset)), 20, "the redriven request is answered")
    assert (answer["outcome"], answer["position"]) == ("paid", done["redriven_to"])
    assert counts(ledger)["malformed_json"] == (1, 1, 0)
    again = ledger.cli("dlq", "redrive", at(ledger, 0), "--value", str(value), "--yes", ok=(1,))
    assert "redriven already" in again.stderr
    markers = [m for messages in ledger.read(ledger.letters).values() for m in messages if "marker" in dict(m.headers())]
    assert [(dict(m.headers())["of"].decode(), dict(m.headers())["redriven-to"].decode()) for m in markers] == [(at(ledger, 0), done["redriven_to"])]
    ledger.wait_at_rest(20)
    ledger.check()


def test_a_wrong_tenant_is_replaced_by_name(ledger):
    refused = ledger.cli("dlq", "redrive", at(ledger, 3), "--yes", ok=(2,))
    assert "--tenant" in refused.stderr
    done = json.loads(ledger.cli("dlq", "redrive", at(ledger, 3), "--tenant", "default", "--yes", "-o", "json").stdout)
    assert (done["order_id"], done["tenant"]) == ("fixed-2", "default")
    ledger.wait_at_rest(20)
    assert ledger.sql("SELECT outcome FROM paybuf.payment WHERE order_id = 'fixed-2'") == [("paid",)]
    ledger.check()


def test_discarding_wants_a_yes_and_leaves_letter_and_marker(ledger):
    before = sum(len(messages) for messages in ledger.read(ledger.letters).values())
    asked = ledger.cli("dlq", "discard", "--reason", "malformed_json", ok=(2,))
    assert "2 open letters" in asked.stderr and counts(ledger)["malformed_json"] == (2, 0, 0)
    ledger.cli("dlq", "discard", "--reason", "malformed_json", "--note", "a scanner", "--yes")
    ledger.cli("dlq", "discard", at(ledger, 2), "--yes")
    assert counts(ledger) == {"malformed_json": (0, 0, 2), "bad_field": (0, 0, 1), "bad_tenant": (1, 0, 0)}
    assert {row["state"] for row in listed(ledger, "--all")["letters"]} == {"open", "discarded"}
    records = [m for messages in ledger.read(ledger.letters).values() for m in messages]
    assert len(records) == before + 3, "nothing is gone, three markers came"
    notes = [json.loads(m.value()) for m in records if "marker" in dict(m.headers())]
    assert [note["note"] for note in notes if "note" in note] == ["a scanner"] * 2 and all(note["marker"] == "discarded" for note in notes)
    ledger.check()
    ledger.cli("dlq", "discard", at(ledger, 2), "--yes")
    assert len([m for messages in ledger.read(ledger.letters).values() for m in messages]) == before + 3, "the second time nothing is written"
