"""tcp_gate - a TCP proxy that can stop reading what the server sends, with small buffers: so a server's results stay unread."""
import socket
import threading


class TcpGate:
    def __init__(self, host, port):
        self.server = host, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = threading.Event()
        self.open.set()
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket()
            # Before connecting: a small window, and small segments, as the loopback's 64 KB ones make the server's own buffer 2.5 MB.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            try:
                server.connect(self.server)
            except OSError:
                client.close()
                continue
            self.sockets += [client, server]
            threading.Thread(target=self.pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, True), daemon=True).start()

    def pump(self, source, target, gated):
        try:
            while True:
                if gated:
                    self.open.wait()
                data = source.recv(4096)
                if not data:
                    break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.open.set()
        self.listener.shutdown(socket.SHUT_RDWR)        # else the accept() that waits would take one more
        self.listener.close()
        for end in self.sockets:
            end.close()
