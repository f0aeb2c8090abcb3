"""example_listeners - the listeners of docs/examples as processes: built, started, killed, and what stands in their tables."""
import os
import random
import sqlite3
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from stack import ROOT, wait_until

EXAMPLES = ROOT / "docs" / "examples"
DRIVER = Path("/usr/share/java/postgresql.jar")


class Listener:
    """One example, on a ledger, with books of its own. It ends by SIGKILL only."""
    language = order = None

    def __init__(self, ledger, folder):
        self.ledger, self.folder = ledger, Path(folder)
        self.log = self.folder / f"listener-{self.language}.log"
        self.environment = {**os.environ, "PAYBUF_KAFKA_BOOTSTRAP": ledger.bootstrap(), "PAYBUF_REPLY_TOPIC": ledger.replies,
                            "PAYBUF_REQUEST_TOPIC": ledger.requests}
        self.process = None
        self.make_books()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def select(self, query):
        """Rows; none before the tables are there."""
        raise NotImplementedError

    def positions(self):
        """Of the bookings, one each, in the order of booking."""
        return [row[0] for row in self.select(f"SELECT position FROM booking ORDER BY {self.order}")]

    def booked(self):
        rows = self.select("SELECT count(*) FROM booking")
        return rows[0][0] if rows else 0

    def wait_booked(self, count, timeout_s=120):
        def there():
            if self.process.poll() is not None:
                raise AssertionError(f"the {self.language} listener ended with {self.process.returncode}:\n{self.said()[-2000:]}")
            return self.booked() >= count
        wait_until(there, timeout_s, f"the {self.language} listener booked {count}, not {self.booked()}:\n{self.said()[-2000:]}")

    def live_and_die(self, rng):
        """One life, ended by SIGKILL: often in its first moments, else at some instant after it has booked something."""
        before = self.booked()
        self.start()
        if rng.random() < 0.3:
            time.sleep(rng.random() * 0.5)
        else:
            self.wait_booked(before + 1)
            time.sleep(rng.random() * 0.3)
        self.kill()


class C(Listener):
    language = "c"
    order = "rowid"

    @contextmanager
    def held(self):
        """Nobody writes to the books meanwhile; reading is free."""
        database = sqlite3.connect(self.books, isolation_level=None)
        try:
            database.execute("BEGIN IMMEDIATE")
            yield
        finally:
            database.close()

    def wait_until_wait(self, count):
        time.sleep(2)                       # SQLite doesn't tell who waits; less than their patience of 10 s

    def make_books(self):
        self.books = self.folder / f"books-{random.getrandbits(32):08x}.db"

    def command(self):
        program = Path(self.ledger.binary("listener-c"))
        assert program.exists(), f"no {program}: a build with tests is needed (PAYBUF_TEST_BIN_DIR)"
        return [str(program), str(self.books)]

    def select(self, query):
        if not self.books.exists():
            return []
        database = sqlite3.connect(self.books, timeout=10)
        try:
            return database.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            database.close()


class OnPostgres(Listener):
    order = "id"

    def make_books(self):
        """A database of its own on the ledger's server: the listener's, not paybuf's."""
        name = f"listener_{random.getrandbits(32):08x}"
        admin = self.ledger.connect()
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}"')
        admin.close()
        self.url = self.ledger.env["PAYBUF_DATABASE_URL"].rsplit("/", 1)[0] + f"/{name}"
        self.environment["LISTENER_DATABASE_URL"] = self.url
        words = psycopg2.extensions.parse_dsn(self.url)
        self.environment["LISTENER_JDBC_URL"] = f"jdbc:postgresql://{words['host']}:{words.get('port', 5432)}/{name}?user={words['user']}" + (
            f"&password={words['password']}" if "password" in words else "")

    def select(self, query):
        database = psycopg2.connect(self.url)
        try:
            with database, database.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall()
        except psycopg2.errors.UndefinedTable:
            return []
        finally:
            database.close()


    def live_and_die(self, rng):
        """A third of them between the booking and the position: the position's table is held until the listener waits for it."""
        if self.booked() == 0 or rng.random() > 0.35:
            super().live_and_die(rng)
            return
        with self.held():
            self.start()
            self.wait_until_wait(1)
            self.kill()

    @contextmanager
    def held(self):
        """Nobody stores a position meanwhile; booking and reading are free."""
        database = psycopg2.connect(self.url)
        try:
            with database.cursor() as cursor:
                cursor.execute("LOCK TABLE position IN SHARE ROW EXCLUSIVE MODE")
                yield
        finally:
            database.close()

    def wait_until_wait(self, count):
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        wait_until(lambda: self.select(waiting)[0][0] == count, 120, f"{count} {self.language} listeners came to their position:\n{self.said()[-2000:]}")


class Python(OnPostgres):
    language = "python"

    def command(self):
        return ["/usr/bin/python3", "-B", str(EXAMPLES / "listener-python" / "listener.py")]


class Java(OnPostgres):
    language = "java"
    classes = None

    def command(self):
        cache = Path(os.environ.get("PAYBUF_CACHE_DIR", ROOT / "run" / "cache"))
        jars = max(cache.glob("kafka-4.*"), default=None)
        assert jars is not None and DRIVER.exists(), f"no Kafka jars in {cache}, or no {DRIVER} (libpostgresql-jdbc-java)"
        path = f"{jars}/*:{DRIVER}"
        if Java.classes is None:
            Java.classes = self.folder / "classes"
            subprocess.run(["javac", "-d", str(Java.classes), "-cp", path, str(EXAMPLES / "listener-java" / "Listener.java")], check=True, timeout=120)
        return ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{Java.classes}:{path}", "Listener"]


LISTENERS = {kind.language: kind for kind in (C, Python, Java)}


@pytest.fixture(params=list(LISTENERS))
def kind(request):
    return LISTENERS[request.param]


@pytest.fixture
def listen(kind, tmp_path):
    """listen(ledger) -> a listener that isn't started; killed at the end of the test."""
    made = []

    def make(ledger):
        made.append(kind(ledger, tmp_path))
        return made[-1]

    yield make
    for listener in made:
        if listener.process is not None and listener.process.poll() is None:
            listener.kill()
