#!/usr/bin/env python3
"""crash_points - the real worker killed at every port call, once and twice, on real Kafka and PostgreSQL; then the second opinion.

    PAYBUF_TEST_BIN_DIR=build/dev/bin tests/e2e/crash_points.py             # every single point
    PAYBUF_TEST_BIN_DIR=build/dev/bin tests/e2e/crash_points.py --pairs     # every pair of kinds of points, each at its first occurrence
    ... --pairs --last                                                      # and at its last one
    ... --only settle.write:2:late,answers.look_up:1:before                 # one case again
    --jobs 8   --seed S (the order)   --state FILE (what is done; goes on where it was stopped)   --run-dir DIR (servers, logs)

A case: a small workload is appended (paid, declined, duplicate, conflict, invalid with a dead letter, attempts in and out of sequence; two
partitions; an aborted transaction leaves a hole in the middle of one and at the end of the other), then one worker after the other lives on it, each killed at its point (worker/crash_point.h names them), the last one not. When
everything is settled and answered, check_history judges the whole ledger. Not getting there within REST_WITHIN_S is a violation, too.
The points of a second worker are those that the second worker after this very first crash really came by.

The ledger serves for ROUNDS cases, so that most cases begin behind records of others, and the first ones on empty logs.
Last line: "crash points: N cases, V violations"; exit 4 when V isn't 0. What is kept of a violation lies in DIR/violations.
"""
import argparse
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from queue import Empty, Queue

from confluent_kafka import Producer

import check_history
import history as histories
from stack import QUIET, Stack, wait_until

KILLED = 137
ROUNDS = 25
REST_WITHIN_S = 180
BATCH = "4"             # several settles for a dozen records
MOMENTS = ("before", "after", "late")
# What leaves a trace elsewhere: only these differ by whether the other side has acted before the worker died.
LASTING = {"lane.claim", "settle.begin", "settle.write", "reply.publish", "letter.publish", "group.commit", "publisher.open", "ledger.connect"}
ACCOUNTS = {"rich": 10**12, "poor": 10}


def workload(tag):
    """{partition: [requests]}: a dozen, with fresh orders."""
    def pay(order, account="rich", amount_minor=7, **more):
        return {"order_id": f"{tag}-{order}", "account_id": account, "amount_minor": amount_minor, "currency": "EUR", **more}
    return {0: [pay("a"), pay("b", "poor", 500), pay("a"), (b"garbage", b"no request", [("odd", b"\xff")]), pay("b", "rich", 5, attempt=2), pay("c", "nobody")],
            1: [pay("d"), pay("d", amount_minor=8), pay("a"), pay("e", attempt=3), pay("d"), pay("f", metadata={"note": tag})]}


# --- one life, one case ----------------------------------------------------------------------------------------------

class Place:
    """A ledger of its own, for some cases one after the other."""

    def __init__(self, servers, number):
        self.ledger = servers.new_ledger(f"crash{number}", partitions=2, workers=())
        for account, opening_minor in ACCOUNTS.items():
            self.ledger.open_accounts([account], opening_minor=opening_minor)
        self.database = self.ledger.connect()
        self.database.autocommit = True
        self.transactions = Producer({"bootstrap.servers": self.ledger.bootstrap(), "transactional.id": self.ledger.group, **QUIET})
        self.transactions.init_transactions(60)
        self.ends = {0: 0, 1: 0}
        self.rounds = 0

    def close(self):
        self.database.close()
        self.ledger.drop()
        self.ledger.servers.ledgers.remove(self.ledger)

    def append(self):
        requests = workload(f"r{self.rounds}")
        self.ledger.append(requests[1], partition=1)
        self.ledger.append(requests[0][:3], partition=0)
        self.transactions.begin_transaction()
        for partition in requests:
            self.transactions.produce(self.ledger.requests, b"aborted", b"aborted", partition)
        self.transactions.flush(60)
        self.transactions.abort_transaction(60)
        self.ledger.append(requests[0][3:], partition=0)
        hole = 2                                            # the aborted record and the mark behind it, which comes a moment later
        self.ends = {partition: end + len(requests[partition]) + hole for partition, end in self.ends.items()}
        wait_until(lambda: {partition: end for partition, (_, end) in self.ledger.bounds().items()} == self.ends, 90, f"the logs end at {self.ends}")
        self.rounds += 1

    def at_rest(self):
        with self.database.cursor() as cursor:
            cursor.execute("SELECT partition, next_offset, replied_offset, anchor_offset, halted_reason FROM paybuf.processed_offset")
            rows = cursor.fetchall()
        halted = [row for row in rows if row[4]]
        if halted:
            raise AssertionError(f"halted: {halted}")
        return all(p == self.ends[partition] and replied > anchor for partition, p, replied, anchor, _ in rows if anchor is not None) \
            and sum(p for _, p, *_ in rows) == sum(self.ends.values())

    def live(self, point, trace):
        """One worker until it dies at its point or everything rests; answers whether it died there."""
        crash = {"PAYBUF_TEST_CRASH_AT": point} if point else {}
        self.ledger.start("worker-1", wait=False, PAYBUF_TEST_CRASH_TRACE=str(trace), PAYBUF_WORKER_BATCH_RECORDS_MAX=BATCH, **crash)
        worker = self.ledger.children["worker-1"]
        deadline = time.monotonic() + REST_WITHIN_S
        rests_since = None
        while worker.poll() is None:
            time.sleep(0.03)
            now = time.monotonic()
            if rests_since is None and self.at_rest():
                rests_since = now
            if rests_since is not None and now - rests_since > (0.25 if point else 0):      # the point may be what comes last
                break
            if now > deadline:
                raise AssertionError(f"not everything was answered within {REST_WITHIN_S} s: {self.ledger.lanes()}, ends {self.ends}")
        died = worker.poll() is not None
        if died and worker.returncode != KILLED:
            raise AssertionError(f"the worker ended with {worker.returncode}: {self.ledger.log('worker-1')[-2000:]}")
        if not died:
            worker.kill()
            worker.wait(10)
        self.ledger.expel_members()
        return died

    def judge(self, directory):
        directory.mkdir(exist_ok=True)
        histories.dump(directory, self.ledger.env)
        verdict = check_history.judge(histories.Directory(directory), one_clock=True)
        if verdict.differences:
            raise AssertionError("\n".join(verdict.first))


class Result:
    def __init__(self, case):
        self.case, self.died, self.traces, self.failure = case, [], [], None


def run_case(place, case, scratch):
    """Lives it through on this place; a Result with the trace of each life."""
    result = Result(case)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        place.append()
        for number, point in enumerate((*case, None)):
            trace = scratch / f"trace-{number}"
            result.died.append(place.live(point, trace))
            result.traces.append(trace.read_text().splitlines() if trace.exists() else [])
        place.judge(scratch / "history")
    except AssertionError as failure:
        result.failure = str(failure)
    return result


# --- which points ----------------------------------------------------------------------------------------------------

def moments_of(kind, name):
    if kind == "poll":
        return ("after",)
    return MOMENTS if name in LASTING else ("before",)


def all_points(trace):
    """Every call of a life, at each moment that differs from the call before it."""
    for line in trace:
        kind, call = line.split()
        if kind != "died":
            for moment in moments_of(kind, call.split(":")[0]):
                yield f"{call}:{moment}"


def chosen_points(trace, last=False):
    """Of each kind of call its first occurrence and (last) its last one."""
    occurrences = {}
    for line in trace:
        kind, call = line.split()
        if kind != "died":
            occurrences.setdefault((kind, call.split(":")[0]), []).append(call)
    for (kind, name), calls in occurrences.items():
        for call in dict.fromkeys((calls[0], calls[-1]) if last else calls[:1]):
            for moment in moments_of(kind, name):
                yield f"{call}:{moment}"


# --- many cases side by side -----------------------------------------------------------------------------------------

class Campaign:
    def __init__(self, servers, scratch, jobs, state=None, say=print):
        self.servers, self.scratch, self.jobs, self.state, self.say = servers, Path(scratch), jobs, state, say
        self.lock = threading.Lock()
        self.done = {}                                      # {case: {"died", "second" (its second life's trace), "failure"}}
        self.places = 0
        self.stopping = False
        if state and Path(state).exists():
            for line in Path(state).read_text().splitlines():
                entry = json.loads(line)
                self.done[tuple(entry["case"])] = entry

    def violations(self):
        return [entry for entry in self.done.values() if entry["failure"]]

    def new_place(self):
        with self.lock:
            self.places += 1
            number = self.places
        return Place(self.servers, number)

    def trace_of_a_clean_life(self):
        """What a worker that nobody kills comes by, behind the records of an earlier round."""
        place = self.new_place()
        try:
            for _ in range(2):
                result = run_case(place, (), self.scratch / "clean")
                assert result.failure is None, result.failure
            return result.traces[0]
        finally:
            place.close()

    def run(self, cases):
        """Runs those that aren't done yet; what a case raises beyond its violations ends the campaign."""
        queue = Queue()
        for case in cases:
            if case not in self.done:
                queue.put(case)
        failures = []
        threads = [threading.Thread(target=self.work, args=(queue, number, failures)) for number in range(min(self.jobs, queue.qsize()))]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:                           # the cases at work are lived to their end
            self.stopping = True
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]

    def work(self, queue, number, failures):
        place = None
        try:
            while not self.stopping:
                case = queue.get_nowait()
                place = place or self.new_place()
                result = run_case(place, case, self.scratch / f"job-{number}")
                self.note(place, result, self.scratch / f"job-{number}")
                if result.failure or place.rounds >= ROUNDS:
                    place.close()
                    place = None
        except Empty:
            pass
        except BaseException as failure:
            self.stopping = True
            failures.append(failure)
        finally:
            if place is not None:
                place.close()

    def note(self, place, result, scratch):
        entry = {"case": result.case, "died": result.died[:-1], "second": result.traces[1] if len(result.traces) > 1 else [], "failure": result.failure}
        if result.failure:
            kept = self.scratch / "violations" / re.sub("[^a-z0-9.]+", "-", "--".join(result.case))
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(scratch, kept)
            shutil.copy(place.ledger.run_dir / "log" / "worker-1.log", kept)
            self.say(f"violation at {', '.join(result.case)}: {result.failure[:1000]}\n  kept in {kept}")
        with self.lock:
            self.done[result.case] = entry
            if self.state:
                with open(self.state, "a") as file:
                    file.write(json.dumps(entry) + "\n")
            if len(self.done) % 100 == 0:
                self.say(f"crash points: {len(self.done)} cases so far, {len(self.violations())} violations")

    def pairs(self, firsts, last=False):
        """Behind each first crash the chosen points that the second worker then came by."""
        return [(first, second) for first in firsts if self.done[first,]["died"] == [True] and not self.done[first,]["failure"]
                for second in chosen_points(self.done[first,]["second"], last)]

    def kinds(self):
        """{kind of point and moment: how often a worker died there}, for the report."""
        count = Counter()
        for entry in self.done.values():
            for point, died in zip(entry["case"], entry["died"]):
                name, _, moment = point.split(":")
                count[f"{name}:{moment}" if died else "never came by its point"] += 1
        return count


def run_campaign(campaign, arguments):
    rng = random.Random(arguments.seed)

    def shuffled(points):
        points = list(points)
        rng.shuffle(points)
        return points

    if arguments.only:
        campaign.run([tuple(case.split(",")) for case in arguments.only])
        return
    trace = campaign.trace_of_a_clean_life()
    if not arguments.pairs:
        campaign.run([(point,) for point in shuffled(all_points(trace))])
        return
    firsts = list(chosen_points(trace, arguments.last))
    campaign.run([(point,) for point in shuffled(firsts)])
    if not campaign.stopping:
        campaign.run(shuffled(campaign.pairs(firsts, arguments.last)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", action="store_true", help="two crashes a case")
    parser.add_argument("--last", action="store_true", help="with --pairs: also at the last occurrence of each kind")
    parser.add_argument("--only", action="append", metavar="POINT[,POINT]", help="this case alone; repeatable")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which cases run")
    parser.add_argument("--jobs", type=int, default=8, help="cases side by side")
    parser.add_argument("--state", metavar="FILE", help="cases that are done, one a line; they aren't run again")
    parser.add_argument("--run-dir", metavar="DIR", help="for servers and logs; a new one below TMPDIR unless given")
    arguments = parser.parse_args()
    run_dir = Path(arguments.run_dir or tempfile.mkdtemp(prefix="crash-points-"))
    servers = Stack(run_dir)
    campaign = Campaign(servers, run_dir / "cases", arguments.jobs, arguments.state, say=lambda text: print(text, flush=True))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        servers.up_servers()
        run_campaign(campaign, arguments)
    finally:
        servers.down()
    for kind, count in sorted(campaign.kinds().items()):
        print(f"{count:6} {kind}")
    violations = len(campaign.violations())
    if not violations and not arguments.run_dir:
        shutil.rmtree(run_dir, ignore_errors=True)
    print(f"crash points: {len(campaign.done)} cases, {violations} violations")
    return 4 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
