"""Logs and databases that went back in time, were emptied or replaced: the lane or the ledger stops, loudly, and decides nothing."""
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from stack import wait_until

OWN_SERVERS = True                   # a pair of its own: see conftest.servers
ACCOUNTS = [f"a-{i}" for i in range(10)]


def orders(prefix, count):
    return [{"order_id": f"{prefix}-{i}", "account_id": ACCOUNTS[i % 10], "amount_minor": 1, "currency": "EUR"} for i in range(count)]


def halted(ledger, partition, reason, timeout_s=90):
    wait_until(lambda: ledger.lanes()[partition]["halted_reason"], timeout_s, f"partition {partition} halted")
    assert ledger.lanes()[partition]["halted_reason"] == reason


def money(ledger):
    return ledger.sql("SELECT count(*), sum(amount_minor) FROM paybuf.payment WHERE outcome = 'paid'")[0]


# --- one lane each: four partitions are broken in four ways under a stopped worker, the fifth goes on ---

@pytest.fixture(scope="module")
def broken(servers):
    ledger = servers.new_ledger("broken", partitions=5, accounts=ACCOUNTS)
    for partition in range(5):
        ledger.append(orders(f"first-{partition}", 20), partition=partition)
    ledger.wait_at_rest()
    ledger.check()
    ledger.kill(expel=True)
    ledger.append(orders("lost", 20), partition=0)                          # accepted, never settled, and deleted
    ledger.delete_records(ledger.requests, 0, 30)
    ledger.delete_records(ledger.requests, 1, 20)                           # everything settled and answered: harmless
    copy_reply(ledger, 2, {"ledger-id": b"11111111-2222-3333-4444-555555555555", "source-offset": b"20", "covers-from": b"20"})
    ledger.sql("UPDATE paybuf.processed_offset SET anchor_crc32c = anchor_crc32c # 1 WHERE partition = 3")
    ledger.start()
    for partition in range(5):
        ledger.append(orders(f"second-{partition}", 10), partition=partition)
    wait_until(lambda: all(ledger.lanes()[p]["replied_offset"] == 30 for p in (1, 4)), 90, "the healthy lanes go on")
    return ledger


def copy_reply(ledger, partition, changes):
    """A reply like the partition's last one, but for some headers."""
    last = ledger.read(ledger.replies)[partition][-1]
    headers = [(name, changes.get(name, value)) for name, value in last.headers()]
    producer = ledger.producer()
    refused = []
    producer.produce(ledger.replies, last.value(), last.key(), partition, headers=headers, on_delivery=lambda error, _: refused.append(error))
    assert producer.flush(60) == 0 and refused == [None]


def test_requests_that_retention_deleted_before_they_were_settled_halt_requests_lost(broken):
    halted(broken, 0, "requests_lost")
    assert broken.lanes()[0]["next_offset"] == 20


def test_a_start_of_the_log_above_the_anchor_is_no_harm_where_everything_was_answered(broken):
    assert broken.lanes()[1] == {**broken.lanes()[1], "halted_reason": None, "next_offset": 30, "replied_offset": 30}


def test_another_ledgers_reply_halts_foreign_ledger(broken):
    halted(broken, 2, "foreign_ledger")
    assert broken.lanes()[2]["next_offset"] == 20


def test_another_record_at_the_anchor_halts_log_replaced(broken):
    halted(broken, 3, "log_replaced")
    assert broken.lanes()[3]["next_offset"] == 20


def test_a_halt_says_why_in_status_metrics_and_log_and_is_lifted_by_a_person(broken):
    wait_until(lambda: broken.metric("worker-1", "paybuf_lane_halted", partition=0) == 1, 60, "the metric says that partition 0 is halted")
    wait_until(lambda: "partition 0 halted: requests_lost" in broken.log("worker-1"), 60, "so does the log")
    halted(broken, 3, "log_replaced")
    status = broken.cli("status", ok=(0, 4)).stdout
    assert "requests_lost" in status and "log_replaced" in status
    broken.sql("UPDATE paybuf.processed_offset SET halted_reason = NULL, anchor_crc32c = anchor_crc32c # 1 WHERE partition = 3")
    wait_until(lambda: broken.lanes()[3]["replied_offset"] == 30, 60, "goes on without a restart")


# --- topics deleted and made again ---

def test_a_request_topic_made_again_under_a_running_worker_halts_every_lane_that_had_settled(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=3)
    for partition in (0, 1):
        ledger.append(orders(f"old-{partition}", 20), partition=partition)
    ledger.wait_at_rest()
    before = money(ledger)
    ledger.replace_topic(ledger.requests)
    ledger.append(orders("new-short", 5), partition=0)                      # P is beyond its end: seen twice, 10 s apart
    ledger.append(orders("new-long", 40), partition=1)                      # old positions hold other records
    halted(ledger, 1, "log_replaced")
    halted(ledger, 0, "log_truncated")
    assert money(ledger) == before, "a payment of the new topic was decided at an old position"


def test_a_request_topic_made_again_under_a_stopped_worker_halts_every_lane_that_had_settled(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=3)
    for partition in (0, 1):
        ledger.append(orders(f"old-{partition}", 20), partition=partition)
    ledger.wait_at_rest()
    before = money(ledger)
    ledger.kill(expel=True)
    ledger.replace_topic(ledger.requests)
    ledger.append(orders("new-short", 5), partition=0)
    ledger.append(orders("new-long", 40), partition=1)
    ledger.start()
    halted(ledger, 1, "log_replaced")
    halted(ledger, 0, "log_truncated")
    assert money(ledger) == before, "a payment of the new topic was decided at an old position"


def test_a_reply_topic_made_again_halts_reply_log_truncated(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=2)
    ledger.append(orders("old", 20), partition=0)
    ledger.wait_at_rest()
    ledger.kill(expel=True)
    ledger.replace_topic(ledger.replies)
    ledger.start()
    ledger.append(orders("more", 5), partition=0)
    halted(ledger, 0, "reply_log_truncated")
    assert ledger.lanes()[0]["next_offset"] == 20


# --- strangers ---

def test_a_worker_of_another_group_takes_nothing_and_disturbs_nobody(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=2)
    ledger.append(orders("mine", 20))
    ledger.wait_at_rest()
    epochs = {p: lane["owner_epoch"] for p, lane in ledger.lanes().items()}
    ledger.start("worker-2", PAYBUF_WORKER_GROUP=ledger.group + "-other", wait=False)
    wait_until(lambda: "other_group" in ledger.log("worker-2"), 60, "the stranger says other_group")
    ledger.append(orders("still-mine", 20))
    ledger.wait_at_rest()
    assert {p: lane["owner_epoch"] for p, lane in ledger.lanes().items()} == epochs
    assert all(lane["halted_reason"] is None for lane in ledger.lanes().values())
    ledger.check()


# --- a lane that can't go on, and strangers' rows ---

def test_a_record_that_the_database_refuses_again_and_again_halts_poison_and_holds_up_nobody_else(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=2)
    ledger.sql("ALTER TABLE paybuf.payment ADD CONSTRAINT not_this_one CHECK (order_id <> 'bad-0') NOT VALID")
    ledger.append(orders("before", 10) + orders("bad", 1) + orders("behind", 10), partition=0)
    ledger.append(orders("elsewhere", 20), partition=1)
    halted(ledger, 0, "poison")
    wait_until(lambda: ledger.lanes()[1]["replied_offset"] == 20, 60, "the healthy lane goes on")
    wait_until(lambda: len(ledger.answers(0)) >= 10, 60, "what stood before it is answered")
    assert ledger.lanes()[0]["next_offset"] == 10 and len(ledger.answers(0)) == 10, "what stood before it is decided and answered, nothing behind it"
    wait_until(lambda: "record 1-0-10" in ledger.log("worker-1") and "not_this_one" in ledger.log("worker-1"), 60, "the log names the record and the reason")
    ledger.sql("ALTER TABLE paybuf.payment DROP CONSTRAINT not_this_one")
    ledger.sql("UPDATE paybuf.processed_offset SET halted_reason = NULL")
    ledger.wait_at_rest()
    ledger.check()


def test_a_settled_record_without_a_reason_on_file_halts_broken_invariant_and_is_not_answered(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=2, workers=())
    ledger.append(orders("settled", 10), partition=0)
    ledger.start(wait=False, PAYBUF_TEST_CRASH_AT="settle.write:1:late")       # committed, nothing published
    assert ledger.children["worker-1"].wait(60) == 137
    ledger.expel_members()
    settled = ledger.lanes()[0]["next_offset"]
    assert settled >= 1 and money(ledger)[0] == settled
    ledger.sql("DELETE FROM paybuf.payment WHERE order_id = 'settled-0'")
    ledger.append(orders("elsewhere", 20), partition=1)
    ledger.start()
    halted(ledger, 0, "broken_invariant")
    wait_until(lambda: ledger.lanes()[1]["replied_offset"] == 20, 60, "the healthy lane goes on")
    assert ledger.lanes()[0]["next_offset"] == settled and ledger.answers(0) == {}
    wait_until(lambda: "record 1-0-0: settled, and no reason on file" in ledger.log("worker-1"), 60, "the log names the record")


def test_a_row_at_an_impossible_place_halts_the_lane_that_asks_for_it_and_holds_up_nobody_else(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=2)
    ledger.append(orders("settled", 3), partition=0)
    ledger.wait_at_rest()
    constraint = ledger.sql("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'payment_possible'")[0][0]
    ledger.sql("ALTER TABLE paybuf.payment DROP CONSTRAINT payment_possible; UPDATE paybuf.payment SET src_offset = -5 WHERE order_id = 'settled-1'")
    ledger.append(orders("settled", 3), partition=0)
    ledger.append(orders("elsewhere", 20), partition=1)
    halted(ledger, 0, "broken_invariant")
    wait_until(lambda: ledger.lanes()[1]["replied_offset"] == 20, 60, "the healthy lane goes on")
    assert ledger.lanes()[0]["next_offset"] <= 4 and ledger.children["worker-1"].poll() is None
    wait_until(lambda: "record 1-0-4: a payment row of its order" in ledger.log("worker-1"), 60, "the log names the record")
    ledger.sql(f"UPDATE paybuf.payment SET src_offset = 1 WHERE order_id = 'settled-1'; ALTER TABLE paybuf.payment ADD CONSTRAINT payment_possible {constraint}")
    ledger.cli("recover", "lane", "0", "--yes")
    ledger.wait_at_rest()
    ledger.check()


def test_rows_of_another_cluster_are_not_touched(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=2)
    ledger.append(orders("mine", 20), partition=0)
    ledger.wait_at_rest()
    ledger.kill(expel=True)
    ledger.sql("UPDATE paybuf.processed_offset SET cluster_id = 'AnotherClusterOfKafka0'")
    before = ledger.sql("SELECT * FROM paybuf.processed_offset ORDER BY partition")
    ledger.append(orders("later", 20), partition=0)
    ledger.start(wait=False)
    wait_until(lambda: ledger.log("worker-1").count("halted: other_cluster") == 2, 60, "both lanes say other_cluster")
    wait_until(lambda: ledger.metric("worker-1", "paybuf_lane_halted", partition=0) == 1, 60, "the metric says it, too")
    assert ledger.sql("SELECT * FROM paybuf.processed_offset ORDER BY partition") == before
    assert money(ledger) == (20, 20) and len(ledger.answers()) == 20


# --- the database goes back in time: last, as it takes every ledger of these servers with it ---

def data_directory(servers):
    return Path((servers.run_dir / "postgres.dir").read_text().strip()) / "data"


def copy_directory(source, target):
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def test_a_database_put_back_to_an_older_copy_halts_the_whole_ledger_and_a_restart_without_loss_does_not(new_ledger, servers):
    ledger = new_ledger(accounts=ACCOUNTS, workers=("worker-1", "worker-2"))
    ledger.append(orders("saved", 100))
    ledger.wait_at_rest()
    data = data_directory(servers)
    backup = data.with_name("backup")
    try:
        servers.dev("stop", "postgres")
        copy_directory(data, backup)
        began = time.monotonic()
        servers.dev("start", "postgres")
        ledger.append(orders("after-the-restart", 100))
        ledger.wait_at_rest()
        assert time.monotonic() - began >= 9, "it must wait for replies on the wire before it trusts the database"
        ledger.check()
        servers.dev("stop", "postgres")
        copy_directory(backup, data)
        servers.dev("start", "postgres")
        before = money(ledger)
        ledger.append(orders("too-late", 50))
        wait_until(lambda: ledger.sql("SELECT halted FROM paybuf.ledger")[0][0], 120, "the ledger halted")
    finally:
        shutil.rmtree(backup, ignore_errors=True)
    assert ledger.sql("SELECT halted_reason FROM paybuf.ledger") == [("database_rolled_back",)]
    assert before == (100, 100), "the copy is the older one"
    time.sleep(2)
    assert money(ledger) == before, "a payment was decided by a halted ledger"
    wait_until(lambda: all(ledger.admin(worker, "/readyz")[0] == 503 for worker in ("worker-1", "worker-2")), 60, "neither worker is ready")
