#!/usr/bin/python3
"""soak - an intake and a worker under half an hour of clients who come and go, some of them badly; then: did anything grow?

    PAYBUF_TEST_BIN_DIR=build/release/bin tests/e2e/soak.py                 # 30 minutes, seed 1
    ... --minutes M   --seed S   --clients N (40, at once)   --run-dir DIR (servers, logs)

The clients are of the KINDS below, in random order; none keeps its connection for longer than some seconds. Every 202 is written down.
Afterwards, with everybody gone: memory, descriptors and threads beside what they were at first; no gauge left above 0; `paybuf audit` and
check_history, which know every promise. Last line: "soak: N calls, C connections, memory A -> B MiB, F findings"; exit 4 with findings.
"""
import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from intake_calls import metrics
from stack import Stack, wait_until

ACCOUNTS = [f"soak-{i}" for i in range(50)]
GAUGES = ["paybuf_intake_in_flight_records", "paybuf_intake_in_flight_bytes", "paybuf_intake_waiting_clients", "paybuf_intake_waiters",
          "paybuf_intake_batches", "paybuf_intake_streams", "paybuf_intake_connections"]
SETTLES_WITHIN_S = 60
RINGS = {f"PAYBUF_PRODUCER_{name}_BYTES": "1048576" for name in ("RESULTS", "RESULTS_STREAM")}     # small: full before growth is judged
GROWTH_MAX, GROWTH_MAX_MIB = 1.05, 2        # of the resident memory: both must be passed
FILLED_MINUTES = 5                          # shorter than this, rings and tables are still being filled: growth isn't judged


class Client:
    """One connection, and what may be said on it."""

    def __init__(self, soak, random_numbers):
        self.soak, self.random = soak, random_numbers

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(*self.soak.address, limit=1 << 20)
        self.soak.count["connections"] += 1
        return self

    async def __aexit__(self, *_):
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass

    def reset(self):
        """Ends the connection with RST instead of FIN."""
        self.writer.get_extra_info("socket").setsockopt(1, 13, struct.pack("ii", 1, 0))     # SOL_SOCKET, SO_LINGER
        self.writer.transport.abort()

    def order(self):
        self.soak.orders += 1
        return {"order_id": f"s{self.soak.seed}-{self.soak.orders}", "account_id": self.random.choice(ACCOUNTS), "amount_minor": 1, "currency": "EUR"}

    def send(self, line, body=b"", *headers):
        self.soak.count["calls"] += 1
        head = [f"{line} HTTP/1.1", f"Host: {self.soak.host}", *headers]
        if body:
            head.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join([*head, "", ""]).encode() + body)

    async def answer(self):
        """(status, headers, body); IncompleteReadError when the server closed instead."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        status = int(lines[0].split()[1])
        self.soak.count[f"status {status}"] += 1
        return status, headers, await self.body(headers)

    async def body(self, headers):
        if "transfer-encoding" not in headers:
            return await self.reader.readexactly(int(headers.get("content-length", 0)))
        parts = []
        while length := int(await self.reader.readuntil(b"\r\n"), 16):
            parts.append(await self.reader.readexactly(length))
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return b"".join(parts)

    def pay(self, *headers):
        order = self.order()
        self.send("POST /v1/payments", json.dumps(order).encode(), "Content-Type: application/json", *headers)
        return order

    async def accepted(self, order):
        """Its position, or None when it wasn't taken."""
        status, _, body = await self.answer()
        document = json.loads(body)
        if status not in (200, 202):
            return None
        self.soak.promise(order["order_id"], document["position"])
        return document["position"]


# --- who comes by; each has its own connection ---

async def payer(client):
    """Some payments, then a proper end."""
    for _ in range(client.random.randint(1, 20)):
        await client.accepted(client.pay())


async def pipeliner(client):
    """Several payments before the first answer."""
    for order in [client.pay() for _ in range(client.random.randint(2, 8))]:
        await client.accepted(order)


async def waiter(client):
    await client.accepted(client.pay(f"Prefer: wait={client.random.randint(1, 5)}"))


async def asker(client):
    position = await client.accepted(order := client.pay())
    for query in ("", f"?position={position}", f"?position={position}&wait=2"):
        client.send(f"GET /v1/payments/{order['order_id']}{query}")
        await client.answer()


async def batcher(client):
    orders = [client.order() for _ in range(client.random.randint(1, 200))]
    client.send("POST /v1/payments:batch", b"".join(json.dumps(order).encode() + b"\n" for order in orders), "Content-Type: application/x-ndjson")
    for line in (await client.answer())[2].decode().splitlines():
        told = json.loads(line)
        if told["status"] == 202:
            client.soak.promise(told["order_id"], told["position"])


async def listener(client):
    """A stream of results, left in its middle."""
    client.send("GET /v1/results", b"", "Accept: text/event-stream")
    await client.reader.readuntil(b"\r\n\r\n")
    until = time.monotonic() + client.random.uniform(0.1, 4)
    while (left := until - time.monotonic()) > 0:
        try:
            if not await asyncio.wait_for(client.reader.read(65536), left):
                return
        except asyncio.TimeoutError:
            return


async def leaver(client):
    """Doesn't wait for its answer: sometimes the result's, sometimes by a reset."""
    client.pay(*client.random.choice([(), ("Prefer: wait=5",)]))
    await asyncio.sleep(client.random.uniform(0, 0.05))
    if client.random.random() < 0.5:
        client.reset()


async def breaker(client):
    """Says half of what it began to say: a head, a body, a batch."""
    body = json.dumps(client.order()).encode()
    head, kind = f"Host: {client.soak.host}\r\nContent-Length: {len(body) + 50}\r\n\r\n".encode(), client.random.randrange(3)
    client.writer.write(b"POST /v1/payments HTTP/1.1\r\nHos" if kind == 0 else
                        b"POST /v1/payments HTTP/1.1\r\nContent-Type: application/json\r\n" + head + body[:20] if kind == 1 else
                        b"POST /v1/payments:batch HTTP/1.1\r\nContent-Type: application/x-ndjson\r\n" + head + body + b"\n{")
    await asyncio.sleep(client.random.uniform(0, 0.5))
    if client.random.random() < 0.5:
        client.reset()


async def stranger(client):
    """What is refused: bad JSON, an unknown path, a bad head."""
    kind = client.random.randrange(3)
    client.send(*[("POST /v1/payments", b"{", "Content-Type: application/json"), ("GET /v1/nothing",), ("GET /v1/payments/\x7f",)][kind])
    await client.answer()


async def idler(client):
    await asyncio.sleep(client.random.uniform(0, 3))


KINDS = [payer, payer, payer, pipeliner, waiter, asker, batcher, listener, leaver, breaker, stranger, idler]


# --- half an hour ---

class Soak:
    def __init__(self, stack, seed, accepted):
        self.stack, self.seed, self.orders = stack, seed, 0
        self.host = stack.env["PAYBUF_HTTP_URL"].removeprefix("http://")
        name, port = self.host.rsplit(":", 1)
        self.address = name, int(port)
        self.count, self.accepted, self.samples = Counter(), open(accepted, "w"), []

    def promise(self, order_id, position):
        self.accepted.write(json.dumps({"order_id": order_id, "attempt": 1, "position": position}) + "\n")

    def sample(self):
        """Memory in bytes, descriptors and threads of the intake now; of its own connections to the servers it has a few more or less."""
        process = Path(f"/proc/{self.stack.pid('producer')}")
        memory = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return memory, len(os.listdir(process / "fd")) - self.to_servers(process), len(os.listdir(process / "task"))

    def to_servers(self, process):
        """Its connections to Kafka and PostgreSQL."""
        ports = {int(self.stack.bootstrap().rsplit(":", 1)[1]), int(self.stack.env["PAYBUF_DATABASE_URL"].split("@")[1].split("/")[0].split(":")[1])}
        lines = [line.split() for name in ("tcp", "tcp6") for line in (process / "net" / name).read_text().splitlines()[1:]]
        inodes = {line[9] for line in lines if int(line[2].rsplit(":", 1)[1], 16) in ports}
        return sum(self.link(fd).removeprefix("socket:[").rstrip("]") in inodes for fd in (process / "fd").iterdir())

    @staticmethod
    def link(descriptor):
        try:
            return os.readlink(descriptor)
        except FileNotFoundError:
            return ""                       # closed since

    async def one_after_the_other(self, number, until):
        numbers = random.Random(f"{self.seed}/{number}")
        while time.monotonic() < until:
            kind = numbers.choice(KINDS)
            try:
                async with Client(self, numbers) as client:
                    await asyncio.wait_for(kind(client), 30)
                self.count[kind.__name__] += 1
            except (OSError, asyncio.IncompleteReadError) as error:
                self.count[f"{kind.__name__}: {type(error).__name__}"] += 1
            await asyncio.sleep(numbers.uniform(0, 0.05))

    async def look(self, seconds, until):
        while time.monotonic() < until:
            await asyncio.sleep(seconds)
            self.samples.append(await asyncio.to_thread(self.sample))

    async def run(self, minutes, clients):
        until = time.monotonic() + 60 * minutes
        await asyncio.gather(self.look(min(10, 60 * minutes / 40), until), *(self.one_after_the_other(i, until) for i in range(clients)))
        self.accepted.close()

    def growth(self):
        """What grew from the second tenth of the time (the first one warms up) to the last, as sentences."""
        tenth = max(len(self.samples) // 10, 1)
        early, late = self.samples[tenth:2 * tenth] or self.samples[:1], self.samples[-tenth:]
        (memory, descriptors, threads), (memory_late, descriptors_late, threads_late) = (
            [statistics.median(column) for column in zip(*part)] for part in (early, late))
        self.memory_mib = memory / 2**20, memory_late / 2**20
        if memory_late > memory * GROWTH_MAX and memory_late - memory > GROWTH_MAX_MIB * 2**20:
            yield f"memory grew from {self.memory_mib[0]:.1f} to {self.memory_mib[1]:.1f} MiB"
        if threads_late > threads:
            yield f"threads grew from {threads} to {threads_late}"

    def leftovers(self, descriptors):
        def quiet():
            return not any(metrics(self.stack, *GAUGES))
        try:
            wait_until(quiet, SETTLES_WITHIN_S, "no gauge above 0")
        except AssertionError:
            yield from (f"{gauge} is {value}" for gauge in GAUGES if (value := metrics(self.stack, gauge)[0]))
        now = self.sample()[1]
        if now > descriptors + 4:           # a connection that it is just making
            yield f"descriptors: {descriptors} before, {now} after"

    def proof(self):
        self.stack.wait_at_rest(300)
        try:
            self.stack.check(accepted=self.accepted.name, timeout_s=3600)
        except AssertionError as error:
            yield str(error)


def soak(stack, minutes, seed, clients, accepted, say):
    """The findings."""
    this = Soak(stack, seed, accepted)
    asyncio.run(this.run(min(minutes, 0.05), clients))      # so that what is opened once is open
    time.sleep(1)
    descriptors = this.sample()[1]
    this = Soak(stack, seed + 1_000_000, accepted + ".main")
    asyncio.run(this.run(minutes, clients))
    findings = [*this.growth()]
    for name, count in sorted(this.count.items()):
        say(f"{count:9}  {name}")
    if minutes < FILLED_MINUTES:
        say(f"shorter than {FILLED_MINUTES} minutes: growth isn't judged{''.join('; ' + finding for finding in findings)}")
        findings = []
    findings += [*this.leftovers(descriptors), *this.proof()]
    for finding in findings:
        say(f"finding: {finding}")
    say(f"soak: {this.count['calls']} calls, {this.count['connections']} connections, memory {this.memory_mib[0]:.1f} -> {this.memory_mib[1]:.1f} MiB, {len(findings)} findings")
    return findings


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--run-dir")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    servers = Stack(Path(arguments.run_dir or tempfile.mkdtemp(prefix="soak-")))
    servers.environment.update(RINGS)
    try:
        servers.up()
        servers.open_accounts(ACCOUNTS)
        findings = soak(servers, arguments.minutes, arguments.seed, arguments.clients, str(servers.run_dir / "accepted"), lambda text: print(text, flush=True))
    finally:
        servers.down()
    sys.exit(4 if findings else 0)


if __name__ == "__main__":
    main()
