"""faults - carries out one Fault of the plan. Each kind is a method that breaks something and answers how to undo it; the undoing answers
(since, text): the moment from which recovery counts, and what it was, in words for one line.

Threads: one per fault; the plan sees to it that no two of them want the same process.
"""
import os
import random
import signal
import threading
import time

import net
from nodes import END_LIMIT_S

BURST_STOPPED_S, BURST_RUNNING_S = 0.08, 0.04


class Faults:
    def __init__(self, place, disks, leader_of):
        """leader_of("leader" or "controller"): the name of a broker."""
        self.place, self.lines, self.disks, self.leader_of = place, place.lines, disks, leader_of
        self.counts = {"kills": 0, "freezes": 0, "cuts": 0, "restarts": 0, "others": 0}
        self.lock = threading.Lock()
        self.random = random.Random(0)      # which backend dies

    def carry_out(self, fault):
        """Breaks it, holds it, undoes it; (since, text). since is None when nothing could be broken."""
        undo = getattr(self, fault.kind.replace("-", "_"))(fault)
        if undo is None:
            return None, "was not there"
        time.sleep(fault.hold_s)
        return undo()

    def count(self, what, hit=1):
        with self.lock:
            self.counts[what] += hit

    # --- processes ---

    def kill(self, fault):
        if fault.how == "backend":
            return self.kill_backend()
        return self.kill_node(self.place.nodes[fault.target], fault)

    def kill_backend(self):
        backends = self.place.postgres.backends()
        if not backends:
            return None
        began = time.time()
        os.kill(self.random.choice(backends), signal.SIGKILL)
        self.count("kills")
        return lambda: (began, "kill -9 of a backend; PostgreSQL ends all and recovers")

    def kill_node(self, node, fault, more=""):
        began = time.time()
        quit_ = fault.how == "QUIT"
        if not node.kill(signal.SIGQUIT if quit_ else signal.SIGKILL):
            node.start()
            return None
        self.count("kills")

        def undo():
            node.start()
            # Other workers take over from a dead one, so recovery counts from its death.
            word = "immediate shutdown (SIGQUIT)" if quit_ else "kill -9"
            return began if node.role == "worker" else time.time(), f"{word}{more}, started again after {fault.hold_s:.1f} s"
        return undo

    def kill_leader(self, fault):
        name = self.leader_of(fault.target)
        node = self.place.nodes[name]
        undo = self.kill_node(node, fault, f" of {name}" + (", which leads most partitions" if fault.target == "leader" else ""))
        # Another broker takes over: its recovery counts from the death.
        began = time.time()
        return undo and (lambda: (began, undo()[1]))

    def quorum(self, fault):
        """Two brokers at once: no partition has its two in-sync replicas, and no controller is elected."""
        pair = self.random.sample(self.place.brokers, 2)
        hits = [node.freeze() for node in pair]
        self.count("freezes", sum(hits))

        def undo():
            for node in pair:
                node.thaw()
            return time.time(), f"{pair[0].name} and {pair[1].name} frozen at once for {fault.hold_s:.1f} s"
        return undo

    def freeze(self, fault):
        node = self.place.nodes[fault.target]
        family = self.place.postgres.family() if node is self.place.postgres else []
        if not node.freeze():
            node.thaw()
            return None
        send(family, signal.SIGSTOP)
        self.count("freezes")

        def undo():
            send(family, signal.SIGCONT)
            node.thaw()
            return time.time(), f"frozen (SIGSTOP) for {fault.hold_s:.1f} s"
        return undo

    def restart(self, fault):
        node = self.place.nodes[fault.target]
        began = time.time()
        if not node.kill(signal.SIGINT if node is self.place.postgres else signal.SIGTERM):
            node.start()
            return None
        how = f"stopped in order ({time.time() - began:.1f} s)"
        if node.process.returncode == -signal.SIGKILL:
            how = f"did not end within {END_LIMIT_S} s of SIGTERM and was killed"
        self.count("restarts")

        def undo():
            node.start()
            return time.time(), f"{how}, started again"
        return undo

    # --- lines ---

    def cut(self, fault):
        a, b = fault.target.split("|")
        way = "both" if fault.how == "loss" and not self.lines.loses_packets else fault.how
        cut = self.lines.cut(a, b, way)
        self.count("cuts")

        def undo():
            self.lines.heal(cut)
            word = {"both": "cut", "a-hears-nothing": f"one way, {a} hears nothing", "b-hears-nothing": f"one way, {b} hears nothing",
                    "reset": "refused (RST)", "loss": f"loses {net.LOSS_PERCENT}% of its packets"}[way]
            return time.time(), f"line {word} for {fault.hold_s:.1f} s"
        return undo

    def unplug(self, fault):
        self.lines.unplug(fault.target)
        self.count("cuts")

        def undo():
            self.lines.plug(fault.target)
            return time.time(), f"unplugged for {fault.hold_s:.1f} s"
        return undo

    def narrow(self, fault):
        self.lines.narrow(fault.target, int(fault.how))
        self.count("others")

        def undo():
            self.lines.narrow(fault.target, 0)
            return time.time(), f"sends no more than {fault.how} kbit/s for {fault.hold_s:.1f} s"
        return undo

    # --- disks and clocks ---

    def disk_full(self, fault):
        node = self.place.nodes[fault.target]
        node.wanted = False                 # as long as there is no room, starting it again helps nobody
        self.disks.fill(fault.target)
        self.count("others")

        def undo():
            self.disks.free(fault.target)
            with node.lock:
                ended = not node.alive()
                node.start()
                node.wanted = True
            return time.time(), f"disk full for {fault.hold_s:.1f} s" + (", which ended it; started again" if ended else "")
        return undo

    def slow_disk(self, fault):
        ms = int(fault.how)
        self.count("others")
        if fault.target == "postgres":
            self.place.postgres.slow(ms)

            def undo():
                self.place.postgres.slow(0)
                return time.time(), f"each fsync {ms} ms longer for {fault.hold_s:.1f} s"
            return undo
        node = self.place.nodes[fault.target]
        end = time.monotonic() + fault.hold_s
        bursts = threading.Thread(target=stutter, args=(node, end), daemon=True)
        bursts.start()

        def undo():
            bursts.join()
            node.thaw()
            return time.time(), f"stutters ({BURST_STOPPED_S * 1000:.0f} ms in {(BURST_STOPPED_S + BURST_RUNNING_S) * 1000:.0f}) for {fault.hold_s:.1f} s"
        return undo

    def clock(self, fault):
        node = self.place.nodes[fault.target]
        node.set_clock(int(fault.how))
        self.count("others")

        def undo():
            node.set_clock(0)
            return time.time(), f"clock jumped {int(fault.how):+d} s, and back after {fault.hold_s:.1f} s"
        return undo


def stutter(node, end):
    while time.monotonic() < end and node.freeze():
        time.sleep(BURST_STOPPED_S)
        node.thaw()
        time.sleep(BURST_RUNNING_S)


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
