"""What chaos itself stands on: the plan is the same for a seed and keeps its rules, recovery is measured right, and the judge bites."""
import json
import sys
from collections import namedtuple
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import judge  # noqa: E402
import plan  # noqa: E402
import recovery  # noqa: E402

Record = namedtuple("Record", "value headers")
REPLIES = {f"1-0-{n}": json.dumps({"position": f"1-0-{n}"}) for n in range(3)} | {"1-1-0": json.dumps({"position": "1-1-0"})}


# --- plan ---

def test_a_seed_has_one_plan():
    assert plan.make(5, 3) == plan.make(5, 3)
    assert plan.make(5, 3) != plan.make(6, 3)


def test_every_kind_comes_in_a_long_plan_and_no_other_than_asked_for():
    assert {f.kind for f in plan.make(1, 60)} == plan.KINDS
    assert {f.kind for f in plan.make(1, 10, kinds={"cut", "kill"})} == {"cut", "kill"}


def test_faults_end_within_the_run_and_within_the_limit():
    for seed in range(20):
        for fault in plan.make(seed, 6):
            assert 0 < fault.hold_s <= plan.HOLD_MAX_S
            assert fault.ends_s() <= 6 * 60 + 5


def test_a_process_has_one_fault_at_a_time_and_one_broker_is_down_at_most():
    for seed in range(20):
        faults = plan.make(seed, 6, pace=3)
        for i, fault in enumerate(faults):
            for other in faults[i + 1:]:
                if other.at_s < plan.back_s(fault):
                    assert not plan.nodes_of(fault) & plan.nodes_of(other), (fault, other)
                    assert not (plan.weakens_brokers(fault) and plan.weakens_brokers(other)), (fault, other)


def test_in_the_third_minute_each_fault_is_alone():
    for seed in range(20):
        third = [f for f in plan.make(seed, 3) if f.at_s >= 2 * plan.PHASE_S]
        for fault, following in zip(third, third[1:]):
            assert following.at_s >= plan.back_s(fault) + plan.CALM_S - 0.1


# --- recovery ---

def watching(partitions=2, intake=None):
    tracker = recovery.Tracker(partitions)
    tracker.watch("fault", "text", 100.0, intake, True)
    return tracker


def test_recovery_is_when_the_last_partition_answered_what_was_sent_afterwards():
    tracker = watching()
    assert tracker.payment_sent(0, 0, 99.0, 0) + tracker.reply_seen(0, 0, 103.0) == []      # sent before: proves nothing
    assert tracker.payment_sent(0, 1, 101.0, 0) == []
    assert tracker.reply_seen(1, 5, 104.0) + tracker.payment_sent(1, 5, 100.5, 1) == []     # the reply is seen before the client's log
    over, = tracker.reply_seen(0, 1, 107.5)
    assert over.seconds() == 7.5 and over.alone
    assert tracker.watches == []


def test_a_fault_of_an_intake_is_over_with_a_payment_through_that_intake():
    tracker = watching(intake=1)
    assert tracker.payment_sent(0, 0, 101.0, 0) + tracker.reply_seen(0, 0, 102.0) == []
    over, = tracker.payment_sent(0, 1, 103.0, 1) + tracker.reply_seen(0, 1, 104.0)
    assert over.seconds() == 4.0


def test_who_was_joined_by_another_fault_was_not_alone():
    tracker = watching(partitions=1)
    tracker.another_fault_begins()
    over, = tracker.payment_sent(0, 0, 101.0, 0) + tracker.reply_seen(0, 0, 102.0)
    assert not over.alone


def test_copies_of_a_reply_count_once():
    tracker = recovery.Tracker(1)
    for _ in range(3):
        tracker.reply_seen(0, 0, 1.0)
    assert tracker.counts["answered"] == 1


def test_the_table_has_median_and_maximum():
    rows = recovery.table([("kill", 1.0, True), ("kill", 3.0, False), ("kill", 2.0, True), ("cut", 9.0, False)])
    assert rows == [("cut", 1, 9.0, 9.0, 0, None, None), ("kill", 3, 2.0, 3.0, 2, 1.0, 2.0)]


# --- judge ---

def test_a_listener_that_has_each_reply_once_and_in_order_is_right():
    assert judge.listener("l", [REPLIES[p] + "\n" for p in ("1-0-0", "1-1-0", "1-0-1", "1-0-2")], REPLIES) == []


def test_a_listener_is_caught_with_a_reply_missing_twice_late_changed_or_cut_short():
    whole = [REPLIES[p] + "\n" for p in ("1-0-0", "1-0-1", "1-0-2", "1-1-0")]
    assert "missing" in judge.listener("l", whole[:3], REPLIES)[0]
    assert "twice" in judge.listener("l", whole + whole[:1], REPLIES)[0]
    assert "after" in judge.listener("l", [whole[1], whole[0], *whole[2:]], REPLIES)[0]
    assert "not the bytes" in judge.listener("l", [whole[0].replace("}", ', "x": 1}'), *whole[1:]], REPLIES)[0]
    assert "no reply" in judge.listener("l", [*whole[:3], whole[3][:8]], REPLIES)[0]
    assert "no reply for 1-9-9" in judge.listener("l", [*whole, '{"position": "1-9-9"}'], REPLIES)[0]


def test_a_top_up_is_caught_when_lost_doubled_or_another_amount():
    done = {"t-1": ("poor", 5)}
    assert judge.top_ups(done, [("t-1", "poor", 5), ("t-2", "poor", 6)]) == []
    assert "isn't in the tables" in judge.top_ups(done, [])[0]
    assert "twice" in judge.top_ups(done, [("t-1", "poor", 5)] * 2)[0]
    assert "stored as" in judge.top_ups(done, [("t-1", "poor", 6)])[0]


def test_an_answer_that_no_good_client_should_get_is_a_violation():
    fine = [json.dumps({"status": s}) for s in (202, 503, 504, 0)]
    assert judge.calls(fine) == []
    assert judge.calls([*fine, json.dumps({"status": 400, "code": "bad_field"})]) == ["1 calls were answered 400 bad_field"]


def test_replies_are_taken_by_the_readers_rule():
    class History:
        partitions = [0]

        def records(self, kind, partition):
            for source, covers in ((0, 0), (1, 1), (0, 0), (3, 2), (9, 8), (None, None)):
                headers = [] if source is None else [("source-offset", str(source)), ("covers-from", str(covers)), ("log-generation", "1")]
                yield Record(f"r{source}".encode(), headers)
    assert list(judge.replies_taken(History())) == ["1-0-0", "1-0-1", "1-0-3"]
