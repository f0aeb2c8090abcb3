"""net - where each node lives, and what can be done to the lines between them.

Namespaces (Switch): every node (broker, database, worker, intake, listener) has a network namespace, a veth pair and an address of its own
on a bridge in ours. A cut is a rule in the input chain of the nodes concerned, so both directions can differ. Everything ends with the
process that made it, as `./dev chaos` runs in a network namespace of its own (unshare).

Gates: where namespaces aren't allowed, all is on the loopback, and between programs and servers stand TCP relays in this process. They can
hold back either direction, or refuse. What they can't: lose packets, slow a line, cut controllers from each other, or tell one broker's
line to another from those to the third (they are cut together).

    lines.add("broker-1")
    lines.listen("broker-1", "kafka")           (host, port) to listen on
    lines.reach("worker-1", "broker-1", "kafka")    (host, port) to connect to
    lines.command("broker-1", [...])            argv that runs there
    with lines.inside("intake-1"): socket()     sockets made inside stay there
    cut = lines.cut("worker-1", "broker-2", "both"); lines.heal(cut); lines.unplug("worker-1"); lines.plug("worker-1")
"""
import contextlib
import ctypes
import os
import socket
import subprocess
import threading

from ports import free_port

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
HOST = "host"                               # our own namespace: clients, checks
PREFIX = "10.123.0."

# How a line can be broken between a and b. `drop`s are silent, as a pulled cable is; `reset` is a firewall that answers.
WAYS = ("both", "a-hears-nothing", "b-hears-nothing", "reset", "loss")
LOSS_PERCENT = 40
PORTS = {"kafka": 9092, "controller": 9093, "postgres": 5432, "http": 8080, "admin": 9464}
LOOPBACK = "127.0.0.1"
ON_LOOPBACK = {"http", "admin"}             # what a program serves to its own machine only


def possible():
    """None: namespaces, links and packet rules can be made here. Else why not, in words."""
    if not os.environ.get("CHAOS_UNSHARED"):
        return "not root, or namespaces aren't allowed here"
    try:
        switch = Switch()
        switch.add("probe")
        switch.heal(switch.cut("probe", HOST, "loss"))
        switch.close()
        return None
    except subprocess.CalledProcessError as error:
        return f"{' '.join(map(str, error.cmd))}: {error.stderr.decode(errors='replace').strip() if isinstance(error.stderr, bytes) else error.stderr}"
    except OSError as error:
        return str(error)


def system(call, *arguments):
    if call(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Switch:
    loses_packets = True

    def __init__(self):
        self.lock = threading.RLock()
        self.ours = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.spaces = {HOST: self.ours}
        self.addresses = {HOST: PREFIX + "1"}
        self.cuts = []                      # (a, b, way)
        ip("link", "set", "lo", "up")
        ip("link", "add", "chaos0", "type", "bridge")
        ip("addr", "add", PREFIX + "1/24", "dev", "chaos0")
        ip("link", "set", "chaos0", "up")
        self.rules(HOST, "add table inet chaos; add chain inet chaos in { type filter hook input priority 0; policy accept; }")

    def close(self):
        for name, space in self.spaces.items():
            if name != HOST:
                ip("link", "del", "n" + self.addresses[name].rpartition(".")[2])
            os.close(space)
        ip("link", "del", "chaos0")
        self.rules_here("delete table inet chaos")

    def add(self, name):
        number = len(self.spaces) + 10
        self.addresses[name] = f"{PREFIX}{number}"
        # A thread of its own makes the namespace: unshare moves only the calling thread.
        made = []
        thread = threading.Thread(target=lambda: (system(LIBC.unshare, CLONE_NEWNET), made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))))
        thread.start()
        thread.join()
        if not made:
            raise OSError("no network namespace")
        self.spaces[name] = made[0]
        port = f"n{number}"
        ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", self.path(name))
        ip("link", "set", port, "master", "chaos0", "up")
        for words in (["link", "set", "lo", "up"], ["addr", "add", self.addresses[name] + "/24", "dev", "eth0"], ["link", "set", "eth0", "up"]):
            subprocess.run(self.command(name, ["ip", *words]), check=True, capture_output=True)
        self.rules(name, "add table inet chaos; add chain inet chaos in { type filter hook input priority 0; policy accept; }")

    def path(self, name):
        """A path other processes can enter the namespace by, as long as we live."""
        return f"/proc/{os.getpid()}/fd/{self.spaces[name]}"

    def listen(self, name, service):
        return LOOPBACK if service in ON_LOOPBACK else self.addresses[name], PORTS[service]

    def reach(self, source, target, service):
        return self.listen(target, service)

    def broker_listeners(self, name):
        """[(listener's name, (host, port) it listens on, (host, port) it tells its clients)]; the first one is also for other brokers."""
        return [("PLAINTEXT", self.listen(name, "kafka"), self.listen(name, "kafka"))]

    def command(self, name, argv):
        return ["nsenter", f"--net={self.path(name)}", "--", *argv]

    @contextlib.contextmanager
    def inside(self, name):
        """The calling thread is in that namespace; sockets made meanwhile stay there."""
        system(LIBC.setns, self.spaces[name], CLONE_NEWNET)
        try:
            yield
        finally:
            system(LIBC.setns, self.ours, CLONE_NEWNET)

    # --- breaking lines ---

    def cut(self, a, b, way):
        with self.lock:
            cut = (a, b, way)
            self.cuts.append(cut)
            self.apply(a)
            self.apply(b)
            return cut

    def heal(self, cut):
        with self.lock:
            self.cuts.remove(cut)
            self.apply(cut[0])
            self.apply(cut[1])

    def apply(self, name):
        """Makes the node's input chain what the list of cuts says, in one step."""
        lines = ["flush chain inet chaos in"]
        for a, b, way in self.cuts:
            if name not in (a, b) or way == ("b-hears-nothing" if name == a else "a-hears-nothing"):
                continue
            other = self.addresses[b if name == a else a]
            if way == "reset":              # a reset itself may pass, or else it would never be heard
                lines.append(f"add rule inet chaos in ip saddr {other} tcp flags & rst == rst accept")
            what = {"loss": f"numgen random mod 100 < {LOSS_PERCENT} drop", "reset": "meta l4proto tcp reject with tcp reset"}.get(way, "drop")
            lines.append(f"add rule inet chaos in ip saddr {other} {what}")
        self.rules(name, "\n".join(lines))

    def rules_here(self, text):
        subprocess.run(["nft", text], check=True, capture_output=True)

    def rules(self, name, text):
        subprocess.run(self.command(name, ["nft", "-f", "-"]), input=text.replace("; add", "\nadd") + "\n", text=True, check=True, capture_output=True)

    def unplug(self, name):
        """The node's cable: pulled. Its own kernel sees it at once, unlike a cut."""
        subprocess.run(self.command(name, ["ip", "link", "set", "eth0", "down"]), check=True, capture_output=True)

    def plug(self, name):
        subprocess.run(self.command(name, ["ip", "link", "set", "eth0", "up"]), check=True, capture_output=True)

    def narrow(self, name, kbit):
        """What the node sends goes out slowly; 0: as fast as it can."""
        words = ["add", "dev", "eth0", "root", "tbf", "rate", f"{kbit}kbit", "burst", "4kb", "latency", "2s"] if kbit else ["del", "dev", "eth0", "root"]
        subprocess.run(self.command(name, ["tc", "qdisc", *words]), check=True, capture_output=True)


# --- where there are no namespaces ---

class Gate:
    """A TCP relay that can hold back what either side sends, or refuse. What is held back goes on afterwards, as after retransmission."""

    def __init__(self, port, target):
        self.target = target
        self.flows = {"to": threading.Event(), "from": threading.Event()}
        for flow in self.flows.values():
            flow.set()
        self.refusing = False
        self.sockets = set()
        self.server = socket.create_server((LOOPBACK, port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.server.accept()
            server = socket.socket()
            try:
                if self.refusing:
                    raise OSError("refused")
                server.connect(self.target)
            except OSError:
                client.close()
                server.close()
                continue
            self.sockets |= {client, server}
            for source, sink, flow in ((client, server, "to"), (server, client, "from")):
                threading.Thread(target=self.pump, args=(source, sink, self.flows[flow]), daemon=True).start()

    def pump(self, source, sink, flow):
        try:
            while data := source.recv(65536):
                flow.wait()
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            self.sockets.discard(end)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def set(self, to, back, refusing):
        self.refusing = refusing
        for name, is_open in (("to", to), ("from", back)):
            (self.flows[name].set if is_open else self.flows[name].clear)()
        if refusing:
            for end in list(self.sockets):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


class Gates:
    """The same on the loopback, with a gate for each line that can be cut."""
    loses_packets = False               # `loss` is a cut here

    def __init__(self):
        self.lock = threading.RLock()
        if os.environ.get("CHAOS_UNSHARED"):
            ip("link", "set", "lo", "up")   # a namespace of our own, in which nothing more could be made
        self.names = []
        self.ports = {}                     # (node, service): its port
        self.gates = {}                     # (source, target): a gate; source "brokers": of the other two
        self.cuts = []

    def add(self, name):
        self.names.append(name)

    def port(self, name, service):
        if (name, service) not in self.ports:
            self.ports[name, service] = free_port()
        return self.ports[name, service]

    def listen(self, name, service):
        return LOOPBACK, self.port(name, service)

    def reach(self, source, target, service):
        if is_program(source) and service in ("kafka", "postgres"):
            return LOOPBACK, self.gate(source, target, f"kafka for {source}" if service == "kafka" else service)
        return self.listen(target, service)

    def gate(self, source, target, service):
        with self.lock:
            if (source, target) not in self.gates:
                port = free_port()
                self.gates[source, target] = Gate(port, self.listen(target, service)), port
            return self.gates[source, target][1]

    def broker_listeners(self, name):
        """Each program has a listener of its own, as a broker tells his clients the addresses of the listener that they came to."""
        made = [("BROKERS", self.listen(name, "replication"), (LOOPBACK, self.gate("brokers", name, "replication")))]
        made.append(("PLAINTEXT", self.listen(name, "kafka"), self.listen(name, "kafka")))
        for program in filter(is_program, PROGRAMS):
            made.append((program.replace("-", "").upper(), self.listen(name, f"kafka for {program}"), self.reach(program, name, "kafka")))
        return made

    def path(self, name):
        return None

    def command(self, name, argv):
        return argv

    @contextlib.contextmanager
    def inside(self, name):
        yield

    def cut(self, a, b, way):
        with self.lock:
            cut = (a, b, way)
            self.cuts.append(cut)
            self.apply()
            return cut

    def heal(self, cut):
        with self.lock:
            self.cuts.remove(cut)
            self.apply()

    def apply(self):
        for (source, target), (gate, _) in self.gates.items():
            ways = {way for a, b, way in self.cuts if b in (target, "everybody") and a == source or source == "brokers" and a == target and is_broker(b)}
            gate.set(to=not ways & {"both", "loss", "b-hears-nothing"}, back=not ways & {"both", "loss", "a-hears-nothing"}, refusing="reset" in ways)

    def unplug(self, name):
        self.cut(name, "everybody", "both")

    def plug(self, name):
        self.heal((name, "everybody", "both"))


PROGRAMS = ["worker-1", "worker-2", "worker-3", "intake-1", "intake-2"]


def is_program(name):
    return name in PROGRAMS


def is_broker(name):
    return name.startswith("broker-")
