"""Every answer of the intake, from INTERFACES: what is accepted, what is refused and how. Hostile messages are in test_intake_hostile.py."""
import json
import re
import urllib.error
import urllib.request

import pytest

from conftest import own_stack
from intake_calls import PATIENT, order, problem, record_at, run_producer
from raw_http import Connection, message


@pytest.fixture(scope="module")
def intake(request):
    with own_stack(request, "intake-answers", partitions=12) as stack:
        stack.environment.update(PATIENT)
        stack.up(workers=())
        yield stack


def get(url, method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


# --- accepted ---

def test_a_payment_is_accepted_with_its_position_and_lies_there(intake, connection):
    status, headers, body = connection.post(order("o-1", metadata={"b": [1, {"a": None}], "a": "\u00e4"}), headers=("X-Request-Id: my-1", "traceparent: "
                                            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
    assert status == 202 and headers["content-type"] == "application/json" and headers["x-request-id"] == "my-1"
    document = json.loads(body)
    assert list(document) == ["order_id", "attempt", "status", "position"]
    assert document["order_id"] == "o-1" and document["attempt"] == 1 and document["status"] == "accepted"
    assert re.fullmatch(r"1-\d+-\d+", document["position"])
    assert headers["location"] == f"/v1/payments/o-1?attempt=1&position={document['position']}"
    record = record_at(intake, document["position"])
    assert record.key() == b"o-1"
    assert json.loads(record.value()) == {**order("o-1"), "attempt": 1, "metadata": {"b": [1, {"a": None}], "a": "\u00e4"}}
    kafka_headers = dict(record.headers())
    assert kafka_headers["tenant"] == b"default"
    assert kafka_headers["traceparent"] == b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", kafka_headers["accepted-at"])
    assert record.timestamp()[0] == 2, "LogAppendTime"


def test_metadata_is_appended_as_sent(intake, connection):
    body = b'{"order_id":"m-1","account_id":"alice","amount_minor":1,"currency":"EUR","metadata":{ "z" : 1.50, "a":"\\u00e4" }}'
    status, _, answer = connection.post(body)
    assert status == 202
    assert b'{ "z" : 1.50, "a":"\\u00e4" }' in record_at(intake, json.loads(answer)["position"]).value()


def test_put_names_the_order_in_its_path(intake, connection):
    content = {"account_id": "alice", "amount_minor": 1, "currency": "EUR", "attempt": 7}
    status, headers, body = connection.post(content, "/v1/payments/p%3A1.x", "PUT")
    assert status == 202
    document = json.loads(body)
    assert document["order_id"] == "p:1.x" and document["attempt"] == 7
    assert headers["location"].startswith("/v1/payments/p:1.x?attempt=7&position=1-")
    assert record_at(intake, document["position"]).key() == b"p:1.x"
    assert connection.post(order("p-2"), "/v1/payments/p-2", "PUT")[0] == 202


def test_the_idempotency_key_is_the_order_id(connection):
    content = {"account_id": "alice", "amount_minor": 1, "currency": "EUR"}
    for key in ("k-1", '"k-1"'):
        status, _, body = connection.post(content, headers=(f"Idempotency-Key: {key}",))
        assert status == 202 and json.loads(body)["order_id"] == "k-1"
    assert connection.post(order("k-2"), headers=("Idempotency-Key: k-2",))[0] == 202
    problem(connection.post(order("k-2"), headers=("Idempotency-Key: k-3",)), 400, "id_mismatch")
    problem(connection.post(content, headers=("Idempotency-Key: k 3",)), 400, "bad_field")
    problem(connection.post(content, headers=("Idempotency-Key: a", "Idempotency-Key: b")), 400, "bad_request")


def test_a_retry_is_appended_again_and_each_call_once(intake, connection):
    before = sum(high for _, high in intake.bounds().values())
    positions = {json.loads(connection.post(order("retry-1"))[2])["position"] for _ in range(5)}
    assert len(positions) == 5
    assert sum(high for _, high in intake.bounds().values()) == before + 5


def test_edges_of_the_contract_are_accepted(connection):
    for members in ({"amount_minor": 1}, {"amount_minor": 2**53 - 1}, {"attempt": 1}, {"attempt": 99}, {"order_id": "x" * 64}, {"account_id": "._:-"},
                    {"metadata": None}, {"metadata": {}}, {"currency": "ZZZ"}, {"metadata": {"a": "x" * 2030}}):
        status, _, body = connection.post({**order("edge-1"), **members})
        assert status == 202, (members, body)


def test_a_request_id_is_made_when_none_or_a_bad_one_is_sent(connection):
    first = connection.post(order("r-1"))[1]["x-request-id"]
    second = connection.post(order("r-1"))[1]["x-request-id"]
    assert first != second and re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", first)
    assert connection.post(order("r-1"), headers=("X-Request-Id: <b>",))[1]["x-request-id"] != "<b>"


def test_a_chunked_body_is_read(connection):
    body = json.dumps(order("chunk-1")).encode()
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]) for i in range(0, len(body), 7)) + b"0\r\n\r\n"
    connection.send(message(connection.host, ["Content-Type: application/json", "Transfer-Encoding: chunked"], pieces))
    assert connection.answer()[0] == 202


def test_a_body_that_comes_byte_by_byte_is_read(connection):
    data = message(connection.host, ["Content-Type: application/json", "Content-Length: %d" % len(json.dumps(order("slow-1")))],
                   json.dumps(order("slow-1")).encode())
    for i in range(len(data)):
        connection.send(data[i:i + 1])
    assert connection.answer()[0] == 202


def test_expect_100_continue_is_answered(connection):
    body = json.dumps(order("expect-1")).encode()
    connection.send(message(connection.host, ["Content-Type: application/json", f"Content-Length: {len(body)}", "Expect: 100-continue"]))
    assert connection.answer()[0] == 100
    connection.send(body)
    assert connection.answer()[0] == 202


def test_pipelined_requests_are_answered_in_order(connection):
    bodies = [json.dumps(order(f"pipe-{i}")).encode() for i in range(20)]
    connection.send(b"".join(message(connection.host, ["Content-Type: application/json", f"Content-Length: {len(b)}"], b) for b in bodies))
    for i in range(20):
        status, _, body = connection.answer()
        assert status == 202 and json.loads(body)["order_id"] == f"pipe-{i}"


# --- refused by what they say ---

@pytest.mark.parametrize("members, pointer", [
    ({"order_id": ""}, "/order_id"), ({"order_id": "x" * 65}, "/order_id"), ({"order_id": "a b"}, "/order_id"), ({"order_id": 1}, "/order_id"),
    ({"attempt": 0}, "/attempt"), ({"attempt": 100}, "/attempt"), ({"attempt": "1"}, "/attempt"), ({"attempt": 1.0}, "/attempt"), ({"attempt": None}, "/attempt"),
    ({"account_id": None}, "/account_id"), ({"account_id": "\u00e4"}, "/account_id"),
    ({"amount_minor": 0}, "/amount_minor"), ({"amount_minor": -1}, "/amount_minor"), ({"amount_minor": 2**53}, "/amount_minor"),
    ({"amount_minor": 1.0}, "/amount_minor"), ({"amount_minor": 1e3}, "/amount_minor"), ({"amount_minor": "1"}, "/amount_minor"), ({"amount_minor": True}, "/amount_minor"),
    ({"currency": "eur"}, "/currency"), ({"currency": "EURO"}, "/currency"), ({"metadata": []}, "/metadata"), ({"metadata": {"a": "x" * 2048}}, "/metadata"),
    ({"amount": 5}, "/amount"),
])
def test_a_bad_field_is_named(connection, members, pointer):
    document = problem(connection.post({**order("bad-1"), **members}), 400, "bad_field")
    assert document["errors"][0]["pointer"] == pointer and document["errors"][0]["detail"]


@pytest.mark.parametrize("missing", ["order_id", "account_id", "amount_minor", "currency"])
def test_a_missing_field_is_named(connection, missing):
    content = order("bad-2")
    del content[missing]
    assert problem(connection.post(content), 400, "bad_field")["errors"][0]["pointer"] == f"/{missing}"


@pytest.mark.parametrize("body", [
    b"", b" ", b"null", b"[]", b'"x"', b"{", b'{"order_id":"a"', b"{'order_id':'a'}", b"\xef\xbb\xbf" + json.dumps(order("x")).encode(),
    json.dumps(order("x")).encode() + b" x", json.dumps(order("x")).encode() + b"\x00", b'{"order_id":"a\xff"}', b'{"order_id":"a","order_id":"a"}',
    b'{"a":' * 40 + b"1" + b"}" * 40, b"[" * 8000, b'{"metadata":{"a":NaN}}', b'{"a":1,}', b'{"a":01}', b"\x00" * 100,
], ids=range(19))
def test_what_isnt_the_json_that_is_wanted_is_malformed(connection, body):
    problem(connection.post(body), 400, "malformed_json")


def test_amounts_written_oddly_are_refused_as_written(connection):
    for token in (b"1.0", b"1e3", b"1E0", b"0.0", b"9007199254740992", b"99999999999999999999999", b"-0"):
        body = b'{"order_id":"t-1","account_id":"a","amount_minor":' + token + b',"currency":"EUR"}'
        assert problem(connection.post(body), 400, "bad_field")["errors"][0]["pointer"] == "/amount_minor", token


def test_path_and_body_that_disagree_are_refused(connection):
    problem(connection.post(order("a"), "/v1/payments/b", "PUT"), 400, "id_mismatch")
    problem(connection.post(order("a"), "/v1/payments/a%20b", "PUT"), 400, "bad_field")


def test_a_large_body_is_refused_and_the_connection_goes_on(connection):
    problem(connection.post(json.dumps(order("big-1")).encode().ljust(8193)), 413, "too_large")
    assert connection.post(json.dumps(order("big-1")).encode().ljust(8192))[0] == 202
    problem(connection.post(b"x" * 900_000), 413, "too_large")
    assert connection.post(order("big-2"))[0] == 202


def test_a_huge_body_is_refused_before_it_is_sent(connection):
    connection.send(message(connection.host, ["Content-Type: application/json", "Content-Length: 1000000000000"]))
    problem(connection.answer(), 413, "too_large")
    assert connection.is_closed()


def test_a_chunked_body_is_counted_while_it_streams(connection):
    connection.send(message(connection.host, ["Content-Type: application/json", "Transfer-Encoding: chunked"]))
    for _ in range(9):
        connection.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
    connection.send(b"0\r\n\r\n")
    problem(connection.answer(), 413, "too_large")


def test_an_endless_chunked_body_is_cut_off(intake):
    with Connection(intake.env["PAYBUF_HTTP_URL"], timeout_s=15) as connection:         # less than a body may take: 20 s
        connection.send(message(connection.host, ["Content-Type: application/json", "Transfer-Encoding: chunked"]))
        with pytest.raises(ConnectionError):
            for _ in range(100_000):
                connection.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-ndjson", "application/json; charset=latin1", "multipart/form-data; boundary=x"])
def test_another_content_type_is_refused(connection, content_type):
    body = json.dumps(order("type-1")).encode()
    connection.send(message(connection.host, [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"], body))
    problem(connection.answer(), 415, "unsupported_media_type")
    assert connection.post(order("type-2"))[0] == 202


def test_content_type_may_say_utf_8_and_must_be_there(connection):
    body = json.dumps(order("type-3")).encode()
    connection.send(message(connection.host, ["Content-Type: application/json; charset=UTF-8", f"Content-Length: {len(body)}"], body))
    assert connection.answer()[0] == 202
    connection.send(message(connection.host, [f"Content-Length: {len(body)}"], body))
    problem(connection.answer(), 415, "unsupported_media_type")


@pytest.mark.parametrize("method, path, allow", [
    ("GET", "/v1/payments", "POST"), ("PUT", "/v1/payments", "POST"), ("DELETE", "/v1/payments", "POST"), ("PATCH", "/v1/payments", "POST"),
    ("BREW", "/v1/payments", "POST"), ("POST", "/v1/payments/a", "PUT, GET"), ("DELETE", "/v1/payments/a", "PUT, GET"), ("POST", "/openapi.json", "GET")])
def test_another_method_is_answered_with_those_that_work(connection, method, path, allow):
    answer = connection.post(order("a"), path, method)
    problem(answer, 405, "method_not_allowed")
    assert answer[1]["allow"] == allow


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/payments/", "/v1/payments/a/b", "/v1/paymentsx", "/V1/payments", "//v1/payments", "/v1/payments/../payments",
                                  "/livez", "/metrics", "/v1/payments%00"])
def test_another_path_is_nothing(connection, path):
    answer = connection.post(order("a"), path)
    assert answer[0] in (404, 400) and json.loads(answer[2])["code"] in ("not_found", "bad_request")


# --- the admin port, and the command line ---

def test_the_admin_port_says_how_it_is(intake):
    admin = intake.env["PAYBUF_ADMIN_URL"]
    assert get(admin + "/livez") == (200, "alive\n")
    assert get(admin + "/readyz") == (200, "ready\n")
    assert json.loads(get(admin + "/version")[1])["program"] == "paybuf-producer"
    status, text = get(admin + "/metrics")
    assert status == 200
    for name in ("paybuf_intake_accepted_total", 'paybuf_intake_refused_total{code="bad_field"}', "paybuf_intake_in_flight_records 0",
                 "paybuf_intake_accept_seconds_bucket", "process_resident_memory_bytes"):
        assert name in text, name
    assert get(admin + "/nothing")[0] == 404 and get(admin + "/livez", "POST")[0] == 405


def test_the_command_line_says_what_is_wrong(intake):
    done = run_producer(intake, "--check-config", "--producer.listen=0.0.0.0:8080")
    assert done.returncode == 78 and "no API keys" in done.stderr
    done = run_producer(intake, "--producer.lisen=127.0.0.1:1")
    assert done.returncode == 78 and "did you mean listen" in done.stderr
    done = run_producer(intake, "--check-config", "--producer.database=nonsense://me:secret@here")
    assert done.returncode == 78 and "[producer] database: the database URL can't be read" in done.stderr and "secret" not in done.stderr
    done = run_producer(intake, "--hepl")
    assert done.returncode == 2 and "--help" in done.stderr
    done = run_producer(intake, "--kafka.test.mock.num.brokers=3")
    assert done.returncode == 78 and "accept payments into memory" in done.stderr
    done = run_producer(intake, f"--producer.listen={intake.env['PAYBUF_HTTP_URL'][7:]}", f"--kafka.bootstrap.servers={intake.env['PAYBUF_KAFKA_BOOTSTRAP']}")
    assert done.returncode == 1 and "another process has this port" in done.stderr
    for flag in ("--help", "--version", "--print-config", "--sample-config", "--check-config"):
        assert run_producer(intake, flag).returncode == 0, flag
