"""paybuf recover lane, poison, group, cluster: each halt made for real, explained, refused without its name, lifted."""
import hashlib
import json
import re
from collections import Counter

import pytest
from confluent_kafka.admin import ConfigResource

from recovering import ACCOUNTS, goes_on, lane_halted, look, orders
from stack import wait_until


def copy_reply(ledger, partition, changes):
    last = ledger.read(ledger.replies)[partition][-1]
    producer = ledger.producer()
    producer.produce(ledger.replies, last.value(), last.key(), partition, headers=[(name, changes.get(name, value)) for name, value in last.headers()])
    assert producer.flush(60) == 0


@pytest.fixture(scope="module")
def broken(servers):
    ledger = servers.new_ledger("broken", partitions=5, accounts=ACCOUNTS)
    ledger.sql("ALTER TABLE paybuf.payment ADD CONSTRAINT not_this_one CHECK (order_id <> 'bad-0') NOT VALID")
    for partition in range(5):
        ledger.append(orders(f"first-{partition}", 20), partition=partition)
    ledger.wait_at_rest()
    ledger.kill(expel=True)
    ledger.append(orders("lost", 20), partition=0)                          # accepted, never settled, and deleted
    ledger.delete_records(ledger.requests, 0, 30)
    copy_reply(ledger, 1, {"ledger-id": b"11111111-2222-3333-4444-555555555555", "source-offset": b"20", "covers-from": b"20"})
    ledger.sql("UPDATE paybuf.processed_offset SET anchor_crc32c = anchor_crc32c # 1 WHERE partition = 2")
    ledger.append(orders("bad", 1) + orders("behind", 10), partition=3)
    ledger.start()
    for partition in range(5):
        ledger.append(orders(f"second-{partition}", 10), partition=partition)
    for partition, reason in enumerate(["requests_lost", "foreign_ledger", "log_replaced", "poison"]):
        lane_halted(ledger, partition, reason)
    goes_on(ledger, 4)
    return ledger


def test_look_names_every_halt_with_its_next_command(broken):
    found = look(broken)
    assert [found[p]["halted_reason"] for p in range(5)] == ["requests_lost", "foreign_ledger", "log_replaced", "poison", None]
    assert [found[p]["found"] for p in range(5)] == ["requests_lost", "foreign_ledger", "log_replaced", None, None]
    assert [found[p]["next"] for p in range(5)] == [f"paybuf recover lane {p}" for p in range(4)] + [None]


def taken_by_others(ledger):
    """{partition: how often it was taken, other than by the worker's claims}: those come by themselves, when a session ends."""
    claims = Counter(int(partition) for partition in re.findall(r"partition (\d+) claimed", ledger.log("worker-1")))
    return {p: lane["owner_epoch"] - claims[p] for p, lane in ledger.lanes().items()}


@pytest.mark.parametrize("partition, reason", [(0, "requests_lost"), (1, "foreign_ledger"), (2, "log_replaced")])
def test_a_loss_is_accepted_by_its_name_only_and_the_lane_goes_on(broken, partition, reason):
    before, others = broken.lanes(), taken_by_others(broken)
    shown = broken.cli("recover", "lane", str(partition), ok=(4,))
    assert f"--accept {reason} --yes" in shown.stderr
    broken.cli("recover", "lane", str(partition), "--yes", ok=(2,))
    broken.cli("recover", "lane", str(partition), "--accept", "poison", "--yes", ok=(2,))
    assert broken.lanes()[partition] == before[partition], "something was changed without the loss's name"
    broken.cli("recover", "lane", str(partition), "--accept", reason, "--yes")
    goes_on(broken, partition)
    others.pop(partition)
    wait_until(lambda: all(taken_by_others(broken)[p] <= times for p, times in others.items()), 30, f"no other lane is touched than {partition}: {others} before")
    generation = 1 if reason == "foreign_ledger" else 2
    assert broken.sql("SELECT log_generation FROM paybuf.processed_offset WHERE partition = %s", partition) == [(generation,)]


def test_a_poison_record_is_refused_by_its_position_only(broken):
    broken.cli("recover", "poison", "1-3-21", "--refuse", "bad_field:metadata", "--yes", ok=(4,))       # not the one that stops it
    broken.cli("recover", "poison", "1-4-5", "--refuse", "bad_field:metadata", "--yes", ok=(4,))        # that lane isn't halted
    broken.cli("recover", "poison", "1-3-20", "--refuse", "insufficient_funds", "--yes", ok=(2,))
    broken.cli("recover", "poison", "1-3-20", ok=(4,))
    assert broken.lanes()[3]["halted_reason"] == "poison"
    broken.cli("recover", "poison", "1-3-20", "--refuse", "bad_field:metadata", "--yes")
    goes_on(broken, 3)
    answer = broken.answers(3)[3, 20]
    assert (answer["outcome"], answer["reason"], answer["field"], answer["order_id"]) == ("invalid", "bad_field", "metadata", None)
    assert len(broken.answers(3)) == 41


def test_after_all_lanes_were_recovered_nothing_is_found_and_the_audit_has_no_difference(broken):
    assert all(row["next"] is None for row in look(broken).values())
    broken.cli("recover", "lane", "0")                                      # nothing is wrong with it: 0
    foreign = broken.cli("audit", "--wait", "20", "-o", "json", ok=(0, 4))
    assert {d["kind"] for d in json.loads(foreign.stdout)["differences"]} <= {"foreign_ledger"}, foreign.stdout


def test_lost_replies_and_deleted_rows_after_a_crash(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=3, workers=())
    for partition in range(2):
        ledger.append(orders(f"settled-{partition}", 10), partition=partition)
    ledger.start(wait=False, PAYBUF_TEST_CRASH_AT="settle.write:1:late")       # committed, nothing published
    assert ledger.children["worker-1"].wait(60) == 137
    ledger.expel_members()
    settled = {p: lane["next_offset"] for p, lane in ledger.lanes().items()}
    gone = [p for p in range(2) if settled[p] > 0]
    assert gone, "the worker settled nothing before it was killed"
    lost, deleted = gone[0], gone[-1]
    if deleted != lost:
        ledger.sql("DELETE FROM paybuf.payment WHERE order_id = %s", f"settled-{deleted}-0")
    ledger.delete_records(ledger.requests, lost, settled[lost])
    ledger.start()
    lane_halted(ledger, lost, "replies_lost")
    shown = json.loads(ledger.cli("recover", "lane", str(lost), "-o", "json", ok=(4,)).stdout)
    assert shown["untold"] == settled[lost] and shown["lost_requests"] == 0
    ledger.cli("recover", "lane", str(lost), "--accept", "replies_lost", "--yes")
    goes_on(ledger, lost)
    assert {o: a["outcome"] for (_, o), a in ledger.answers(lost).items()} == {o: "paid" for o in range(10)}, "the settled ones are told from their rows"
    if deleted == lost:
        return
    lane_halted(ledger, deleted, "broken_invariant")
    ledger.cli("recover", "poison", f"1-{deleted}-0", "--refuse", "malformed_json", "--yes")
    goes_on(ledger, deleted)
    assert ledger.answers(deleted)[deleted, 0]["outcome"] == "invalid"


def test_a_poison_record_too_large_for_the_dead_letter_topic_is_skipped_and_kept_as_a_stub(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=1)
    ledger.sql("ALTER TABLE paybuf.payment ADD CONSTRAINT not_this_one CHECK (order_id <> 'bad-0') NOT VALID")
    smaller = ConfigResource(ConfigResource.Type.TOPIC, ledger.letters, set_config={"max.message.bytes": "2000", "message.timestamp.type": "LogAppendTime"})
    for future in ledger.admin_client().alter_configs([smaller]).values():
        future.result(30)
    value = json.dumps(orders("bad", 1)[0]).encode()
    ledger.append([(b"bad-0", value, [(f"header-{i}", b"0123456789") for i in range(200)])])    # its headers are what is too large
    lane_halted(ledger, 0, "poison")
    done = ledger.cli("recover", "poison", "1-0-0", "--refuse", "too_large", "--yes")
    assert "stub" in done.stderr
    goes_on(ledger, 0)
    letter, = [message for messages in ledger.read(ledger.letters).values() for message in messages]
    assert letter.key() is None and letter.headers() == [("position", b"1-0-0"), ("reason", b"too_large")]
    assert json.loads(letter.value()) == {"stub": True, "size": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    ledger.wait_at_rest()
    assert "0 differences" in ledger.cli("audit").stdout


def test_lanes_of_another_group_or_cluster_are_moved_by_name(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=2)
    ledger.append(orders("mine", 20))
    ledger.wait_at_rest()
    ledger.kill(expel=True)
    ledger.sql("UPDATE paybuf.processed_offset SET cluster_id = 'AnotherClusterOfKafka0', group_id = 'another'")
    assert {row["found"] for row in look(ledger).values()} == {"other_cluster"}
    ledger.cli("recover", "cluster", "--from", "NoSuchCluster", "--yes", ok=(3,))
    ledger.sql("UPDATE paybuf.processed_offset SET anchor_crc32c = anchor_crc32c # 1 WHERE partition = 1")
    refused = ledger.cli("recover", "cluster", "--from", "AnotherClusterOfKafka0", "--yes", ok=(4,))
    assert "log_replaced" in refused.stdout, "a cluster with other records took the ledger over"
    ledger.sql("UPDATE paybuf.processed_offset SET anchor_crc32c = anchor_crc32c # 1 WHERE partition = 1")
    ledger.cli("recover", "cluster", "--from", "AnotherClusterOfKafka0", "--yes")
    assert {row["next"] for row in look(ledger).values()} == {"paybuf recover group --from another"}
    ledger.cli("recover", "group", "--from", "another", ok=(4,))
    ledger.cli("recover", "group", "--from", "another", "--yes")
    ledger.start()
    ledger.append(orders("later", 20))
    ledger.wait_at_rest()
    ledger.check()
