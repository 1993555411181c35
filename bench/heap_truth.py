#!/usr/bin/env python3
"""How true heap profiles are: ours, jemalloc's and heaptrack's, on programs that know.

test/fixtures/heap_truth.c keeps an account of what each of its functions has
allocated.  Sampling has an error that the mathematics gives: n blocks of s bytes, each
recorded with probability p, are estimated with a variance of n*s^2*(1-p)/p.  So an
error is told in percent, and in such standard errors: what is beyond four of those is
not chance.
"""

import glob
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time

from measure import (BUILD, environment, fetch, find_library, free_port, report, rounds, with_shim)

PROGRAM = os.path.abspath(f"{BUILD}/fixtures/heap_truth")
RATE = 524288


class Program:
    """heap_truth, told to go."""

    def __init__(self, env, prefix=()):
        self.process = subprocess.Popen([*prefix, PROGRAM], env=env, text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        self.account()  # of what it did before it was told anything
        self.process.stdin.write("go\n")
        self.sites = self.account()

    def account(self):
        """heaptrack, for one, has something to say too."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{PROGRAM} ended")

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def chance_of(size):
    """That one block of this size is recorded."""
    return -math.expm1(-size / RATE)


def variance(sizes):
    return sum(live * size * size * (1 - chance_of(size)) / chance_of(size)
               for size, _, live in sizes)


def is_near_normal(sizes):
    """Enough blocks are recorded, and enough are not, for standard errors to mean something."""
    recorded = sum(live * chance_of(size) for size, _, live in sizes)
    return 20 <= recorded <= sum(live for _, _, live in sizes) - 20


def live_bytes(sizes):
    return sum(size * live for size, _, live in sizes)


def errors(sites, found):
    """(total, worst site) in percent, and the worst in standard errors."""
    true = {name: live_bytes(site["sizes"]) for name, site in sites.items()}
    total = sum(true.values())
    large = [name for name in true if true[name] > total / 50]
    percent = [100 * abs(found.get(name, 0) / true[name] - 1) for name in large]
    z = [abs(found.get(name, 0) - true[name]) / math.sqrt(variance(sites[name]["sizes"]))
         for name in large if is_near_normal(sites[name]["sizes"])]
    return 100 * abs(sum(found.get(name, 0) for name in true) / total - 1), max(percent), max(z)


# ---- ours

def bytes_of(text):
    return float(re.sub(r"B$", "", text))


def inuse_by_function(path):
    top = subprocess.run(["go", "tool", "pprof", "-top", "-cum", "-unit=B", "-nodefraction=0",
                          "-nodecount=5000", "-sample_index=inuse_space", PROGRAM, path],
                         capture_output=True, text=True, check=True,
                         env=environment(PPROF_TMPDIR="/tmp")).stdout
    rows = [line.split() for line in top.splitlines()]
    return {r[5]: bytes_of(r[3]) for r in rows if len(r) >= 6 and r[3].endswith("B")}


def run_ours(folder):
    port = free_port()
    program = Program(with_shim(port))
    path = f"{folder}/heap.pb.gz"
    with open(path, "wb") as f:
        f.write(fetch(port, "heap"))
    sites = program.sites
    program.end()
    return errors(sites, inuse_by_function(path))


# ---- jemalloc's

def function_starts():
    """[(address, name)] of the program, from its start."""
    out = subprocess.run(["nm", PROGRAM], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in out.splitlines()]
    return sorted((int(r[0], 16), r[2]) for r in rows if len(r) == 3 and r[1] in "tT")


def program_base(text):
    for line in text.split("MAPPED_LIBRARIES:\n")[1].splitlines():
        if line.endswith(PROGRAM):
            return int(line.split("-")[0], 16)
    raise ValueError("not in the file: " + PROGRAM)


def function_at(starts, address):
    name = None
    for start, function in starts:
        if start > address:
            break
        name = function
    return name


def read_jemalloc(path):
    """{function: bytes}, weighted as its own jeprof does it."""
    with open(path) as f:
        text = f.read()
    base, starts, found = program_base(text), function_starts(), {}
    for addresses, count, size in re.findall(r"^@ (.*)\n(?:.*\n)??\s+t\*: (\d+): (\d+) ", text, re.M):
        count, size = int(count), int(size)
        if not count:
            continue
        size /= -math.expm1(-size / count / RATE)
        for name in {function_at(starts, int(a, 16) - base) for a in addresses.split()}:
            found[name] = found.get(name, 0) + size
    return found


def run_jemalloc(folder, library):
    for old in glob.glob(f"{folder}/je.*"):
        os.remove(old)
    program = Program(environment(LD_PRELOAD=library, MALLOC_CONF=f"prof:true,prof_final:true,"
                                  f"prof_prefix:{folder}/je"))
    sites = program.sites
    program.end()
    return errors(sites, read_jemalloc(glob.glob(f"{folder}/je.*.heap")[0]))


# ---- heaptrack's: every allocation, so its error is of another kind

def run_heaptrack(folder):
    program = Program(environment(), ["heaptrack", "-o", f"{folder}/ht"])
    true = sum(live_bytes(site["sizes"]) for site in program.sites.values())
    program.end()
    out = subprocess.run(["heaptrack_print", "-f", glob.glob(f"{folder}/ht*")[0]],
                         capture_output=True, text=True).stdout
    value, unit = re.search(r"total memory leaked: ([\d.]+)([KMG])", out).groups()
    found = float(value) * {"K": 1e3, "M": 1e6, "G": 1e9}[unit]
    return 100 * abs(found / true - 1)


# ---- redis, which asks its own allocator

def redis_cli(port, *args):
    return subprocess.run(["redis-cli", "-p", str(port), *map(str, args)], capture_output=True,
                          text=True, timeout=120).stdout


def measure_redis(keys):
    port, shim_port = free_port(), free_port()
    server = subprocess.Popen(["redis-server", "--port", str(port), "--save", "", "--loglevel",
                               "warning", "--enable-debug-command", "yes"],
                              env=with_shim(shim_port), stdout=subprocess.DEVNULL)
    try:
        while "PONG" not in redis_cli(port, "ping"):
            time.sleep(0.05)
        redis_cli(port, "debug", "populate", keys, "key", 1016)
        info = redis_cli(port, "info", "memory")
        true = int(re.search(r"allocator_allocated:(\d+)", info).group(1))
        found = total_inuse(fetch(shim_port, "heap?debug=1").decode())
    finally:
        server.terminate()
        server.wait()
    # Blocks of about 1 KiB: their number does not matter, their bytes do.
    budget = 5 if true > 1e9 else None
    report(f"heap truth, redis with {true / 1e9:.2f} GB", 100 * abs(found / true - 1), "% off", budget,
           f"of its allocator's own number; standard error {100 * math.sqrt(RATE / true):.1f} %")


def total_inuse(text):
    return int(re.match(r"heap profile: \d+: (\d+) ", text).group(1))


# ----

def tell(who, runs, z_budget):
    total, worst, z = zip(*runs)
    report(f"heap truth, {who}, total", list(total), "% off")
    report(f"heap truth, {who}, worst site", list(worst), "% off", None, "of those with 2 % or more")
    report(f"heap truth, {who}, worst site of all runs", max(z), "std. errors", z_budget,
           f"{len(runs)} runs; chance alone makes it 2.5 to 4")


def main():
    with tempfile.TemporaryDirectory() as folder:
        tell("pprofshim", [run_ours(folder) for _ in range(rounds(15))], 4)
        jemalloc = find_library("libjemalloc.so")
        try:
            tell("jemalloc prof", [run_jemalloc(folder, jemalloc) for _ in range(rounds(15))], None)
        except (TypeError, IndexError):
            print("bench: no jemalloc that profiles, no peer", file=sys.stderr)
        try:
            report("heap truth, heaptrack, total", run_heaptrack(folder), "% off", None,
                   "records every allocation, but not those of memalign")
        except (FileNotFoundError, IndexError, AttributeError):
            print("bench: no heaptrack, no peer", file=sys.stderr)
    measure_redis(100000 if os.environ.get("QUICK") else 1000000)


main()
