#!/usr/bin/env python3
"""What the shim costs redis-server: CPU time for each request, memory, wake-ups.

One server for each way of profiling.  All run side by side and get the same
small batches of requests in turn, in an order that is drawn anew each time, so
that whatever else the machine does hits all of them alike.  Each turn lasts
well below a millisecond; a ratio is taken of some hundred turns.  A second
server without a profiler ("control") shows how much of a ratio is noise.  The
servers are started again for each round, because where a process lies in
memory matters more than what is measured here.
"""

import atexit
import os
import random
import socket
import subprocess
import sys
import tempfile
import time

from measure import (Profile, cached_kib, cpu_ns, environment, find_gperftools, find_listener,
                     free_port, private_kib, report, rounds, thread_cpu_ns, with_gperftools, with_shim)

CONNECTIONS = 20
TURNS = 150  # of each server, for one ratio
RATIOS = 6  # in each round


class Server:
    def __init__(self, env, shim_port=None):
        self.port = free_port()
        self.shim_port = shim_port
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--save", "", "--appendonly", "no",
             "--loglevel", "warning", "--hz", "10"],
            env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        atexit.register(self.process.kill)
        self.pid = self.process.pid
        self.profile = None
        self.listener = None
        self.connections = [self.connect() for _ in range(CONNECTIONS)]
        self.turns(50)

    def connect(self):
        for _ in range(500):
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=30)
            except ConnectionRefusedError:
                time.sleep(0.02)
        sys.exit("bench: redis-server did not start")

    def turn(self):
        """One request on each connection."""
        for c in self.connections:
            key = random.randrange(10000)
            if key % 2:
                c.sendall(b"GET key:%d\r\n" % key)
            else:
                c.sendall(b"SET key:%d some-value-of-no-meaning\r\n" % key)
        for c in self.connections:
            reply = c.recv(200)
            while not reply.endswith(b"\r\n"):
                reply += c.recv(200)

    def turns(self, count):
        for _ in range(count):
            self.turn()

    def spent_ns(self):
        """By redis itself, handlers included; the listener's time goes by the clock."""
        own = thread_cpu_ns(self.pid, self.listener) if self.listener else 0
        return cpu_ns(self.pid) - own

    def profile_for_ever(self, hz):
        self.profile = Profile(self.shim_port).open(3600, hz)

    def stop(self):
        if self.profile:
            self.profile.close()
        for c in self.connections:
            c.close()
        self.process.terminate()
        self.process.wait()


def plain():
    return Server(environment())


def idle():
    port = free_port()
    server = Server(with_shim(port), port)
    server.listener = find_listener(server.pid)
    return server


def sampled(hz):
    server = idle()
    server.profile_for_ever(hz)
    return server


def peer(library, folder, hz):
    return Server(with_gperftools(library, f"{folder}/gperftools.{time.time_ns()}", hz))


def ways(folder):
    """What is compared: a name, how to start it, and what it may cost."""
    result = {
        "control": (plain, None),
        "shim idle": (idle, 1.01),
        "profile at 100 Hz": (lambda: sampled(100), 1.03),
        "profile at 1000 Hz": (lambda: sampled(1000), None),
    }
    library = find_gperftools()
    if library:
        result["gperftools at 100 Hz"] = (lambda: peer(library, folder, 100), None)
        result["gperftools at 1000 Hz"] = (lambda: peer(library, folder, 1000), None)
    else:
        print("bench: gperftools is not installed, no peer", file=sys.stderr)
    return result


def one_ratio(servers, ratios, costs):
    before = {name: server.spent_ns() for name, server in servers.items()}
    order = list(servers.values())
    for _ in range(TURNS):
        random.shuffle(order)
        for server in order:
            server.turn()
    cost = {name: server.spent_ns() - before[name] for name, server in servers.items()}
    costs.append(cost["plain"] / TURNS / CONNECTIONS)
    for name in ratios:
        ratios[name].append(cost[name] / cost["plain"])


def one_round(compared, ratios, costs):
    servers = {"plain": plain()}
    servers.update({name: start() for name, (start, _) in compared.items()})
    for _ in range(RATIOS):
        one_ratio(servers, ratios, costs)
    for server in servers.values():
        server.stop()


def measure_cpu(folder):
    compared = ways(folder)
    ratios = {name: [] for name in compared}
    costs = []
    for _ in range(2 if os.environ.get("QUICK") else 12):
        one_round(compared, ratios, costs)
    report("redis, without a profiler, CPU", [c / 1e3 for c in costs], "us/request")
    for name, (_, budget) in compared.items():
        note = "two servers without a profiler: noise" if name == "control" else ""
        report(f"redis, {name}, CPU", ratios[name], "ratio", budget, note)


def switches(server, tid):
    with open(f"/proc/{server.pid}/task/{tid}/status") as f:
        fields = dict(line.split(":", 1) for line in f)
    return int(fields["voluntary_ctxt_switches"]) + int(fields["nonvoluntary_ctxt_switches"])


def measure_wakeups(server):
    """Nobody profiles; the server has met most of what it does, but not all: hence a median."""
    seconds = 3 if os.environ.get("QUICK") else 10
    server.turns(2000)
    found = []
    for _ in range(3):
        before = switches(server, server.listener)
        time.sleep(seconds)
        found.append(switches(server, server.listener) - before)
    report("listener, idle, wake-ups", found, "switches", 0,
           f"in {seconds} s without requests; each for an allocation from a stack not met before")
    before, until = switches(server, server.listener), time.monotonic() + seconds
    while time.monotonic() < until:
        server.turns(10)
    report("listener, idle, wake-ups under load", switches(server, server.listener) - before,
           "switches", None, f"in {seconds} s; each for an allocation from a stack not met before")


def measure_listener(hz):
    """CPU time of the listener for each second that a profile runs; the server is busy."""
    server = sampled(hz)
    shares = []
    for _ in range(rounds(18)):
        before, started = thread_cpu_ns(server.pid, server.listener), time.monotonic_ns()
        server.turns(500)
        used = thread_cpu_ns(server.pid, server.listener) - before
        shares.append(1e6 * used / (time.monotonic_ns() - started))
    server.stop()
    report(f"listener, profile at {hz} Hz", shares, "us/s", None, "beside the ratio above")


def memory_of_pair():
    """MiB that a server with the shim has more than one without that did the same: idle, at most
    while a profile runs, and 5 s after it; then also pages of files."""
    without, server = plain(), idle()

    def more():
        return (private_kib(server.pid) - private_kib(without.pid)) / 1024

    before = most = more()
    seconds = 4
    profile = Profile(server.shim_port).open(seconds, 1000)
    until = time.monotonic() + seconds - 0.5
    while time.monotonic() < until:
        server.turns(200)
        without.turns(200)
        most = max(most, more())
    profile.read()
    profile.close()
    most = max(most, more())
    time.sleep(5)
    after = more()
    files = (cached_kib(server.pid) - cached_kib(without.pid)) / 1024
    without.stop()
    server.stop()
    return before, most, after, files


def measure_memory():
    pairs = list(zip(*(memory_of_pair() for _ in range(rounds(5)))))
    note = "more than a server without the shim; their own allocators differ a little too"
    report("private memory, idle", pairs[0], "MiB", 1, note)
    report("private memory, profile at 1000 Hz", pairs[1], "MiB", 32)
    report("private memory, 5 s after a profile", pairs[2], "MiB", 1)
    report("pages of files, 5 s after a profile", pairs[3], "MiB", None,
           "the library itself, and what was read of others; in the kernel's cache")


def main():
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        measure_cpu(folder)
    server = idle()
    measure_wakeups(server)
    server.stop()
    measure_listener(100)
    measure_listener(1000)
    measure_memory()


main()
