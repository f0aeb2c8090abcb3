"""Dead letters: counted, shown, exported, sent again with the link kept, discarded with a record of it; nothing is ever deleted."""
import base64
import json
import subprocess

import pytest

from stack import wait_until

GOOD = {"order_id": "fixed-1", "account_id": "alice", "amount_minor": 7, "currency": "EUR"}
BROKEN = json.dumps(GOOD)[:-1].encode()         # a brace is missing


def with_letters(ledger):
    """Four dead letters: two of one reason, bytes that are no text, and a tenant that can't be."""
    letters = [(b"fixed-1", BROKEN, []), (b"x", b"\x00\xff{", []), (b"y", b'{"order_id":1}', []),
               (b"fixed-2", json.dumps({**GOOD, "order_id": "fixed-2"}).encode(), [("tenant", b"no tenant!")])]
    ledger.letters_at = [ledger.append([letter])[0] for letter in letters]
    ledger.append([GOOD | {"order_id": "good"}])
    ledger.wait_at_rest()
    return ledger


@pytest.fixture
def ledger(new_ledger):
    return with_letters(new_ledger(accounts=["alice"]))


@pytest.fixture(scope="module")
def untouched(servers):
    """For tests that only look."""
    ledger = with_letters(servers.new_ledger("untouched", accounts=["alice"]))
    yield ledger
    ledger.kill_children()


def at(ledger, index):
    partition, offset = ledger.letters_at[index]
    return f"1-{partition}-{offset}"


def listed(ledger, *arguments):
    return json.loads(ledger.cli("dlq", "list", "-o", "json", *arguments).stdout)


def counts(ledger):
    return {row["reason"]: (row["open"], row["redriven"], row["discarded"]) for row in listed(ledger)["reasons"]}


def test_reasons_are_counted_and_letters_listed(untouched):
    assert counts(untouched) == {"malformed_json": (2, 0, 0), "bad_field": (1, 0, 0), "bad_tenant": (1, 0, 0)}
    assert {row["position"] for row in listed(untouched)["letters"]} == {at(untouched, i) for i in range(4)}
    assert [row["position"] for row in listed(untouched, "--reason", "bad_field")["letters"]] == [at(untouched, 2)]
    assert untouched.cli("dlq", "list", "--reason", "insufficient_funds", check=False).returncode == 2


def test_a_letter_is_shown_as_text_and_in_hex(untouched):
    text = untouched.cli("dlq", "show", at(untouched, 1)).stdout
    assert "malformed_json" in text and "00 ff 7b" in text and "|..{|" in text
    shown = json.loads(untouched.cli("dlq", "show", at(untouched, 0), "-o", "json").stdout)
    assert shown["value"] == BROKEN.decode() and shown["key"] == "fixed-1" and shown["state"] == "open"
    assert untouched.cli("dlq", "show", "1-0-999999", check=False).returncode == 3


def test_an_export_holds_every_byte(untouched):
    lines = [json.loads(line) for line in untouched.cli("dlq", "export").stdout.splitlines()]
    values = {line["position"]: line["value"].encode() if "value" in line else base64.b64decode(line["value_base64"]) for line in lines}
    assert values == {at(untouched, 0): BROKEN, at(untouched, 1): b"\x00\xff{", at(untouched, 2): b'{"order_id":1}',
                      at(untouched, 3): json.dumps({**GOOD, "order_id": "fixed-2"}).encode()}
    assert {line["position"]: line["headers"] for line in lines}[at(untouched, 3)] == {"tenant": "no tenant!"}


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
    answer = wait_until(lambda: ledger.answers().get((partition, offset)), 60, "the redriven request is answered")
    assert (answer["outcome"], answer["position"]) == ("paid", done["redriven_to"])
    assert counts(ledger)["malformed_json"] == (1, 1, 0)
    again = ledger.cli("dlq", "redrive", at(ledger, 0), "--value", str(value), "--yes", ok=(1,))
    assert "redriven already" in again.stderr
    markers = [m for messages in ledger.read(ledger.letters).values() for m in messages if "marker" in dict(m.headers())]
    assert [(dict(m.headers())["of"].decode(), dict(m.headers())["redriven-to"].decode()) for m in markers] == [(at(ledger, 0), done["redriven_to"])]
    ledger.wait_at_rest()
    ledger.check()


def test_a_wrong_tenant_is_replaced_by_name(ledger):
    refused = ledger.cli("dlq", "redrive", at(ledger, 3), "--yes", ok=(2,))
    assert "--tenant" in refused.stderr
    done = json.loads(ledger.cli("dlq", "redrive", at(ledger, 3), "--tenant", "default", "--yes", "-o", "json").stdout)
    assert (done["order_id"], done["tenant"]) == ("fixed-2", "default")
    ledger.wait_at_rest()
    assert ledger.sql("SELECT outcome FROM paybuf.payment WHERE order_id = 'fixed-2'") == [("paid",)]
    ledger.check()


def markers(ledger):
    """{letter: where it was sent}, from the topic."""
    found = [dict(m.headers()) for messages in ledger.read(ledger.letters).values() for m in messages if "marker" in dict(m.headers())]
    assert len({marker["of"] for marker in found}) == len(found), "a letter has two markers"
    return {marker["of"].decode(): marker["redriven-to"].decode() for marker in found}


def redriven(ledger):
    """{position of a request that was sent: its letter}"""
    return {f"1-{p}-{m.offset()}": dict(m.headers())["redriven-from"].decode() for p, messages in ledger.read(ledger.requests).items()
            for m in messages if "redriven-from" in dict(m.headers() or [])}


def lost_tenants(ledger, count):
    """Letters whose only fault is the tenant."""
    return ledger.append([(f"many-{i}".encode(), json.dumps({**GOOD, "order_id": f"many-{i}"}).encode(), [("tenant", b"?")]) for i in range(count)])


def test_many_are_counted_first_and_then_sent_and_linked_like_one(ledger):
    places = lost_tenants(ledger, 20)
    ledger.wait_at_rest()
    refused = ledger.cli("dlq", "redrive", "--reason", "bad_tenant", "-o", "json", ok=(2,))
    assert json.loads(refused.stdout)["reasons"] == [{"reason": "bad_tenant", "picked": 21, "fit": 0, "sent": 0, "refused_again": 21}]
    assert "--tenant" in refused.stderr
    fit = ledger.cli("dlq", "redrive", "--reason", "bad_tenant", "--tenant", "default", "-o", "json", ok=(2,))
    assert json.loads(fit.stdout) == {"letters": [], "reasons": [{"reason": "bad_tenant", "picked": 21, "fit": 21, "sent": 0, "refused_again": 0}]}
    assert "21 would be sent" in fit.stderr and redriven(ledger) == {}, "a dry run sends nothing"
    done = json.loads(ledger.cli("dlq", "redrive", "--reason", "bad_tenant", "--tenant", "default", "--yes", "-o", "json").stdout)
    links = {letter["position"]: letter["redriven_to"] for letter in done["letters"]}
    assert links.keys() == {f"1-{p}-{o}" for p, o in places} | {at(ledger, 3)}
    assert markers(ledger) == links and redriven(ledger) == {to: letter for letter, to in links.items()}
    ledger.wait_at_rest()
    assert ledger.sql("SELECT count(*) FROM paybuf.payment WHERE outcome = 'paid' AND order_id LIKE 'many-%%'") == [(20,)]
    again = json.loads(ledger.cli("dlq", "redrive", "--reason", "bad_tenant", "--tenant", "default", "--yes", "-o", "json").stdout)
    assert again == {"letters": [], "reasons": []}, "what was redriven is passed over"
    said = json.loads(ledger.cli("dlq", "redrive", "--reason", "bad_tenant", "--tenant", "default", "--again", "-o", "json", ok=(2,)).stdout)
    assert said["reasons"][0]["fit"] == 21
    ledger.check()


def test_some_that_stay_open_are_told_and_the_others_go(ledger):
    lost_tenants(ledger, 3)
    ledger.wait_at_rest()
    done = ledger.cli("dlq", "redrive", "--since", "2020-01-01T00:00:00Z", "--tenant", "default", "--yes", "-o", "json", ok=(4,))
    assert {row["reason"]: (row["sent"], row["refused_again"]) for row in json.loads(done.stdout)["reasons"]} == {
        "malformed_json": (0, 2), "bad_field": (0, 1), "bad_tenant": (4, 0)}
    assert "3 would be refused again and stay open" in done.stderr and at(ledger, 2) in done.stderr
    assert counts(ledger) == {"malformed_json": (2, 0, 0), "bad_field": (1, 0, 0), "bad_tenant": (0, 4, 0)}


def test_corrected_lines_of_an_export_are_sent(ledger):
    lines = [json.loads(line) for line in ledger.cli("dlq", "export", "--reason", "malformed_json").stdout.splitlines()]
    for line in lines:
        line["value"] = line["value"] + "}" if line["position"] == at(ledger, 0) else line.get("value")
    corrected = "".join(json.dumps(line) + "\n" for line in lines)
    file = ledger.run_dir / "corrected.ndjson"
    file.write_text(corrected * 2)          # a line that comes twice is sent once
    done = json.loads(ledger.cli("dlq", "redrive", "--corrected", str(file), "--yes", "-o", "json", ok=(4,)).stdout)
    assert [(letter["position"], letter["order_id"]) for letter in done["letters"]] == [(at(ledger, 0), "fixed-1")]
    ledger.wait_at_rest()
    assert ledger.sql("SELECT outcome FROM paybuf.payment WHERE order_id = 'fixed-1'") == [("paid",)]
    ledger.check()


def test_letters_are_chosen_by_position_and_time(untouched):
    partition, offset = untouched.letters_at[1]
    def chosen(*arguments):
        return {row["position"] for row in listed(untouched, *arguments)["letters"]}
    here = {at(untouched, i) for i in range(4) if untouched.letters_at[i][0] == partition}
    assert chosen("--partition", str(partition)) == here
    assert chosen("--partition", str(partition), "--from-offset", str(offset), "--to-offset", str(offset)) == {at(untouched, 1)}
    assert chosen("--since", "2020-01-01T00:00:00Z") == {at(untouched, i) for i in range(4)} and chosen("--until", "2020-01-01T00:00:00Z") == set()
    assert untouched.cli("dlq", "list", "--from-offset", "1", ok=(2,)).stdout == ""


def test_a_run_that_is_killed_goes_on_with_the_same_command(ledger):
    places = lost_tenants(ledger, 60)
    ledger.wait_at_rest()
    command = ["dlq", "redrive", "--reason", "bad_tenant", "--tenant", "default", "--yes"]
    environment = {**ledger.environment, **ledger.env, "PAYBUF_CONFIG": str(ledger.run_dir / "paybuf.conf")}
    process = subprocess.Popen([ledger.binary("paybuf"), *command, "--rate", "4"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(markers(ledger)) >= 5, 60, "some are sent")
    process.kill()
    process.wait()
    before = len(markers(ledger))
    assert before < 61, "it was too fast to be killed in the middle"
    ledger.cli(*command)
    assert len(markers(ledger)) == 61 and 61 <= len(redriven(ledger)) <= 62, "at most the one under way is sent twice"
    ledger.wait_at_rest()
    assert ledger.sql("SELECT count(*) FROM paybuf.payment WHERE outcome = 'paid' AND order_id LIKE 'many-%%'") == [(len(places),)]
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
