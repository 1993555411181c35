#!/usr/bin/env python3
"""What the shim costs real servers: CPU time of the server for each request,
throughput, and latency, against the same server without a profiler.

For each kind of server, one for each way of profiling, all at once; they get
short bursts of the same load in turn, in an order that is drawn anew each round,
and ratios are taken within a round.  A second one without a profiler ("control")
shows how much of a ratio is noise.

"all profiles": a CPU profile runs all the time, and in each burst every other
profile is fetched once.  A burst is shorter than the 10 s in which a scraper
would do that once, so what it costs more than a burst with a CPU profile alone
counts for as much less.  Throughput and latency are told as the burst saw them.

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

import loads
from measure import (KEY, Profile, environment, find_gperftools, free_port, report,
                     with_gperftools, with_shim)

SCRAPE_SECONDS = 10
TURNS = 30  # of each server, for one ratio
PAGES = ("heap", "allocs", "block", "mutex", "goroutine", "threadcreate")


class Way:
    """One server with one way of profiling."""

    def __init__(self, cls, folder, env, hz=None, fetches=False, shim_port=None):
        self.server = cls(env, folder)
        self.shim_port, self.fetches, self.hz = shim_port, fetches, hz
        self.open_profile()

    def open_profile(self):
        self.profile = Profile(self.shim_port).open(3600, self.hz) if self.hz else None

    def fetch_all(self):
        for page in PAGES:
            c = http.client.HTTPConnection("127.0.0.1", self.shim_port, timeout=60)
            c.request("GET", f"/debug/pprof/{page}", headers={"Authorization": f"Bearer {KEY}"})
            c.getresponse().read()  # a 404 is one of those that this version has not
            c.close()

    def begin(self):
        self.cpu_before = self.server.spent_ns()
        self.fetcher = threading.Thread(target=self.fetch_all) if self.fetches else None
        if self.fetcher:
            self.fetcher.start()

    def end(self):
        """CPU ns of the server since begin()."""
        if self.fetcher:
            self.fetcher.join()
        return self.server.spent_ns() - self.cpu_before

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


def bursts(started):
    """{way: (what the load saw, CPU ns of the server)}, one after the other."""
    found = {}
    for name, way in shuffled(started):
        way.begin()
        seen = way.server.burst()
        found[name] = seen, way.end()
    return found


def turns(started):
    """The same, all side by side: some requests for each in turn."""
    took = {name: [] for name in started}
    seconds = dict.fromkeys(started, 0)
    for way in started.values():
        way.begin()
    for _ in range(TURNS):
        for name, way in shuffled(started):
            before = time.perf_counter()
            took[name] += way.server.turn()
            seconds[name] += time.perf_counter() - before
    return {name: (loads.burst_of(seconds[name], took[name]), way.end())
            for name, way in started.items()}


def one_round(cls, started, seen):
    found = turns(started) if hasattr(cls, "turn") else bursts(started)
    cost = {name: cpu / burst.requests for name, (burst, cpu) in found.items()}
    for name, (burst, _) in found.items():
        if name.startswith("all profiles"):
            base = cost[name.replace("all profiles,", "profile at")]
            cost[name] = base + (cost[name] - base) * min(burst.seconds / SCRAPE_SECONDS, 1)
        seen[name].append((cost[name], burst))


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


def ways_for(name):
    ways = {"without": (lambda c, f: Way(c, f, environment()), None), **WAYS}
    if loads.QUICK:
        return {way: ways[way] for way in QUICK_WAYS}
    if find_gperftools() and name.startswith(("redis, pipe", "chat")):
        ways["gperftools at 100 Hz"] = (gperftools_way, None)
    return ways


def measure(name, cls, folder):
    ways = ways_for(name)
    started = start_all(cls, ways, folder)
    seen = {way: [] for way in ways}
    for start in range(1 if loads.QUICK else cls.starts):
        for way in started.values() if start else ():
            way.restart()
        one_round(cls, started, {way: [] for way in ways})  # what is learned once is learned
        for _ in range(2 if loads.QUICK else cls.rounds):
            one_round(cls, started, seen)
    for way in started.values():
        way.stop()
    tell(name, ways, seen)


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
