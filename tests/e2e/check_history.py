#!/usr/bin/env python3
"""check_history - a second opinion on a finished run, sharing no code with paybuf.

Reads the request, reply and dead letter topics and the tables, and judges them by the words of the contract alone:
every stored request answered exactly once for a reader that keeps one integer per partition, every identity decided at
most once, every account's events 1..n giving every decision and balance again, every refusal and dead letter in place.

    ./dev env > env; . ./env; tests/e2e/check_history.py [--accepted FILE] [--allow-unsettled]

FILE holds what a client was told: one JSON object a line with "order_id" and "position" for each 202.
Prints each difference (the first 40), then one line: "check: ... D differences". Exit 0 when D is 0, else 4.
"""
import argparse
import json
import os
import re
import sys
import time
from collections import defaultdict
from datetime import datetime

import psycopg2
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka import KafkaError

ID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
CURRENCY = re.compile(r"[A-Z]{3}\Z")
AMOUNT_MAX = 2**53 - 1
REPLY_MEMBERS = ["schema", "tenant", "order_id", "attempt", "outcome", "reason", "duplicate", "account_id", "amount_minor", "currency",
                 "balance_after_minor", "account_version", "position", "original", "decided_at", "stored", "metadata"]


class Differences:
    def __init__(self):
        self.count = 0

    def say(self, text):
        self.count += 1
        if self.count <= 40:
            print("difference:", text)


DIFF = Differences()


# --- reading ---------------------------------------------------------------------------------------------------------

def read_topic(topic, isolation):
    """{partition: [message, ...]} from the start to the end that was there when reading began."""
    consumer = Consumer({"bootstrap.servers": os.environ["PAYBUF_KAFKA_BOOTSTRAP"], "group.id": "check-history", "enable.auto.commit": False,
                         "isolation.level": isolation, "enable.partition.eof": True, "auto.offset.reset": "earliest", "check.crcs": True})
    metadata = consumer.list_topics(topic, timeout=20).topics[topic]
    partitions = sorted(metadata.partitions)
    result = {p: [] for p in partitions}
    waiting = set(partitions)
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
    heard = time.monotonic()
    while waiting:
        batch = consumer.consume(1000, timeout=0.1)         # waits for the whole timeout unless there are so many
        if batch:
            heard = time.monotonic()
        elif time.monotonic() - heard > 20:
            raise SystemExit(f"check: no answer from Kafka about {topic}")
        for message in batch:
            if message.error() is None:
                result[message.partition()].append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                waiting.discard(message.partition())
            else:
                raise SystemExit(f"check: {topic}: {message.error()}")
    consumer.close()
    return result


def headers_of(message):
    return message.headers() or []


def header(message, name):
    values = [v for n, v in headers_of(message) if n == name]
    return values[0] if values else None


def rows(database, sql, *arguments):
    with database.cursor() as cursor:
        cursor.execute(sql, arguments)
        names = [c.name for c in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]


# --- what a request's bytes say --------------------------------------------------------------------------------------

class Malformed(Exception):
    pass


def no_constant(name):
    raise Malformed(name)


def unique_members(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Malformed("duplicate member")
    return result


def depth_of(value):
    if isinstance(value, dict):
        return 1 + max([depth_of(v) for v in value.values()] or [0])
    if isinstance(value, list):
        return 1 + max([depth_of(v) for v in value] or [0])
    return 0


def text_ok(value):
    """No NUL and no lone surrogate anywhere."""
    if isinstance(value, str):
        if "\0" in value:
            return False
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
        return True
    if isinstance(value, dict):
        return all(text_ok(k) and text_ok(v) for k, v in value.items())
    if isinstance(value, list):
        return all(text_ok(v) for v in value)
    return True


def bytes_as_sent(text, wanted):
    """How many bytes a member of a (well formed) top-level object takes in the text."""
    blank = re.compile(r"[ \t\n\r]*")
    at = blank.match(text, text.index("{") + 1).end()
    while text[at] != "}":
        name, at = json.JSONDecoder().raw_decode(text, at)
        begin = blank.match(text, blank.match(text, at).end() + 1).end()        # behind the colon
        _, at = json.JSONDecoder().raw_decode(text, begin)
        if name == wanted:
            return len(text[begin:at].encode())
        at = blank.match(text, at).end()
        if text[at] == ",":
            at = blank.match(text, at + 1).end()
    return 0


def parse_request(message):
    """(request, None, None) or (None, reason, field): judged in the contract's order."""
    value = message.value()
    if value is not None and len(value) > 8192:
        return None, "too_large", None
    try:
        if value is None:
            raise Malformed("no value")
        document = json.loads(value.decode("utf-8"), object_pairs_hook=unique_members, parse_constant=no_constant)
        if not isinstance(document, dict) or not text_ok(document) or depth_of(document) > 32:
            raise Malformed("not an object")
    except (Malformed, ValueError, RecursionError):
        return None, "malformed_json", None

    def bad(name, ok):
        return None if ok else (None, "bad_field", name)

    def integer(x, low, high):
        return type(x) is int and low <= x <= high

    d = document
    metadata = d.get("metadata")
    for verdict in (bad("order_id", isinstance(d.get("order_id"), str) and ID.match(d["order_id"])),
                    bad("attempt", "attempt" not in d or integer(d["attempt"], 1, 99)),
                    bad("account_id", isinstance(d.get("account_id"), str) and ID.match(d["account_id"])),
                    bad("amount_minor", integer(d.get("amount_minor"), 1, AMOUNT_MAX)),
                    bad("currency", isinstance(d.get("currency"), str) and CURRENCY.match(d["currency"])),
                    bad("metadata", metadata is None or isinstance(metadata, dict) and bytes_as_sent(value.decode(), "metadata") <= 2048)):
        if verdict:
            return verdict
    tenants = [v for n, v in headers_of(message) if n == "tenant"]
    tenant = "default"
    if tenants:
        tenant = tenants[0].decode("latin-1") if tenants[0] is not None else ""
        if len(tenants) > 1 or not ID.match(tenant):
            return None, "bad_tenant", None
    if message.key() is None or message.key() != d["order_id"].encode():
        return None, "key_mismatch", None
    return {"tenant": tenant, "order_id": d["order_id"], "attempt": d.get("attempt", 1), "account_id": d["account_id"],
            "amount_minor": d["amount_minor"], "currency": d["currency"], "metadata": metadata}, None, None


# --- the reply log ---------------------------------------------------------------------------------------------------

def follow(partition, replies, generation, ledger_id):
    """The reader's rule from 0: {source offset: reply}. Copies must be equal."""
    taken, first_copy, n = {}, {}, 0
    for message in replies:
        source, covers = header(message, "source-offset"), header(message, "covers-from")
        if source is None or covers is None:
            continue                                        # not ours
        if header(message, "ledger-id") != ledger_id.encode() or int(header(message, "log-generation")) != generation:
            DIFF.say(f"reply partition {partition} offset {message.offset()}: another ledger or generation")
            continue
        s, c = int(source), int(covers)
        copy = (message.key(), message.value())
        if s in first_copy and first_copy[s] != copy:
            DIFF.say(f"reply for {generation}-{partition}-{s}: two copies differ")
        first_copy.setdefault(s, copy)
        if s < n:
            continue
        if c > n:
            # A reader stops here and goes on when the missing one comes; a protocol that works never lets it come to that.
            DIFF.say(f"reply partition {partition}: gap before source offset {s}: covers from {c}, reader wants {n}")
            continue
        taken[s] = message
        n = s + 1
    return taken


# --- judging ---------------------------------------------------------------------------------------------------------

class Book:
    """All rows, by key and by position."""

    def __init__(self, database):
        self.payments = {}
        self.refusals = {}
        self.by_order = defaultdict(list)
        for row in rows(database, "SELECT *, (extract(epoch FROM decided_at)*1000000)::bigint AS us FROM paybuf.payment"):
            self.payments[row["tenant"], row["order_id"], row["attempt"]] = row
            self.by_order[row["tenant"], row["order_id"]].append(row)
        for row in rows(database, "SELECT * FROM paybuf.refusal"):
            self.refusals[row["log_generation"], row["src_partition"], row["src_offset"]] = row
        self.accounts = {(r["tenant"], r["account_id"]): r for r in rows(database, "SELECT * FROM paybuf.account")}
        self.adjustments = defaultdict(list)
        for row in rows(database, "SELECT * FROM paybuf.adjustment"):
            self.adjustments[row["tenant"], row["account_id"]].append(row)


def position_text(row):
    return f'{row["log_generation"]}-{row["src_partition"]}-{row["src_offset"]}'


def expected_answer(book, where, request, reason, field):
    """What the reply to this record must say, from the rows and the record's bytes."""
    generation, partition, offset = where
    refusal = book.refusals.get(where)
    if reason is not None:
        if refusal is None or refusal["code"] != reason or refusal["field"] != field:
            DIFF.say(f"{generation}-{partition}-{offset}: bytes are {reason}/{field}, refusal row is {refusal}")
        return {"outcome": "invalid", "reason": reason, "duplicate": False, "original": None, "stored": None,
                "decided_at": refusal["decided_at"] if refusal else None}
    key = (request["tenant"], request["order_id"], request["attempt"])
    row = book.payments.get(key)
    lower_paid = [r for r in book.by_order[key[:2]] if r["attempt"] < key[2] and r["outcome"] == "paid"]
    if refusal is not None:
        before = book.payments.get((key[0], key[1], key[2] - 1))
        if key[2] == 1 or (before and before["src_partition"] == partition and before["src_offset"] < offset):
            DIFF.say(f"{generation}-{partition}-{offset}: refused as out of sequence though attempt {key[2] - 1} was on file")
        return {"outcome": "invalid", "reason": "attempt_out_of_sequence", "duplicate": False, "original": None, "stored": None,
                "decided_at": refusal["decided_at"]}
    if row is not None:
        for name in ("account_id", "amount_minor", "currency"):
            if row[name] != request[name]:
                return conflict(row, f"{name}_differs")
        return {"outcome": row["outcome"], "reason": row["reason"], "duplicate": position_text(row) != f"{generation}-{partition}-{offset}",
                "original": position_text(row), "balance_after_minor": row["balance_after_minor"], "account_version": row["account_version"], "stored": None,
                "decided_at": row["decided_at"]}
    if lower_paid:
        return conflict(lower_paid[0], "already_paid")
    DIFF.say(f"{generation}-{partition}-{offset}: settled without a reason on file: {request}")
    return None


def conflict(row, reason):
    return {"outcome": "conflict", "reason": reason, "duplicate": False, "original": position_text(row), "balance_after_minor": None, "account_version": None, "decided_at": row["decided_at"],
            "stored": {name: row[name] for name in ("attempt", "account_id", "amount_minor", "currency", "outcome")}}


def judge_reply(book, where, message, record):
    text = "-".join(map(str, where))
    request, reason, field = parse_request(record)
    try:
        reply = json.loads(message.value())
    except ValueError:
        DIFF.say(f"{text}: the reply isn't JSON")
        return None
    members = [m for m in reply if m != "field"]
    if members != REPLY_MEMBERS or reply["schema"] != 1 or ("field" in reply) != (reason == "bad_field"):
        DIFF.say(f"{text}: members {list(reply)}")
        return None
    expected = expected_answer(book, where, request, reason, field)
    if expected is None:
        return reply
    expected["position"] = text
    if field is not None:
        expected["field"] = field
    if request is not None:
        expected.update({n: request[n] for n in ("tenant", "order_id", "attempt", "account_id", "amount_minor", "currency", "metadata")})
    else:
        expected.update({n: None for n in ("order_id", "attempt", "account_id", "amount_minor", "currency", "metadata")})
    decided_at = expected.pop("decided_at")
    if decided_at is None or datetime.fromisoformat(reply["decided_at"].replace("Z", "+00:00")) != decided_at:
        DIFF.say(f"{text}: reply says decided_at={reply['decided_at']}, the row {decided_at}")
    for name, value in expected.items():
        if reply[name] != value:
            DIFF.say(f"{text}: reply says {name}={reply[name]!r}, contract says {value!r}")
    if header(message, "ce_type") != f'paybuf.payment.{reply["outcome"]}'.encode() or header(message, "ce_time") != reply["decided_at"].encode():
        DIFF.say(f"{text}: CloudEvents headers disagree with the value")
    if not (header(message, "ce_id") or b"").endswith(b"/" + text.encode()):
        DIFF.say(f"{text}: ce_id is {header(message, 'ce_id')}")
    if request is not None and message.key() != request["order_id"].encode():
        DIFF.say(f"{text}: reply key {message.key()}")
    if header(record, "traceparent") != header(message, "traceparent"):
        DIFF.say(f"{text}: traceparent not passed on")
    return reply


def judge_first_records(requests, book, generation):
    """The row of an identity belongs to its first valid record of the partition that wasn't refused."""
    for partition, messages in requests.items():
        seen = set()
        for message in messages:
            request, reason, _ = parse_request(message)
            where = (generation[partition], partition, message.offset())
            if reason is not None or where in book.refusals:
                continue
            key = (request["tenant"], request["order_id"], request["attempt"])
            row = book.payments.get(key)
            if key not in seen and row is not None and row["src_partition"] == partition and row["src_offset"] > message.offset():
                DIFF.say(f"{key}: decided at {position_text(row)}, but {partition}-{message.offset()} came first")
            seen.add(key)


def judge_books(book):
    """Events 1..n of each account give every decision and balance again."""
    events = defaultdict(dict)
    for row in book.payments.values():
        if row["account_version"] is None:
            if row["outcome"] != "declined" or row["reason"] != "unknown_account":
                DIFF.say(f"payment {position_text(row)} has no account version but is {row['outcome']}/{row['reason']}")
            continue
        add_event(events, (row["tenant"], row["account_id"]), row["account_version"], ("payment", row))
    for key, adjustments in book.adjustments.items():
        for row in adjustments:
            add_event(events, key, row["account_version"], ("adjustment", row))
    for key in set(events) | set(book.accounts):
        replay_account(key, book.accounts.get(key), events[key])


def add_event(events, key, version, event):
    if version in events[key]:
        DIFF.say(f"account {key}: version {version} twice")
    events[key][version] = event


def replay_account(key, account, events):
    if account is None:
        DIFF.say(f"account {key} has events but no row")
        return
    if sorted(events) != list(range(1, len(events) + 1)) or account["version"] != len(events):
        DIFF.say(f"account {key}: versions are not 1..{account['version']}")
        return
    balance, floor, state = 0, account["floor_minor"], "active"
    floors = [v for v, (kind, row) in sorted(events.items()) if kind == "adjustment" and row["kind"] == "floor"]
    floor_known = not floors
    for version in range(1, len(events) + 1):
        kind, row = events[version]
        if kind == "adjustment":
            if row["kind"] == "floor":
                floor, floor_known = row["amount_minor"], True
            elif row["kind"] in ("open", "credit"):
                balance += row["amount_minor"] or 0
            elif row["kind"] == "debit":
                balance -= abs(row["amount_minor"])
            state = {"freeze": "frozen", "unfreeze": "active", "close": "closed"}.get(row["kind"], state)
            continue
        reason = None
        if state != "active":
            reason = "account_" + state
        elif row["currency"] != account["currency"]:
            reason = "currency_mismatch"
        elif floor_known and balance - row["amount_minor"] < floor:
            reason = "insufficient_funds"
        elif not floor_known:
            reason = row["reason"]
        if reason is None:
            balance -= row["amount_minor"]
        outcome = "paid" if reason is None else "declined"
        if (row["outcome"], row["reason"], row["balance_after_minor"]) != (outcome, reason, balance):
            DIFF.say(f"account {key} version {version}: stored {row['outcome']}/{row['reason']}/{row['balance_after_minor']}, replay gives {outcome}/{reason}/{balance}")
    if balance != account["balance_minor"]:
        DIFF.say(f"account {key}: balance {account['balance_minor']}, replay gives {balance}")


def judge_letters(requests, letters, generation):
    have = defaultdict(set)
    for messages in letters.values():
        for message in messages:
            have[header(message, "position")].add((message.key(), message.value(), header(message, "reason")))
    for partition, messages in requests.items():
        for message in messages:
            _, reason, _ = parse_request(message)
            if reason is None:
                continue
            position = f"{generation[partition]}-{partition}-{message.offset()}".encode()
            found = have.get(position, set())
            whole = (message.key(), message.value(), reason.encode()) in found
            stub = any(r == reason.encode() and v.startswith(b'{"stub":true') for _, v, r in found if v)
            if not whole and not stub:
                DIFF.say(f"{position.decode()}: no dead letter with its bytes and reason {reason}")


def judge_client(path, requests):
    stored = {}
    count = 0
    for partition, messages in requests.items():
        for message in messages:
            stored[partition, message.offset()] = message.key()
    with open(path) as lines:
        for line in lines:
            told = json.loads(line)
            _, partition, offset = told["position"].split("-")
            count += 1
            if stored.get((int(partition), int(offset))) != told["order_id"].encode():
                DIFF.say(f"202 for {told['order_id']} at {told['position']}, but that isn't in the log")
    return count


def judge(database, requests, replies, letters, accepted=None, allow_unsettled=False):
    """Compares everything; differences are printed and counted from 0. Answers what was seen, in words; DIFF.count differences."""
    DIFF.count = 0
    ledger = rows(database, "SELECT ledger_id::text AS ledger_id, halted FROM paybuf.ledger")[0]
    lanes = {r["partition"]: r for r in rows(database, "SELECT * FROM paybuf.processed_offset")}
    generation = {p: lanes[p]["log_generation"] for p in lanes}
    book = Book(database)
    answered = unsettled = total = 0
    outcomes = defaultdict(int)
    for partition, records in requests.items():
        taken = follow(partition, replies[partition], generation[partition], ledger["ledger_id"])
        total += len(records)
        for record in records:
            message = taken.pop(record.offset(), None)
            if message is None:
                unsettled += 1
                if not allow_unsettled or record.offset() < lanes[partition]["next_offset"]:
                    DIFF.say(f"{generation[partition]}-{partition}-{record.offset()}: no reply")
                continue
            answered += 1
            reply = judge_reply(book, (generation[partition], partition, record.offset()), message, record)
            if reply:
                outcomes["duplicate" if reply["duplicate"] else reply["outcome"]] += 1
        for offset in taken:
            DIFF.say(f"a reply for {partition}-{offset}, where no request is")
        if records and lanes[partition]["next_offset"] <= records[-1].offset() and not allow_unsettled:
            DIFF.say(f"partition {partition}: P is {lanes[partition]['next_offset']}, the last record {records[-1].offset()}")
    judge_first_records(requests, book, generation)
    judge_books(book)
    judge_letters(requests, letters, generation)
    told = judge_client(accepted, requests) if accepted else 0
    stored_positions = {(p, m.offset()) for p, messages in requests.items() for m in messages}
    for row in book.payments.values():
        if (row["src_partition"], row["src_offset"]) not in stored_positions:
            DIFF.say(f"payment {position_text(row)} has no request record")
    if ledger["halted"]:
        DIFF.say("the ledger is halted")
    parts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    return (f"{total} requests ({told} known to clients), {answered} answered ({parts}), {unsettled} unsettled, "
            f"{len(book.payments)} decisions, {len(book.accounts)} accounts")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accepted", help="NDJSON of what clients were told")
    parser.add_argument("--allow-unsettled", action="store_true", help="records at or beyond P are counted, not judged")
    arguments = parser.parse_args()
    database = psycopg2.connect(os.environ["PAYBUF_DATABASE_URL"])
    requests = read_topic(os.environ["PAYBUF_REQUEST_TOPIC"], "read_committed")
    replies = read_topic(os.environ["PAYBUF_REPLY_TOPIC"], "read_uncommitted")
    letters = read_topic(os.environ["PAYBUF_DLQ_TOPIC"], "read_uncommitted")
    seen = judge(database, requests, replies, letters, arguments.accepted, arguments.allow_unsettled)
    print(f"check: {seen}, {DIFF.count} differences")
    return 4 if DIFF.count else 0


if __name__ == "__main__":
    sys.exit(main())
