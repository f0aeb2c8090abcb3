"""judge - what a finished chaos run must look like beside what tests/e2e/check_history.py says about it: calls, top-ups, listeners.

Pure, but for the files it is given. Each function answers a list of sentences, one per violation.
"""
import json
from collections import Counter

EXPECTED_STATUS = {0, 202, 429, 503, 504}   # the clients send nothing but well-formed payments


def calls(lines):
    """Answers that no client should ever get."""
    odd = Counter()
    for line in lines:
        call = json.loads(line)
        if call["status"] not in EXPECTED_STATUS:
            odd[call["status"], call.get("code")] += 1
    return [f"{count} calls were answered {status} {code}" for (status, code), count in odd.items()]


def top_ups(done, adjustments):
    """done: {id: (account, amount)} of those that exited 0; adjustments: [(id, account, amount)] of the table."""
    found = {}
    wrong = []
    for name, account, amount in adjustments:
        if name in found:
            wrong.append(f"top-up {name} is there twice")
        found[name] = account, amount
    for name, (account, amount) in done.items():
        if name not in found:
            wrong.append(f"top-up {name} was done, but it isn't in the tables")
        elif found[name] != (account, amount):
            wrong.append(f"top-up {name} of {amount} for {account} is stored as {found[name]}")
    return wrong


def listener(name, lines, replies):
    """lines: of its file. replies: {"g-p-o": value} as a reader takes them. Each exactly once, in order per partition."""
    wrong, last, seen = [], {}, set()
    for number, line in enumerate(lines, 1):
        try:
            position = json.loads(line)["position"]
        except (ValueError, KeyError, TypeError):
            wrong.append(f"{name} line {number} is no reply: {line[:80]!r}")
            continue
        generation, partition, offset = map(int, position.split("-"))
        if position in seen:
            wrong.append(f"{name} line {number}: {position} is there twice")
        elif (generation, offset) < last.get(partition, (0, -1)):
            wrong.append(f"{name} line {number}: {position} comes after {last[partition]}")
        seen.add(position)
        last[partition] = max(last.get(partition, (0, -1)), (generation, offset))
        if position not in replies:
            wrong.append(f"{name} line {number}: no reply for {position} is in the log")
        elif replies[position] != line.rstrip("\n"):
            wrong.append(f"{name} line {number}: not the bytes of the reply for {position}")
    wrong += [f"{name}: the reply for {position} is missing" for position in replies if position not in seen]
    return wrong


def replies_taken(history):
    """{"g-p-o": value}: each partition's replies by the reader's rule."""
    taken = {}
    for partition in history.partitions:
        following = 0
        for record in history.records("replies", partition):
            headers = dict(record.headers or [])
            if "source-offset" not in headers:
                continue
            source, generation = int(headers["source-offset"]), int(headers["log-generation"])
            if source >= following and int(headers["covers-from"]) <= following:
                taken[f"{generation}-{partition}-{source}"] = record.value.decode()
                following = source + 1
    return taken
