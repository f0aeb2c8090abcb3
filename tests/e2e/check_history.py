#!/usr/bin/env python3
"""check_history - a second opinion on a finished run, sharing no code with paybuf.

    ./dev env > env; . ./env; tests/e2e/check_history.py            # reads Kafka and PostgreSQL, judges
    tests/e2e/check_history.py --dump DIR                           # only reads them, into DIR (see history.py)
    tests/e2e/check_history.py DIR                                  # judges what lies there; talks to nobody

    --client FILE       what clients were told (DIR/client.ndjson when it is there)
    --allow-unsettled   the run goes on: records at or beyond P are counted, not judged
    --one-clock         broker and database read the same clock: times are compared, too

Prints the first 40 differences, then one line: "check: ... D differences". Exit 0 when D is 0, else 4.
From Python: judge(history.Directory(path)) answers a Verdict. Two million payments take some minutes and less than 1 GB: one
partition's logs at a time go by, rows lie in a temporary SQLite file (TMPDIR).

What is judged, by the words of INTERFACES and PROTOCOL alone (the numbers are PROMISES'):
  1 every 202 names a record that is in the log under its identity, one record for each call, and that record is answered
  2 an identity has one row, an order at most one paid one; each row has its record, with the same content
  3 every record of the request log has a reply, and one reason on file for it; P stands behind the last one
  4 every reply says what the rows say, member for member; a conflict names the first member that differs
  5 events 1..n of an account give every decision, balance and state again; nothing goes below its floor
  6 a reader that keeps one integer per (generation, partition) takes each reply once and meets no gap; copies are equal in key, value
    and headers; covers-from is where the record before ended; the headers say what the value says; source offsets are records
  7 no reply is at or beyond P; the row's replied pair is a reply of the log; (one clock) no reply is older than its decision
  8 what was refused to a client (503, 4xx) is in no log; no call is in it twice
 10 the ledger isn't halted, nor a lane; the anchor is the last record below P, with its time and checksum
 11 every invalid record has its dead letter: key, value and headers byte for byte, and nothing else has one; (one clock) no reply is
    older than its letter

The client file has an object per call: "order_id", "status" (202 when absent, 0 when the connection broke), for 200 and 202 "position",
and optionally "attempt", "reply" (the answer that came with it, as a document) and "call", a name of this call's own that the client
also sent as metadata {"call": ...}: with it 503 is judged call by call, else by orders that nobody else sent.
"""
import argparse
import hashlib
import json
import os
import sqlite3
import sys
import tempfile
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from itertools import groupby

import history as histories
from history_words import anchor_crc, parse_request, passed_on, reply_key, tenant_of

REPLY_MEMBERS = ["schema", "tenant", "order_id", "attempt", "outcome", "reason", "duplicate", "account_id", "amount_minor", "currency",
                 "balance_after_minor", "account_version", "position", "original", "decided_at", "stored", "metadata"]
CONTENT = ("order_id", "attempt", "account_id", "amount_minor", "currency", "metadata")
STORED_MEMBERS = ("attempt", "account_id", "amount_minor", "currency", "outcome")
NOT_STORED = {503, 400, 401, 403, 413, 415, 422, 429}
STORED = {200, 202}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Verdict:
    def __init__(self):
        self.differences = 0
        self.first = []
        self.seen = defaultdict(int)

    def say(self, text):
        self.differences += 1
        if len(self.first) < 40:
            self.first.append(text)

    def summary(self):
        seen = self.seen
        outcomes = ", ".join(f"{seen[name]} {name}" for name in ("paid", "declined", "duplicate", "conflict", "invalid") if seen[name])
        more = "".join(f", {seen[name]} {name}" for name in ("repeats", "foreign records", "replies of earlier generations") if seen[name])
        return (f"{seen['requests']} requests ({seen['calls']} calls of clients), {seen['answered']} answered ({outcomes}), {seen['unsettled']} unsettled"
                f"{more}, {seen['decisions']} decisions, {seen['accounts']} accounts")


def time_text(microseconds):
    return (EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def place_text(generation, partition, offset):
    return f"{generation}-{partition}-{offset}"


# --- rows ------------------------------------------------------------------------------------------------------------

PAYMENT = ("tenant", "order_id", "attempt", "account_id", "currency", "amount_minor", "outcome", "reason", "balance_after_minor", "account_version",
           "log_generation", "src_partition", "src_offset", "decided_at")
ADJUSTMENT = ("tenant", "adjustment_id", "account_id", "kind", "amount_minor", "account_version")
REFUSAL = ("log_generation", "src_partition", "src_offset", "code", "field", "decided_at")
ACCOUNT = ("tenant", "account_id", "currency", "balance_minor", "floor_minor", "state", "version")


class Payment:
    __slots__ = PAYMENT

    def __init__(self, row):
        for name, value in zip(PAYMENT, row):
            setattr(self, name, value)

    def place(self):
        return place_text(self.log_generation, self.src_partition, self.src_offset)


def picked(rows, wanted):
    """The rows of a table with these columns in this order; the first row of it names its columns."""
    names = next(rows)
    at = [names.index(name) for name in wanted]
    for row in rows:
        yield [row[i] for i in at]


class Book:
    """All rows, on disk: by identity, by position, by account."""

    def __init__(self, history, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-200000", "temp_store=FILE"):
            self.db.execute(f"PRAGMA {pragma}")
        self.load("payment", PAYMENT, history, "tenant, order_id, attempt", "src_partition, src_offset")
        self.load("adjustment", ADJUSTMENT, history, "tenant, account_id")
        self.load("refusal", REFUSAL, history, "src_partition, src_offset")
        self.load("account", ACCOUNT, history, "tenant, account_id")
        self.columns = ", ".join(PAYMENT)

    def load(self, table, columns, history, *indexes):
        self.db.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
        self.db.execute("BEGIN")
        self.db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", picked(history.rows(table), columns))
        self.db.execute("COMMIT")
        for number, index in enumerate(indexes):
            self.db.execute(f"CREATE INDEX {table}_{number} ON {table} ({index})")

    def order(self, tenant, order_id):
        """Its rows, by attempt."""
        return [Payment(row) for row in self.db.execute(
            f"SELECT {self.columns} FROM payment WHERE tenant = ? AND order_id = ? ORDER BY attempt", (tenant, order_id))]

    def payments_of(self, partition, generation):
        return map(Payment, self.db.execute(f"SELECT {self.columns} FROM payment WHERE src_partition = ? AND log_generation = ?", (partition, generation)))

    def refusals(self, partition, generation, say):
        found = {}
        for offset, *refusal in self.db.execute("SELECT src_offset, code, field, decided_at FROM refusal WHERE src_partition = ? AND log_generation = ?",
                                                (partition, generation)):
            if offset in found:
                say(f"{place_text(generation, partition, offset)}: two refusals")
            found[offset] = tuple(refusal)
        return found


# --- replies ---------------------------------------------------------------------------------------------------------

class Reply:
    """A reply of ours: its marks and its record."""
    __slots__ = ("source", "covers", "generation", "ledger_id", "headers", "record")

    def __init__(self, record):
        self.record, self.headers = record, dict(record.headers)
        try:
            self.source, self.covers, self.generation = (int(self.headers[name]) for name in ("source-offset", "covers-from", "log-generation"))
            self.ledger_id = self.headers["ledger-id"].decode()
        except (KeyError, ValueError, AttributeError, TypeError):
            self.source = None                              # not ours

    def digest(self):
        whole = repr((self.record.key, self.record.value, self.record.headers)).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(whole, digest_size=16).digest()


class ReplyLog:
    """One reply partition by the reader's rule; what every copy must be is judged on the way."""

    def __init__(self, judge, partition, lane):
        self.judge, self.say, self.partition, self.lane = judge, judge.verdict.say, partition, lane
        self.pair = None                                    # the source offset of the reply before reply_position
        self.wanted = {}                                    # {generation: n}
        self.digests = {}                                   # {(generation, source offset): of its first copy}

    def taken(self):
        """The replies of the current generation that a reader takes, by source offset."""
        seen = self.judge.verdict.seen
        start = self.judge.start("replies", self.partition)
        for record in self.judge.history.records("replies", self.partition):
            reply = Reply(record)
            if reply.source is None:
                seen["foreign records"] += 1
                continue
            if record.offset == self.lane["reply_position"] - 1:
                self.pair = reply.source
            if not self.admissible(reply):
                continue
            n = self.wanted.get(reply.generation, reply.source if start > 0 else 0)
            if reply.source < n:
                seen["repeats"] += 1
                continue
            if reply.covers > n:
                # A reader stops here and goes on when the missing one comes; a protocol that works never lets it come to that.
                self.say(f"reply partition {self.partition}: gap before source offset {reply.source}: covers from {reply.covers}, the reader wants {n}")
                continue
            self.wanted[reply.generation] = reply.source + 1
            if reply.generation == self.lane["log_generation"]:
                yield reply
            else:
                seen["replies of earlier generations"] += 1

    def admissible(self, reply):
        place = place_text(reply.generation, self.partition, reply.source)
        if reply.ledger_id != self.judge.ledger_id or reply.generation > self.lane["log_generation"]:
            self.say(f"reply partition {self.partition} offset {reply.record.offset}: of ledger {reply.ledger_id}, generation {reply.generation}")
            return False
        if reply.generation == self.lane["log_generation"] and reply.source >= self.lane["next_offset"]:
            self.say(f"{place}: answered, but P is {self.lane['next_offset']}: the message came before the money")
        digest = reply.digest()
        if self.digests.setdefault((reply.generation, reply.source), digest) != digest:
            self.say(f"reply for {place}: two copies differ")
        return True


def judge_reply_headers(say, place, reply, value, key):
    """The headers and the key say what the value says."""
    headers = reply.headers
    expected = {"ce_specversion": b"1.0", "ce_type": f"paybuf.payment.{value['outcome']}".encode(), "ce_time": str(value["decided_at"]).encode(),
                "ce_subject": key, "content-type": b"application/json"}
    for name, wanted in expected.items():
        if headers.get(name) != wanted:
            say(f"{place}: header {name} is {headers.get(name)}, the value says {wanted}")
    if not (headers.get("ce_id") or b"").endswith(b"/" + place.encode()):
        say(f"{place}: ce_id is {headers.get('ce_id')}")
    if len(headers) != len(reply.record.headers):
        say(f"{place}: a header twice")
    if reply.record.key != key:
        say(f"{place}: reply key {reply.record.key}, not {key}")


# --- what a record's reply must say ----------------------------------------------------------------------------------

def invalid(reason, refusal):
    return {"outcome": "invalid", "reason": reason, "duplicate": False, "original": None, "stored": None, "balance_after_minor": None,
            "account_version": None, "decided_at": time_text(refusal[2]) if refusal else None}


def conflict(row, reason):
    return {"outcome": "conflict", "reason": reason, "duplicate": False, "original": row.place(), "balance_after_minor": None, "account_version": None,
            "decided_at": time_text(row.decided_at), "stored": {name: getattr(row, name) for name in STORED_MEMBERS}}


class Lane:
    """One partition: its requests beside the replies that a reader takes, record by record."""

    def __init__(self, judge, partition):
        self.judge, self.say, self.partition = judge, judge.verdict.say, partition
        self.row = judge.lane_row(partition)
        self.generation = self.row["log_generation"]
        self.refusals = judge.book.refusals(partition, self.generation, self.say)
        self.decided_here = set()                           # offsets that a row of their own was found for
        self.told = judge.client.told_in(partition)
        self.last = None                                    # the record before
        self.anchor = None                                  # the last one below P

    def run(self):
        log = ReplyLog(self.judge, self.partition, self.row)
        replies = log.taken()
        reply = next(replies, None)
        for record in self.judge.history.records("requests", self.partition):
            while reply is not None and reply.source < record.offset:
                self.no_request(reply)
                reply = next(replies, None)
            mine = reply if reply is not None and reply.source == record.offset else None
            self.one_record(record, mine)
            if mine is not None:
                reply = next(replies, None)
        while reply is not None:
            self.no_request(reply)
            reply = next(replies, None)
        self.judge_row(log)
        self.judge_leftovers()

    def no_request(self, reply):
        if reply.source >= self.judge.start("requests", self.partition):
            self.say(f"a reply for {place_text(self.generation, self.partition, reply.source)}, where no request is")

    def one_record(self, record, reply):
        seen = self.judge.verdict.seen
        seen["requests"] += 1
        place = place_text(self.generation, self.partition, record.offset)
        parsed = request, reason, _ = parse_request(record)
        expected = self.expected(place, record, parsed)
        letter_ms = self.judge.letters.take(place, record, reason, wanted=reply is not None) if reason else None
        value = None
        if reply is not None:
            value = self.judge_reply(place, record, reply, expected, reason)
            self.judge_times(place, reply, expected, letter_ms)
        else:
            seen["unsettled"] += 1
            if not self.judge.allow_unsettled or record.offset < self.row["replied_offset"]:
                self.say(f"{place}: no reply")
        self.judge.client.in_the_log(place, record, request)
        self.told.compare(place, record, request, value)
        if record.offset < self.row["next_offset"]:
            self.anchor = record
        self.last = record

    # --- the reply ---

    def judge_reply(self, place, record, reply, expected, reason):
        """Answers the reply's document, None when it is none."""
        self.judge.verdict.seen["answered"] += 1
        try:
            value = json.loads(reply.record.value)
            if [m for m in value if m != "field"] != REPLY_MEMBERS or value["schema"] != 1 or ("field" in value) != (reason == "bad_field"):
                raise ValueError(f"its members are {list(value)}")
        except (ValueError, TypeError) as error:
            self.say(f"{place}: the reply isn't one: {error}")
            return None
        before = 0 if self.last is None else self.last.offset + 1
        if reply.covers != before and not (self.last is None and self.judge.start("requests", self.partition) > 0):
            self.say(f"{place}: covers from {reply.covers}, the record before it ends at {before}")
        for name, wanted in (expected or {}).items():
            if value[name] != wanted or type(value[name]) is not type(wanted):
                self.say(f"{place}: reply says {name}={value[name]!r}, contract says {wanted!r}")
        judge_reply_headers(self.say, place, reply, value, reply_key(record))
        if reply.headers.get("traceparent") != passed_on(record):
            self.say(f"{place}: traceparent not passed on")
        self.judge.verdict.seen["duplicate" if value["duplicate"] is True else str(value["outcome"])] += 1
        return value

    def judge_times(self, place, reply, expected, letter_ms):
        if not self.judge.one_clock:
            return
        if expected and expected["decided_at"] is not None and time_text(reply.record.timestamp_ms * 1000 + 999) < expected["decided_at"]:
            self.say(f"{place}: answered before it was decided")
        if letter_ms is not None and reply.record.timestamp_ms < letter_ms:
            self.say(f"{place}: answered before its dead letter was stored")

    # --- what the reply must say, from the rows and the record's bytes ---

    def expected(self, place, record, parsed):
        """None when nothing on file explains an answer."""
        request, reason, field = parsed
        refusal = self.refusals.pop(record.offset, None)
        settled = record.offset < self.row["next_offset"]
        if refusal is not None and not settled:
            self.say(f"{place}: refused, but P is {self.row['next_offset']}")
        if request is None:
            if settled and (refusal is None or refusal[:2] != (reason, field)):
                self.say(f"{place}: its bytes are {reason}/{field}, its refusal row {refusal}")
            answer = {"position": place, "tenant": tenant_of(record.headers), **dict.fromkeys(CONTENT), **invalid(reason, refusal)}
            return {**answer, "field": field} if field else answer
        answer = self.expected_for(place, record, request, refusal)
        if answer is None and settled:
            self.say(f"{place}: settled without a reason on file: {request}")
        return answer and {"position": place, **request, **answer}

    def expected_for(self, place, record, request, refusal):
        rows = self.judge.book.order(request["tenant"], request["order_id"])
        row = next((r for r in rows if r.attempt == request["attempt"]), None)
        if refusal is not None:
            self.judge_refusal(place, record, request, refusal, rows)
            return invalid("attempt_out_of_sequence", refusal)
        if row is not None:
            return self.expected_of_row(place, record, request, row)
        lower_paid = next((r for r in rows if r.attempt < request["attempt"] and r.outcome == "paid"), None)
        return conflict(lower_paid, "already_paid") if lower_paid else None

    def expected_of_row(self, place, record, request, row):
        own = row.place() == place
        if own:
            self.decided_here.add(record.offset)
        if own and record.offset >= self.row["next_offset"]:
            self.say(f"{place}: decided, but P is {self.row['next_offset']}")
        if self.is_here(row) and row.src_offset > record.offset:
            self.say(f"{row.place()}: decided there, but {place} came first")
        for name in ("account_id", "amount_minor", "currency"):
            if getattr(row, name) != request[name]:
                if own:
                    self.say(f"{place}: its own row has another {name}")
                return conflict(row, f"{name}_differs")
        return {"outcome": row.outcome, "reason": row.reason, "duplicate": not own, "original": row.place(), "balance_after_minor": row.balance_after_minor,
                "account_version": row.account_version, "stored": None, "decided_at": time_text(row.decided_at)}

    def is_here(self, row):
        return row.src_partition == self.partition and row.log_generation == self.generation

    def judge_refusal(self, place, record, request, refusal, rows):
        if refusal[:2] != ("attempt_out_of_sequence", None):
            self.say(f"{place}: a good record, its refusal row says {refusal}")
        if request["attempt"] == 1:
            self.say(f"{place}: a first attempt refused as out of sequence")
        for row in rows:
            near = row.attempt in (request["attempt"], request["attempt"] - 1)
            if self.is_here(row) and row.src_offset < record.offset and (near or row.attempt < request["attempt"] and row.outcome == "paid"):
                self.say(f"{place}: refused as out of sequence though attempt {row.attempt} was on file")

    # --- behind the last record ---

    def judge_row(self, log):
        row, partition = self.row, self.partition
        end = self.judge.end("requests", partition)
        if row["halted_reason"] is not None:
            self.say(f"partition {partition} is halted: {row['halted_reason']}")
        if not self.judge.allow_unsettled and row["next_offset"] != end:
            self.say(f"partition {partition}: P is {row['next_offset']}, the log ends at {end}")
        self.judge_anchor()
        pair = (row["replied_offset"], row["reply_position"])
        in_sight = self.judge.start("replies", partition) < row["reply_position"] <= self.judge.end("replies", partition)
        if (row["reply_position"] == 0) != (row["replied_offset"] == 0) or in_sight and log.pair != row["replied_offset"] - 1:
            self.say(f"partition {partition}: the replied pair is {pair}, the reply there has source offset {log.pair}")

    def judge_anchor(self):
        stored = tuple(self.row[name] for name in ("anchor_offset", "anchor_timestamp_ms", "anchor_crc32c"))
        out_of_sight = stored[0] is not None and not self.judge.in_sight(self.partition, stored[0])
        seen = (self.anchor.offset, self.anchor.timestamp_ms, anchor_crc(self.anchor)) if self.anchor else (None, None, None)
        if stored != seen and not out_of_sight:
            self.say(f"partition {self.partition}: the anchor is {stored}, the last record below P {seen}")

    def judge_leftovers(self):
        """Rows and words for which no record was."""
        for offset, refusal in self.refusals.items():
            if self.judge.in_sight(self.partition, offset):
                self.say(f"refusal {place_text(self.generation, self.partition, offset)}: no request record is there ({refusal})")
        for row in self.judge.book.payments_of(self.partition, self.generation):
            if row.src_offset not in self.decided_here and self.judge.in_sight(self.partition, row.src_offset):
                self.say(f"payment {row.place()} of {row.tenant}/{row.order_id}/{row.attempt}: its record isn't there")
        self.told.end()


# --- dead letters ----------------------------------------------------------------------------------------------------

def digest_of_letter(record):
    return hashlib.blake2b(repr((record.key, record.value, record.headers)).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Letters:
    """All of them, as digests by position."""

    def __init__(self, history, say):
        self.say = say
        self.found = defaultdict(dict)                      # {position: {digest: time of the first one}}
        for partition in history.bounds["letters"]:
            for letter in history.records("letters", partition):
                if "marker" in dict(letter.headers) and letter.key is None:     # what `paybuf dlq` says became of a letter
                    continue
                position = (dict(letter.headers).get("position") or b"?").decode("utf-8", "replace")
                copies = self.found[position]
                digest = digest_of_letter(letter)
                copies[digest] = min(letter.timestamp_ms, copies.get(digest, letter.timestamp_ms))

    def take(self, place, record, reason, wanted):
        """The time of this invalid record's letter, None where there is none or it isn't right."""
        marks = [("position", place.encode()), ("reason", reason.encode())]
        whole = record._replace(headers=marks + [(f"orig-{name}", value) for name, value in record.headers])
        admissible = {digest_of_letter(whole)}
        if reason == "too_large":                           # too large for the dead letter topic, too: a stub says what it was
            stub = f'{{"stub":true,"size":{len(record.value)},"sha256":"{hashlib.sha256(record.value).hexdigest()}"}}'.encode()
            admissible.add(digest_of_letter(record._replace(key=None, value=stub, headers=marks)))
        copies = self.found.pop(place, {})
        right = [time_ms for digest, time_ms in copies.items() if digest in admissible]
        if len(right) < len(copies):
            self.say(f"{place}: a dead letter with other bytes, reason or headers than the record's")
        if wanted and not copies:
            self.say(f"{place}: {reason}, and no dead letter")
        return min(right, default=None)

    def end(self, out_of_sight):
        for position in self.found:
            if not out_of_sight(position):
                self.say(f"{position}: a dead letter for what isn't invalid")


# --- clients ---------------------------------------------------------------------------------------------------------

class Client:
    """What clients were told: places on disk, refusals in memory."""

    def __init__(self, judge):
        self.judge, self.say, self.db = judge, judge.verdict.say, judge.book.db
        self.db.execute("CREATE TABLE told (generation, partition, offset, order_id, attempt, call, reply)")
        self.refused_orders = {c["order_id"] for c in judge.history.client() if c.get("status", 202) in NOT_STORED and "call" not in c}
        self.refused_calls = set()
        self.calls_in_the_log = set()
        self.named = False
        self.db.execute("BEGIN")
        self.db.executemany("INSERT INTO told VALUES (?, ?, ?, ?, ?, ?, ?)", self.places())
        self.db.execute("COMMIT")
        self.db.execute("CREATE INDEX told_0 ON told (partition, offset)")

    def places(self):
        for call in self.judge.history.client():
            self.judge.verdict.seen["calls"] += 1
            status, name = call.get("status", 202), call.get("call")
            self.named = self.named or name is not None
            if status not in NOT_STORED:
                self.refused_orders.discard(call["order_id"])
            elif name is not None:
                self.refused_calls.add(name)
            if status not in STORED:
                continue
            try:
                generation, partition, offset = map(int, call["position"].split("-"))
            except (KeyError, ValueError, AttributeError):
                self.say(f"{status} for {call['order_id']} without a position")
                continue
            if partition not in self.judge.history.partitions:
                self.say(f"{status} for {call['order_id']} at {call['position']}: there is no such partition")
            yield generation, partition, offset, call["order_id"], call.get("attempt"), name, json.dumps(call["reply"]) if "reply" in call else None

    def told_in(self, partition):
        return Told(self, partition)

    def in_the_log(self, place, record, request):
        if request is None:
            return
        if request["order_id"] in self.refused_orders:
            self.say(f"{place}: every call for {request['order_id']} was refused, but it is in the log")
        name = (request["metadata"] or {}).get("call") if self.named else None
        if name is None:
            return
        if name in self.refused_calls:
            self.say(f"{place}: call {name} was refused, but it is in the log")
        if hash(name) in self.calls_in_the_log:             # 64 bits: no two of some millions are alike
            self.say(f"{place}: call {name} is in the log twice")
        self.calls_in_the_log.add(hash(name))


class Told:
    """One partition's 202s, in the order of its records."""

    def __init__(self, client, partition):
        self.judge, self.say, self.partition = client.judge, client.say, partition
        self.rows = client.db.execute("SELECT offset, generation, order_id, attempt, call, reply FROM told WHERE partition = ? AND generation >= ? "
                                      "ORDER BY offset", (partition, self.judge.lane_row(partition)["log_generation"]))
        self.next = self.rows.fetchone()

    def skip_to(self, offset):
        while self.next is not None and self.next[0] < offset:
            if self.judge.in_sight(self.partition, self.next[0]):
                self.say(f"202 for {self.next[2]} at {place_text(self.next[1], self.partition, self.next[0])}, where no record is")
            self.next = self.rows.fetchone()

    def compare(self, place, record, request, value):
        self.skip_to(record.offset)
        told = 0
        while self.next is not None and self.next[0] == record.offset:
            _, generation, order_id, attempt, call, reply = self.next
            self.next = self.rows.fetchone()
            told += 1
            is_there = request or {"order_id": (record.key or b"").decode("utf-8", "replace"), "attempt": None, "metadata": None}
            if (order_id, f"{generation}-") != (is_there["order_id"], place[:place.index("-") + 1]) or attempt not in (None, is_there["attempt"]):
                self.say(f"202 for {order_id}/{attempt} at generation {generation}, {place}: there is {is_there['order_id']}/{is_there['attempt']}")
            if call is not None and (is_there["metadata"] or {}).get("call") != call:
                self.say(f"202 for call {call} of {order_id} at {place}: that is another call's record")
            if reply is not None and value is not None and json.loads(reply) != value:
                self.say(f"{place}: the client was answered something else than the log says: {reply}")
        if told > 1:
            self.say(f"{place}: {told} calls were told that this one record is theirs")

    def end(self):
        self.skip_to(float("inf"))


# --- orders and accounts ---------------------------------------------------------------------------------------------

def judge_orders(book, say):
    """Of one identity one row, of one order one paid row and none above it, each attempt on a declined one."""
    rows = book.db.execute(f"SELECT {book.columns} FROM payment ORDER BY tenant, order_id, attempt")
    before = None
    for row in map(Payment, rows):
        same_order = before is not None and (before.tenant, before.order_id) == (row.tenant, row.order_id)
        name = f"{row.tenant}/{row.order_id}/{row.attempt}"
        if same_order and before.attempt == row.attempt:
            say(f"{name}: two rows")
        elif same_order and before.outcome == "paid":
            say(f"{name}: decided though attempt {before.attempt} is paid")
        elif row.attempt != 1 and not (same_order and before.attempt == row.attempt - 1):
            say(f"{name}: decided though attempt {row.attempt - 1} isn't on file")
        elif row.attempt != 1 and before.src_partition == row.src_partition and before.log_generation == row.log_generation and \
                before.src_offset > row.src_offset:
            say(f"{name}: decided before attempt {before.attempt}")
        before = row


def judge_accounts(book, say):
    """Events 1..n of each account give every decision and balance again."""
    for row in book.db.execute("SELECT tenant, order_id, attempt, outcome, reason FROM payment WHERE account_version IS NULL "
                               "AND NOT (outcome = 'declined' AND reason = 'unknown_account')"):
        say(f"payment {row} has no account version")
    events = book.db.execute("SELECT tenant, account_id, account_version, 'payment', amount_minor, currency, outcome, reason, balance_after_minor FROM payment "
                             "WHERE account_version IS NOT NULL UNION ALL "
                             "SELECT tenant, account_id, account_version, kind, amount_minor, NULL, NULL, NULL, NULL FROM adjustment ORDER BY 1, 2, 3")
    for key, group in groupby(events, key=lambda event: event[:2]):
        row = book.db.execute(f"SELECT {', '.join(ACCOUNT)} FROM account WHERE tenant = ? AND account_id = ?", key).fetchone()
        if row is None:
            say(f"account {key} has events but no row")
        else:
            Replay(dict(zip(ACCOUNT, row)), [event[2:] for event in group], say).run()
    for row in book.db.execute("SELECT tenant, account_id FROM account a WHERE NOT EXISTS "
                               "(SELECT 1 FROM adjustment j WHERE j.tenant = a.tenant AND j.account_id = a.account_id)"):
        say(f"account {row} was never opened")


class Replay:
    """One account from its opening on. The floor it was opened with is in no event: where another one came later, it is what all decisions allow."""

    def __init__(self, account, events, say):
        self.account, self.events = account, events
        self.name = f"account {account['tenant']}/{account['account_id']}"
        self.tell = say
        self.balance, self.state = 0, "active"
        later_floor = any(kind == "floor" for _, kind, *_ in events)
        self.floor = None if later_floor else account["floor_minor"]
        self.lowest_floor, self.highest_floor = -float("inf"), float("inf")     # while it is None

    def say(self, text):
        self.tell(f"{self.name} {text}")

    def run(self):
        versions = [version for version, *_ in self.events]
        if versions != list(range(1, len(versions) + 1)) or self.account["version"] != len(versions):
            self.say(f"has version {self.account['version']}, its events' are not 1..{self.account['version']}")
            return
        for version, kind, amount, *decision in self.events:
            if (kind == "open") != (version == 1):
                self.say(f"version {version}: {kind}")
            if kind == "payment":
                self.payment(version, amount, *decision)
            else:
                self.adjustment(version, kind, amount)
        stored = tuple(self.account[name] for name in ("balance_minor", "state"))
        if stored != (self.balance, self.state):
            self.say(f"is {stored}, replay gives {(self.balance, self.state)}")
        if self.account["floor_minor"] != self.floor:
            self.say(f"has the floor {self.account['floor_minor']}, replay gives {self.floor}")

    def above_floor(self, balance):
        """Whether a balance is allowed; an unknown floor is whatever was said before."""
        if self.floor is not None:
            return balance >= self.floor
        if balance >= self.highest_floor:
            return True
        return None if balance >= self.lowest_floor else False

    def adjustment(self, version, kind, amount):
        if kind == "floor":
            self.floor = amount
        self.balance += {"open": amount, "credit": amount, "debit": -amount}.get(kind, 0)
        self.state = {"freeze": "frozen", "unfreeze": "active", "close": "closed"}.get(kind, self.state)
        if kind not in ("open", "credit", "debit", "freeze", "unfreeze", "close", "floor") or amount < 0 and kind != "floor":
            self.say(f"version {version}: {kind} of {amount}")
        if kind in ("open", "debit", "floor"):
            self.stays_above(version)

    def stays_above(self, version):
        allowed = self.above_floor(self.balance)
        if allowed is False:
            self.say(f"version {version}: the balance {self.balance} is below the floor")
        elif allowed is None:
            self.highest_floor = min(self.highest_floor, self.balance)

    def payment(self, version, amount, currency, outcome, reason, balance_after):
        wanted = "account_" + self.state if self.state != "active" else "currency_mismatch" if currency != self.account["currency"] else None
        after = self.balance - amount
        if wanted is None:
            allowed = self.above_floor(after)
            if allowed is None:                             # the first word about it
                allowed = outcome == "paid"
                if allowed:
                    self.highest_floor = min(self.highest_floor, after)
                else:
                    self.lowest_floor = max(self.lowest_floor, after + 1)
            wanted = None if allowed else "insufficient_funds"
        if wanted is None:
            self.balance = after
        wanted_outcome = "declined" if wanted else "paid"
        if (outcome, reason, balance_after) != (wanted_outcome, wanted, self.balance):
            self.say(f"version {version}: stored {outcome}/{reason}/{balance_after}, replay gives {wanted_outcome}/{wanted}/{self.balance}")


# --- the whole -------------------------------------------------------------------------------------------------------

NO_LANE = {"log_generation": 1, "next_offset": 0, "replied_offset": 0, "reply_position": 0, "anchor_offset": None, "anchor_timestamp_ms": None,
           "anchor_crc32c": None, "halted_reason": None}


def as_dicts(rows):
    names = next(rows)
    return [dict(zip(names, row)) for row in rows]


class Judge:
    def __init__(self, history, book, allow_unsettled, one_clock):
        self.history, self.book, self.allow_unsettled, self.one_clock = history, book, allow_unsettled, one_clock
        self.verdict = Verdict()
        self.lanes = {row["partition"]: row for row in as_dicts(history.rows("processed_offset"))}
        self.ledger = as_dicts(history.rows("ledger"))[0]
        self.ledger_id = self.ledger["ledger_id"]
        self.letters = Letters(history, self.verdict.say)
        self.client = Client(self)

    def start(self, kind, partition):
        return self.history.bounds[kind][partition][0]

    def end(self, kind, partition):
        return self.history.bounds[kind][partition][1]

    def in_sight(self, partition, offset):
        """Whether a record there must be in what was read of the request log."""
        return self.start("requests", partition) <= offset and (offset < self.end("requests", partition) or not self.allow_unsettled)

    def lane_row(self, partition):
        return self.lanes.get(partition, NO_LANE)

    def letter_out_of_sight(self, position):
        try:
            generation, partition, offset = map(int, position.split("-"))
        except ValueError:
            return False
        return partition in self.history.partitions and (generation < self.lane_row(partition)["log_generation"] or not self.in_sight(partition, offset))

    def run(self):
        say = self.verdict.say
        if self.ledger["halted"]:
            say(f"the ledger is halted: {self.ledger['halted_reason']}")
        for partition in self.history.partitions:
            Lane(self, partition).run()
        self.letters.end(self.letter_out_of_sight)
        for partition, generation in self.book.db.execute("SELECT DISTINCT src_partition, log_generation FROM payment UNION "
                                                          "SELECT DISTINCT src_partition, log_generation FROM refusal"):
            if partition not in self.history.partitions or generation > self.lane_row(partition)["log_generation"]:
                say(f"rows of partition {partition}, generation {generation}: there is no such log")
        judge_orders(self.book, say)
        judge_accounts(self.book, say)
        self.verdict.seen["decisions"], = self.book.db.execute("SELECT count(*) FROM payment").fetchone()
        self.verdict.seen["accounts"], = self.book.db.execute("SELECT count(*) FROM account").fetchone()
        return self.verdict


def judge(history, allow_unsettled=False, one_clock=False):
    """A Verdict on a history (history.Directory, history.InMemory)."""
    with tempfile.TemporaryDirectory(prefix="check-history-") as scratch:
        book = Book(history, os.path.join(scratch, "book"))
        try:
            return Judge(history, book, allow_unsettled, one_clock).run()
        finally:
            book.db.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", metavar="DIR", help="a history; without it the servers of the environment are read")
    parser.add_argument("--dump", metavar="DIR", help="only read the servers, into this new directory")
    parser.add_argument("--client", metavar="FILE", help="NDJSON of what clients were told")
    parser.add_argument("--allow-unsettled", action="store_true", help="records at or beyond P are counted, not judged")
    parser.add_argument("--one-clock", action="store_true", help="broker and database read the same clock: compare times, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="history-") as scratch:
        directory = arguments.directory or arguments.dump or scratch
        if not arguments.directory:
            os.makedirs(directory, exist_ok=True)
            histories.dump(directory)
        if arguments.dump:
            return 0
        verdict = judge(histories.Directory(directory, arguments.client), arguments.allow_unsettled, arguments.one_clock)
    for text in verdict.first:
        print("difference:", text)
    print(f"check: {verdict.summary()}, {verdict.differences} differences")
    return 4 if verdict.differences else 0


if __name__ == "__main__":
    sys.exit(main())
