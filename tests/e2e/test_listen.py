"""`paybuf listen`: lines, filters, a command, HTTP endpoints; what is exact after SIGTERM and never lost after SIGKILL."""
import base64
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ports import free_port
from stack import wait_until

ACCOUNTS = ["alice", "bob", "carol"]
KEY = bytes(range(32))


@pytest.fixture(scope="module")
def ledger(servers):
    """A hundred replies; each order has several, in one partition."""
    ledger = servers.new_ledger("listen", accounts=ACCOUNTS)
    ledger.append(ledger.workload(100, ACCOUNTS, duplicates=0.5))
    ledger.wait_at_rest()
    return ledger


@pytest.fixture
def listen(ledger):
    """listen(arguments) -> a running `paybuf listen`; ended with the test."""
    made = []

    def make(*arguments):
        made.append(subprocess.Popen([ledger.binary("paybuf"), "listen", *arguments], env={**os.environ, **ledger.env}, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return made[-1]

    yield make
    for process in made:
        if process.poll() is None:
            process.kill()
        process.communicate()


def refused_first(name):
    return int(name.rsplit("-", 1)[1]) % 4 == 0


class Sink(ThreadingHTTPServer):
    """Endpoints by path. /ok takes all; /flaky refuses the first try of every fourth; /gone answers 410; /busy: 503 and Retry-After once.
    Behind `most` of a path there is 503."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken, self.tried, self.lock = defaultdict(list), defaultdict(Counter), threading.Lock()
        self.wrong, self.most = [], {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def answer(self, path, headers, body):
        """Status and headers. Signatures are checked as a receiver would."""
        name = headers["webhook-id"]
        digest = hmac.digest(KEY, f"{name}.{headers['webhook-timestamp']}.".encode() + body, hashlib.sha256)
        with self.lock:
            if headers["webhook-signature"] != "v1," + base64.b64encode(digest).decode() or abs(time.time() - int(headers["webhook-timestamp"])) > 60:
                self.wrong.append(name)
            if path in self.most and len(self.taken[path]) >= self.most[path]:
                return 503, {}
            self.tried[path][name] += 1
            if path == "/gone":
                return 410, {}
            if path == "/busy" and sum(self.tried[path].values()) == 1:
                self.busy_at = time.monotonic()
                return 503, {"Retry-After": "2"}
            if path == "/flaky" and refused_first(name) and self.tried[path][name] == 1:
                return 500, {}
            self.taken[path].append((name, json.loads(body), time.monotonic()))
        return 204, {}

    def positions(self, path):
        return [reply["position"] for _, reply, _ in self.taken[path]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        status, headers = self.server.answer(self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(status)
        for name, value in {**headers, **({} if status == 204 else {"Content-Length": "0"})}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def sink():
    sink = Sink()
    yield sink
    sink.shutdown()
    sink.server_close()
    assert not sink.wrong, f"wrong signatures: {sink.wrong[:3]}"


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"whsec_{base64.b64encode(KEY).decode()}\n")
    return str(path)


def all_of(ledger):
    return Counter(reply["position"] for reply in ledger.answers().values())


def assert_in_order(positions):
    """Of each partition; repeats aren't looked at."""
    for p in {position.split("-")[1] for position in positions}:
        offsets = [int(position.split("-")[2]) for position in dict.fromkeys(positions) if position.split("-")[1] == p]
        assert offsets == sorted(offsets)


def test_lines_in_a_file_are_there_once_each_however_often_it_is_killed(ledger, listen, tmp_path):
    lines, state = tmp_path / "lines", tmp_path / "state"
    for _ in range(5):
        process = listen("--state", str(state), "--to", str(lines))
        time.sleep(0.3)
        process.kill()
        process.wait(10)
    assert listen("--state", str(state), "--to", str(lines), "--until-idle", "1").wait(120) == 0
    assert Counter(json.loads(line)["position"] for line in lines.read_text().splitlines()) == all_of(ledger)


@pytest.mark.parametrize("arguments, wanted", [
    (["--account", "alice"], lambda r: r["account_id"] == "alice"),
    (["--outcome", "conflict,declined"], lambda r: r["outcome"] in ("conflict", "declined")),
    (["--order", "o-1-00000000"], lambda r: r["order_id"] == "o-1-00000000"),
    (["--tenant", "default", "--outcome", "paid"], lambda r: r["outcome"] == "paid"),
    (["--tenant", "other"], lambda r: False),
])
def test_a_filter_lets_through_what_it_names_and_nothing_else(ledger, listen, arguments, wanted):
    process = listen("--from", "start", "--until-idle", "1", *arguments)
    shown = [json.loads(line)["position"] for line in process.communicate(timeout=120)[0].splitlines()]
    assert process.returncode == 0
    assert Counter(shown) == Counter(r["position"] for r in ledger.answers().values() if wanted(r))


def test_a_template_makes_each_reply_a_line_and_survives_kills(ledger, listen, tmp_path):
    lines, state, template = tmp_path / "lines", tmp_path / "state", "{position}|{order_id}#{attempt} {amount_minor} {{{outcome}}} {reason|-}"
    process = listen("--state", str(state), "--to", str(lines), "--template", template)
    time.sleep(0.5)
    process.kill()
    process.wait(10)
    assert listen("--state", str(state), "--to", str(lines), "--template", template, "--until-idle", "1").wait(120) == 0
    wanted = Counter(f"{r['position']}|{r['order_id']}#{r['attempt']} {r['amount_minor']} {{{r['outcome']}}} {r['reason'] or '-'}"
                     for r in ledger.answers().values())
    assert Counter(lines.read_text().splitlines()) == wanted


def test_a_command_gets_the_line_of_a_template_and_the_id_of_the_reply(ledger, listen, tmp_path):
    out = tmp_path / "out"
    process = listen("--from", "start", "--order", "o-1-00000000", "--until-idle", "1", "--template", "{ledger_id}-{position} {order_id}",
                     "--exec", f"""read line; echo "$PAYBUF_REPLY_ID=$line" >> {out}""")
    assert process.wait(120) == 0
    wanted = Counter(r["position"] for r in ledger.answers().values() if r["order_id"] == "o-1-00000000")
    got = [re.fullmatch(r"(.+)=\1 o-1-00000000", line) for line in out.read_text().splitlines()]
    assert wanted and all(got) and Counter("-".join(line[1].rsplit("-", 3)[1:]) for line in got) == wanted


def test_a_command_gets_each_reply_once_in_order_and_again_when_it_failed(ledger, listen, tmp_path):
    out, failed = tmp_path / "out", tmp_path / "failed"
    command = f"""read line; echo "$line" | grep -q '"attempt":2' && ! test -e {failed} && touch {failed} && exit 1; echo "$PAYBUF_REPLY_ID $line" >> {out}"""
    state = str(tmp_path / "state")
    process = listen("--state", state, "--exec", command)
    wait_until(lambda: out.exists() and len(out.read_text().splitlines()) > 20, 60, "the command ran")
    process.send_signal(signal.SIGTERM)     # exact: what was under way is finished and kept
    assert process.wait(60) == 0
    process = listen("--state", state, "--exec", command, "--until-idle", "1")
    assert process.wait(120) == 0
    got = [line.split(" ", 1) for line in out.read_text().splitlines()]
    positions = [json.loads(line)["position"] for _, line in got]
    assert Counter(positions) == all_of(ledger) and failed.exists()
    assert all(name.endswith("-" + position) for (name, _), position in zip(got, positions))
    assert_in_order(positions)


def test_a_command_that_never_succeeds_ends_it_and_the_next_start_begins_with_that_reply(ledger, listen, tmp_path):
    state, tries = str(tmp_path / "state"), tmp_path / "tries"
    process = listen("--state", state, "--order", "o-1-00000000", "--exec", f"cat >> {tries}; exit 3")
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 1 and "10 tries" in said and "ended with 3" in said, said
    assert len(tries.read_text().splitlines()) == 10
    first = json.loads(tries.read_text().splitlines()[0])["position"]
    process = listen("--state", state, "--order", "o-1-00000000", "--exec", f"cat >> {tmp_path}/then", "--until-idle", "1")
    assert process.wait(60) == 0
    assert json.loads((tmp_path / "then").read_text().splitlines()[0])["position"] == first


def test_endpoints_get_each_reply_signed_and_in_order_though_one_is_flaky_and_one_dead(ledger, listen, sink, secret, tmp_path):
    urls = [sink.url("/ok"), sink.url("/flaky"), f"http://127.0.0.1:{free_port()}/dead"]
    expected = sum(all_of(ledger).values())
    sink.most["/flaky"] = expected // 2     # so that something is left for after the stop
    process = listen("--state", str(tmp_path / "state"), "--forward-to", " ".join(urls), "--secret-file", secret)
    wait_until(lambda: len(sink.taken["/ok"]) >= expected and len(sink.taken["/flaky"]) >= 20, 120, "the living endpoints got theirs")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    taken = len(sink.taken["/flaky"])
    sink.most.clear()
    process = listen("--state", str(tmp_path / "state"), "--forward-to", " ".join(urls), "--secret-file", secret, "--max", str(expected - taken))
    wait_until(lambda: len(sink.taken["/flaky"]) >= expected, 120, "the flaky one got the rest")
    process.kill()
    for path in ("/ok", "/flaky"):
        assert Counter(sink.positions(path)) == all_of(ledger), path
        assert_in_order(sink.positions(path))
    assert all(tries == (2 if refused_first(name) else 1) for name, tries in sink.tried["/flaky"].items())


def test_after_sigkill_nothing_is_lost_and_what_comes_again_has_the_same_id(ledger, listen, sink, secret, tmp_path):
    arguments = ["--state", str(tmp_path / "state"), "--forward-to", sink.url("/ok"), "--secret-file", secret]
    for _ in range(5):
        before = len(sink.taken["/ok"])
        sink.most["/ok"] = before + 15      # so that something is left for the next, however late the kill comes
        process = listen(*arguments)
        wait_until(lambda: len(sink.taken["/ok"]) > before + 3, 60, "it handed something over")
        process.kill()
        process.wait(10)
    sink.most.clear()
    assert listen(*arguments, "--until-idle", "1").wait(120) == 0
    by_id = defaultdict(set)
    for name, reply, _ in sink.taken["/ok"]:
        by_id[name].add(reply["position"])
    assert all(len(positions) == 1 for positions in by_id.values())
    assert Counter(p for positions in by_id.values() for p in positions) == all_of(ledger)
    assert_in_order(sink.positions("/ok"))


def test_an_endpoint_that_is_gone_ends_and_one_that_asks_for_time_gets_it(ledger, listen, sink, secret):
    process = listen("--from", "start", "--order", "o-1-00000000", "--forward-to", f"{sink.url('/gone')} {sink.url('/busy')}", "--secret-file", secret,
                     "--until-idle", "1")
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 1 and "410" in said
    assert sum(sink.tried["/gone"].values()) == 1
    wanted = Counter(r["position"] for r in ledger.answers().values() if r["order_id"] == "o-1-00000000")
    assert Counter(sink.positions("/busy")) == wanted
    assert sink.taken["/busy"][0][2] - sink.busy_at > 1.999     # both count whole milliseconds


def test_a_message_never_shows_what_is_secret_in_a_url(listen, secret):
    process = listen("--from", "start", "--forward-to", f"http://user:hidden@127.0.0.1:{free_port()}/x?token=hidden", "--secret-file", secret)
    line = process.stderr.readline()
    assert re.search(r"http://127\.0\.0\.1:\d+/x", line) and "hidden" not in line


def test_what_does_not_go_together_is_said(ledger, secret):
    for arguments, word in ((["--exec", "true", "--forward-to", "http://x"], "not both"), (["--forward-to", "http://x"], "--secret-file"),
                            (["--exec", "true", "--to", "f"], "--to"), (["--outcome", "payed"], "payed"),
                            (["--template", "{ordr_id}"], "did you mean 'order_id'?"), (["--template", "x", "--format", "json"], "not both"),
                            (["--template", "x", "--forward-to", "http://x", "--secret-file", secret], "--template"),
                            (["--forward-to", "ftp://x", "--secret-file", secret], "ftp://x"),
                            (["--forward-to", "http://x http://x", "--secret-file", secret], "twice")):
        done = ledger.cli("listen", *arguments, check=False)
        assert done.returncode == 2 and word in done.stderr, (arguments, done.stderr)
