"""nodes - the processes of a chaos run: three brokers, PostgreSQL, intakes, workers, listeners. Each knows how to start, to tell whether
it serves, and to die; a keeper starts again who ended by himself, as systemd would (Restart=always).

A node's `wanted` says whether it ought to run. Signals go only to a process that we started and have not reaped, so never to a stranger.
Threads: `lock` of a node is held by whoever changes its process.
"""
import base64
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESTART_AFTER_S = 1.0
END_LIMIT_S = 20                            # after SIGTERM; then SIGKILL
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}
TOPICS = {"request": "pay.requests", "reply": "pay.replies", "dlq": "pay.dlq"}


class Node:
    role = ""

    def __init__(self, place, name):
        self.place, self.name = place, name
        self.lock = threading.RLock()
        self.process = None
        self.wanted = False
        self.ended_at = None                # when the keeper saw that it had ended by itself
        place.lines.add(name)

    # what the kinds differ in
    def argv(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def serves(self):
        raise NotImplementedError

    def before_start(self):
        pass

    def start(self):
        with self.lock:
            if self.alive():
                return
            self.before_start()
            with open(self.place.run / "log" / f"{self.name}.log", "ab") as log:
                self.process = subprocess.Popen(self.place.lines.command(self.name, self.argv()), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                cwd=self.cwd(), env={**self.place.environment, **self.environment()}, start_new_session=True)
            self.wanted = True
            self.ended_at = None

    def cwd(self):
        return self.place.run

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def tell(self, number):
        """False: nobody was there to get it."""
        with self.lock:
            if not self.alive():
                return False
            self.process.send_signal(number)
            return True

    def kill(self, number=signal.SIGKILL):
        """Dead when this returns. The keeper leaves it alone until start()."""
        with self.lock:
            self.wanted = False
            hit = self.tell(number)
            self.tell(signal.SIGCONT)
            self.reap(END_LIMIT_S)
            return hit

    def reap(self, limit_s):
        if self.process is None:
            return
        try:
            self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(END_LIMIT_S)

    def freeze(self):
        with self.lock:
            return self.tell(signal.SIGSTOP)

    def thaw(self):
        with self.lock:
            return self.tell(signal.SIGCONT)

    def listen(self, service):
        return self.place.lines.listen(self.name, service)

    def get(self, service, path):
        """GET on the node's own loopback: status, 0 when nobody answers."""
        connection = http.client.HTTPConnection(*self.listen(service), timeout=2)
        try:
            with self.place.lines.inside(self.name):
                connection.sock = socket.create_connection(self.listen(service), 2)
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()


class Broker(Node):
    role = "broker"

    def __init__(self, place, number):
        super().__init__(place, f"broker-{number}")
        self.number = number
        self.dir = place.run / self.name

    def java(self, *words):
        """A small heap, and the quick compiler only: a broker that is back after 3 s is killed more often than one after 6."""
        return ["java", "-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-Xshare:auto",
                "-XX:-UsePerfData", f"-Djava.io.tmpdir={self.place.run}",
                f"-Dlog4j2.configurationFile=file:{ROOT}/deploy/kafka/log4j2.properties", "-Djava.awt.headless=true", "-cp", f"{self.place.jars}/*", *words]

    def argv(self):
        return self.java("kafka.Kafka", str(self.dir / "server.properties"))

    def format(self, cluster_id):
        voters = ",".join(f"{b.number}@{address(b.listen('controller'))}" for b in self.place.brokers)
        listeners = self.place.lines.broker_listeners(self.name)
        text = (Path(__file__).parent / "broker.properties.in").read_text()
        for name, value in {"ID": self.number, "VOTERS": voters, "DATA_DIR": self.dir / "data" / "logs", "BETWEEN": listeners[0][0],
                            "LISTENERS": ",".join(f"{n}://{address(where)}" for n, where, _ in listeners), "CONTROLLER": address(self.listen("controller")),
                            "ADVERTISED": ",".join(f"{n}://{address(told)}" for n, _, told in listeners),
                            "PROTOCOLS": ",".join(f"{n}:PLAINTEXT" for n, _, _ in listeners)}.items():
            text = text.replace(f"@{name}@", str(value))
        (self.dir / "server.properties").write_text(text)
        with open(self.place.run / "log" / f"{self.name}.log", "ab") as log:
            return subprocess.Popen(self.java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self.dir / "server.properties")),
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def serves(self):
        try:
            socket.create_connection(self.listen("kafka"), 2).close()
            return True
        except OSError:
            return False


class Postgres(Node):
    role = "postgres"

    def __init__(self, place):
        super().__init__(place, "postgres")
        self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--inh-caps=-all", "--"] if os.geteuid() == 0 else []
        self.bin = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: float(p.parts[4]))[-1].parent
        self.dir = place.run / "postgres"
        self.dir.mkdir()
        self.own(self.dir)
        if subprocess.run([*self.as_user, "test", "-w", self.dir]).returncode != 0:
            self.dir = Path(tempfile.mkdtemp(prefix="paybuf-chaos-", dir="/var/tmp"))       # below /root, say, postgres can't go
            self.own(self.dir)
        self.data = self.dir / "mount" / "data"
        self.slow_file = self.dir / "slow-ms"

    def own(self, path):
        os.chmod(path, 0o700)
        if self.as_user:
            shutil.chown(path, "postgres", "postgres")

    def url(self, source="host"):
        return f"postgresql://paybuf@{address(self.place.lines.reach(source, self.name, 'postgres'))}/paybuf"

    def make(self):
        log = open(self.place.run / "log" / "initdb.log", "ab")
        self.own(self.dir / "mount")
        options = ["-U", "postgres", "-E", "UTF8", "--locale=C", "--auth=reject", "--no-sync", "--wal-segsize=1"]
        subprocess.run([*self.as_user, self.bin / "initdb", "-D", self.data, *options], check=True, stdout=log, stderr=log, cwd=self.dir)
        with open(ROOT / "deploy/postgres/bootstrap.sql") as sql:
            subprocess.run([*self.as_user, self.bin / "postgres", "--single", "-D", self.data, "postgres"], check=True, stdin=sql, stdout=log,
                           stderr=log, cwd=self.dir)
        ip, port = self.listen("postgres")
        settings = (ROOT / "deploy/postgres/postgresql.conf.in").read_text().replace("@PORT@", str(port)) + f"""
# Here: reached from other namespaces; checkpoints often enough to be met by a kill; and a log in small pieces, few of them kept, so that
# a full disk is met by the log, too, which ends the server (PANIC).
listen_addresses = '{ip}'
shared_buffers = 96MB
max_wal_size = 192MB
min_wal_size = 2MB
checkpoint_timeout = 30s
"""
        (self.data / "postgresql.conf").write_text(settings)
        (self.data / "pg_hba.conf").write_text("host all postgres 0.0.0.0/0 reject\nhost all all 0.0.0.0/0 trust\n")
        self.slow_file.write_bytes(b"0\n")

    def argv(self):
        return [*self.as_user, str(self.bin / "postgres"), "-D", str(self.data)]

    def environment(self):
        shim = self.place.run / "slow_sync.so"
        return {"LD_PRELOAD": str(shim), "CHAOS_SLOW_FILE": str(self.slow_file)} if shim.exists() else {}

    def cwd(self):
        return self.dir

    def before_start(self):
        """Backends outlive a killed postmaster for a moment, and no new one starts beside them."""
        for _ in range(200):
            left = self.family()
            if not left:
                break
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)

    def family(self):
        """Pids of all its processes; they all work in the data directory, and nobody else does."""
        return [int(p.name) for p in Path("/proc").glob("[0-9]*") if link(p / "cwd") == str(self.data)]

    def backends(self):
        """Pids of those that serve a client of the database."""
        return [pid for pid in self.family() if "postgres: paybuf " in title(pid)]

    def serves(self):
        host, port = self.listen("postgres")
        return subprocess.run([self.bin / "pg_isready", "-q", "-h", host, "-p", str(port), "-t", "2"]).returncode == 0

    def slow(self, ms):
        self.slow_file.write_bytes(b"%d\n" % ms)


class Program(Node):
    """One of paybuf's own: worker or intake."""

    def __init__(self, place, role, number):
        self.role = role
        super().__init__(place, f"{role}-{number}")
        self.clock_file = place.run / "state" / f"{self.name}.clock"
        self.clock_file.write_text("+0\n")
        self.faked = False                  # whether its clock can be set (libfaketime)

    def argv(self):
        return [str(self.place.bin / {"worker": "paybuf-worker", "intake": "paybuf-producer"}[self.role]), "--config", str(self.place.run / "paybuf.conf")]

    def environment(self):
        own = {"PAYBUF_WORKER_ADMIN": address(self.listen("admin")), "PAYBUF_PRODUCER_ADMIN": address(self.listen("admin")),
               "PAYBUF_PRODUCER_LISTEN": address(self.listen("http")), "PAYBUF_KAFKA_BOOTSTRAP": self.place.bootstrap(self.name),
               "PAYBUF_DATABASE_URL": self.place.postgres.url(self.name)}
        if self.faked:
            own.update(LD_PRELOAD=self.place.faketime, FAKETIME_TIMESTAMP_FILE=str(self.clock_file), FAKETIME_CACHE_DURATION="1",
                       DONT_FAKE_MONOTONIC="1", FAKETIME_DONT_FAKE_MONOTONIC="1")
        return own

    def set_clock(self, offset_s):
        """In one step, as the program may be reading."""
        new = self.clock_file.with_suffix(".new")
        new.write_text(f"{offset_s:+d}\n")
        os.replace(new, self.clock_file)

    def serves(self):
        return self.get("admin", "/readyz") == 200


class Listener(Node):
    role = "listener"

    def __init__(self, place, number):
        super().__init__(place, f"listener-{number}")
        self.to, self.state = place.run / f"{self.name}.ndjson", place.run / "state" / f"{self.name}.state"

    def argv(self):
        return [str(self.place.bin / "paybuf"), "--config", str(self.place.run / "paybuf.conf"), "listen", "--from", "start",
                "--state", str(self.state), "--to", str(self.to)]

    def serves(self):
        return self.alive()


def address(where):
    return f"{where[0]}:{where[1]}"


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return None


def title(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


class Place:
    """The run folder and everybody in it."""

    def __init__(self, run, lines, programs, jars, partitions):
        self.run, self.lines, self.bin, self.jars, self.partitions = run, lines, programs, jars, partitions
        for folder in ("log", "state"):
            (run / folder).mkdir(parents=True, exist_ok=True)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("PAYBUF_")}
        self.faketime = None
        self.said = print                   # where a line about something unexpected goes
        self.crashes = []                   # what is a violation in itself
        self.brokers = []
        self.brokers += [Broker(self, n) for n in (1, 2, 3)]
        self.postgres = Postgres(self)
        self.workers = [Program(self, "worker", n) for n in (1, 2, 3)]
        self.intakes = [Program(self, "intake", n) for n in (1, 2)]
        self.listeners = [Listener(self, n) for n in (1, 2)]
        self.nodes = {n.name: n for n in [*self.brokers, self.postgres, *self.workers, *self.intakes, *self.listeners]}
        self.keeping = True
        self.keeper = threading.Thread(target=self.keep, daemon=True)
        self.environment.update(PAYBUF_KAFKA_BOOTSTRAP=self.bootstrap(), PAYBUF_DATABASE_URL=self.postgres.url(),
                                PAYBUF_REQUEST_TOPIC=TOPICS["request"], PAYBUF_REPLY_TOPIC=TOPICS["reply"], PAYBUF_DLQ_TOPIC=TOPICS["dlq"])
        (run / "paybuf.conf").write_text("# the environment says everything\n")
        (run / "env").write_text("".join(f"export {k}={v}\n" for k, v in self.environment.items() if k.startswith("PAYBUF_")))

    def bootstrap(self, source="host"):
        return ",".join(address(self.lines.reach(source, b.name, "kafka")) for b in self.brokers)

    def up(self, disks):
        """Everything made and started. disks: small disks for those that can be full; None: there are none."""
        cluster_id = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "A").replace("_", "B")
        for node in [*self.brokers, self.postgres]:
            (node.dir / ("mount" if node is self.postgres else "data")).mkdir(parents=True)
        if disks is not None:
            disks.mount("broker-1", self.brokers[0].dir / "data")
            disks.mount("postgres", self.postgres.dir / "mount")
        formats = [b.format(cluster_id) for b in self.brokers]
        self.postgres.make()
        if any(f.wait(120) for f in formats):
            raise RuntimeError(f"Kafka's storage can't be formatted; see {self.run}/log/broker-1.log")
        for node in [*self.brokers, self.postgres]:
            node.start()
        wait_until(lambda: all(n.serves() for n in [*self.brokers, self.postgres]), 120, "brokers and database serve")
        wait_until(lambda: self.cli("init", "--partitions", str(self.partitions), check=False).returncode == 0, 60, "paybuf init")

    def start_programs(self):
        for node in [*self.workers, *self.intakes, *self.listeners]:
            node.start()
        wait_until(lambda: all(n.serves() for n in [*self.workers, *self.intakes]), 90, "workers and intakes are ready")
        self.keeper.start()

    def cli(self, *arguments, check=True, timeout_s=60, **more):
        done = subprocess.run([self.bin / "paybuf", "--config", self.run / "paybuf.conf", *arguments], env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout_s, **more)
        if check and done.returncode != 0:
            raise RuntimeError(f"paybuf {' '.join(arguments)} exited {done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}")
        return done

    def keep(self):
        """Whoever ended by himself is started again after a moment. Ends that are crashes are remembered as violations."""
        while self.keeping:
            for node in self.nodes.values():
                if node.lock.acquire(blocking=False):
                    try:
                        self.look_after(node)
                    finally:
                        node.lock.release()
            time.sleep(0.2)

    def look_after(self, node):
        if not node.wanted or node.alive():
            return
        if node.ended_at is None:
            node.ended_at = time.time()
            status = node.process.returncode
            if -status in CRASHES and node.role in ("worker", "intake", "listener"):
                self.crashes.append(f"{node.name} crashed with signal {-status}; see log/{node.name}.log")
            self.said(f"{node.name} ended by itself (exit {status}); it is started again")
        elif time.time() - node.ended_at > RESTART_AFTER_S:
            node.start()

    def everybody_back(self):
        """Thawed, started, wanted."""
        for node in self.nodes.values():
            with node.lock:
                node.thaw()
                if not node.alive():
                    node.start()

    def end(self):
        """Kills all."""
        self.keeping = False
        for node in [*self.listeners, *self.workers, *self.intakes, *self.brokers, self.postgres]:
            node.kill()
        self.postgres.before_start()        # its orphans
        if self.postgres.dir.parent != self.run:
            shutil.rmtree(self.postgres.dir, ignore_errors=True)


def wait_until(condition, timeout_s, what):
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {timeout_s} s: {what}")
        time.sleep(0.2)
