"""kafka_proxy - stands between a Kafka client and one broker, so that single Produce requests can be refused, lost or answered falsely.

Addresses in the broker's answers are rewritten to the proxy's, so that clients stay behind it. What happens to a Produce request
is decided by `policy(number)`, number counting from 1 over all connections:
  FORWARD             as if there were no proxy
  REFUSE              not forwarded; answered with `error` together with the next answer of the broker on that connection
  APPEND_THEN_REFUSE  forwarded; the broker's answer is replaced by `error`
  SWALLOW             forwarded; its answer never reaches the client, and neither does anything after it on that connection
"""
import socket
import struct
import threading

FORWARD, REFUSE, APPEND_THEN_REFUSE, SWALLOW = "forward", "refuse", "append then refuse", "swallow"
PRODUCE = 0
NOT_LEADER, NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND = 6, 19, 20


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value = struct.unpack_from(">" + form, self.data, self.at)[0]
        self.at += struct.calcsize(">" + form)
        return value

    def varint(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self, flexible):
        length = self.varint() - 1 if flexible else self.take("h")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length:self.at]

    def skip_bytes(self, flexible):
        length = self.varint() - 1 if flexible else self.take("i")
        self.at += max(length, 0)

    def count(self, flexible):
        return self.varint() - 1 if flexible else self.take("i")

    def tags(self, flexible):
        if flexible:
            for _ in range(self.varint()):
                self.varint()
                self.at += self.varint()


def partitions_of_produce(frame, version):
    """[(topic, [partition])] of a Produce request, for its false answer."""
    flexible = version >= 9
    reader = Reader(frame)
    reader.at = 8
    reader.text(False)                          # client id: never compact
    reader.tags(flexible)
    reader.text(flexible)                       # transactional id
    reader.take("h"), reader.take("i")          # acks, timeout
    topics = []
    for _ in range(reader.count(flexible)):
        name, partitions = reader.text(flexible), []
        for _ in range(reader.count(flexible)):
            partitions.append(reader.take("i"))
            reader.skip_bytes(flexible)
            reader.tags(flexible)
        reader.tags(flexible)
        topics.append((name, partitions))
    return topics


def produce_answer(correlation, version, topics, error):
    flexible = version >= 9
    tag = b"\0" if flexible else b""
    count = (lambda n: varint(n + 1)) if flexible else (lambda n: struct.pack(">i", n))
    out = struct.pack(">i", correlation) + tag + count(len(topics))
    for name, partitions in topics:
        out += (varint(len(name) + 1) if flexible else struct.pack(">h", len(name))) + name + count(len(partitions))
        for partition in partitions:
            out += struct.pack(">ihqq", partition, error, -1, -1)
            if version >= 5:
                out += struct.pack(">q", -1)
            if version >= 8:
                out += count(0) + (varint(0) if flexible else struct.pack(">h", -1))
            out += tag
        out += tag
    out += struct.pack(">i", 0) + tag
    return struct.pack(">i", len(out)) + out


class KafkaProxy:
    def __init__(self, bootstrap, policy=lambda number: FORWARD, error=NOT_ENOUGH_REPLICAS):
        host, port = bootstrap.rsplit(":", 1)
        self.broker = (host, int(port))
        self.policy, self.error = policy, error
        self.lock = threading.Lock()
        self.produced = 0
        self.done = []                          # what was done to each Produce request
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.old = host.encode() + struct.pack(">i", int(port))
        self.new = host.encode() + struct.pack(">i", self.port)
        self.open = []
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for one in self.open:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(self.broker, 5)
            except OSError:
                client.close()
                continue
            broker.settimeout(None)
            self.open += [client, broker]
            pipe = Pipe(self, client, broker)
            threading.Thread(target=pipe.to_broker, daemon=True).start()
            threading.Thread(target=pipe.to_client, daemon=True).start()


class Pipe:
    """One connection, both directions."""

    def __init__(self, proxy, client, broker):
        self.proxy, self.client, self.broker = proxy, client, broker
        self.refused = []                       # answers that go out before the broker's next one
        self.replaced = {}                      # correlation id -> the answer instead
        self.swallow_from = None

    def frames(self, source):
        buffer = b""
        while True:
            while len(buffer) >= 4 and len(buffer) >= 4 + struct.unpack(">i", buffer[:4])[0]:
                size = struct.unpack(">i", buffer[:4])[0]
                yield buffer[4:4 + size]
                buffer = buffer[4 + size:]
            try:
                piece = source.recv(1 << 20)
            except OSError:
                piece = b""
            if not piece:
                return
            buffer += piece

    def to_broker(self):
        for frame in self.frames(self.client):
            if not self.decide(frame):
                continue
            try:
                self.broker.sendall(struct.pack(">i", len(frame)) + frame)
            except OSError:
                break
        self.end()

    def decide(self, frame):
        """Whether the frame goes on to the broker."""
        key, version, correlation = struct.unpack(">hhi", frame[:8])
        if key != PRODUCE:
            return True
        with self.proxy.lock:
            self.proxy.produced += 1
            fate = self.proxy.policy(self.proxy.produced)
            self.proxy.done.append(fate)
            if fate == FORWARD:
                return True
            if fate == SWALLOW:
                self.swallow_from = correlation if self.swallow_from is None else self.swallow_from
                return True
            answer = produce_answer(correlation, version, partitions_of_produce(frame, version), self.proxy.error)
            if fate == REFUSE:
                self.refused.append(answer)
                return False
            self.replaced[correlation] = answer
            return True

    def to_client(self):
        for frame in self.frames(self.broker):
            correlation = struct.unpack(">i", frame[:4])[0]
            with self.proxy.lock:
                if self.swallow_from is not None and correlation >= self.swallow_from:
                    continue
                answer = self.replaced.pop(correlation, None)
                if answer is None:
                    frame = frame.replace(self.proxy.old, self.proxy.new)
                    answer = struct.pack(">i", len(frame)) + frame
                answer = b"".join(self.refused) + answer
                self.refused.clear()
            try:
                self.client.sendall(answer)
            except OSError:
                break
        self.end()

    def end(self):
        for one in (self.client, self.broker):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
