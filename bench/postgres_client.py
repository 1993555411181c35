"""A client of postgres that keeps its connections and asks what `pgbench -S` asks.

pgbench connects anew for each of its runs; what that costs, and what its
backends do in their first moments, would drown what a request costs.
"""

import random
import socket
import struct
import time

ROWS = 100000  # of pgbench_accounts at pgbench's scale of 1
PROTOCOL = 3 << 16


class Connection:
    def __init__(self, port, user, database):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.input = self.socket.makefile("rb")
        who = f"user\0{user}\0database\0{database}\0\0".encode()
        self.socket.sendall(struct.pack("!ii", 8 + len(who), PROTOCOL) + who)
        self.wait_ready()

    def message(self):
        kind, length = struct.unpack("!ci", self.input.read(5))
        return kind, self.input.read(length - 4)

    def wait_ready(self):
        """An error is told, and not counted as an answer."""
        kind = None
        while kind != b"Z":
            kind, body = self.message()
            if kind == b"E":
                raise RuntimeError(f"postgres: {body!r}")

    def ask(self, query):
        text = query.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack("!i", 4 + len(text)) + text)

    def close(self):
        self.input.close()
        self.socket.close()


def ask_each(connections):
    """One question on each; seconds until each of the answers."""
    asked = []
    for c in connections:
        aid = random.randint(1, ROWS)
        asked.append(time.perf_counter())
        c.ask(f"SELECT abalance FROM pgbench_accounts WHERE aid = {aid};")
    took = []
    for c, at in zip(connections, asked):
        c.wait_ready()
        took.append(time.perf_counter() - at)
    return took
