"""recovery - how long after a fault was undone payments were answered again. Pure: told what was sent and what was answered, in any order.

A fault is over when every partition has answered a payment that was sent after it was undone; a fault of one intake, when a payment sent
through that intake was. The time is the broker's append time of that reply, so it doesn't depend on who looks when.
"""
import threading


class Watch:
    """A fault that isn't recovered from yet. alone: no other fault since it began."""

    def __init__(self, fault, text, since, partitions, intake, alone):
        self.fault, self.text, self.since, self.intake, self.alone = fault, text, since, intake, alone
        self.waiting = set(range(partitions)) if intake is None else {None}
        self.last = since

    def seconds(self):
        return self.last - self.since


class Tracker:
    """payment_sent and reply_seen answer the watches that are over with it."""

    def __init__(self, partitions):
        self.partitions = partitions
        self.sent, self.answered = {}, {}   # (partition, offset): (when, intake); when
        self.watches = []
        self.counts = {"accepted": 0, "answered": 0}
        self.next_source = [0] * partitions
        self.lock = threading.Lock()

    def watch(self, fault, text, since, intake, alone):
        """intake: its index where the fault is its own, else None."""
        with self.lock:
            self.watches.append(Watch(fault, text, since, self.partitions, intake, alone))

    def another_fault_begins(self):
        with self.lock:
            for watch in self.watches:
                watch.alone = False

    def payment_sent(self, partition, offset, when, intake):
        with self.lock:
            self.counts["accepted"] += 1
            key = partition, offset
            if key in self.answered:
                return self.match(partition, when, intake, self.answered.pop(key))
            self.sent[key] = when, intake
            return []

    def reply_seen(self, partition, source_offset, when):
        with self.lock:
            if source_offset < self.next_source[partition]:
                return []                   # a copy
            self.next_source[partition] = source_offset + 1
            self.counts["answered"] += 1
            key = partition, source_offset
            if key in self.sent:
                return self.match(partition, *self.sent.pop(key), when)
            self.answered[key] = when       # its call had no 202, or the clients' log isn't read so far yet
            self.forget_old(when)
            return []

    def forget_old(self, now):
        if len(self.answered) > 20000:
            self.answered = {k: t for k, t in self.answered.items() if t > now - 60}

    def match(self, partition, sent, intake, answered):
        over = []
        for watch in list(self.watches):
            place = partition if watch.intake is None else None
            if sent < watch.since or place not in watch.waiting or watch.intake not in (None, intake):
                continue
            watch.waiting.discard(place)
            watch.last = max(watch.last, answered)
            if not watch.waiting:
                self.watches.remove(watch)
                over.append(watch)
        return over


def percentile(values, share):
    """The smallest value that so many of them are at or below."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def table(measured):
    """[(kind, seconds, alone)] -> rows (kind, count, p50, max, count alone, p50 alone, max alone), the slowest first."""
    rows = []
    for kind in sorted({k for k, _, _ in measured}):
        every = [s for k, s, _ in measured if k == kind]
        alone = [s for k, s, a in measured if k == kind and a]
        rows.append((kind, len(every), percentile(every, 50), max(every), len(alone), percentile(alone, 50) if alone else None, max(alone) if alone else None))
    return sorted(rows, key=lambda row: -row[2])
