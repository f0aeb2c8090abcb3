"""GET /v1/payments/{order_id}: what became of a payment, exactly; and never a 404 for what may still be decided."""
import hashlib
import json
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from intake_calls import intake, metrics, order
from stack import wait_until
from tcp_gate import TcpGate


@pytest.fixture(scope="module")
def paying(servers):
    stack = servers.new_ledger("intake_status")
    stack.open_accounts(["alice"])
    stack.cli("account", "open", "poor", "--currency", "EUR")
    yield stack


def get(stack, path, headers=None, timeout_s=60):
    """get_once, and again while the books or the log can't be read within their two seconds: on a busy machine that's no fault."""
    return wait_until(lambda: [a for a in [get_once(stack, path, headers, timeout_s)] if a[0] != 503], 60, f"another answer than 503 to {path}")[0]


def get_once(stack, path, headers=None, timeout_s=60):
    """(status, bytes, headers)"""
    request = urllib.request.Request(stack.env["PAYBUF_HTTP_URL"] + path, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def code(answer):
    return answer[0], json.loads(answer[1]).get("code")


def reply_values(stack):
    """{position: the reply's bytes}, as a listener takes them."""
    taken = {}
    for partition, messages in stack.read(stack.replies).items():
        for message in messages:
            headers = dict(message.headers() or [])
            taken.setdefault(f"{int(headers['log-generation'])}-{partition}-{int(headers['source-offset'])}", message.value())
    return taken


def one_of_each_kind(stack, prefix):
    """Appends records that get every kind of answer; {kind: (path, position)}."""
    requests = {
        "paid": order(f"{prefix}-1", metadata={"basket": 7}),
        "duplicate": order(f"{prefix}-1"),
        "conflict": order(f"{prefix}-1", amount_minor=1),
        "declined": order(f"{prefix}-2", account_id="poor"),
        "second attempt": order(f"{prefix}-2", attempt=2),
        "out of sequence": order(f"{prefix}-3", attempt=3),
        "already paid": order(f"{prefix}-1", attempt=2),
        "malformed": (f"{prefix}-4".encode(), b'{"order_id"', []),
        "key mismatch": (f"{prefix}-5".encode(), json.dumps(order(f"{prefix}-6")).encode(), []),
        "no key": (b"\xff", json.dumps(order(f"{prefix}-7")).encode(), []),
    }
    where = {}
    for kind, request in requests.items():          # one after the other: their order is part of the answers
        (partition, offset), = stack.append([request], partition=0)
        order_id = request["order_id"] if isinstance(request, dict) else request[0].decode(errors="ignore") or "anything"
        where[kind] = (f"/v1/payments/{order_id}", f"1-{partition}-{offset}")
    stack.wait_at_rest()
    return where


def test_by_position_the_answer_is_the_listeners_bytes_for_every_kind(paying):
    with intake(paying, results_bytes=65536):
        where = one_of_each_kind(paying, "kinds")
        values = reply_values(paying)
        outcomes = set()

        def check():
            for kind, (path, position) in where.items():
                status, body, headers = get(paying, f"{path}?position={position}")
                assert (status, body) == (200, values[position]), kind
                assert headers["content-type"] == "application/json"
                outcomes.add((json.loads(body)["outcome"], json.loads(body)["reason"], json.loads(body)["duplicate"]))
        check()                                     # from memory
        assert len(outcomes) == 8
        paying.append(paying.workload(400, ["alice"], seed=1))
        paying.wait_at_rest()
        check()                                     # from the log: the memory holds a hundred replies
        paying.kill("producer")
        paying.start("producer")
        check()
        assert metrics(paying, 'paybuf_intake_lookups_total{end="found"}') == [len(where)]


def test_a_position_is_its_orders_and_its_attempts_only(paying):
    with intake(paying):
        where = one_of_each_kind(paying, "whose")
        path, position = where["second attempt"]
        assert get(paying, f"{path}?position={position}&attempt=2")[0] == 200
        for asked in (f"{path}?position={position}&attempt=1", f"/v1/payments/other?position={position}", f"{path}?position=1-99-0"):
            assert code(get(paying, asked)) == (404, "not_found"), asked
        assert get(paying, f"{path}?position=1-0-{10 ** 9}")[0] == 202
        assert code(get(paying, f"{path}?position=2-0-0")) == (404, "not_found")


def test_by_order_the_latest_decision_or_that_of_an_attempt(paying):
    with intake(paying):
        where = one_of_each_kind(paying, "latest")
        values = reply_values(paying)
        path = "/v1/payments/latest-2"
        assert get(paying, path)[:2] == get(paying, f"{path}?attempt=2")[:2] == (200, values[where["second attempt"][1]])
        assert get(paying, f"{path}?attempt=1")[:2] == (200, values[where["declined"][1]])
        assert code(get(paying, f"{path}?attempt=3")) == (404, "not_found")
        with_metadata = json.loads(values[where["paid"][1]])
        assert json.loads(get(paying, "/v1/payments/latest-1")[1]) == {**with_metadata, "metadata": None}
        for refused in ("latest-3", "latest-4", "latest-5", "never-seen"):
            assert code(get(paying, f"/v1/payments/{refused}")) == (404, "not_found"), refused


def test_the_location_of_an_accepted_payment_leads_to_its_answer(paying):
    with intake(paying):
        status, document, headers = paying.post(order("location-1"))
        assert status == 202
        status, body, _ = get(paying, headers["location"] + "&wait=30")
        assert status == 200 and json.loads(body)["position"] == document["position"]


def test_wait_answers_as_soon_as_there_is_a_decision_and_else_says_queued(paying):
    with intake(paying):
        paying.freeze("worker-1")
        try:
            _, document, headers = paying.post(order("wait-1"))
            begun = time.monotonic()
            answers = [get(paying, f"{headers['location']}&wait=1"), get(paying, "/v1/payments/wait-1?wait=1")]
            assert [a[0] for a in answers] == [202, 202] and time.monotonic() - begun >= 1.9     # its clock counts milliseconds
            assert json.loads(answers[0][1]) == {"order_id": "wait-1", "attempt": 1, "status": "queued", "position": document["position"]}
            assert json.loads(answers[1][1]) == {"order_id": "wait-1", "attempt": None, "status": "queued", "position": None}
            assert answers[0][2]["retry-after"] == "1"
            with ThreadPoolExecutor(4) as pool:
                waiting = [pool.submit(get, paying, path) for path in
                           (f"{headers['location']}&wait=30", "/v1/payments/wait-1?wait=30", "/v1/payments/wait-1?attempt=1&wait=30")]
                wait_until(lambda: metrics(paying, "paybuf_intake_waiters", "paybuf_intake_lookups") == [1, 2], 60, "all are asking")
                other = pool.submit(get, paying, "/v1/payments/wait-1?attempt=2&wait=4")
                paying.thaw("worker-1")
                assert [w.result()[0] for w in waiting] == [200] * 3
                assert other.result()[0] in (202, 404)
        finally:
            paying.thaw("worker-1")


def test_never_a_404_right_after_a_202(paying):
    """Payments and questions at once, each asked for from its 202 on until it is decided; a stranger's question is 404 or 202."""
    with intake(paying):
        wrong, decided, strangers = [], [], []
        stop = threading.Event()

        def pay(worker):
            for i in range(60):
                order_id = f"load-{worker}-{i}"
                status, document, _ = paying.post(order(order_id, amount_minor=1))
                assert status == 202, document
                deadline = time.monotonic() + 60
                while (answer := get(paying, f"/v1/payments/{order_id}")[0]) == 202:
                    assert time.monotonic() < deadline, f"{order_id} isn't decided"
                (decided if answer == 200 else wrong).append((order_id, answer))

        def ask_for_nothing():
            while not stop.is_set():
                strangers.append(get(paying, "/v1/payments/nobody-paid-this")[0])
        stranger = threading.Thread(target=ask_for_nothing)
        stranger.start()
        try:
            with ThreadPoolExecutor(6) as pool:
                for future in [pool.submit(pay, w) for w in range(6)]:
                    future.result()
        finally:
            stop.set()
            stranger.join(90)
        assert wrong == [] and len(decided) == 360
        assert set(strangers) <= {202, 404}
        paying.wait_at_rest()
        assert get(paying, "/v1/payments/nobody-paid-this")[0] == 404


def test_with_an_unsettled_record_anywhere_nothing_is_said_to_be_nowhere(paying):
    with intake(paying):
        paying.wait_at_rest()
        assert get(paying, "/v1/payments/unsettled-9")[0] == 404
        paying.freeze("worker-1")
        try:
            paying.append([order("unsettled-1")], partition=3)      # any client may use any partitioner
            assert get(paying, "/v1/payments/unsettled-1")[0] == 202
            assert get(paying, "/v1/payments/unsettled-9")[0] == 202
        finally:
            paying.thaw("worker-1")
        wait_until(lambda: get(paying, "/v1/payments/unsettled-1?wait=30")[0] == 200, 60, "the payment decided")
        wait_until(lambda: get(paying, "/v1/payments/unsettled-9")[0] == 404, 60, "404 again")


def test_an_open_transaction_keeps_everything_possible(paying):
    with intake(paying):
        paying.wait_at_rest()
        producer = paying.producer(**{"transactional.id": f"{paying.group}-t"})
        producer.init_transactions(60)
        producer.begin_transaction()
        paying.append([order("transaction-1")], producer=producer)
        assert get(paying, "/v1/payments/transaction-1")[0] == 202
        producer.abort_transaction(60)
        wait_until(lambda: get(paying, "/v1/payments/transaction-1")[0] == 404, 60, "404 after the abort")


def test_a_key_sees_its_tenants_payments_only(paying, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{name} {tenant} {scope} {hashlib.sha256(name.encode()).hexdigest()}\n" for name, tenant, scope in
                            (("shop", "acme", "admin"), ("rival", "rival", "read"), ("blind", "acme", "pay"))))
    with intake(paying, api_keys=keys):
        status, document, headers = paying.post(order("secret-1"), headers={"authorization": "Bearer shop"})
        assert status == 202
        asked = {"by order": "/v1/payments/secret-1?wait=30", "by position": headers["location"] + "&wait=30"}
        for path in asked.values():
            assert get(paying, path, {"authorization": "Bearer shop"})[0] == 200
            assert code(get(paying, path.replace("&wait=30", "").replace("?wait=30", ""), {"authorization": "Bearer rival"})) == (404, "not_found")
            assert code(get(paying, path, {"authorization": "Bearer blind"})) == (403, "forbidden")
            assert code(get(paying, path)) == (401, "unauthorized")


def test_what_is_asked_wrongly_is_refused(paying):
    with intake(paying):
        for asked in ("?attempt=0", "?attempt=100", "?attempt=1&attempt=1", "?position=1-2", "?position=", "?wait=0", "?wait=31", "?wait=1.5", "?atempt=1"):
            assert code(get(paying, "/v1/payments/wrong-1" + asked)) == (400, "bad_parameter"), asked
        assert code(get(paying, "/v1/payments/wro%20ng")) == (400, "bad_parameter")


def test_without_a_database_it_says_so(paying):
    with intake(paying, database=""):
        assert code(get(paying, "/v1/payments/none-1")) == (501, "not_configured")
        status, _, headers = paying.post(order("none-1"))
        assert status == 202 and code(get(paying, headers["location"])) == (501, "not_configured")


def test_a_database_that_is_away_stops_questions_and_nothing_else(paying):
    host, port = paying.servers.env["PAYBUF_DATABASE_URL"].split("@")[1].split("/")[0].split(":")
    gate = TcpGate(host, int(port))
    url = paying.env["PAYBUF_DATABASE_URL"].replace(f"{host}:{port}", f"127.0.0.1:{gate.port}")
    with intake(paying, database=url):
        paying.post(order("away-1"))
        assert get(paying, "/v1/payments/away-1?wait=30")[0] == 200
        for trouble in ("silent", "refusing"):
            gate.open.clear() if trouble == "silent" else gate.close()
            answer = wait_until(lambda: [a for a in [get_once(paying, "/v1/payments/away-1")] if a[0] != 200], 60, "the gate shut")[0]
            assert code(answer) == (503, "unavailable") and answer[2]["retry-after"]
            status, document, headers = paying.post(order(f"away-{trouble}"))
            assert status == 202
            assert get_once(paying, headers["location"] + "&wait=30")[0] == 200     # the replies tell it
            if trouble == "silent":
                gate.open.set()
                wait_until(lambda: get_once(paying, "/v1/payments/away-1")[0] == 200, 60, "the database asked again")
        assert "can't be answered" in paying.log("producer") and "answered again" in paying.log("producer")


def test_more_questions_than_allowed_are_refused_at_once(paying):
    with intake(paying, lookups_max=1):
        paying.freeze("worker-1")
        try:
            paying.post(order("many-1"))
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(get, paying, "/v1/payments/many-1?wait=30")
                wait_until(lambda: metrics(paying, "paybuf_intake_lookups") == [1], 60, "a question under way")
                answer = get_once(paying, "/v1/payments/many-2")
                assert code(answer) == (503, "unavailable") and answer[2]["retry-after"]
                paying.thaw("worker-1")
                assert waiting.result()[0] in (200, 202)
        finally:
            paying.thaw("worker-1")


def test_stopping_answers_who_waits(paying):
    with intake(paying):
        paying.freeze("worker-1")
        try:
            paying.post(order("stopping-1"))
            with ThreadPoolExecutor(2) as pool:
                waiting = [pool.submit(get, paying, path) for path in ("/v1/payments/stopping-1?wait=30", "/v1/payments/stopping-1?position=1-0-999999&wait=30")]
                wait_until(lambda: metrics(paying, "paybuf_intake_waiters", "paybuf_intake_lookups") == [1, 1], 60, "both wait")
                begun = time.monotonic()
                assert paying.stop("producer") == 0
                assert [w.result()[0] for w in waiting] == [202, 202] and time.monotonic() - begun < 20      # they would have waited for 30
        finally:
            paying.thaw("worker-1")
            paying.start("producer")


def test_a_reply_older_than_the_log_keeps_is_gone(paying):
    with intake(paying):
        where = one_of_each_kind(paying, "old")
        path, position = where["paid"]
    end = paying.bounds(paying.replies)[0][1]
    paying.delete_records(paying.replies, 0, end - 1)
    with intake(paying):
        assert code(get(paying, f"{path}?position={position}")) == (410, "gone")
        assert get(paying, path)[0] == 200


def test_an_answered_record_without_its_reply_is_said_to_be_missing(new_ledger):
    stack = new_ledger(partitions=1, workers=())
    with intake(stack):
        stack.sql("UPDATE paybuf.processed_offset SET next_offset = 10, replied_offset = 10")
        assert code(get(stack, "/v1/payments/lost-1?position=1-0-5")) == (500, "inconsistent")
        assert get(stack, "/v1/payments/lost-1?position=1-0-10")[0] == 202
        assert "1-0-5 was answered, but the reply log has no such reply" in stack.log("producer")
