"""The intake follows the reply log by the reader's rule, through whatever becomes of the log and its broker. The test plays the worker."""
from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions

from intake_calls import metrics, order, read_log
from intake_waiting import WAIT_S, Asking, ask, moves, place_of, start_following, told, waiters
from stack import QUIET, wait_until

OWN_SERVERS = True                      # the broker is killed here


def test_replies_are_taken_by_the_readers_rule(idle):
    """Copies once, foreign ones and other generations never, transactions' markers are no gap; a gap stops, its repair goes on."""
    asking = Asking(idle, order("o"))
    p, s = place_of(idle, "o")
    assert s == 0
    transaction = Producer({"bootstrap.servers": idle.bootstrap(), "transactional.id": idle.group, **QUIET})
    transaction.init_transactions(20)
    transaction.begin_transaction()
    told(idle, p, 0, value=b'{"transaction":1}', producer=transaction)
    transaction.commit_transaction(20)      # leaves a marker in the log
    assert asking.end().document == {"transaction": 1}
    told(idle, p, 0)
    told(idle, p, 5, ledger_id="11111111-2222-4333-8444-555555555555")
    wait_until(lambda: (moves(idle, "repeated"), moves(idle, "foreign")) == (1, 1), 60, "a copy and a foreign one seen")

    asking = Asking(idle, order("o"))
    assert place_of(idle, "o") == (p, 1)
    told(idle, p, 1, covers_from=0, generation=2)
    wait_until(lambda: idle.metric("producer", "paybuf_intake_replies_other_generation_total") == 1, 60, "another generation")
    assert waiters(idle) == 1
    told(idle, p, 2, covers_from=2, value=b'{"behind the gap":1}')
    wait_until(lambda: idle.metric("producer", "paybuf_intake_reply_gaps") == 1, 60, "a gap")
    assert "a gap before" in idle.log("producer")
    told(idle, p, 1, covers_from=1, value=b'{"mended":1}')
    assert asking.end().document == {"mended": 1}
    wait_until(lambda: moves(idle, "taken") == 4 and metrics(idle, "paybuf_intake_reply_gaps") == [0], 60, "what lay behind the gap")


def test_a_broker_that_goes_and_comes_again_is_followed_again(idle, servers):
    idle.stop("producer")
    start_following(idle, PAYBUF_PRODUCER_STALL_MS="4000", PAYBUF_PRODUCER_REQUEST_TIMEOUT_MS="8000")
    wait_until(lambda: ask(idle, order("o-0"), wait=0).status == 202, 60, "the broker has begun")
    asking = Asking(idle, order("o-1"))
    p, s = place_of(idle, "o-1")
    servers.dev("kill", "kafka")
    assert ask(idle, order("o-2"), wait=1).status in (503, 504)
    assert waiters(idle) == 1 or not asking.thread.is_alive()       # its time may be over, on a slow machine
    servers.dev("start", "kafka")
    idle.wait_ready("producer")             # before, new payments are refused
    wait_until(lambda: idle.metric("producer", "paybuf_intake_following") == 1, 60, "followed again")
    told(idle, p, s, value=b'{"afterwards":1}')
    answer = asking.end()
    assert answer.document == {"afterwards": 1} or (answer.status, answer.applied) == (202, f"wait={WAIT_S}")
    wait_until(lambda: ask(idle, order("o-3"), wait=0).status == 202, 60, "payments taken again")
    asking = Asking(idle, order("o-1"))
    p, s = place_of(idle, "o-1")
    told(idle, p, s, value=b'{"again":1}')
    assert asking.end().document == {"again": 1}


def test_topics_that_grow_and_a_reply_topic_made_anew_are_followed(idle):
    admin = idle.admin_client()
    for topic in (idle.replies, idle.letters, idle.requests):
        for future in admin.create_partitions([NewPartitions(topic, 16)]).values():
            future.result(60)
    wait_until(lambda: idle.metric("producer", "paybuf_intake_reply_partitions") == 16, 90, "the new partitions")
    # Its clients' producers learn of new partitions by and by; so the order is looked for that reaches one.
    idle.stop("producer")
    start_following(idle)
    number = 0

    def reaches_a_new_one():
        nonlocal number
        number += 1
        return int(ask(idle, order(f"g-{number}"), wait=0).document["position"].split("-")[1]) >= 4
    wait_until(reaches_a_new_one, 60, "an order in a new partition")
    idle.partitions = 16
    partition = int(read_log(idle)[f"g-{number}"][-1].split("-")[1])
    asking = Asking(idle, order(f"g-{number}"))
    p, s = place_of(idle, f"g-{number}")
    assert p == partition
    for offset in range(s + 1):
        told(idle, p, offset, covers_from=offset, value=b'{"grown":1}')
    assert asking.end().document == {"grown": 1}

    idle.delete_topic(idle.replies)
    wait_until(lambda: metrics(idle, "paybuf_intake_following") == [0], 60, "the topic's end noticed")
    # It may look for a moment as if it were there: the broker tells of it until it has cleared it away.
    wait_until(lambda: [(a.status, a.applied) for a in [ask(idle, order("none"), wait=1)]] == [(202, None)], 60, "nobody is made to wait")
    wait_until(lambda: idle.cli("init", "--partitions", "16", check=False).returncode == 0, 60, "made again")
    wait_until(lambda: idle.metric("producer", "paybuf_intake_following") == 1, 60, "followed again")
    asking = Asking(idle, order(f"g-{number}"))
    p, s = place_of(idle, f"g-{number}")
    told(idle, p, s, covers_from=s, value=b'{"anew":1}')
    assert asking.end().document == {"anew": 1}
