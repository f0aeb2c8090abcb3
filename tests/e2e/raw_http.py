"""raw_http - HTTP at the level of bytes: for messages that no decent client library would send, and for keeping connections."""
import json
import socket
from urllib.parse import urlsplit


class Connection:
    """One TCP connection to the intake; bytes out, parsed answers in."""

    def __init__(self, url, timeout_s=15):
        parts = urlsplit(url)
        self.host = parts.netloc
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout_s)
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
        """(status, headers with small names, body), or None when the server closed without a (further) answer."""
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
        while len(self.buffer) < length:
            if not self.fill():
                break
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(lines[0].split(" ")[1]), headers, body

    def is_closed(self):
        """The server has closed it: an end of file or a reset comes, and no byte before."""
        if self.buffer:
            return False
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
