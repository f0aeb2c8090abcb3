"""stack - a private Kafka, PostgreSQL, intake and workers for one test module, driven through ./dev, and what tests do to them.

Everything lies in a run directory of its own; nothing is shared with a running ./dev up. Every wait has a bound and says what
it waited for. The programs under test are those of PAYBUF_TEST_BIN_DIR (./dev test sets it).
"""
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg2
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = Path(__file__).resolve().parents[2]
REQUESTS, REPLIES, LETTERS = "pay.requests", "pay.replies", "pay.dlq"


def wait_until(condition, timeout_s, what):
    """Polls until condition() is true; its last answer is returned."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(0.1)


class Stack:
    def __init__(self, run_dir, partitions=4):
        self.run_dir = Path(run_dir)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("PAYBUF_") or k.startswith("PAYBUF_CACHE")}
        self.environment.update(PAYBUF_RUN_DIR=str(run_dir), PAYBUF_PARTITIONS=str(partitions))
        if "PAYBUF_TEST_BIN_DIR" in os.environ:
            self.environment["PAYBUF_BIN_DIR"] = os.environ["PAYBUF_TEST_BIN_DIR"]
        self.partitions = partitions
        self.produced = 0

    # --- processes ---

    def dev(self, *arguments, check=True, timeout_s=120, **environment):
        done = subprocess.run([str(ROOT / "dev"), *arguments], env={**self.environment, **environment}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout_s)
        if check and done.returncode != 0:
            raise AssertionError(f"./dev {' '.join(arguments)} exited {done.returncode}:\n{done.stdout[-3000:]}")
        return done

    def up(self, workers=("worker-1",), producer=True):
        """Servers, topics and tables, then the programs that are asked for."""
        self.dev("up", "--servers")
        self.read_env()
        self.cli("init", "--partitions", str(self.partitions))
        if producer:
            self.dev("start", "producer")
        for worker in workers:
            self.dev("start", worker)
        self.read_env()

    def down(self):
        self.dev("down", "--wipe", check=False)

    def read_env(self):
        self.env = {}
        for line in (self.run_dir / "env").read_text().splitlines():
            words = shlex.split(line)
            if len(words) == 2 and words[0] == "export":
                name, value = words[1].split("=", 1)
                self.env[name] = value

    def pid(self, name):
        return int((self.run_dir / f"{name}.pid").read_text().split()[0])

    def signal(self, name, number):
        os.kill(self.pid(name), number)

    def freeze(self, name):
        self.signal(name, signal.SIGSTOP)

    def thaw(self, name):
        self.signal(name, signal.SIGCONT)

    def log(self, name):
        return (self.run_dir / "log" / f"{name}.log").read_text(errors="replace")

    def cli(self, *arguments, check=True, timeout_s=120, ok=(0,)):
        binary = Path(self.environment.get("PAYBUF_BIN_DIR", ROOT / "build/release/bin")) / "paybuf"
        done = subprocess.run([str(binary), "--config", str(self.run_dir / "paybuf.conf"), *arguments], env={**self.environment, **getattr(self, "env", {})},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s)
        if check and done.returncode not in ok:
            raise AssertionError(f"paybuf {' '.join(arguments)} exited {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done

    # --- books ---

    def sql(self, statement, *arguments):
        with psycopg2.connect(self.env["PAYBUF_DATABASE_URL"], connect_timeout=5) as database, database.cursor() as cursor:
            cursor.execute(statement, arguments)
            return cursor.fetchall() if cursor.description else None

    def open_accounts(self, names, opening_minor=1_000_000_00, currency="EUR"):
        file = self.run_dir / f"accounts-{random.getrandbits(32):08x}.ndjson"
        file.write_text("".join(json.dumps({"account_id": n, "currency": currency, "opening_minor": opening_minor}) + "\n" for n in names))
        self.cli("account", "import", str(file))

    # --- requests ---

    def producer(self, **settings):
        return Producer({"bootstrap.servers": self.env["PAYBUF_KAFKA_BOOTSTRAP"], "enable.idempotence": True, "partitioner": "murmur2_random",
                         "linger.ms": 5, **settings})

    def append(self, requests, partition=None, producer=None):
        """Appends request documents (dicts, or (key, bytes, headers) tuples for hand-made records); answers [(partition, offset)]."""
        producer = producer or self.producer()
        stored = []

        def delivered(error, message):
            assert error is None, error
            stored.append((message.partition(), message.offset()))

        for request in requests:
            key, value, headers = request if isinstance(request, tuple) else (request["order_id"].encode(), json.dumps(request).encode(), [])
            where = {} if partition is None else {"partition": partition}
            while True:
                try:
                    producer.produce(REQUESTS, value=value, key=key, headers=headers, on_delivery=delivered, **where)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        assert producer.flush(60) == 0, "Kafka didn't take the requests within 60 s"
        assert len(stored) == len(requests)
        return stored

    def workload(self, count, accounts, seed=1, duplicates=0.3, prefix="o"):
        """Deterministic: fresh orders, repeats of earlier ones, some conflicts, some second attempts."""
        rng = random.Random(seed)
        made = []
        for i in range(count):
            dice = rng.random()
            if made and dice < duplicates:
                made.append(dict(rng.choice(made[-500:])))
            elif made and dice < duplicates + 0.03:
                made.append({**rng.choice(made[-500:]), "amount_minor": rng.randint(1, 999)})
            elif made and dice < duplicates + 0.06:
                earlier = rng.choice(made[-500:])
                made.append({**earlier, "attempt": earlier.get("attempt", 1) + 1})
            else:
                made.append({"order_id": f"{prefix}-{seed}-{i:08d}", "account_id": rng.choice(accounts), "amount_minor": rng.randint(1, 5000), "currency": "EUR"})
        return made

    # --- HTTP ---

    def post(self, body, path="/v1/payments", method="POST", headers=None, timeout_s=15):
        """(status, document, headers); a status of 0 when the connection broke."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.env["PAYBUF_HTTP_URL"] + path, data=data, method=method,
                                         headers={"content-type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return answer.status, json.loads(answer.read() or b"null"), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null"), error.headers
        except (OSError, urllib.error.URLError):
            return 0, None, None

    # --- logs ---

    def consumer(self, isolation="read_uncommitted"):
        return Consumer({"bootstrap.servers": self.env["PAYBUF_KAFKA_BOOTSTRAP"], "group.id": "e2e-reader", "enable.auto.commit": False,
                         "isolation.level": isolation, "enable.partition.eof": False, "auto.offset.reset": "earliest"})

    def bounds(self, topic=REQUESTS):
        consumer = self.consumer()
        try:
            return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=20) for p in range(self.partitions)}
        finally:
            consumer.close()

    def read(self, topic, isolation="read_uncommitted"):
        sys.path.insert(0, str(Path(__file__).parent))
        os.environ["PAYBUF_KAFKA_BOOTSTRAP"] = self.env["PAYBUF_KAFKA_BOOTSTRAP"]
        import check_history
        return check_history.read_topic(topic, isolation)

    def lanes(self):
        names = ["partition", "next_offset", "replied_offset", "reply_position", "anchor_offset", "owner_epoch", "halted_reason"]
        return {row[0]: dict(zip(names, row)) for row in self.sql(f"SELECT {', '.join(names)} FROM paybuf.processed_offset ORDER BY partition")}

    def wait_at_rest(self, timeout_s=120):
        """Until every request is settled and its reply acknowledged: P at the end of each log, nothing unanswered below it."""
        def at_rest():
            ends = {p: high for p, (_, high) in self.bounds().items()}
            try:
                lanes = self.lanes()
            except psycopg2.OperationalError:
                return False
            return all(lanes[p]["next_offset"] == ends[p] and (lanes[p]["anchor_offset"] is None or lanes[p]["replied_offset"] > lanes[p]["anchor_offset"])
                       for p in ends)
        try:
            wait_until(at_rest, timeout_s, "all requests settled and answered")
        except AssertionError as error:
            raise AssertionError(f"{error}\nlanes {self.lanes()}\nends {self.bounds()}") from None

    # --- proofs ---

    def check(self, accepted=None, audit=True):
        """Both proofs: paybuf's own audit, and the checker that shares no code with it."""
        if audit and "PAYBUF_TEST_NO_AUDIT" not in os.environ:
            done = self.cli("audit", check=False, timeout_s=300)
            assert done.returncode == 0 and "0 differences" in done.stdout, f"audit:\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
        arguments = [sys.executable, str(Path(__file__).parent / "check_history.py")]
        if accepted:
            arguments += ["--accepted", str(accepted)]
        done = subprocess.run(arguments, env={**os.environ, **self.env}, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"check_history:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    def create_topic(self, name, partitions, **config):
        admin = AdminClient({"bootstrap.servers": self.env["PAYBUF_KAFKA_BOOTSTRAP"]})
        for future in admin.create_topics([NewTopic(name, partitions, 1, config=config)], operation_timeout=20).values():
            future.result(30)

    def delete_topic(self, name):
        admin = AdminClient({"bootstrap.servers": self.env["PAYBUF_KAFKA_BOOTSTRAP"]})
        for future in admin.delete_topics([name], operation_timeout=20).values():
            future.result(30)
        wait_until(lambda: name not in admin.list_topics(timeout=10).topics, 30, f"{name} deleted")
