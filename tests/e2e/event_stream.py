"""event_stream - GET /v1/results as a client sees it: a thread that reads server-sent events strictly, and goes on behind the last id."""
import http.client
import json
import socket
import threading
import time
import urllib.parse


class Refused(Exception):
    def __init__(self, status, document, headers):
        super().__init__(f"{status} {document}")
        self.status, self.document, self.headers = status, document, headers


def read_blocks(answer):
    """Yields a dict per block: event, data, id, retry, comment. Ends with the stream; an end within a block is none."""
    block = {}
    while line := answer.readline():
        if not line.endswith(b"\n"):
            return                          # the connection broke
        if line == b"\n":
            yield block
            block = {}
            continue
        name, colon, value = line[:-1].partition(b": ")
        assert colon and name in (b"", b"event", b"data", b"id", b"retry"), line
        name = name.decode() or "comment"
        assert name not in block, f"{name} twice in one block"
        block[name] = value.decode()


class EventStream:
    """One connection after the other. `events`: (event, document) in the order they came; `last_id` goes with them."""

    def __init__(self, stack, last_id=None, headers=(), reconnect=False, start=True, patient=True, **query):
        """patient: until it has begun it comes again after an answer that says so (503: the log isn't found yet)."""
        self.stack, self.last_id, self.headers, self.query, self.reconnect, self.patient = stack, last_id, dict(headers), query, reconnect, patient
        self.events, self.ids, self.comments, self.connections, self.error = [], [], [], 0, None
        self.ended, self.connected = threading.Event(), threading.Event()
        self.closing = False
        self.connection = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        if start:
            self.thread.start()
            assert self.connected.wait(90), "no answer to GET /v1/results"
            if self.error and not reconnect:
                raise self.error

    def connect(self, timeout_s=60):
        host = self.stack.env["PAYBUF_HTTP_URL"][len("http://"):]
        self.connection = http.client.HTTPConnection(host, timeout=timeout_s)
        headers = {**self.headers, **({"Last-Event-ID": self.last_id} if self.last_id else {})}
        self.connection.request("GET", "/v1/results" + ("?" + urllib.parse.urlencode(self.query) if self.query else ""), headers=headers)
        answer = self.connection.getresponse()
        if answer.status != 200:
            raise Refused(answer.status, json.loads(answer.read()), answer.headers)
        assert answer.headers["content-type"] == "text/event-stream" and answer.headers["cache-control"] == "no-store"
        self.connections += 1
        self.error = None
        return answer

    def read(self, answer):
        for block in read_blocks(answer):
            assert "id" in block, block
            if "data" in block:
                document = json.loads(block["data"])
                assert block["event"] == document["outcome"]
                self.events.append((block["data"], document))
                self.ids.append(block["id"])
            if "comment" in block:
                self.comments.append(block["comment"])
            self.last_id = block["id"]
            self.connected.set()

    def run(self):
        while not self.closing:
            try:
                self.read(self.connect())
                if not self.reconnect:
                    break
            except Refused as error:
                self.error = error
                if not (self.reconnect or self.patient) or not error.document["retryable"]:
                    break
            except (OSError, http.client.HTTPException, ValueError, AttributeError):
                if not self.reconnect:
                    break
            time.sleep(0.2)
        self.connected.set()
        self.ended.set()

    def drop(self):
        """As a network does it; with reconnect it goes on behind the last id."""
        sock = self.connection and self.connection.sock
        if sock:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass                        # it isn't connected just now

    def close(self):
        self.closing = True
        deadline = time.monotonic() + 60
        while self.thread.is_alive() and time.monotonic() < deadline:
            self.drop()                     # again, for it may have been about to connect
            self.thread.join(0.2)
        assert not self.thread.is_alive()

    def positions(self):
        return [document["position"] for _, document in self.events]
