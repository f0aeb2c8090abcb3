"""Who may call: API keys, scopes, quotas and tenants, read again on SIGHUP; issued order ids; connections per address."""
import hashlib
import json
import signal
import time

import pytest

from intake_calls import PATIENT, order, record_at, run_producer
from raw_http import Connection, message
from stack import wait_until


@pytest.fixture(scope="module")
def intake(servers):
    stack = servers.new_ledger("intake_keys", workers=())
    yield stack


def key_line(name, tenant, scopes, key, rest=""):
    return f"{name} {tenant} {scopes} {hashlib.sha256(key.encode()).hexdigest()} {rest}\n"


class Running:
    """The intake with settings of its own."""

    def __init__(self, stack, **settings):
        self.stack = stack
        stack.start("producer", **PATIENT, **settings)

    def __enter__(self):
        return self.stack

    def __exit__(self, *_):
        assert self.stack.stop("producer") == 0


def bearer(key):
    return {"authorization": f"Bearer {key}"}


def hang_up_and_wait(stack, words):
    before = stack.log("producer").count(words)
    stack.signal("producer", signal.SIGHUP)
    wait_until(lambda: stack.log("producer").count(words) > before, 60, words)


def tenant_at(stack, position):
    return dict(record_at(stack, position).headers())["tenant"].decode()


def test_without_keys_it_says_so_at_start(intake):
    with Running(intake):
        assert "no API keys" in intake.log("producer")


def test_keys_name_the_tenant_and_what_may_be_done(intake, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("# keys\n" + key_line("shop", "acme", "pay", "k-shop") + key_line("books", "acme", "read", "k-books") + key_line("boss", "other", "admin", "k-boss"))
    with Running(intake, PAYBUF_PRODUCER_API_KEYS=str(keys)):
        status, document, headers = intake.post(order("key-1"))
        assert status == 401 and document["code"] == "unauthorized" and headers["www-authenticate"].startswith("Bearer")
        assert intake.post(order("key-1"), headers=bearer("k-nobody"))[0] == 401
        status, document, _ = intake.post(order("key-1"), headers=bearer("k-books"))
        assert status == 403 and document["code"] == "forbidden"
        for key, tenant in (("k-shop", "acme"), ("k-boss", "other")):
            status, document, _ = intake.post(order("key-1"), headers=bearer(key))
            assert status == 202 and tenant_at(intake, document["position"]) == tenant
        with Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
            body = json.dumps(order("key-2")).encode()
            connection.send(message(connection.host, ["Content-Type: application/json", f"Content-Length: {len(body)}", "Authorization: Bearer k-shop",
                                                      "Authorization: Bearer k-boss"], body))
            assert connection.answer()[0] == 400
        for secret in ("k-shop", "k-boss"):
            assert secret not in intake.log("producer")


def test_a_strangers_body_isnt_waited_for(intake, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(key_line("shop", "acme", "pay", "k-shop"))
    with Running(intake, PAYBUF_PRODUCER_API_KEYS=str(keys)), Connection(intake.env["PAYBUF_HTTP_URL"]) as connection:
        connection.send(message(connection.host, ["Content-Type: application/json", "Content-Length: 8000", "Expect: 100-continue"]))
        assert connection.answer()[0] == 401


def test_sighup_reads_the_keys_again_and_a_mistake_changes_nothing(intake, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(key_line("old", "acme", "pay", "k-old"))
    with Running(intake, PAYBUF_PRODUCER_API_KEYS=str(keys)):
        assert intake.post(order("hup-1"), headers=bearer("k-old"))[0] == 202
        keys.write_text(key_line("new", "acme", "pay", "k-new"))
        hang_up_and_wait(intake, "1 API keys are good")
        assert intake.post(order("hup-2"), headers=bearer("k-old"))[0] == 401
        assert intake.post(order("hup-2"), headers=bearer("k-new"))[0] == 202
        keys.write_text("nonsense\n")
        hang_up_and_wait(intake, "the API keys stay as they were")
        assert "line 1" in intake.log("producer")
        assert intake.post(order("hup-3"), headers=bearer("k-new"))[0] == 202


def test_a_quota_is_429_with_its_headers_and_fills_again(intake, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(key_line("slow", "acme", "pay", "k-slow", "rate=1 burst=5") + key_line("fast", "acme", "pay", "k-fast"))
    with Running(intake, PAYBUF_PRODUCER_API_KEYS=str(keys)):
        began, statuses = time.monotonic(), []
        while 429 not in statuses and len(statuses) < 200:      # on a busy machine it fills while we ask
            status, document, headers = intake.post(order(f"quota-{len(statuses)}"), headers=bearer("k-slow"))
            statuses.append(status)
        assert statuses == [202] * (len(statuses) - 1) + [429]
        assert 5 <= statuses.count(202) <= 5 + (time.monotonic() - began)
        assert document["code"] == "quota_exceeded" and document["retryable"] is True
        assert int(headers["retry-after"]) >= 1 and headers["ratelimit-limit"] == "5" and headers["ratelimit-remaining"] == "0"
        assert intake.post(order("quota-fast"), headers=bearer("k-fast"))[0] == 202
        time.sleep(int(headers["retry-after"]) + 0.1)
        assert intake.post(order("quota-again"), headers=bearer("k-slow"))[0] == 202


def test_keys_that_are_wrong_end_the_start_with_78(intake, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("shop acme pay 1234\n")
    done = run_producer(intake, "--check-config", f"--producer.api_keys={keys}")
    assert done.returncode == 78 and "line 1" in done.stderr and "64 hexadecimal" in done.stderr
    done = run_producer(intake, "--check-config", f"--producer.api_keys={tmp_path}/nothing")
    assert done.returncode == 78 and "No such file" in done.stderr
    keys.write_text(key_line("shop", "acme", "pay", "k-shop"))
    assert run_producer(intake, "--check-config", f"--producer.api_keys={keys}", "--producer.listen=0.0.0.0:8080").returncode == 0
    done = run_producer(intake, "--check-config", "--token.required=true")
    assert done.returncode == 78 and "token" in done.stderr and "secrets" in done.stderr
    assert "api_keys" in run_producer(intake, "--print-config").stdout and "batch_lines_max" in run_producer(intake, "--help").stdout


def test_issued_ids_are_the_only_ones_where_tokens_are_required(intake, tmp_path):
    secrets, keys = tmp_path / "secrets", tmp_path / "keys"
    secrets.write_text("0" * 32 + "\n")
    keys.write_text(key_line("a", "acme", "pay", "k-a") + key_line("b", "other", "pay", "k-b"))
    with Running(intake, PAYBUF_PRODUCER_API_KEYS=str(keys), PAYBUF_TOKEN_SECRETS=str(secrets), PAYBUF_TOKEN_REQUIRED="true"):
        status, document, _ = intake.post({"count": 2}, "/v1/order-ids", headers=bearer("k-a"))
        assert status == 200
        mine, second = document["order_ids"]
        assert mine < second
        assert intake.post(order(mine), headers=bearer("k-a"))[0] == 202
        assert intake.post(order(mine), headers=bearer("k-a"))[0] == 202, "a retry is always safe"
        for order_id, key in ((mine, "k-b"), ("o-1", "k-a"), (mine[:-1] + ("A" if mine[-1] != "A" else "B"), "k-a")):
            status, document, _ = intake.post(order(order_id), headers=bearer(key))
            assert status == 403 and document["code"] == "token_invalid", order_id
        secrets.write_text("1" * 32 + "\n" + "0" * 32 + "\n")
        hang_up_and_wait(intake, "the token secrets were read again")
        assert intake.post(order(mine), headers=bearer("k-a"))[0] == 202
        secrets.write_text("1" * 32 + "\n")
        hang_up_and_wait(intake, "the token secrets were read again")
        assert intake.post(order(mine), headers=bearer("k-a"))[0] == 403


def test_a_bad_count_is_refused(intake):
    with Running(intake):
        for body in ({"count": 0}, {"count": 1001}, {"count": "1"}, {"count": 1, "x": 1}, []):
            assert intake.post(body, "/v1/order-ids")[0] == 400, body
        assert len(intake.post({}, "/v1/order-ids")[1]["order_ids"]) == 1


def test_one_address_cant_take_all_connections(intake):
    url = intake.env["PAYBUF_HTTP_URL"]
    with Running(intake, PAYBUF_PRODUCER_CONNECTIONS_PER_ADDRESS_MAX="5"):
        crowd = [Connection(url, source="127.0.0.2") for _ in range(9)]
        served = 0
        for connection in crowd:
            try:
                served += connection.post(order("crowd-1")) is not None
            except ConnectionError:
                pass
        assert served == 5
        with Connection(url, source="127.0.0.3") as other:
            assert other.post(order("crowd-2"))[0] == 202
        for connection in crowd:
            connection.close()

        def is_served():
            try:
                with Connection(url, source="127.0.0.2") as again:
                    return again.post(order("crowd-3")) is not None
            except ConnectionError:
                return False
        wait_until(is_served, 60, "there is room again")
