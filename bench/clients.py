"""Clients that keep their connections and ask a few questions on each in turn.

The tools that servers are usually measured with connect anew for each run and
work for a second at a time.  A machine that others use changes by more than a
profiler costs within that second; these ask for some milliseconds.
"""

import random
import socket
import struct
import time


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        """Without its end; an error is told, and not counted as an answer."""
        text = self.input.readline()
        if not text or text.startswith((b"-ERR", b"ERR", b"ERROR", b"CLIENT_ERROR")):
            raise RuntimeError(f"a server said {text!r}")
        return text.rstrip(b"\r\n")

    def skip(self, length):
        self.input.read(length)

    def close(self):
        self.input.close()
        self.socket.close()


class Redis(Connection):
    """As redis-benchmark: GETs and SETs of small values of 10,000 keys."""

    def __init__(self, port, pipeline):
        super().__init__(port)
        self.pipeline = pipeline

    def ask(self):
        keys = [random.randrange(10000) for _ in range(self.pipeline)]
        self.send(b"".join(b"GET key:%012d\r\n" % k if k % 2 else b"SET key:%012d xyz\r\n" % (k + 1)
                           for k in keys))

    def wait(self):
        for _ in range(self.pipeline):
            text = self.line()
            if text.startswith(b"$") and text != b"$-1":
                self.skip(int(text[1:]) + 2)
        return self.pipeline


class Http(Connection):
    def ask(self):
        self.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def wait(self):
        if b" 200 " not in self.line():
            raise RuntimeError("a web server did not answer with 200")
        length = None
        while text := self.line():
            name, _, value = text.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        self.skip(length)
        return 1


class Memcached(Connection):
    """As memcaslap: nine gets for each set of 1 KiB."""

    value = b"x" * 1024

    def ask(self):
        key = random.randrange(500)
        if random.randrange(10):
            self.send(b"get key%d\r\n" % key)
        else:
            self.send(b"set key%d 0 0 %d\r\n%b\r\n" % (key, len(self.value), self.value))

    def wait(self):
        while (text := self.line()) not in (b"END", b"STORED"):
            self.skip(int(text.split()[3]) + 2)
        return 1


class Postgres(Connection):
    """As `pgbench -S`."""

    rows = 100000  # of pgbench_accounts at pgbench's scale of 1
    protocol = 3 << 16

    def __init__(self, port, user, database):
        super().__init__(port)
        who = f"user\0{user}\0database\0{database}\0\0".encode()
        self.send(struct.pack("!ii", 8 + len(who), self.protocol) + who)
        self.wait()

    def ask(self):
        aid = random.randint(1, self.rows)
        text = f"SELECT abalance FROM pgbench_accounts WHERE aid = {aid};\0".encode()
        self.send(b"Q" + struct.pack("!i", 4 + len(text)) + text)

    def wait(self):
        kind = None
        while kind != b"Z":
            kind, length = struct.unpack("!ci", self.input.read(5))
            body = self.input.read(length - 4)
            if kind == b"E":
                raise RuntimeError(f"postgres: {body!r}")
        return 1


class Chat(Connection):
    """Speaks to a room of `members`, none of which is chat_load's, and hears what all say."""

    words = b"apple bridge candle desert engine forest spam garden harbour island jacket kitchen"

    def __init__(self, port, room, user, members):
        super().__init__(port)
        self.members = members
        self.send(f"JOIN bench{room} user{user} secret\n".encode())
        self.line()

    def ask(self):
        self.send(b"SAY %b\n" % self.words)

    def wait(self):
        """One OK, and a MSG of each member."""
        for _ in range(self.members + 1):
            self.line()
        return 1


def ask_each(connections):
    """A question (or a pipeline of them) on each, then all answers: how many there were."""
    for c in connections:
        c.ask()
    return sum(c.wait() for c in connections)


def time_each(connections):
    """The same; seconds until each of the answers."""
    asked = []
    for c in connections:
        asked.append(time.perf_counter())
        c.ask()
    took = []
    for c, at in zip(connections, asked):
        c.wait()
        took.append(time.perf_counter() - at)
    return took
