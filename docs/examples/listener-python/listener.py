#!/usr/bin/python3
"""Books every answer of a paybuf ledger exactly once into PostgreSQL tables of its own. Kill it whenever you like.

    apt-get install python3-confluent-kafka python3-psycopg2
    PAYBUF_KAFKA_BOOTSTRAP=127.0.0.1:9092 LISTENER_DATABASE_URL=postgresql://me@localhost/mine ./listener.py
"""
import os
import sys
import time

import psycopg2
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

REPLIES = os.environ.get("PAYBUF_REPLY_TOPIC", "pay.replies")
REQUESTS = os.environ.get("PAYBUF_REQUEST_TOPIC", "pay.requests")
TABLES = """
    CREATE TABLE IF NOT EXISTS booking (position text, order_id text, account_id text, outcome text, duplicate bool, amount_minor bigint,
                                        id bigint GENERATED ALWAYS AS IDENTITY);
    CREATE TABLE IF NOT EXISTS position (partition int, generation bigint, next bigint, reply_offset bigint, resync_until bigint,
                                         ledger text, PRIMARY KEY (partition, generation))"""
BOOK = """INSERT INTO booking SELECT r ->> 'position', r ->> 'order_id', r ->> 'account_id', r ->> 'outcome', (r ->> 'duplicate')::bool,
                                     (r ->> 'amount_minor')::bigint FROM (SELECT %s::json AS r) AS reply"""
# Nothing is stored when `next` isn't what this process left there: then another listener is at work.
MOVE = """INSERT INTO position VALUES (%(p)s, %(g)s, %(next)s, %(offset)s, %(e0)s, %(ledger)s) ON CONFLICT (partition, generation)
          DO UPDATE SET next = %(next)s, reply_offset = %(offset)s WHERE position.next = %(was)s"""
LOOK_S = 10                          # topics may grow: new partitions are looked for so often


def follow_new(consumer, followed, start):
    """Begins to read the partitions that aren't followed yet. Answers E0 of those whose log doesn't begin at 0 any more, for the others -1."""
    fresh, new = {}, consumer.list_topics(REPLIES, timeout=10).topics[REPLIES].partitions.keys() - followed
    for p in new - start.keys():
        low, _ = consumer.get_watermark_offsets(TopicPartition(REPLIES, p), timeout=10)
        fresh[p] = consumer.get_watermark_offsets(TopicPartition(REQUESTS, p), timeout=10)[1] if low > 0 else -1
    if new:
        consumer.incremental_assign([TopicPartition(REPLIES, p, start.get(p, OFFSET_BEGINNING)) for p in new])
    followed |= new
    return fresh


def main():
    database = psycopg2.connect(os.environ["LISTENER_DATABASE_URL"])
    with database, database.cursor() as sql:
        sql.execute(TABLES)
        sql.execute("SELECT partition, generation, next, reply_offset, resync_until, ledger FROM position ORDER BY generation")
        rows = sql.fetchall()
    n = {(p, g): next for p, g, next, _, _, _ in rows}              # the one integer: the next source offset that is wanted
    e0 = {(p, g): until for p, g, _, _, until, _ in rows}           # below it, a listener that began in the middle may jump
    start = {p: offset for p, _, _, offset, _, _ in rows}
    ledger = rows[0][5] if rows else None
    gap = {}                                                        # partition: (key, first reply's covers-from, its offset)

    # "earliest" skips nothing: what is wanted says n, not Kafka.
    consumer = Consumer({"bootstrap.servers": os.environ["PAYBUF_KAFKA_BOOTSTRAP"], "group.id": "listener", "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", "isolation.level": "read_uncommitted"})
    followed = set()
    fresh, looked = follow_new(consumer, followed, start), time.monotonic()

    while True:
        if time.monotonic() - looked > LOOK_S:
            looked = time.monotonic()
            try:
                fresh |= follow_new(consumer, followed, start)
            except KafkaException:
                pass                                                # the broker is away, or still making them: the next look
        batch, was, offset, rewound = consumer.consume(500, timeout=0.1), {}, {}, set()
        with database, database.cursor() as sql:                    # one transaction: bookings and positions
            for message in batch:
                if message.error():
                    raise KafkaException(message.error())
                headers, p = dict(message.headers() or []), message.partition()
                if p in rewound or not {"source-offset", "covers-from", "log-generation", "ledger-id"} <= headers.keys():
                    continue                                        # comes again, or is no reply of paybuf
                s, c, g = (int(headers[name]) for name in ("source-offset", "covers-from", "log-generation"))
                ledger = ledger or headers["ledger-id"].decode()
                if headers["ledger-id"].decode() != ledger:
                    sys.exit(f"a reply of ledger {headers['ledger-id'].decode()}, not {ledger}: do these topics belong to this database?")
                key = (p, g)
                if key not in n:
                    n[key], e0[key] = 0, fresh.pop(p, -1)           # a later generation begins at 0
                if s < n[key]:
                    continue                                        # a copy
                if c > n[key] > e0[key]:                            # replies are missing: alarm, and don't move
                    if p not in gap:
                        gap[p] = key, c, message.offset()
                        print(f"GAP: missing {g}-{p}-{n[key]} to {g}-{p}-{c - 1}: paybuf replay --reply --from {g}-{p}-{n[key]}", file=sys.stderr)
                    continue
                sql.execute(BOOK, (message.value().decode(),))      # your own work, in the transaction
                was.setdefault(key, n[key])
                n[key] = s + 1
                offset[key] = message.offset() + 1
                if p in gap and gap[p][0] == key and n[key] >= gap[p][1]:     # closed: what came behind it is read again
                    offset[key] = gap.pop(p)[2]
                    consumer.seek(TopicPartition(REPLIES, p, offset[key]))
                    rewound.add(p)
            for (p, g), old in sorted(was.items()):     # in one order, or two listeners would wait for each other
                at = min(offset[p, g], gap[p][2]) if p in gap else offset[p, g]
                sql.execute(MOVE, {"p": p, "g": g, "next": n[p, g], "offset": at, "e0": e0[p, g], "ledger": ledger, "was": old})
                if sql.rowcount != 1:
                    raise SystemExit("another listener writes these books")   # rolls back


main()
