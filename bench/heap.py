#!/usr/bin/env python3
"""What recording allocations costs: ours, and other profilers' and allocators' own.

bench/heap.c does the work, once for each way of profiling.  All run side by side
and get the same short batches in turn, in an order that is drawn anew each time;
a ratio is taken of the two batches of one turn.  They are started again for each
round, because where a process lies in memory matters more than what is measured.

usage: heap.py [PART...]   instructions pair peers sample live server
"""

import glob
import os
import random
import re
import statistics
import subprocess
import sys

from measure import (BUILD, BARE, cpu_ns, environment, fetch, find_library, free_port, report,
                     rounds, wait_for_port, with_bare, with_shim)

PROGRAM = f"{BUILD}/bench/heap"
TURNS = 15  # in each round
QUICK = bool(os.environ.get("QUICK"))
# What each batch is to do, and how it is called.
BATCHES = {
    "pair, 1 thread": "pair 1 200000",
    "pair, 16 threads": "pair 16 12500",
    "mixed sizes, 1 thread": "mixed 1 80000",
    "mixed sizes, 16 threads": "mixed 16 5000",
}


def say(text):
    print("bench: heap: " + text, file=sys.stderr)


# ---- ways to run the program

def shim(rate=None, under=None):
    env = with_shim(free_port())
    if rate is not None:
        env["PPROF_HEAP_RATE"] = str(rate)
    if under:
        env["LD_PRELOAD"] += ":" + under
    return env


def preloaded(library, **settings):
    return environment(LD_PRELOAD=library, **settings)


def jemalloc_profiles(library):
    """Not every distribution builds it so; it complains when it cannot."""
    said = subprocess.run(["true"], env=preloaded(library, MALLOC_CONF="prof:true"),
                          capture_output=True, text=True)
    return "Invalid conf" not in said.stderr


def peers():
    """{name: (environment, what it is compared with)}"""
    found = {}
    jemalloc, tcmalloc = find_library("libjemalloc.so"), find_library("libtcmalloc.so")
    if jemalloc:
        found["jemalloc"] = (preloaded(jemalloc), "plain")
        found["pprofshim over jemalloc"] = (shim(under=jemalloc), "jemalloc")
        if jemalloc_profiles(jemalloc):
            found["jemalloc prof, 512 KiB"] = (preloaded(jemalloc, MALLOC_CONF="prof:true"), "jemalloc")
        else:
            say("this jemalloc was built without profiling")
    if tcmalloc:
        found["tcmalloc"] = (preloaded(tcmalloc, TCMALLOC_SAMPLE_PARAMETER=0), "plain")
        found["pprofshim over tcmalloc"] = (shim(under=tcmalloc), "tcmalloc")
        found["tcmalloc sampling, 512 KiB"] = (
            preloaded(tcmalloc, TCMALLOC_SAMPLE_PARAMETER=524288), "tcmalloc")
    heaptrack = (glob.glob("/usr/lib/*/heaptrack/libheaptrack_preload.so") +
                 glob.glob("/usr/lib/heaptrack/libheaptrack_preload.so"))
    if heaptrack:
        found["heaptrack"] = (preloaded(heaptrack[0], DUMP_HEAPTRACK_OUTPUT="/dev/null"), "plain")
    return found


class Worker:
    def __init__(self, env, prefix=()):
        self.process = subprocess.Popen([*prefix, PROGRAM], env=env, text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)

    def do(self, command):
        self.process.stdin.write(command + "\n")
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{PROGRAM} ended at {command!r}")
        return float(answer)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def take_turns(workers, command, turns, found):
    """Appends to found[name] what a call cost each of the workers, turn by turn."""
    order = list(workers.items())
    for _ in range(turns):
        random.shuffle(order)
        for name, worker in order:
            found.setdefault(name, []).append(worker.do(command))


def ratios(found, name, base):
    return [a / b for a, b in zip(found[name], found[base])]


# ---- parts

def count(env, command, calls):
    """Instructions of one run, by callgrind."""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                           PROGRAM, f"{command} {calls}", "end"],
                          env=env, capture_output=True, text=True)
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1))


def instructions(env, command, calls):
    """Of one call: from the difference of two runs, so that the start cancels."""
    return (count(env, command, 3 * calls) - count(env, command, calls)) / (2 * calls)


def measure_instructions():
    """The shim samples nothing under valgrind; what is not sampled takes the same way there."""
    for what, command, calls in (("pair", "pair 1", 100000), ("mixed sizes", "mixed 1", 100000)):
        plain = instructions(environment(), command, calls)
        report(f"malloc+free {what}, without", plain, "instructions")
        report(f"malloc+free {what}, not sampled", instructions(shim(), command, calls) - plain,
               "instr. more", 24)


def measure_ways(ways, batches=BATCHES):
    """{batch: {name: ns of each turn}}, all ways side by side."""
    found = {batch: {} for batch in batches}
    for _ in range(rounds(9)):
        workers = {name: Worker(env) for name, env in ways.items()}
        for batch, command in batches.items():
            take_turns(workers, command, 2, {})  # stacks are learned, arenas made
            take_turns(workers, command, TURNS, found[batch])
        for worker in workers.values():
            worker.end()
    return found


def measure_pair():
    ways = {"plain": environment(), "control": environment(), "pprofshim": shim(),
            "pprofshim, rate 0": shim(0)}
    if BARE:
        ways["a bare library"] = with_bare()
    found = measure_ways(ways)
    for batch, ns in found.items():
        budget = 1.10 if batch.startswith("pair") else 1.05
        report(f"malloc+free {batch}, without", ns["plain"], "ns")
        report(f"malloc+free {batch}, control", ratios(ns, "control", "plain"), "ratio", None,
               "without a profiler too: noise")
        report(f"malloc+free {batch}", ratios(ns, "pprofshim", "plain"), "ratio", budget)
        report(f"malloc+free {batch}, rate 0", ratios(ns, "pprofshim, rate 0", "plain"), "ratio")
        if BARE:
            report(f"malloc+free {batch}, a bare library", ratios(ns, "a bare library", "plain"),
                   "ratio", None, "jumps, and has a thread that sleeps")


def measure_massif(plain):
    """The far end: too slow for turns."""
    worker = Worker(environment(), ["valgrind", "--tool=massif", "--massif-out-file=/dev/null"])
    ns = worker.do("pair 1 20000")
    worker.end()
    report("malloc+free pair, 1 thread, massif", ns / plain, "ratio")


def measure_peers():
    ways = peers()
    one_thread = {batch: command for batch, command in BATCHES.items() if "1 thread" in batch}
    found = measure_ways({"plain": environment(), **{name: env for name, (env, _) in ways.items()}},
                         one_thread if QUICK else BATCHES)
    for batch, ns in found.items():
        for name, (_, base) in ways.items():
            report(f"malloc+free {batch}, {name}", ratios(ns, name, base), "ratio", None,
                   "" if base == "plain" else f"over {base} alone")
    measure_massif(statistics.median(found["pair, 1 thread"]["plain"]))


def measure_sample():
    """At rate 8 each block of 64 bytes is a sample; its free is part of it."""
    for frames in (5, 30, 100):
        ns = {}
        for _ in range(rounds(6)):
            workers = {"plain": Worker(environment()), "sampled": Worker(shim(8))}
            take_turns(workers, f"deep {frames} 500", 2, {})
            take_turns(workers, f"deep {frames} 500", TURNS, ns)
            for worker in workers.values():
                worker.end()
        more = [a - b for a, b in zip(ns["sampled"], ns["plain"])]
        report(f"heap sample and its free, {frames} frames", more, "ns more",
               2000 if frames == 30 else None)


LIVE_BATCHES = ("pair, 1 thread", "mixed sizes, 1 thread")


def tell_live(medians, unit, note):
    """`medians`: {batch: [(live samples, ratios)]}"""
    for batch, points in medians.items():
        way = "; ".join(f"{n}: {statistics.median(r):.3g}" for n, r in points)
        report(f"malloc+free {batch}, {points[-1][0]} live samples", points[-1][1], unit, None,
               f"{way}; {note}")


def measure_spread_out():
    """Blocks of 64 KiB at that rate: as far apart as those of a heap of 100 GB, to the filter."""
    workers = {"base": Worker(environment()), "pprofshim": Worker(shim(65536))}
    points = {batch: [] for batch in LIVE_BATCHES}
    have = 0
    for samples in (0, 1000, 10000, 50000, 200000):
        for worker in workers.values():
            worker.do(f"keep {int((samples - have) / 0.632)} 65000")
        have = samples
        for batch in LIVE_BATCHES:
            found = {}
            take_turns(workers, BATCHES[batch], 2, {})
            take_turns(workers, BATCHES[batch], rounds(30), found)
            points[batch].append((samples, ratios(found, "pprofshim", "base")))
    for worker in workers.values():
        worker.end()
    tell_live(points, "ratio", "a sample in 64 KiB, eight times as many as by default")


def measure_dense():
    """Blocks of 1 KiB at that rate, every other one freed: samples on every page that is used."""
    workers = {"base": Worker(shim(1024)), "pprofshim": Worker(shim(1024))}
    batch, points = "mixed sizes, 1 thread", []
    for samples in (10000, 200000):
        workers["pprofshim"].do(f"keep {int(2 * samples / 0.632)} 1000")
        workers["pprofshim"].do("holes")
        found = {}
        take_turns(workers, BATCHES[batch], 2, {})
        take_turns(workers, BATCHES[batch], rounds(30), found)
        points.append((samples, ratios(found, "pprofshim", "base")))
        workers["pprofshim"].do("drop")
    for worker in workers.values():
        worker.end()
    tell_live({batch + ", 1 in 1 KiB": points}, "ratio", "over none live")


def measure_live():
    measure_spread_out()
    measure_dense()


# ---- a server that allocates a lot

def cost_of_sample():
    """ns, 30 frames deep, its free included."""
    ns = {}
    workers = {"plain": Worker(environment()), "sampled": Worker(shim(8))}
    take_turns(workers, "deep 30 500", 2, {})
    take_turns(workers, "deep 30 500", TURNS, ns)
    for worker in workers.values():
        worker.end()
    return statistics.median(ns["sampled"]) - statistics.median(ns["plain"])


def samples_of(port):
    page = fetch(port, "shim").decode()
    return int(re.search(r"^heap_samples (\d+)", page, re.M).group(1))


def measure_server():
    """Too little for two servers to show it: samples are counted, and their cost is known."""
    port, env = free_port(), shim()
    server = subprocess.Popen(["redis-server", "--port", str(port), "--save", "", "--loglevel",
                               "warning"], env=env, stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        before, cpu = samples_of(env["PPROF_PORT"]), cpu_ns(server.pid)
        subprocess.run(["redis-benchmark", "-p", str(port), "-t", "set,lpush", "-d", "1000", "-P",
                        "16", "-n", "200000", "-r", "100000", "-q"], check=True, timeout=120,
                       stdout=subprocess.DEVNULL)
        cpu = cpu_ns(server.pid) - cpu
        samples = samples_of(env["PPROF_PORT"]) - before
    finally:
        server.terminate()
        server.wait()
    report("heap samples of redis that stores 1 KB values", 100 * samples * cost_of_sample() / cpu,
           "% of CPU", 0.3, f"{samples} samples in {cpu / 1e9:.1f} s of CPU time")


PARTS = {"instructions": measure_instructions, "pair": measure_pair, "peers": measure_peers,
         "sample": measure_sample, "live": measure_live, "server": measure_server}


def main():
    random.seed(1)
    quick = [name for name in PARTS if name != "live"]
    for name in sys.argv[1:] or (quick if QUICK else PARTS):
        PARTS[name]()


main()
