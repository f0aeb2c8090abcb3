"""plan - which faults a run has, when, and for how long: the same seed makes the same plan. Pure.

A plan is a list of Fault in order of time. Targets that depend on the moment ("the broker that leads most") are named, and found when their
time comes. Rules that the plan keeps:
  1. One process has one fault of its own at a time (dead, frozen, stopped, full, slow, another clock); lines between nodes may be cut meanwhile.
  2. At most one broker is down, frozen or full at a time, but for a `quorum` fault: two for at most QUORUM_S. So is a cut between brokers.
  3. Every fault is undone within HOLD_MAX_S, the last one before the end.
  4. Two phases of PHASE_S with everything at once, then one of `alone` faults: each begins at least CALM_S after the one before was undone,
     and, which no plan can know, when payments are answered again. So the recovery from one fault alone is measured.
"""
import random
from dataclasses import dataclass

HOLD_MAX_S = 20.0
QUORUM_S = 6.0
PHASE_S, CALM_S = 60.0, 4.0
FIRST_S = 3.0
EVERY_S = 2.2

BROKERS = ["broker-1", "broker-2", "broker-3"]
WORKERS = ["worker-1", "worker-2", "worker-3"]
INTAKES = ["intake-1", "intake-2"]
LISTENERS = ["listener-1", "listener-2"]


@dataclass(frozen=True)
class Fault:
    at_s: float
    kind: str
    target: str                             # a node; for a cut "a|b"
    hold_s: float                           # until it is undone
    how: str = ""                           # what the kind needs to know
    alone: bool = False                     # begins when all faults before it are recovered from

    def ends_s(self):
        return self.at_s + self.hold_s


# kind, weight, targets, shortest and longest hold, ways
TABLE = [
    ("kill", 10, WORKERS, 0.1, 3.0, [""]),
    ("kill", 5, INTAKES, 0.1, 3.0, [""]),
    ("kill", 3, LISTENERS, 0.1, 2.0, [""]),
    ("kill", 2, BROKERS, 0.2, 5.0, [""]),
    ("kill", 4, ["postgres"], 0.1, 3.0, ["KILL", "QUIT", "backend", "backend"]),
    ("kill-leader", 1, ["leader"], 0.2, 5.0, [""]),
    ("kill-leader", 1, ["controller"], 0.2, 5.0, [""]),
    ("freeze", 5, WORKERS, 0.5, 20.0, [""]),
    ("freeze", 3, INTAKES, 0.5, 12.0, [""]),
    ("freeze", 1, LISTENERS, 0.5, 10.0, [""]),
    ("freeze", 2, BROKERS, 0.5, 12.0, [""]),
    ("freeze", 2, ["postgres"], 0.5, 8.0, [""]),
    ("restart", 3, WORKERS, 0.1, 1.0, [""]),
    ("restart", 2, INTAKES, 0.1, 1.0, [""]),
    ("restart", 1, BROKERS, 0.1, 1.0, [""]),
    ("restart", 1, ["postgres"], 0.1, 1.0, [""]),
    ("quorum", 1, ["two brokers"], 1.0, QUORUM_S, [""]),
    ("cut", 8, [f"{w}|{b}" for w in WORKERS for b in BROKERS], 0.2, 15.0, ["both", "a-hears-nothing", "b-hears-nothing", "reset", "loss"]),
    ("cut", 6, [f"{w}|postgres" for w in WORKERS], 0.2, 15.0, ["both", "a-hears-nothing", "b-hears-nothing", "reset", "loss"]),
    ("cut", 4, [f"{i}|{b}" for i in INTAKES for b in BROKERS], 0.2, 15.0, ["both", "a-hears-nothing", "b-hears-nothing", "reset", "loss"]),
    ("cut", 4, ["broker-1|broker-2", "broker-1|broker-3", "broker-2|broker-3"], 0.2, 10.0, ["both", "a-hears-nothing", "b-hears-nothing", "loss"]),
    ("unplug", 2, WORKERS + INTAKES, 0.5, 12.0, [""]),
    ("narrow", 1, WORKERS, 2.0, 10.0, ["64", "256"]),
    ("disk-full", 1, ["postgres", "broker-1"], 2.0, 8.0, [""]),
    ("slow-disk", 1, ["postgres"], 2.0, 10.0, ["50", "200", "500"]),
    ("slow-disk", 1, BROKERS, 2.0, 8.0, ["80"]),
    ("clock", 3, ["worker-3", "intake-2"], 1.0, 10.0, ["3600", "-3600", "90", "-90"]),
]
KINDS = {row[0] for row in TABLE}


def make(seed, minutes, pace=1.0, kinds=None, always_alone=False):
    """The plan of a run. pace: faults come so many times as often as every EVERY_S. kinds: only these (what this machine can do)."""
    rng = random.Random(seed)
    table = [row for row in TABLE if kinds is None or row[0] in kinds]
    faults, now, end = [], FIRST_S, minutes * 60.0
    while True:
        now += rng.expovariate(pace / EVERY_S)
        alone = always_alone or now // PHASE_S % 3 == 2
        if alone and faults:
            now = max(now, max(map(back_s, faults)) + CALM_S)
        if now >= end - 2:
            return faults
        for fault in draw(rng, table, now, end, alone):
            if fits(fault, faults):
                faults.append(fault)
                if alone:
                    break


def draw(rng, table, now, end, alone):
    """One fault, or of cuts sometimes several at once."""
    kind, _, targets, shortest, longest, ways = rng.choices(table, [row[1] for row in table])[0]
    count = rng.choice([1, 1, 2, 4]) if kind == "cut" else 1
    for target in rng.sample(targets, min(count, len(targets))):
        # Many short ones, few long ones; undone before the end of the run.
        hold_s = shortest + (min(longest, HOLD_MAX_S) - shortest) * rng.random() ** 2
        yield Fault(round(now, 1), kind, target, round(min(hold_s, max(end - now, shortest)), 1), rng.choice(ways), alone)


def nodes_of(fault):
    """The nodes that have it as a fault of their own. `leader` and the like may be any broker."""
    if fault.kind in ("kill-leader", "quorum"):
        return set(BROKERS)
    if fault.kind == "cut":
        return set(fault.target.split("|")) if is_among_brokers(fault) else set()
    return {fault.target}


def is_among_brokers(fault):
    return fault.kind == "cut" and all(n in BROKERS for n in fault.target.split("|"))


def weakens_brokers(fault):
    return fault.kind in ("kill-leader", "quorum") or is_among_brokers(fault) or fault.target in BROKERS


def back_s(fault):
    """When its target is well again: a broker that was dead takes some seconds to serve."""
    dead = fault.kind in ("kill", "kill-leader", "restart", "quorum", "disk-full")
    return fault.ends_s() + (6.0 if weakens_brokers(fault) and dead else 1.0 if dead else 0.2)


def fits(fault, faults):
    for other in faults:
        if back_s(other) <= fault.at_s:
            continue
        if nodes_of(fault) & nodes_of(other) or weakens_brokers(fault) and weakens_brokers(other) or same_line(fault, other):
            return False
    return True


def same_line(one, other):
    return one.kind == other.kind == "cut" and one.target == other.target
