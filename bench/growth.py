#!/usr/bin/env python3
"""How costs grow with the target: threads, modules, distinct stacks; and memory.

One line for each: the value at the largest, and in the remark those on the way.
How costs grow with the depth of stacks and with the number of live samples is among the
results of bench/handler.c and bench/heap.py.

usage: growth.py [PART...]   threads modules stacks size
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from measure import (BUILD, LIBRARY, Profile, environment, fetch, find_listener, free_port,
                     private_kib, report, rounds, thread_cpu_ns, with_shim)

PROGRAM = f"{BUILD}/bench/grow"
QUICK = bool(os.environ.get("QUICK"))


class Program:
    def __init__(self, env, shim_port=None):
        self.port = shim_port
        self.process = subprocess.Popen([PROGRAM], env=env, text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.say("burn 1")
        self.listener = find_listener(self.pid) if shim_port else None

    def say(self, command):
        self.process.stdin.write(command + "\n")
        return int(self.process.stdout.readline())

    def listener_ms(self):
        return thread_cpu_ns(self.pid, self.listener) / 1e6

    def page(self, name):
        """(listener's CPU ms, wall ms, bytes) of an answer."""
        cpu, start = self.listener_ms(), time.monotonic()
        body = fetch(self.port, name)
        return self.listener_ms() - cpu, 1e3 * (time.monotonic() - start), len(body)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def under_shim(**settings):
    port = free_port()
    env = with_shim(port)
    env.update(settings)
    return Program(env, port)


def profile_ms(program):
    """A profile of 1 s: CPU of the listener, how long it takes to begin, and how long a client
    waits when it has ended."""
    cpu, asked = program.listener_ms(), time.monotonic()
    profile = Profile(program.port).open(1)
    begun = time.monotonic()
    program.process.stdin.write("burn 900\n")
    profile.read()
    ended = time.monotonic()
    program.process.stdout.readline()
    profile.close()
    return program.listener_ms() - cpu, 1e3 * (begun - asked), 1e3 * (ended - begun) - 1000


def profile_series(what, points):
    """`points`: [(size, runs)]"""
    def of(i):
        return [(size, [max(run[i], 0) for run in runs]) for size, runs in points]

    series(f"growth, CPU profile of 1 s, {what}", of(0), "ms", None, "CPU of our thread")
    series(f"growth, until it begins, {what}", of(1), "ms", None, "wall")
    series(f"growth, answer after it, {what}", of(2), "ms", 500, "wall")


def series(name, points, unit, budget=None, note=""):
    """`points`: [(size, values)], the last of which is the result."""
    way = "; ".join(f"{size}: {statistics.median(values):.3g}" for size, values in points)
    report(f"{name}, {points[-1][0]}", points[-1][1], unit, budget,
           way + (f"; {note}" if note else ""))


def measure_threads():
    program, points = under_shim(), []
    for wanted in (1, 1000) if QUICK else (1, 10, 100, 1000, 10000):
        have = program.say(f"threads {wanted}")
        points.append((have, [profile_ms(program) for _ in range(rounds(2) or 1)]))
        if have < wanted:
            print(f"bench: growth: the system allows {have} threads", file=sys.stderr)
            break
    profile_series("threads", points)
    program.end()


def copies_of_plugin(folder, count):
    source = f"{folder}/small.c"
    with open(source, "w") as f:
        f.write("int small_function(int x) { return x * 3; }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", f"{folder}/small.so", source], check=True)
    for i in range(count):
        shutil.copy(f"{folder}/small.so", f"{folder}/small{i}.so")
        yield f"{folder}/small{i}.so"


def measure_modules():
    program, points, loaded = under_shim(), [], 0
    with tempfile.TemporaryDirectory() as folder:
        plugins = copies_of_plugin(folder, 1000)
        for wanted in (10, 100, 1000):
            while loaded < wanted:
                if not program.say(f"load {next(plugins)}"):
                    raise RuntimeError("a plugin was not loaded")
                loaded += 1
            points.append((wanted, [profile_ms(program) for _ in range(rounds(2) or 1)]))
    profile_series("modules", points)
    program.end()


def measure_stacks():
    program, cpu, size = under_shim(PPROF_HEAP_RATE="1"), [], []
    for wanted in (10, 10000) if QUICK else (10, 100, 1000, 10000, 100000):
        program.say(f"stacks {wanted}")  # those that there were come again
        runs = [program.page("heap") for _ in range(rounds(3))]
        cpu.append((wanted, [r[0] for r in runs]))
        size.append((wanted, [r[2] / 1024 for r in runs]))
    dropped = counter(program, "stacks_dropped_table_full") + counter(program, "heap_stack_table_full")
    series("growth, heap profile, distinct stacks", cpu, "ms", None,
           f"CPU of our thread; {'some' if dropped else 'none'} under [other stacks]")
    series("growth, file of it, distinct stacks", size, "KiB")
    program.end()


def counter(program, name):
    for line in fetch(program.port, "shim").decode().splitlines():
        if line.startswith(name + " "):
            return int(line.split()[1])
    return None


# ---- size and memory

def measure_file():
    with tempfile.NamedTemporaryFile() as f:
        subprocess.run(["strip", "-o", f.name, LIBRARY], check=True)
        report("size, libpprofshim.so, stripped", os.path.getsize(f.name) / 1024, "KiB", None,
               f"{os.path.getsize(LIBRARY) / 1024:.0f} with its debug information")


def more_kib(shim, plain):
    return private_kib(shim.pid) - private_kib(plain.pid)


def most_while_busy(shim, plain):
    shim.process.stdin.write("burn 2500\n")
    until, most = time.monotonic() + 2.4, 0
    while time.monotonic() < until:
        most = max(most, more_kib(shim, plain))
        time.sleep(0.05)
    shim.process.stdout.readline()
    return most


def measure_memory():
    rows = {"idle": [], "a thread": [], "profile": [], "after": []}
    threads = 1000
    for _ in range(rounds(3)):
        shim, plain = under_shim(), Program(environment())
        time.sleep(0.5)
        idle = more_kib(shim, plain)
        for p in (shim, plain):
            p.say(f"threads {1 + threads}")
        with_threads = more_kib(shim, plain)
        profile = Profile(shim.port).open(3, 1000)
        most = most_while_busy(shim, plain)
        profile.read()
        profile.close()
        time.sleep(4)
        rows["idle"].append(idle / 1024)
        rows["a thread"].append(1024 * (with_threads - idle) / threads)
        rows["profile"].append((most - with_threads) / 1024)
        rows["after"].append((more_kib(shim, plain) - with_threads) / 1024)
        shim.end()
        plain.end()
    report("private memory, idle, small program", rows["idle"], "MiB", 1)
    report("private memory, a thread", rows["a thread"], "bytes", None, f"of {threads} threads")
    report("private memory, profile at 1000 Hz, 1000 threads", rows["profile"], "MiB", 32)
    report("private memory, 4 s after it", rows["after"], "MiB", 1)


def measure_live_sample():
    samples = 50000
    plain = Program(environment())
    shim = under_shim(PPROF_HEAP_RATE="1")
    for p in (shim, plain):
        p.say("stacks 1")
        time.sleep(0.3)
    before = more_kib(shim, plain)
    for p in (shim, plain):
        for _ in range(samples // 1000):
            p.say("stacks 1000")
    more = 1024 * (more_kib(shim, plain) - before) / samples
    report("private memory, a live sample", more, "bytes", None,
           f"of {samples} from 1000 stacks, with what is kept of the stacks")
    shim.end()
    plain.end()


def measure_size():
    measure_file()
    measure_memory()
    measure_live_sample()


PARTS = {"threads": measure_threads, "modules": measure_modules, "stacks": measure_stacks,
         "size": measure_size}


def main():
    quick = [name for name in PARTS if name != "modules"]
    for name in sys.argv[1:] or (quick if QUICK else PARTS):
        PARTS[name]()


main()
