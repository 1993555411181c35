#!/usr/bin/env python3
"""What the shim costs real servers: CPU time of the server for each request,
throughput, and latency, against the same server without a profiler.

For each kind of server, one for each way of profiling, all at once; they get the
same small turns of requests, in an order that is drawn anew for each, so that
whatever else the machine does hits all alike.  They are started again many
times, because where a process lies in memory matters more than what is measured:
a ratio is of one start, and the median is over starts.  A second server without
a profiler ("control") shows how much of a ratio is noise, and one with a library
that does nothing ("a bare library", bare.cc) what the least is.

The listener works by the clock, and a server here waits for its turn most of the
time: what the listener used is counted by the share of the time in which its
server was busy.  "all profiles": a CPU profile runs all the time, and every other
profile is fetched once in a start, of which that part counts that falls on a busy
server's time when a scraper does so every 10 s.

Throughput and latency are told beside it, of one burst a start from the tool that
people use for such a server.

usage: servers.py [SERVER...]
"""

import http.client
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import namedtuple

import loads
from measure import (BARE, KEY, Profile, environment, find_gperftools, find_listener, free_port,
                     report, thread_cpu_ns, with_bare, with_gperftools, with_shim)

SCRAPE_SECONDS = 10
TURNS = 100  # of each server, in one start
TURNS_TO_WARM_UP = 20
PAGES = ("heap", "allocs", "block", "mutex", "goroutine", "threadcreate")

Spent = namedtuple("Spent", "own listener")  # CPU ns


class Way:
    """One server with one way of profiling."""

    def __init__(self, cls, folder, env, hz=None, fetches=False, shim_port=None):
        self.server = cls(env, folder)
        self.shim_port, self.fetches, self.hz = shim_port, fetches, hz
        self.open_profile()

    def open_profile(self):
        self.listener = find_listener(self.server.pid) if self.shim_port else None
        self.profile = Profile(self.shim_port).open(3600, self.hz) if self.hz else None

    def fetch_all(self):
        for page in PAGES:
            c = http.client.HTTPConnection("127.0.0.1", self.shim_port, timeout=60)
            c.request("GET", f"/debug/pprof/{page}", headers={"Authorization": f"Bearer {KEY}"})
            c.getresponse().read()  # a 404 is one of those that this version has not
            c.close()

    def spent(self):
        listener = thread_cpu_ns(self.server.pid, self.listener) if self.listener else 0
        return Spent(self.server.spent_ns() - listener, listener)

    def begin(self):
        self.requests = self.seconds = 0
        self.before = self.spent()

    def turn(self):
        begin = time.perf_counter()
        self.requests += self.server.turn()
        self.seconds += time.perf_counter() - begin

    def used(self):
        """Since begin()."""
        return Spent(*(now - then for now, then in zip(self.spent(), self.before)))

    def stop(self):
        if self.profile:
            self.profile.close()
        self.server.stop()

    def restart(self):
        self.stop()
        self.server.start()
        self.open_profile()


def shim_way(cls, folder, **options):
    port = free_port()
    return Way(cls, folder, with_shim(port), shim_port=port, **options)


# Name: how, and what a request may cost.
WAYS = {
    "control": (lambda cls, folder: Way(cls, folder, environment()), None),
    "idle": (shim_way, 1.01),
    "profile at 100 Hz": (lambda c, f: shim_way(c, f, hz=100), 1.03),
    "profile at 1000 Hz": (lambda c, f: shim_way(c, f, hz=1000), None),
    "all profiles, 100 Hz": (lambda c, f: shim_way(c, f, hz=100, fetches=True), 1.03),
    "all profiles, 1000 Hz": (lambda c, f: shim_way(c, f, hz=1000, fetches=True), None),
}


QUICK_SERVERS = ("redis, pipeline 16", "nginx")
QUICK_WAYS = ("without", "control", "idle", "profile at 100 Hz", "all profiles, 100 Hz")


def gperftools_way(cls, folder):
    return Way(cls, folder, with_gperftools(find_gperftools(), f"{folder}/gperftools.prof"))


def start_all(cls, ways, folder):
    started = {}
    for name, (how, _) in ways.items():
        home = os.path.join(folder, name.replace(" ", "-").replace(",", ""))
        os.mkdir(home)
        os.chmod(folder, 0o755)
        started[name] = how(cls, home)
    return started


def shuffled(started):
    return random.sample(list(started.items()), len(started))


def take_turns(started, count):
    for _ in range(count):
        for _, way in shuffled(started):
            way.turn()


def costs(started):
    """{way: CPU ns for each request}, of one start."""
    for way in started.values():
        way.begin()
    begin = time.perf_counter()
    take_turns(started, TURNS)
    lasted = time.perf_counter() - begin
    return {name: (used.own + used.listener * way.seconds / lasted) / way.requests
            for name, way in started.items() for used in [way.used()]}


def burst(way):
    """What the tool saw, while the other profiles are fetched, and what that cost in CPU ns."""
    fetcher = threading.Thread(target=way.fetch_all) if way.fetches else None
    before = way.spent()
    if fetcher:
        fetcher.start()
    seen = way.server.burst()
    if fetcher:
        fetcher.join()
    return seen, way.spent().listener - before.listener if fetcher else 0


def one_start(cls, started, young, seen):
    for way in started.values():
        way.begin()
        if way.fetches:
            way.fetch_all()
    take_turns(started, TURNS_TO_WARM_UP)  # what is learned once is learned
    if cls.young_seconds:
        for name, ns in costs(started).items():
            young[name].append(ns)
        time.sleep(0 if loads.QUICK else cls.young_seconds)
    cost = costs(started)
    for name, way in shuffled(started):
        saw, fetches_ns = burst(way)
        busy_seconds = way.seconds / way.requests  # for each request
        seen[name].append((cost[name] + fetches_ns * busy_seconds / SCRAPE_SECONDS, saw))


def ratios(values, base):
    return [v / b for v, b in zip(values, base) if v is not None and b]


def remarks(seen, base):
    """Medians of what is measured beside CPU time: as ratios."""
    fields = {"throughput": lambda b: b.requests / b.seconds, "p50": lambda b: b.p50,
              "p99": lambda b: b.p99, "p99.9": lambda b: b.p999}
    told = []
    for name, field in fields.items():
        r = ratios([field(b) for _, b in seen], [field(b) for _, b in base])
        if r:
            told.append(f"{name} {statistics.median(r):.2f}")
    return ", ".join(told)


def tell(name, ways, seen):
    base = seen["without"]
    report(f"{name}, without, CPU", [cpu / 1e3 for cpu, _ in base], "us/request", None,
           f"{statistics.median(b.requests / b.seconds for _, b in base):.0f} requests a second")
    for way, (_, budget) in ways.items():
        if way != "without":
            report(f"{name}, {way}, CPU", ratios([c for c, _ in seen[way]], [c for c, _ in base]),
                   "ratio", budget, remarks(seen[way], base))


def tell_young(name, young):
    for way in ("control", "idle"):
        report(f"{name}, processes of the first seconds, {way}, CPU",
               ratios(young[way], young["without"]), "ratio", None,
               "their heap is recorded, in case their parent ends")


def ways_for(name):
    ways = {"without": (lambda c, f: Way(c, f, environment()), None), **WAYS}
    if loads.QUICK:
        return {way: ways[way] for way in QUICK_WAYS}
    if BARE:
        ways["a bare library"] = (lambda c, f: Way(c, f, with_bare()), None)
    if find_gperftools() and name.startswith(("redis, pipe", "chat")):
        ways["gperftools at 100 Hz"] = (gperftools_way, None)
    return ways


def measure(name, cls, folder):
    ways = ways_for(name)
    started = start_all(cls, ways, folder)
    young, seen = {way: [] for way in ways}, {way: [] for way in ways}
    for start in range(3 if loads.QUICK else cls.starts):
        for way in started.values() if start else ():
            way.restart()
        one_start(cls, started, young, seen)
    for way in started.values():
        way.stop()
    tell(name, ways, seen)
    if cls.young_seconds:
        tell_young(name, young)


def main():
    random.seed(1)
    wanted = sys.argv[1:] or (QUICK_SERVERS if loads.QUICK else ())
    for name, cls in loads.available(wanted).items():
        folder = tempfile.mkdtemp(prefix="pprofshim-bench.")
        try:
            measure(name, cls, folder)
        except (RuntimeError, OSError) as e:
            print(f"bench: {name}: not measured: {e}", file=sys.stderr)
            main.failed = True
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(main.failed)


main.failed = False
if __name__ == "__main__":
    main()
