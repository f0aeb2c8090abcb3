"""paybuf recover lane after a topic was deleted and made again."""
from recovering import ACCOUNTS, goes_on, lane_halted, orders


def audit(ledger):
    done = ledger.cli("audit", "--wait", "20", check=False)
    assert done.returncode == 0 and "0 differences" in done.stdout, done.stdout + done.stderr


def test_a_request_topic_made_again_is_accepted_and_known_orders_are_answered_as_duplicates(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=3)
    for partition in (0, 1):
        ledger.append(orders(f"old-{partition}", 20), partition=partition)
    ledger.wait_at_rest()
    ledger.kill(expel=True)
    ledger.replace_topic(ledger.requests)
    ledger.append(orders("old-0", 5), partition=0)                          # sent again by careful clients
    ledger.append(orders("new-1", 30) + orders("old-1", 10), partition=1)
    ledger.start()
    lane_halted(ledger, 0, "log_truncated")
    lane_halted(ledger, 1, "log_replaced")
    assert "can't be known" in ledger.cli("recover", "lane", "0", ok=(4,)).stderr
    ledger.cli("recover", "lane", "0", "--accept", "log_truncated", "--yes")
    ledger.cli("recover", "lane", "1", "--accept", "log_replaced", "--yes")
    for partition in (0, 1):
        goes_on(ledger, partition)
    assert ledger.sql("SELECT count(*), sum(amount_minor) FROM paybuf.payment WHERE outcome = 'paid'") == [(70, 70)]
    audit(ledger)


def test_a_lost_reply_log_is_published_again_the_same(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=2)
    ledger.append(ledger.workload(200, ACCOUNTS, seed=5) + [(b"x", b"no json", [])], partition=0)
    ledger.wait_at_rest()
    before = ledger.answers()
    ledger.kill(expel=True)
    ledger.replace_topic(ledger.replies)
    ledger.start()
    ledger.append(orders("more", 5), partition=0)
    lane_halted(ledger, 0, "reply_log_truncated")
    ledger.cli("recover", "lane", "0", ok=(4,))
    ledger.cli("recover", "lane", "0", "--yes")
    goes_on(ledger, 0)
    after = ledger.answers()
    assert {place: after[place] for place in before} == before and len(after) == len(before) + 5
    ledger.check()


def test_a_lost_reply_log_without_all_of_its_requests_begins_a_generation_at_the_first_unanswered_one(new_ledger):
    ledger = new_ledger(accounts=ACCOUNTS, partitions=2)
    ledger.append(orders("old", 20), partition=0)
    ledger.wait_at_rest()
    ledger.kill(expel=True)
    ledger.delete_records(ledger.requests, 0, 5)
    ledger.replace_topic(ledger.replies)
    ledger.start()
    ledger.append(orders("more", 5) + orders("old", 2), partition=0)
    lane_halted(ledger, 0, "reply_log_truncated")
    ledger.cli("recover", "lane", "0", "--yes", ok=(2,))
    ledger.cli("recover", "lane", "0", "--accept", "replies_lost", "--yes")
    goes_on(ledger, 0)
    assert [a["duplicate"] for a in ledger.answers(0).values()] == [False] * 5 + [True] * 2
    audit(ledger)
