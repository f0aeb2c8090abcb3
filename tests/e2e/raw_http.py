"""raw_http - HTTP at the level of bytes: for messages that no decent client library would send, and for keeping connections."""
import json
import socket
from urllib.parse import urlsplit


class Connection:
    """One TCP connection to the intake; bytes out, parsed answers in."""

    def __init__(self, url, timeout_s=40, source="", receive_buffer=None):
        """source: the address to come from. receive_buffer: small, so that the server can't send far ahead."""
        parts = urlsplit(url)
        self.host = parts.netloc
        self.socket = socket.socket()
        self.socket.settimeout(timeout_s)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind((source, 0))
        self.socket.connect((parts.hostname, parts.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def fill(self):
        piece = self.socket.recv(65536)
        self.buffer += piece
        return bool(piece)

    def answer(self):
        """(status, headers with small names, body), or None when the server closed without a (further) answer; ConnectionError within one."""
        while b"\r\n\r\n" not in self.buffer:
            try:
                if not self.fill():
                    return None
            except ConnectionError:
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        body = self.chunks() if headers.get("transfer-encoding") == "chunked" else self.take(length)
        if len(body) < length:
            raise ConnectionError(f"the server closed within an answer: {len(body)} of {length} bytes")
        return int(lines[0].split(" ")[1]), headers, body

    def take(self, length):
        """So many bytes, fewer when the server closed."""
        while len(self.buffer) < length and self.fill():
            pass
        taken, self.buffer = self.buffer[:length], self.buffer[length:]
        return taken

    def chunks(self):
        body = b""
        while True:
            while b"\r\n" not in self.buffer:
                assert self.fill(), "the server closed within a chunked answer"
            size, _, self.buffer = self.buffer.partition(b"\r\n")
            piece = self.take(int(size, 16))
            assert self.take(2) == b"\r\n"
            if not piece:
                return body
            body += piece

    def is_closed(self, timeout_s=15):
        """The server closes it, and not because a body or a next request doesn't come (20 s, 60 s): an end of file or a reset, and no byte before."""
        if self.buffer:
            return False
        self.socket.settimeout(timeout_s)
        try:
            return not self.fill()
        except ConnectionError:
            return True

    def post(self, document, path="/v1/payments", method="POST", headers=()):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        return self.answer()


def message(host, head_lines, body=b"", request_line="POST /v1/payments HTTP/1.1", host_line=True):
    lines = [request_line] + ([f"Host: {host}"] if host_line else []) + list(head_lines)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
