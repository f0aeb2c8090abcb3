"""event_stream - GET /v1/results as a client sees it: a thread that reads server-sent events strictly, and goes on behind the last id."""
import http.client
import json
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

    def __init__(self, stack, last_id=None, headers=(), reconnect=False, start=True, **query):
        self.stack, self.last_id, self.headers, self.query, self.reconnect = stack, last_id, dict(headers), query, reconnect
        self.events, self.ids, self.comments, self.connections, self.error = [], [], [], 0, None
        self.ended, self.connected = threading.Event(), threading.Event()
        self.closing = False
        self.connection = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        if start:
            self.thread.start()
            assert self.connected.wait(30), "no answer to GET /v1/results"
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
                if not self.reconnect or not error.document["retryable"]:
                    break
            except (OSError, http.client.HTTPException, ValueError, AttributeError):
                if not self.reconnect:
                    break
            time.sleep(0.2)
        self.connected.set()
        self.ended.set()

    def drop(self):
        """As a network does it; with reconnect it goes on behind the last id."""
        if self.connection is not None and self.connection.sock is not None:
            self.connection.sock.close()

    def close(self):
        self.closing = True
        connection = self.connection
        if connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(2)
            except OSError:
                pass
        self.thread.join(30)
        assert not self.thread.is_alive()

    def positions(self):
        return [document["position"] for _, document in self.events]
