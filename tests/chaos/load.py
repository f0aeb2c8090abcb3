#!/usr/bin/python3 -B
"""load - clients that pay as good clients do, each payment sent until it gets its 202, and write down every answer they got.

    load.py SETTINGS.json       runs until SIGTERM; then ends what is under way and exits

One line of JSON per call in `log`, as tests/e2e/check_history.py wants it: call (its name, which is also in the payment's metadata, so
that its record can be told from any other call's), order_id, attempt, status (0: no answer came), code of the problem, position of a 202;
and for us sent (when), seconds (until the answer), intake (which).
"""
import asyncio
import contextlib
import ctypes
import json
import os
import random
import signal
import socket
import sys
import time

CLONE_NEWNET = 0x40000000
ANSWER_TIMEOUT_S = 12                       # the intake answers within 5 s (504), a frozen one never
TRIES_MAX = 60
REMEMBERED = 3000                           # payments that repeats are taken from
LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(path, ours):
    """Sockets made meanwhile belong to the namespace at that path."""
    if path is None:
        yield
        return
    space = os.open(path, os.O_RDONLY)
    try:
        if LIBC.setns(space, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        LIBC.setns(ours, CLONE_NEWNET)
        os.close(space)


class Connection:
    """One keep-alive connection to one intake."""

    def __init__(self, intake, ours):
        self.intake, self.ours = intake, ours
        self.reader = self.writer = None

    async def call(self, method, path, body):
        """(status, document, headers); a status of 0 when none came."""
        try:
            if self.writer is None:
                with inside(self.intake["space"], self.ours):
                    plain = socket.socket()
                plain.setblocking(False)
                try:
                    await asyncio.wait_for(asyncio.get_running_loop().sock_connect(plain, (self.intake["host"], self.intake["port"])), 3)
                except BaseException:
                    plain.close()
                    raise
                self.reader, self.writer = await asyncio.open_connection(sock=plain)
            head = f"{method} {path} HTTP/1.1\r\nHost: paybuf\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.writer.write(head.encode() + body)
            return await asyncio.wait_for(self.answer(), ANSWER_TIMEOUT_S)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError):
            self.close()
            return 0, {}, {}

    async def answer(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        document = json.loads(await self.reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(head[0].split()[1]), document, headers

    def close(self):
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


class Load:
    def __init__(self, settings):
        self.settings = settings
        self.random = random.Random(settings["seed"])
        self.ours = os.open("/proc/self/ns/net", os.O_RDONLY) if settings["intakes"][0]["space"] else None
        self.log = open(settings["log"], "a")
        self.calls = self.fresh = self.begun = 0
        self.recent = []
        self.ending = asyncio.Event()
        self.began = time.monotonic()

    def payment(self):
        """A fresh order, a repeat, a conflict or a next attempt."""
        dice = self.random.random()
        if self.recent and dice < 0.30:
            return self.random.choice(self.recent)
        if self.recent and dice < 0.33:
            return {**self.random.choice(self.recent), "amount_minor": self.random.randint(1, 999)}
        if self.recent and dice < 0.37:
            earlier = self.random.choice(self.recent)
            return self.remember({**earlier, "attempt": min(earlier["attempt"] + 1, 99)})
        self.fresh += 1
        return self.remember({"order_id": f"{self.settings['prefix']}{self.fresh:08d}", "attempt": 1,
                              "account_id": self.random.choice(self.settings["accounts"]), "amount_minor": self.random.randint(1, 5000), "currency": "EUR"})

    def remember(self, payment):
        if len(self.recent) < REMEMBERED:
            self.recent.append(payment)
        else:
            self.recent[self.random.randrange(REMEMBERED)] = payment
        return payment

    async def turn(self):
        """Waits for the next payment's time. False: there is none any more."""
        if self.settings["count"] and self.begun >= self.settings["count"]:
            await self.ending.wait()
        number = self.begun
        self.begun += 1
        due = self.began + number / self.settings["rate"]
        behind = time.monotonic() - due
        if behind > 2:                      # everybody waited for a dead intake: what wasn't sent then isn't sent in a burst now
            self.began += behind
        elif behind < 0:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.ending.wait(), -behind)
        return not self.ending.is_set()

    async def client(self, number):
        connections = [Connection(intake, self.ours) for intake in self.settings["intakes"]]
        rng = random.Random(self.settings["seed"] * 1000 + number)
        while await self.turn():
            payment = self.payment()
            for tried in range(TRIES_MAX):
                which = rng.randrange(len(connections))
                status, headers = await self.send(connections[which], which, payment, rng)
                if status == 202 or self.ending.is_set():
                    break
                wait_s = min(float(headers.get("retry-after", 0)), 2.0) or min(0.1 * 2 ** tried, 2.0)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self.ending.wait(), wait_s * rng.uniform(0.7, 1.3))

    async def send(self, connection, which, payment, rng):
        self.calls += 1
        name = f"c{self.calls}"
        body = json.dumps({**payment, "metadata": {"call": name}}).encode()
        method, path = ("PUT", f"/v1/payments/{payment['order_id']}") if rng.random() < 0.2 else ("POST", "/v1/payments")
        sent, began = time.time(), time.monotonic()
        status, document, headers = await connection.call(method, path, body)
        line = {"call": name, "order_id": payment["order_id"], "attempt": payment["attempt"], "status": status, "intake": which, "sent": round(sent, 4),
                "seconds": round(time.monotonic() - began, 4)}
        if status == 202:
            line["position"] = document["position"]
        elif status:
            line["code"] = document.get("code")
        self.log.write(json.dumps(line, separators=(",", ":")) + "\n")
        return status, headers

    async def flush(self):
        while True:
            await asyncio.sleep(0.1)
            self.log.flush()

    async def run(self):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.ending.set)
        flusher = asyncio.create_task(self.flush())
        await asyncio.gather(*(self.client(n) for n in range(self.settings["clients"])))
        flusher.cancel()
        self.log.close()


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        asyncio.run(Load(json.load(file)).run())
