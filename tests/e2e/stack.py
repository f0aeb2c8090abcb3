"""stack - a private Kafka, PostgreSQL, intake and workers, driven through ./dev, and what tests do to them.

Everything lies in a run directory of its own; nothing is shared with a running ./dev up. Every wait has a bound and says what
it waited for. The programs under test are those of PAYBUF_TEST_BIN_DIR (./dev test sets it).

A stack's servers can carry several ledgers: `new_ledger` answers a Stack with topics, database, group and workers of its own on
the same two servers, ready in two seconds instead of ten. So one test's lost topics are no other test's trouble.
"""
import http.client
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg2
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import history
import kafka_wire
from ports import free_port

ROOT = Path(__file__).resolve().parents[2]
QUIET = {"log_level": 0}                # librdkafka's own words about brokers that a test killed
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


DEV_PORTS = ["KAFKA", "KAFKA_CONTROLLER", "POSTGRES", "PRODUCER", "PRODUCER_ADMIN", "WORKER_1", "WORKER_2"]


class Stack:
    group = "paybuf"
    requests, replies, letters = REQUESTS, REPLIES, LETTERS
    servers = None                      # the stack whose servers this ledger uses; None: its own

    def __init__(self, run_dir, partitions=4):
        self.run_dir = Path(run_dir)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("PAYBUF_") or k.startswith("PAYBUF_CACHE")}
        self.environment.update(PAYBUF_RUN_DIR=str(run_dir), PAYBUF_PARTITIONS=str(partitions))
        if "PAYBUF_TEST_BIN_DIR" in os.environ:
            self.environment["PAYBUF_BIN_DIR"] = os.environ["PAYBUF_TEST_BIN_DIR"]
        self.partitions = partitions
        self.children = {}              # programs started by launch, by name
        self.ledgers = []
        self.shared_producer = self.shared_consumer = self.shared_admin = None

    # --- servers ---

    def dev(self, *arguments, check=True, timeout_s=300, **environment):
        done = subprocess.run([str(ROOT / "dev"), *arguments], env={**self.environment, **environment}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout_s)
        if check and done.returncode != 0:
            raise AssertionError(f"./dev {' '.join(arguments)} exited {done.returncode}:\n{done.stdout[-3000:]}")
        return done

    def up_servers(self):
        """Kafka and PostgreSQL, nothing of ours. ./dev would pick ports that another test was given and doesn't listen on yet."""
        if not (self.run_dir / "ports").exists():
            self.environment.update({f"PAYBUF_PORT_{name}": str(free_port()) for name in DEV_PORTS})
        self.dev("up", "--servers", timeout_s=420)
        self.read_env()

    def up(self, workers=("worker-1",), producer=True):
        """Servers, topics and tables, then the programs that are asked for."""
        self.up_servers()
        self.cli("init", "--partitions", str(self.partitions))
        if producer:
            self.dev("start", "producer")
        for worker in workers:
            self.start(worker)
        self.read_env()

    def new_ledger(self, name, partitions=4, workers=("worker-1",), accounts=()):
        """A ledger of its own on the same servers, up and running; accounts: opened before the workers start."""
        ledger = Ledger(self, f"{re.sub('[^a-z0-9_]', '_', name.lower())[:48]}_{random.SystemRandom().getrandbits(32):08x}", partitions)
        self.ledgers.append(ledger)
        ledger.init()
        if accounts:
            ledger.open_accounts(accounts)
        for worker in workers:
            ledger.start(worker, wait=False)
        for worker in workers:
            ledger.wait_ready(worker)
        return ledger

    def down(self):
        self.kill_children()
        for ledger in self.ledgers:
            ledger.kill_children()
        self.dev("kill", "kafka", check=False)      # its orderly end takes seconds, and nobody needs its data any more
        self.dev("down", "--wipe", check=False)

    def read_env(self):
        self.env = {}
        for line in (self.run_dir / "env").read_text().splitlines():
            words = shlex.split(line)
            if len(words) == 2 and words[0] == "export":
                name, value = words[1].split("=", 1)
                self.env[name] = value

    # --- our programs: started without ./dev where a test does it often, but known to it ---

    def start(self, name="worker-1", wait=True, **environment):
        """Starts a worker or the intake ("producer"); PAYBUF_* in `environment` go to it."""
        if name == "producer":
            own = {"PAYBUF_PRODUCER_LISTEN": self.env["PAYBUF_HTTP_URL"][len("http://"):], "PAYBUF_PRODUCER_ADMIN": f"127.0.0.1:{self.admin_port(name)}",
                   "PAYBUF_PRODUCER_DATABASE": self.env["PAYBUF_DATABASE_URL"]}
        else:
            own = {"PAYBUF_WORKER_ADMIN": f"127.0.0.1:{self.admin_port(name)}"}
        program = self.binary("paybuf-producer" if name == "producer" else "paybuf-worker")
        if any(variable.startswith("PAYBUF_TEST_CRASH") for variable in environment):
            assert b"PAYBUF_TEST_CRASH_AT" in Path(program).read_bytes(), f"{program} has no crash points: a test build is needed (PAYBUF_TEST_BIN_DIR)"
        with open(self.run_dir / "log" / f"{name}.log", "ab") as log:
            child = subprocess.Popen([program, "--config", str(self.run_dir / "paybuf.conf")], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     start_new_session=True, env={**self.environment, **self.env, **own, **environment})
        self.children[name] = child
        started = Path(f"/proc/{child.pid}/stat").read_text().rsplit(") ", 1)[1].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        (self.run_dir / "state" / f"{name}.start").write_text(f"{started} {boot}\n")
        (self.run_dir / f"{name}.pid").write_text(f"{child.pid}\n")
        if wait:
            self.wait_ready(name)

    def binary(self, program):
        return str(Path(self.environment.get("PAYBUF_BIN_DIR", ROOT / "build/release/bin")) / program)

    def admin_port(self, name):
        name = "producer-admin" if name == "producer" else name
        ports = self.run_dir / "ports"
        known = dict(line.split("=") for line in ports.read_text().splitlines()) if ports.exists() else {}
        if name not in known:
            known[name] = str(free_port())
            with open(ports, "a") as file:
                file.write(f"{name}={known[name]}\n")
        return int(known[name])

    def admin(self, name, path):
        """GET on a program's admin port: (status, text); a status of 0 when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port(name), timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def metrics(self, name):
        """{metric with its labels: value}; None when nobody answers."""
        status, text = self.admin(name, "/metrics")
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
        return {metric: int(float(value)) for metric, value in lines} if status == 200 else None

    def metric(self, name, metric, **labels):
        """The value of a metric, 0 when it isn't there, or nobody answers."""
        wanted = metric + ("{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}" if labels else "")
        return (self.metrics(name) or {}).get(wanted, 0)

    def wait_ready(self, name="worker-1", timeout_s=120):
        def ready():
            child = self.children.get(name)
            assert child is None or child.poll() is None, f"{name} ended with {child.returncode}:\n{self.log(name)[-3000:]}"
            return self.admin(name, "/readyz")[0] == 200
        wait_until(ready, timeout_s, f"{name} ready")

    def wait_claimed(self, workers=("worker-1",), timeout_s=120):
        """Until these workers have all partitions open between them."""
        wait_until(lambda: sum(self.metric(w, "paybuf_lane_open", partition=p) for w in workers for p in range(self.partitions)) == self.partitions,
                   timeout_s, f"all lanes claimed by {', '.join(workers)}")

    def kill(self, name="worker-1", expel=False):
        """SIGKILL. expel: also from the group, which else waits 10 s for a sign of life (only where no other worker lives)."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        self.wait_gone(name, pid, 30)
        if expel:
            self.expel_members()

    def stop(self, name="worker-1", timeout_s=60):
        """SIGTERM, and waits for the end; answers the exit status where the worker was started by start()."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGTERM)
        self.wait_gone(name, pid, timeout_s)
        return self.children[name].returncode if name in self.children else None

    def wait_gone(self, name, pid, timeout_s):
        child = self.children.get(name)
        if child is not None and child.pid == pid:
            child.wait(timeout_s)
        else:
            wait_until(lambda: not Path(f"/proc/{pid}").exists(), timeout_s, f"{name} ended")

    def kill_children(self):
        for child in self.children.values():
            if child.poll() is None:
                child.kill()
                child.wait(10)

    def expel_members(self):
        """Ends the membership of all of the group's members, who must be dead (or frozen). Until none is left: what one of them said last
        may reach the coordinator after our first look, and one that loads its groups or moves knows nobody."""
        def nobody_left():
            try:
                members = [member for group in self.admin_client().list_groups(self.group, timeout=20) for member in group.members]
                for member in members:
                    kafka_wire.leave_group(self.bootstrap(), self.group, member.id)
            except (KafkaException, OSError):
                return False
            return not members
        wait_until(nobody_left, 60, f"nobody is in the group {self.group}")

    def pid(self, name):
        return int((self.run_dir / f"{name}.pid").read_text().split()[0])

    def signal(self, name, number):
        os.kill(self.pid(name), number)

    def freeze(self, name):
        """SIGSTOP, and waits until all its threads stand: the one that takes the signal stops the others, once it gets the processor."""
        def stands():
            try:
                return all("\nState:\tT" in status.read_text() for status in Path(f"/proc/{self.pid(name)}/task").glob("*/status"))
            except OSError:
                return False                # a thread that just ended
        self.signal(name, signal.SIGSTOP)
        wait_until(stands, 60, f"{name} frozen")

    def thaw(self, name):
        self.signal(name, signal.SIGCONT)

    def log(self, name):
        return (self.run_dir / "log" / f"{name}.log").read_text(errors="replace")

    def cli(self, *arguments, check=True, timeout_s=120, ok=(0,)):
        done = subprocess.run([self.binary("paybuf"), "--config", str(self.run_dir / "paybuf.conf"), *arguments], env={**self.environment, **getattr(self, "env", {})},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s)
        if check and done.returncode not in ok:
            raise AssertionError(f"paybuf {' '.join(arguments)} exited {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done

    # --- books ---

    def connect(self):
        """A session of the test's own."""
        return psycopg2.connect(self.env["PAYBUF_DATABASE_URL"], connect_timeout=30)

    def sql(self, statement, *arguments):
        database = self.connect()
        try:
            with database, database.cursor() as cursor:
                cursor.execute(statement, arguments or None)
                return cursor.fetchall() if cursor.description else None
        finally:
            database.close()

    def open_accounts(self, names, opening_minor=1_000_000_00, currency="EUR"):
        file = self.run_dir / f"accounts-{random.getrandbits(32):08x}.ndjson"
        file.write_text("".join(json.dumps({"account_id": n, "currency": currency, "opening_minor": opening_minor}) + "\n" for n in names))
        self.cli("account", "import", str(file))

    # --- requests ---

    def bootstrap(self):
        return self.env["PAYBUF_KAFKA_BOOTSTRAP"]

    def producer(self, **settings):
        return Producer({"bootstrap.servers": self.bootstrap(), "enable.idempotence": True, "partitioner": "murmur2_random", "linger.ms": 5,
                         **QUIET, **settings})

    def append(self, requests, partition=None, producer=None, **produce):
        """Appends request documents (dicts, or (key, bytes, headers) tuples for hand-made records); answers [(partition, offset)]
        in the order of the reports. One thread at a time, unless each brings a producer."""
        if producer is None:
            producer = self.shared_producer = self.shared_producer or self.producer()
        stored = []

        def delivered(error, message):
            assert error is None, error
            stored.append((message.partition(), message.offset()))

        for request in requests:
            key, value, headers = request if isinstance(request, tuple) else (request["order_id"].encode(), json.dumps(request).encode(), [])
            where = {} if partition is None else {"partition": partition}
            while True:
                try:
                    producer.produce(self.requests, value=value, key=key, headers=headers, on_delivery=delivered, **where, **produce)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        assert producer.flush(120) == 0, "Kafka didn't take the requests within 120 s"
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

    def post(self, body, path="/v1/payments", method="POST", headers=None, timeout_s=30):
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
        return Consumer({"bootstrap.servers": self.bootstrap(), "group.id": "e2e-reader", "enable.auto.commit": False,
                         "isolation.level": isolation, "enable.partition.eof": False, "auto.offset.reset": "earliest", **QUIET})

    def bounds(self, topic=None):
        """{partition: (start, high watermark)}"""
        self.shared_consumer = self.shared_consumer or self.consumer()
        topic = topic or self.requests
        return {p: self.shared_consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=20) for p in range(self.partitions)}

    def read(self, topic, isolation="read_uncommitted"):
        """{partition: [message, ...]}"""
        return history.read_topic(self.bootstrap(), topic, isolation)

    def answers(self, partition=None):
        """{(partition, offset): reply} as a reader with one integer per partition takes them; a gap fails."""
        taken = {}
        for p, messages in self.read(self.replies).items():
            n = 0
            for message in messages:
                headers = dict(message.headers() or [])
                if "source-offset" not in headers or partition not in (None, p):
                    continue
                s, c = int(headers["source-offset"]), int(headers["covers-from"])
                if s < n:
                    continue
                assert c <= n, f"a gap in reply partition {p} before source offset {s}: covers from {c}, the reader wants {n}"
                taken[p, s] = json.loads(message.value())
                n = s + 1
        return taken

    def lanes(self):
        names = ["partition", "next_offset", "replied_offset", "reply_position", "anchor_offset", "owner_epoch", "halted_reason"]
        return {row[0]: dict(zip(names, row)) for row in self.sql(f"SELECT {', '.join(names)} FROM paybuf.processed_offset ORDER BY partition")}

    def wait_at_rest(self, timeout_s=240):
        """Until every request is settled and its reply acknowledged: P at the end of each log, nothing unanswered below it."""
        def at_rest():
            try:
                ends = {p: high for p, (_, high) in self.bounds().items()}
                lanes = self.lanes()
            except (psycopg2.OperationalError, KafkaException):
                return False
            return all(lanes[p]["next_offset"] == ends[p] and (lanes[p]["anchor_offset"] is None or lanes[p]["replied_offset"] > lanes[p]["anchor_offset"])
                       for p in ends)
        try:
            wait_until(at_rest, timeout_s, "all requests settled and answered")
        except AssertionError as error:
            raise AssertionError(f"{error}\nlanes {self.lanes()}\nends {self.bounds()}") from None

    # --- proofs ---

    def check(self, accepted=None, audit=True, timeout_s=300):
        """Both proofs: paybuf's own audit, and the checker that shares no code with it."""
        if audit:
            done = self.cli("audit", check=False, timeout_s=timeout_s)
            assert done.returncode == 0 and "0 differences" in done.stdout, f"audit:\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
        done = self.check_history("--one-clock", *(["--client", str(accepted)] if accepted else []), timeout_s=timeout_s)
        assert done.returncode == 0, f"check_history:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    def check_history(self, *arguments, timeout_s=300):
        return subprocess.run([sys.executable, "-B", str(Path(__file__).parent / "check_history.py"), *arguments], env={**os.environ, **self.env},
                              capture_output=True, text=True, timeout=timeout_s)

    # --- topics ---

    def admin_client(self):
        self.shared_admin = self.shared_admin or AdminClient({"bootstrap.servers": self.bootstrap(), **QUIET})
        return self.shared_admin

    def create_topic(self, name, partitions, **config):
        for future in self.admin_client().create_topics([NewTopic(name, partitions, 1, config=config)], operation_timeout=20).values():
            future.result(30)

    def delete_topic(self, name):
        admin = self.admin_client()
        for future in admin.delete_topics([name], operation_timeout=20).values():
            future.result(30)
        wait_until(lambda: name not in admin.list_topics(timeout=20).topics, 60, f"{name} deleted")

    def replace_topic(self, name):
        """The same topic again, empty, with the settings that `paybuf init` gives it."""
        self.delete_topic(name)
        # The broker may still clear the old one away.
        wait_until(lambda: self.cli("init", "--partitions", str(self.partitions), check=False).returncode == 0, 60, f"{name} made again")
        self.shared_producer = self.shared_consumer = None      # they may have seen that it was gone, and remember it

    def delete_records(self, topic, partition, before):
        kafka_wire.delete_records(self.bootstrap(), topic, partition, before)


class Ledger(Stack):
    """Topics, database, group and workers of their own on the servers of another stack."""

    def __init__(self, servers, name, partitions):
        super().__init__(servers.run_dir / "ledgers" / name, partitions)
        self.servers, self.group = servers, name
        self.requests, self.replies, self.letters = f"{name}.requests", f"{name}.replies", f"{name}.dlq"
        for folder in ("log", "state"):
            (self.run_dir / folder).mkdir(parents=True)
        (self.run_dir / "paybuf.conf").write_text("# the environment says everything\n")
        self.env = {**servers.env, "PAYBUF_REQUEST_TOPIC": self.requests, "PAYBUF_REPLY_TOPIC": self.replies, "PAYBUF_DLQ_TOPIC": self.letters,
                    "PAYBUF_WORKER_GROUP": name, "PAYBUF_DATABASE_URL": servers.env["PAYBUF_DATABASE_URL"].rsplit("/", 1)[0] + f"/{name}",
                    "PAYBUF_HTTP_URL": f"http://127.0.0.1:{free_port()}"}
        self.env["PAYBUF_ADMIN_URL"] = f"http://127.0.0.1:{self.admin_port('producer')}"

    def init(self):
        database = self.servers.connect()
        try:
            database.autocommit = True      # CREATE DATABASE stands alone
            with database.cursor() as cursor:
                cursor.execute(f'CREATE DATABASE "{self.group}"')
        finally:
            database.close()
        self.cli("init", "--partitions", str(self.partitions))

    def drop(self):
        """Leaves nothing on the servers; no harm when it fails: they go soon, too."""
        self.kill_children()
        try:
            self.admin_client().delete_topics([self.requests, self.replies, self.letters])
            database = self.servers.connect()
            database.autocommit = True
            with database.cursor() as cursor:
                cursor.execute(f'DROP DATABASE IF EXISTS "{self.group}" WITH (FORCE)')
            database.close()
        except (KafkaException, psycopg2.Error):
            pass
        shutil.rmtree(self.run_dir, ignore_errors=True)
