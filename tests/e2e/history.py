"""history - a finished run as files: taken from Kafka and PostgreSQL once, judged as often as wanted (check_history.py DIR).

A history directory holds

    requests-P.ndjson.gz    the request partition P, as a read_committed consumer gets it: [offset, timestamp_ms, key, value, headers]
    replies-P.ndjson.gz     the reply partition P, every record of it
    letters-P.ndjson.gz     the dead letter topic's partition P
    bounds.json             {"requests": {"P": [log start, high watermark]}, "replies": ..., "letters": ...}
    TABLE.ndjson.gz         ledger, processed_offset, payment, refusal, account, adjustment: the names of the columns, then a list per row.
                            Times are microseconds since 1970, bytea is hex.
    client.ndjson           optional: what clients were told, an object per call (see check_history.py)

Bytes are written as JSON text, UTF-8 where they are that and lone surrogates (Python's surrogateescape) where they aren't: nothing is
lost, and `zcat | jq` reads it. The order of reading is part of the proof: replies, letters, requests, then all tables in one
snapshot. So a reply that was read has its letter, its request and its row in what is read later, also while workers run.

A history for the judge is anything with partitions, bounds, records(kind, partition), rows(table) and client().
"""
import gzip
import json
import os
import time
from collections import namedtuple
from pathlib import Path

import psycopg2
import psycopg2.extensions
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

Record = namedtuple("Record", "offset timestamp_ms key value headers")     # headers: [(name, bytes or None)]

TOPICS = {"replies": "PAYBUF_REPLY_TOPIC", "letters": "PAYBUF_DLQ_TOPIC", "requests": "PAYBUF_REQUEST_TOPIC"}      # in the order of reading
TABLES = ("ledger", "processed_offset", "payment", "refusal", "account", "adjustment")


# --- from Kafka ---

def bounds_of(consumer, topic):
    """{partition: (start, end)}. A broker that is busy forgets a partition's leader for a moment."""
    deadline = time.monotonic() + 20
    while True:
        try:
            partitions = sorted(consumer.list_topics(topic, timeout=20).topics[topic].partitions)
            return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=20) for p in partitions}
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"check: {topic}: {error}") from None
            time.sleep(0.5)


def consume(bootstrap, topic, isolation):
    """Yields (partition, message) from the logs' starts to the ends that were there when reading began; answers {partition: (start, end)}."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "check-history", "enable.auto.commit": False, "isolation.level": isolation,
                         "enable.partition.eof": True, "auto.offset.reset": "error", "check.crcs": True})
    try:
        bounds = bounds_of(consumer, topic)
        consumer.assign([TopicPartition(topic, p, start) for p, (start, _) in bounds.items()])
        waiting = set(bounds)
        heard = time.monotonic()
        while waiting:
            batch = consumer.consume(1000, timeout=0.1)         # waits for the whole timeout unless there are so many
            if batch:
                heard = time.monotonic()
            elif time.monotonic() - heard > 20:
                raise SystemExit(f"check: no answer from Kafka about {topic}")
            for message in batch:
                if message.error() is None:
                    yield message.partition(), message
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    waiting.discard(message.partition())
                else:
                    raise SystemExit(f"check: {topic}: {message.error()}")
        return bounds
    finally:
        consumer.close()


def read_topic(bootstrap, topic, isolation):
    """{partition: [message, ...]}, for small logs."""
    result = {}
    reading = consume(bootstrap, topic, isolation)
    while True:
        try:
            partition, message = next(reading)
        except StopIteration as end:
            return {p: result.get(p, []) for p in end.value}
        result.setdefault(partition, []).append(message)


def record_of(message):
    return Record(message.offset(), message.timestamp()[1], message.key(), message.value(), message.headers() or [])


def text(data):
    return data if data is None else data.decode("utf-8", "surrogateescape")


def raw(data):
    return data if data is None else data.encode("utf-8", "surrogateescape")


def line_of(record):
    headers = [[name, text(value)] for name, value in record.headers]
    return json.dumps([record.offset, record.timestamp_ms, text(record.key), text(record.value), headers], separators=(",", ":")) + "\n"


def record_from(line):
    offset, timestamp_ms, key, value, headers = json.loads(line)
    return Record(offset, timestamp_ms, raw(key), raw(value), [(name, raw(data)) for name, data in headers])


def open_text(path, mode):
    return gzip.open(path, mode + "t", compresslevel=1, encoding="ascii", newline="\n")


def dump_topic(bootstrap, topic, kind, directory):
    """Answers {partition: (start, end)}."""
    isolation = "read_committed" if kind == "requests" else "read_uncommitted"
    files = {}
    reading = consume(bootstrap, topic, isolation)
    try:
        while True:
            partition, message = next(reading)
            if partition not in files:
                files[partition] = open_text(directory / f"{kind}-{partition}.ndjson.gz", "w")
            files[partition].write(line_of(record_of(message)))
    except StopIteration as end:
        return end.value
    finally:
        for file in files.values():
            file.close()


# --- from PostgreSQL ---

MICROSECONDS = "(extract(epoch FROM {0}) * 1000000)::bigint AS {0}"
SPECIAL = {"timestamptz": MICROSECONDS, "uuid": "{0}::text AS {0}", "bytea": "encode({0}, 'hex') AS {0}"}


def read_table(database, table):
    """Yields the columns' names, then each row."""
    with database.cursor() as cursor:
        cursor.execute("SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
                       "ORDER BY attnum", (f"paybuf.{table}",))
        short = {"timestamp with time zone": "timestamptz"}
        columns = [(name, short.get(kind, kind)) for name, kind in cursor.fetchall()]
    yield [name for name, _ in columns]
    with database.cursor(name=f"dump_{table}") as cursor:
        cursor.itersize = 10000
        cursor.execute(f"SELECT {', '.join(SPECIAL.get(kind, '{0}').format(name) for name, kind in columns)} FROM paybuf.{table}")
        yield from cursor


def dump(directory, environment=os.environ):
    """Writes the history of the ledger that the environment (./dev env) names into a directory that is there."""
    directory = Path(directory)
    bounds = {kind: dump_topic(environment["PAYBUF_KAFKA_BOOTSTRAP"], environment[name], kind, directory) for kind, name in TOPICS.items()}
    (directory / "bounds.json").write_text(json.dumps(bounds))
    database = psycopg2.connect(environment["PAYBUF_DATABASE_URL"])
    try:
        database.set_session(psycopg2.extensions.ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        for table in TABLES:
            with open_text(directory / f"{table}.ndjson.gz", "w") as file:
                for row in read_table(database, table):
                    file.write(json.dumps(row, separators=(",", ":")) + "\n")
    finally:
        database.close()


# --- for the judge ---

class Directory:
    """The history in a directory."""

    def __init__(self, path, client=None):
        self.path = Path(path)
        if not (self.path / "bounds.json").exists():
            raise SystemExit(f"check: {path} isn't a history: it has no bounds.json")
        self.bounds = {kind: {int(p): tuple(b) for p, b in bounds.items()} for kind, bounds in json.loads((self.path / "bounds.json").read_text()).items()}
        self.partitions = sorted(self.bounds["requests"])
        self.client_path = Path(client) if client else self.path / "client.ndjson"
        if client and not self.client_path.exists():
            raise SystemExit(f"check: there is no {client}")

    def records(self, kind, partition):
        path = self.path / f"{kind}-{partition}.ndjson.gz"
        if path.exists():
            with open_text(path, "r") as file:
                for line in file:
                    yield record_from(line)

    def rows(self, table):
        """The columns' names, then each row."""
        with open_text(self.path / f"{table}.ndjson.gz", "r") as file:
            for line in file:
                yield json.loads(line)

    def client(self):
        if self.client_path.exists():
            with open(self.client_path) as file:
                for line in file:
                    yield json.loads(line)


class InMemory:
    """A small history held in lists, for tests that change it."""

    def __init__(self, bounds, logs, tables, client=()):
        self.bounds, self.logs, self.tables, self.calls = bounds, logs, tables, list(client)
        self.partitions = sorted(bounds["requests"])

    def records(self, kind, partition):
        return iter(self.logs[kind].get(partition, ()))

    def rows(self, table):
        return iter(self.tables[table])

    def client(self):
        return iter(self.calls)
