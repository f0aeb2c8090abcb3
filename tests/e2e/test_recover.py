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
        self.appended = 0

    def run(self):
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
        self.join(60)


def recover_until_done(ledger, *arguments, kills):
    """Starts recover again and again and kills it at a random moment; then lets it come to its end."""
    for _ in range(kills):
        child = subprocess.Popen([ledger.binary("paybuf"), "--config", str(ledger.run_dir / "paybuf.conf"), "recover", *arguments],
                                 env={**ledger.environment, **ledger.env}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, 1.5))
        child.kill()
        child.wait(10)
        assert halted(ledger), "the ledger is open before recover came to its end"
    ledger.cli("recover", *arguments)


ROUNDS = int(os.environ.get("PAYBUF_TEST_RECOVER_ROUNDS", 1))       # a campaign: more accidents, one after the other


def accident(ledger, servers, dice, seed):
    """A backup under load, a top-up and more load behind it, everything killed at a random moment, the backup restored."""
    load = Load(ledger, seed, pause_s=dice.choice([0.01, 0.05]))
    load.start()
    wait_until(lambda: load.appended >= 1000, 60, "load")
    take_backup(servers)
    at_backup = load.appended
    ledger.cli("account", "topup", "a-3", "5000", "--id", f"lost-{seed}")
    enough = at_backup + dice.randint(600, 2000)
    wait_until(lambda: load.appended >= enough, 60, "load behind the backup")
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
        accident(ledger, servers, random.Random(seed), seed)
        wait_until(lambda: halted(ledger), 90, "the ledger halted")
        before = told(ledger)
        plan = plan_of(ledger.cli("recover", "database", "-o", "json", ok=(4,)))
        print("round", seed, plan["summary"])
        assert plan["summary"]["contradictions"] == 0, plan["contradictions"]
        assert [(a["account_id"], a["kind"], a["amount_minor"]) for a in plan["adjustments"]] == [("a-3", "credit", 5000)], plan["adjustments"]
        assert plan["summary"]["replies"] > 500
        done = ledger.cli("recover", "database", "--yes", ok=(4,))
        assert "a-3" in done.stdout and halted(ledger), "nothing is booked that wasn't asked for"
        assert ledger.sql("SELECT count(*) FROM paybuf.adjustment WHERE kind = 'credit'") == [(0,)]
        recover_until_done(ledger, "database", "--yes", "--book-adjustments", kills=6)
        assert halted(ledger) is None
        ledger.append(orders(f"afterwards-{seed}", 200))
        ledger.wait_at_rest(90)
        ledger.check()
        after = told(ledger)
        assert all(after[p][:len(before[p])] == before[p] for p in before)
        ledger.kill_children()
