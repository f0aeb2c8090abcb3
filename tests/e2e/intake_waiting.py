"""intake_waiting - payments that wait for their result, and a test that plays the worker: replies at a chosen moment, or strange ones."""
import json
import threading
from concurrent.futures import ThreadPoolExecutor

from intake_calls import PATIENT, metrics, read_log
from raw_http import Connection
from stack import wait_until

LEDGER_ID = "6f3c2a44-52f5-4e0e-8f06-0d5a2c1b9e01"
WAIT_S = 30                             # the longest there is: it ends with the answer


class Answer:
    def __init__(self, answer):
        self.status, self.headers, body = answer
        self.document = json.loads(body)
        self.applied = self.headers.get("preference-applied")


def ask(stack, document, wait=WAIT_S, headers=(), timeout_s=90):
    """One payment that waits (0: doesn't); None when the connection broke."""
    try:
        with Connection(stack.env["PAYBUF_HTTP_URL"], timeout_s) as connection:
            answer = connection.post(document, headers=[*([f"Prefer: wait={wait}"] if wait else []), *headers])
            return Answer(answer) if answer else None
    except ConnectionError:
        return None


def ask_many(stack, documents, wait=WAIT_S):
    with ThreadPoolExecutor(len(documents)) as pool:
        return list(pool.map(lambda document: ask(stack, document, wait), documents))


class Asking:
    """A payment that waits in a thread of its own."""

    def __init__(self, stack, document, wait=WAIT_S):
        self.answer = None
        self.thread = threading.Thread(target=self.run, args=(stack, document, wait))
        self.thread.start()

    def run(self, *arguments):
        self.answer = ask(*arguments)

    def end(self, timeout_s=100):
        self.thread.join(timeout_s)
        assert not self.thread.is_alive(), "no answer"
        return self.answer


def start_following(stack, **settings):
    """Starts the intake, and waits until it follows the replies: before, nobody waits."""
    stack.start("producer", **{**PATIENT, **settings})
    wait_until(lambda: stack.metric("producer", "paybuf_intake_following") == 1, 60, "the replies followed")


def waits(stack, end):
    return metrics(stack, f'paybuf_intake_waits_total{{end="{end}"}}')[0]


def waiters(stack):
    return metrics(stack, "paybuf_intake_waiters")[0]


def assert_own_answers(stack, *answers):
    """Each is 200, and says what the reply log says about the position that it names."""
    log = stack.answers()
    for answer in answers:
        assert answer.status == 200 and answer.applied == f"wait={WAIT_S}", (answer.status, answer.document, answer.headers)
        generation, partition, offset = (int(word) for word in answer.document["position"].split("-"))
        assert generation == 1 and answer.document == log[partition, offset]


def told(stack, partition, offset, covers_from=0, value=b'{"told":1}', generation=1, ledger_id=LEDGER_ID, producer=None):
    """Appends a reply to 1-partition-offset."""
    headers = [("source-offset", str(offset)), ("covers-from", str(covers_from)), ("log-generation", str(generation)), ("ledger-id", ledger_id)]
    producer = producer or stack.producer()
    failed = []
    producer.produce(stack.replies, value=value, key=b"o", partition=partition, headers=headers, on_delivery=lambda error, _: error and failed.append(error))
    assert producer.flush(60) == 0 and not failed, failed


def place_of(stack, order_id):
    """(partition, offset) of the order's last record, which a client waits for: he does before it is appended."""
    wait_until(lambda: metrics(stack, "paybuf_intake_waiters", "paybuf_intake_in_flight_records") == [1, 0], 60, "one waits, and his record is in the log")
    _, partition, offset = (int(word) for word in read_log(stack)[order_id][-1].split("-"))
    return partition, offset


def moves(stack, move):
    return metrics(stack, f'paybuf_intake_replies_total{{move="{move}"}}')[0]
