"""The descriptions fit what is really said: every kind of answer of a running intake, and every reply and dead letter of the topics."""
import json
import re
import urllib.request

import jsonschema
import pytest
import yaml

from intake_calls import PATIENT, order
from raw_http import message
from stack import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def intake(servers):
    stack = servers.new_ledger("described", accounts=["alice"])
    stack.start("producer", **PATIENT)
    yield stack


@pytest.fixture(scope="module")
def served(intake):
    status, document, headers = intake.post(b"", "/openapi.json", "GET")
    assert status == 200 and headers["content-type"] == "application/json"
    return document


def assert_fits(value, schema, document, base=""):
    store = {path.as_uri(): {k: v for k, v in json.loads(path.read_text()).items() if k != "$id"} for path in (DOCS / "schemas").glob("*.json")}
    resolver = jsonschema.RefResolver(base, document, store=store)
    jsonschema.Draft202012Validator(schema, resolver=resolver, format_checker=jsonschema.FormatChecker()).validate(value)


def resolved(node, document):
    while "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def assert_described(served, method, path, answer):
    """The status is one that the operation names, its headers are there, and its body fits."""
    status, document, headers = answer
    said = resolved(served["paths"][path][method.lower()]["responses"][str(status)], served)
    headers = {name.lower(): value for name, value in headers.items()}
    for name, header in said["headers"].items():
        header = resolved(header, served)
        assert name.lower() in headers or not header.get("required"), (status, name)
        if name.lower() in headers:
            value = headers[name.lower()]
            assert_fits(int(value) if header["schema"].get("type") == "integer" else value, header["schema"], served)
    assert headers["content-type"] in said["content"]
    assert_fits(document, said["content"][headers["content-type"]]["schema"], served)


def test_it_serves_the_description_of_the_sources(served):
    source = yaml.safe_load((DOCS / "openapi.yaml").read_text())
    assert served["info"] == source["info"] and served["paths"].keys() == source["paths"].keys()
    assert {"PaymentRequest", "Reply", "Problem"} <= served["components"]["schemas"].keys()
    assert set(re.findall(r"\"\$ref\": \"(..)", json.dumps(served))) == {"#/"}, "it refers to nothing outside of itself"


@pytest.mark.parametrize("body, headers, status", [
    (order("d-1"), {}, 202), (order("d-2"), {"prefer": "wait=30"}, 200), (b"{", {}, 400), (order("d-1", amount_minor=0), {}, 400),
    (order("d-1"), {"idempotency-key": "d-3"}, 400), (order("d-1", attempt=5), {"prefer": "wait=30"}, 200), (b" " * 8193, {}, 413), (order("d-1"), {"content-type": "text/plain"}, 415),
    (order("d-4", account_id="nobody"), {"prefer": "wait=30"}, 200)])
def test_an_answer_to_a_payment_is_as_described(intake, served, body, headers, status):
    answer = intake.post(body, headers=headers, timeout_s=90)
    assert answer[0] == status, answer
    assert_described(served, "POST", "/v1/payments", answer)


def test_answers_of_the_other_calls_are_as_described(intake, served):
    for count in (1, 1000, 0, "1"):
        assert_described(served, "POST", "/v1/order-ids", intake.post({"count": count}, "/v1/order-ids"))
    content = {"account_id": "alice", "amount_minor": 1, "currency": "EUR"}
    for path, body in (("/v1/payments/d-5", content), ("/v1/payments/d-6", order("d-7")), ("/v1/payments/a%20b", content)):
        assert_described(served, "PUT", "/v1/payments/{order_id}", intake.post(body, path, "PUT"))
    for path in ("/v1/payments/d-1", "/v1/payments/none", "/v1/payments/d-1?attempt=0", "/v1/payments/d-1?attempt=1&position=1-0-0"):
        assert_described(served, "GET", "/v1/payments/{order_id}", intake.post(b"", path, "GET"))


def test_an_event_of_the_results_is_as_described(intake, served):
    for path in ("/v1/results?account=alice", "/v1/results?last_event_id=x"):
        assert_described(served, "GET", "/v1/results", intake.post(b"", path, "GET"))
    with urllib.request.urlopen(intake.env["PAYBUF_HTTP_URL"] + "/v1/results?outcome=paid", timeout=60) as events:
        assert events.headers["content-type"] in served["paths"]["/v1/results"]["get"]["responses"]["200"]["content"]
        assert intake.post(order("event-1"))[0] == 202
        event = {}
        while b"data" not in event:
            name, _, value = events.readline().strip().partition(b": ")
            event[name] = value
    assert event[b"event"] == b"paid" and event[b"id"]
    assert_fits(json.loads(event[b"data"]), served["components"]["schemas"]["Reply"], served)


def test_every_line_of_a_batch_is_as_described(served, connection):
    lines = [order("d-8"), order("d-9", amount_minor="7"), {"order_id": "d-10"}, [], order("d-11", metadata={"a": "x" * 2100}), order("d-12", metadata={"a": "x" * 9000})]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines) + b"\xff\n"
    connection.send(message(connection.host, ["Content-Type: application/x-ndjson", f"Content-Length: {len(body)}"], body, "POST /v1/payments:batch HTTP/1.1"))
    answers = [json.loads(line) for line in connection.answer()[2].splitlines()]
    assert [a["status"] for a in answers] == [202, 400, 400, 400, 400, 413, 400]
    for answer in answers:
        assert_fits(answer, served["components"]["schemas"]["BatchLine"], served)


def test_every_reply_and_every_letter_is_as_described(intake):
    asyncapi = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
    messages, base = asyncapi["components"]["messages"], (DOCS / "asyncapi.yaml").as_uri()
    members = list(json.loads((DOCS / "schemas" / "reply.json").read_text())["properties"])
    intake.append([order("r-1"), order("r-1"), order("r-1", amount_minor=2), order("r-1", attempt=2), order("r-2", account_id="nobody"), order("r-3", attempt=2),
                   order("r-4", currency="USD"), order("r-5", amount_minor=10**15), order("r-6", amount_minor=0), (b"r-7", b"{", []), (None, json.dumps(order("r-8")).encode(), []),
                   (b"r-9", b" " * 9000, []), (b"r-10", json.dumps(order("r-10")).encode(), [("tenant", b"a b")])])
    intake.wait_at_rest()
    seen = set()
    for reply in (m for messages_of in intake.read(intake.replies).values() for m in messages_of):
        value = json.loads(reply.value())
        seen.add((value["outcome"], value["reason"], value["duplicate"]))
        assert_fits(value, messages["reply"]["payload"], asyncapi, base)
        assert_fits({name: text.decode() for name, text in reply.headers()}, messages["reply"]["headers"], asyncapi, base)
        assert list(value) == [name for name in members if name in value], "the order of the members"
    assert {reason for _, reason, _ in seen} >= {None, "amount_minor_differs", "already_paid", "unknown_account", "attempt_out_of_sequence", "currency_mismatch",
                                                 "insufficient_funds", "bad_field", "malformed_json", "key_mismatch", "too_large", "bad_tenant"}, seen
    assert ("paid", None, True) in seen
    letters = [m for messages_of in intake.read(intake.letters).values() for m in messages_of]
    assert len(letters) >= 5
    for letter in letters:
        assert_fits({name: text.decode(errors="replace") for name, text in letter.headers()}, messages["letter"]["headers"], asyncapi, base)
