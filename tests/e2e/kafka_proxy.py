"""kafka_proxy - a broker's neighbour that lies: a TCP proxy which refuses, falsifies or holds back chosen Produce requests.

    with KafkaProxy(stack.bootstrap()) as proxy:
        refused = proxy.refuse(NOT_ENOUGH_REPLICAS, client="paybuf-worker-replies", times=1)
        stack.start("worker-1", PAYBUF_KAFKA_BOOTSTRAP=proxy.address)
        ... refused.used ...

Clients stay with the proxy because the broker's own address is replaced by the proxy's in what the broker says about itself
(Metadata, FindCoordinator, DescribeCluster). Everything else passes unread, answers in the order of their requests as Kafka
promises. Two threads per connection.
"""
import socket
import struct
import threading
from collections import deque

from kafka_wire import read_frame

NOT_LEADER, NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND, REQUEST_TIMED_OUT = 6, 19, 20, 7
PRODUCE, METADATA, FIND_COORDINATOR, DESCRIBE_CLUSTER = 0, 3, 10, 60


class Rule:
    """What happens to the next `times` Produce requests of clients whose id begins with `client`, and whose number (1, 2, ...) is `when`."""

    def __init__(self, action, error, client, times, when=None, late_s=0):
        self.action, self.error, self.client, self.times, self.when, self.late_s = action, error, client, times, when, late_s
        self.used = 0
        self.begun = threading.Event()      # the first such request came
        self.released = threading.Event()   # HOLD: it may go on


class KafkaProxy:
    def __init__(self, broker):
        host, port = broker.rsplit(":", 1)
        self.broker = host, int(port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        encoded = host.encode()
        self.broker_says = encoded + struct.pack(">i", self.broker[1])
        self.proxy_says = b"127.0.0.1" + struct.pack(">i", self.port)
        assert len(self.broker_says) == len(self.proxy_says), "the broker must be reached as 127.0.0.1"
        self.rules, self.lock, self.sockets = [], threading.Lock(), []
        self.produced = 0                   # Produce requests that came
        self.most_unanswered = 0            # Produce requests that one connection had on its way at once
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- what tests ask for ---

    def refuse(self, error, client="", times=1, late_s=0):
        """Answered with `error`, never given to the broker. late_s: so much later, and what was sent meanwhile reaches the broker."""
        return self.add(Rule("refuse", error, client, times, late_s=late_s))

    def lie(self, error, client="", times=1, when=None):
        """Given to the broker, which appends; then answered with `error`."""
        return self.add(Rule("lie", error, client, times, when))

    def swallow(self, client="", times=1, when=None):
        """Given to the broker; its answer never reaches the client, and neither does anything after it on that connection."""
        return self.add(Rule("swallow", 0, client, times, when))

    def hold(self, client="", times=1_000_000):
        """Kept back until released.set(), and with it all that follows on the same connection; a client that gives up and comes again
        on another connection is held there, too."""
        return self.add(Rule("hold", 0, client, times))

    def delay(self, late_s, client="", times=1, when=None):
        """Given to the broker, which appends; its answer, and all behind it, reaches the client so much later."""
        return self.add(Rule("delay", 0, client, times, when, late_s))

    def add(self, rule):
        with self.lock:
            self.rules.append(rule)
        return rule

    def close(self):
        """Ends every connection; nothing held back reaches the broker any more."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)        # else the accept() that waits would take one more
        except OSError:
            pass                                            # closed before
        self.listener.close()
        with self.lock:
            sockets, self.sockets = self.sockets, []
        for connection in sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()
        for rule in self.rules:
            rule.released.set()

    # --- machinery ---

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(self.broker, timeout=10)
            except OSError:
                client.close()
                continue
            broker.settimeout(None)
            for connection in (client, broker):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.sockets += [client, broker]
            Connection(self, client, broker).run()

    def rule_for(self, client_id):
        with self.lock:
            self.produced += 1
            for rule in self.rules:
                if rule.used < rule.times and client_id.startswith(rule.client) and (rule.when is None or rule.when(self.produced)):
                    rule.used += 1
                    return rule
        return None


class Due:
    """An answer that the client waits for: the broker's, to a request of this kind, or one of our own in its place."""

    def __init__(self, api, own, from_broker, late_s=0):
        self.api, self.own, self.from_broker, self.late_s = api, own, from_broker, late_s
        self.frame = None                   # set when it may go


class Connection:
    def __init__(self, proxy, client, broker):
        self.proxy, self.client, self.broker = proxy, client, broker
        self.lock = threading.Lock()
        self.silent = False                 # nothing reaches the client any more
        self.due = deque()                  # in the order of the requests, and so they are answered

    def run(self):
        for pump in (self.requests, self.answers):
            threading.Thread(target=self.guarded, args=(pump,), daemon=True).start()

    def guarded(self, pump):
        try:
            pump()
        except (OSError, ConnectionError):
            pass
        for end in (self.client, self.broker):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def requests(self):
        while True:
            frame = read_frame(self.client)
            api, version, correlation, length = struct.unpack(">hhih", frame[:10])
            client_id = frame[10:10 + max(length, 0)].decode()
            rule = self.proxy.rule_for(client_id) if api == PRODUCE else None
            own = None
            if rule:
                rule.begun.set()
                if rule.action == "hold":
                    rule.released.wait()
                elif rule.action == "swallow":
                    self.silent = True
                elif rule.action != "delay":
                    own = produce_answer(version, correlation, produced_partitions(version, frame[10 + max(length, 0):]), rule.error)
            due = Due(api, own, from_broker=not rule or rule.action != "refuse", late_s=rule.late_s if rule else 0)
            with self.lock:
                self.due.append(due)
                self.proxy.most_unanswered = max(self.proxy.most_unanswered, sum(d.api == PRODUCE for d in self.due))
            if due.from_broker:
                self.broker.sendall(struct.pack(">i", len(frame)) + frame)
            elif rule.late_s:
                threading.Timer(rule.late_s, self.guarded_answer, args=(due, own)).start()
            else:
                self.answer(due, own)

    def answers(self):
        while True:
            frame = read_frame(self.broker)
            with self.lock:
                due = next(d for d in self.due if d.from_broker and d.frame is None)
            if due.own is not None:
                frame = due.own
            elif due.api in (METADATA, FIND_COORDINATOR, DESCRIBE_CLUSTER):
                frame = frame.replace(self.proxy.broker_says, self.proxy.proxy_says)
            due.from_broker = False         # it has come
            if due.late_s:
                threading.Timer(due.late_s, self.guarded_answer, args=(due, frame)).start()
            else:
                self.answer(due, frame)

    def answer(self, due, frame):
        """This one may go now; and so may all behind it that waited for it."""
        with self.lock:
            due.frame = frame
            while self.due and self.due[0].frame is not None:
                frame = self.due.popleft().frame
                if not self.silent:
                    self.client.sendall(struct.pack(">i", len(frame)) + frame)

    def guarded_answer(self, due, frame):
        try:
            self.answer(due, frame)
        except OSError:
            pass                            # the client is gone


# --- the Produce request and its answer, versions 3 to 12; from 9 on with compact forms and tagged fields ---

class Bytes:
    def __init__(self, data, compact):
        self.data, self.at, self.compact = data, 0, compact

    def take(self, size):
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def length(self, form):
        return self.varint() - 1 if self.compact else self.number(form)

    def text(self):
        return self.take(max(self.length(">h"), 0))

    def skip_bytes(self):
        length = self.length(">i")          # moves `at`, too: not within +=
        self.at += max(length, 0)

    def tags(self):
        if self.compact:
            for _ in range(self.varint()):
                self.varint()
                self.take(self.varint())


def produced_partitions(version, body):
    """[(topic, [partition, ...]), ...]"""
    data = Bytes(body, version >= 9)
    data.tags()
    data.text()                             # transactional id
    data.number(">h")                       # acks
    data.number(">i")                       # timeout
    topics = []
    for _ in range(data.length(">i")):
        name, partitions = data.text(), []
        for _ in range(data.length(">i")):
            partitions.append(data.number(">i"))
            data.skip_bytes()
            data.tags()
        data.tags()
        topics.append((name, partitions))
    return topics


def produce_answer(version, correlation, topics, error):
    compact = version >= 9
    tags = b"\0" if compact else b""

    def count(n):
        return bytes([n + 1]) if compact else struct.pack(">i", n)      # a handful at most

    answer = struct.pack(">i", correlation) + tags + count(len(topics))
    for name, partitions in topics:
        answer += (bytes([len(name) + 1]) if compact else struct.pack(">h", len(name))) + name + count(len(partitions))
        for partition in partitions:
            answer += struct.pack(">ihqq", partition, error, -1, -1)
            answer += struct.pack(">q", -1) if version >= 5 else b""    # log start
            answer += count(0) if version >= 8 else b""                 # errors by record
            answer += (b"\0" if compact else struct.pack(">h", -1)) if version >= 8 else b""
            answer += tags
        answer += tags
    return answer + struct.pack(">i", 0) + tags
