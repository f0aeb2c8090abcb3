"""paybuf recover database: an older database after a real backup under load; killed on the way, too."""
import os
import random
import signal
import subprocess
import threading
import time

from recovering import ACCOUNTS, halted, orders, plan_of, restore_backup, take_backup, told
from stack import wait_until

OWN_SERVERS = True                   # a pair of its own: see conftest.servers


class Load(threading.Thread):
    """Appends requests, 200 at a time, until it is stopped."""

    def __init__(self, ledger, seed, pause_s):
        super().__init__(daemon=True)
        self.ledger, self.seed, self.pause_s, self.enough = ledger, seed, pause_s, threading.Event()
        self.producer = ledger.producer()
        self.appended, self.error = 0, None

    def run(self):
        try:
            self.append_until_stopped()
        except BaseException as error:      # told by stop, in the test's thread
            self.error = error

    def append_until_stopped(self):
        for part in range(10000):
            requests = self.ledger.workload(1000, ACCOUNTS, seed=self.seed * 10000 + part)
            for at in range(0, len(requests), 200):
                if self.enough.is_set():
                    return
                self.ledger.append(requests[at:at + 200], producer=self.producer)
                self.appended += 200
                time.sleep(self.pause_s)

    def stop(self):
        self.enough.set()
        self.join(90)
        assert not self.is_alive() and self.error is None, self.error


def recover_until_done(ledger, dice, *arguments, kills):
    """Starts recover again and again and kills it at a random moment, later and later; then lets it come to its end."""
    for kill in range(kills):
        child = subprocess.Popen([ledger.binary("paybuf"), "--config", str(ledger.run_dir / "paybuf.conf"), "recover", *arguments],
                                 env={**ledger.environment, **ledger.env}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0, 0.25 * (kill + 1)))
        child.kill()
        child.wait(10)
        if not halted(ledger):          # it was as fast as that
            assert kill > 0, "recover was never killed in the middle"
            assert "nothing to recover" in ledger.cli("recover", *arguments).stderr, "the ledger is open before recover came to its end"
            return
    ledger.cli("recover", *arguments)


ROUNDS = int(os.environ.get("PAYBUF_TEST_RECOVER_ROUNDS", 1))       # a campaign: more accidents, one after the other


def accident(ledger, servers, dice, seed):
    """A backup under load, a top-up and more load behind it, everything killed at a random moment, the backup restored."""
    load = Load(ledger, seed, pause_s=dice.choice([0.01, 0.05]))
    load.start()
    wait_until(lambda: load.appended >= 1000, 60, "load")
    take_backup(servers)
    ledger.cli("account", "topup", "a-3", "5000", "--id", f"lost-{seed}")
    settled, enough = ledger.lanes(), dice.randint(600, 2000)
    wait_until(lambda: sum(max(0, lane["replied_offset"] - settled[p]["next_offset"]) for p, lane in ledger.lanes().items()) >= enough, 120,
               "answers behind the backup and the top-up")
    time.sleep(dice.uniform(0, 0.5))
    workers = [name for name in ("worker-1", "worker-2") if dice.random() < 0.7]
    for name in workers:
        os.kill(ledger.pid(name), signal.SIGKILL)
    restore_backup(servers)
    load.stop()
    for name in workers:
        ledger.children[name].wait(10)
        ledger.start(name, wait=False)


def test_a_backup_taken_under_load_and_restored_is_brought_up_to_what_was_told(new_ledger, servers):
    for seed in range(ROUNDS):
        ledger = new_ledger(accounts=ACCOUNTS, partitions=4, workers=("worker-1", "worker-2"))
        dice = random.Random(seed)
        accident(ledger, servers, dice, seed)
        wait_until(lambda: halted(ledger), 120, "the ledger halted")
        before = told(ledger)
        plan = plan_of(ledger.cli("recover", "database", "-o", "json", ok=(4,)))
        print("round", seed, plan["summary"])
        assert plan["summary"]["contradictions"] == 0, plan["contradictions"]
        assert [(a["account_id"], a["kind"], a["amount_minor"]) for a in plan["adjustments"]] == [("a-3", "credit", 5000)], plan["adjustments"]
        assert plan["summary"]["replies"] > 500
        done = ledger.cli("recover", "database", "--yes", ok=(4,))
        assert "a-3" in done.stdout and halted(ledger), "nothing is booked that wasn't asked for"
        assert ledger.sql("SELECT count(*) FROM paybuf.adjustment WHERE kind = 'credit'") == [(0,)]
        recover_until_done(ledger, dice, "database", "--yes", "--book-adjustments", kills=6)
        assert halted(ledger) is None
        ledger.append(orders(f"afterwards-{seed}", 200))
        ledger.wait_at_rest()
        ledger.check()
        after = told(ledger)
        assert all(after[p][:len(before[p])] == before[p] for p in before)
        ledger.kill_children()
