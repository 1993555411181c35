#!/usr/bin/env python3
"""How true a CPU profile is: ours and gperftools', on a program that knows.

bench/truth.c says how much CPU time each of its functions took.  The profile's
total is compared with the sum, and each function's share with its true share.
"""

import math
import os
import re
import subprocess
import sys
import tempfile

from measure import (BUILD, Profile, environment, find_gperftools, free_port, report, rounds,
                     with_gperftools, with_shim)

PERIOD_NS = 1e7  # at 100 Hz
PROGRAM = f"{BUILD}/bench/truth"
SECONDS = 8 if os.environ.get("QUICK") else 15


def start(env):
    return subprocess.Popen([PROGRAM, str(SECONDS)], env=env, text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)


def truth_of(process):
    """Lets it burn; {function: ns}."""
    process.stdin.write("go\n")
    process.stdin.flush()
    lines = [process.stdout.readline().split() for _ in range(8)]
    return {name: float(ns) for name, ns in lines}


def end(process):
    process.stdin.close()
    process.wait()


def milliseconds(text):
    value, unit = re.fullmatch(r"([\d.]+)([a-z]*)", text).groups()
    return float(value) * {"": 0, "ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3, "mins": 6e4}[unit]


def read_profile(path):
    """Total ms, and ms below each function, by `go tool pprof`."""
    top = subprocess.run(["go", "tool", "pprof", "-top", "-cum", "-unit=ms", "-nodefraction=0",
                          "-edgefraction=0", "-nodecount=500", PROGRAM, path],
                         capture_output=True, text=True, check=True,
                         env=environment(PPROF_TMPDIR="/tmp")).stdout
    total = re.search(r"Total samples = ([\d.]+[a-z]*)", top) or \
        re.search(r"of ([\d.]+[a-z]*) total", top)
    below = {}
    for line in top.splitlines():
        fields = line.split()
        if len(fields) >= 6 and fields[5].startswith("burn_"):
            below[fields[5]] = milliseconds(fields[3])
    return milliseconds(total.group(1)), below


def total_error(truth, profile):
    """In percent."""
    return 100 * (profile[0] / (sum(truth.values()) / 1e6) - 1)


def shares_of_all(runs):
    """{function: (true share, share in the profiles)} of all runs together, in percent."""
    real = sum(sum(truth.values()) for truth, _ in runs)
    total = sum(total for _, (total, _) in runs)
    return {name: (100 * sum(truth[name] for truth, _ in runs) / real,
                   100 * sum(below.get(name, 0) for _, (_, below) in runs) / total)
            for name in runs[0][0]}


def worst_share(runs):
    """In points, over all runs together; and the deviation that mere chance gives that share."""
    samples = sum(sum(truth.values()) for truth, _ in runs) / PERIOD_NS
    name, (real, found) = max(shares_of_all(runs).items(), key=lambda s: abs(s[1][0] - s[1][1]))
    chance = math.sqrt(real * (100 - real) / samples)
    return abs(real - found), chance, (f"{name}: {found:.1f} % for {real:.1f}; {len(runs)} x {SECONDS} s, "
                                       f"{samples:.0f} samples, standard error {chance:.1f}")


def run_shim(folder, hz):
    port = free_port()
    process = start(with_shim(port))
    profile = Profile(port).open(SECONDS + 1, hz)
    truth = truth_of(process)
    with open(f"{folder}/shim.pb.gz", "wb") as f:
        f.write(profile.read())
    end(process)
    return truth, read_profile(f"{folder}/shim.pb.gz")


def run_gperftools(folder, hz, library):
    process = start(with_gperftools(library, f"{folder}/gperftools.prof", hz))
    truth = truth_of(process)
    end(process)
    return truth, read_profile(f"{folder}/gperftools.prof")


def measure(folder, library):
    found = {"shim": []}
    if library:
        found["gperftools"] = []
    for _ in range(rounds(4)):
        found["shim"].append(run_shim(folder, 100))
        if library:
            found["gperftools"].append(run_gperftools(folder, 100, library))
    for who, runs in found.items():
        ours = who == "shim"
        totals = [total_error(*run) for run in runs]
        worst, chance, note = worst_share(runs)
        report(f"truth, {who}, total", [abs(t) for t in totals], "% off", 4 if ours else None,
               "signed: " + ", ".join(f"{t:+.1f}" for t in totals))
        report(f"truth, {who}, worst share", [worst - 2 * chance, worst, worst + 2 * chance],
               "points", 2 if ours else None, note)


def main():
    library = find_gperftools()
    if not library:
        print("bench: gperftools is not installed, no peer", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        measure(folder, library)


main()
