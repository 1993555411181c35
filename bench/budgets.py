"""The budgets of docs: what each may cost at most, and which results show it.

Of all results that belong to a budget the worst one counts.
"""

import re
from collections import namedtuple

# `what` it is, the limit in words, a pattern for the names of its results, and what
# the same costs with nothing of ours, if that is not nothing.
Budget = namedtuple("Budget", "what limit pattern least", defaults=[None])

# How it is called, and how its name comes from that of the result: a pattern in it, and
# what to put there.
Least = namedtuple("Least", "what pattern put")

SERVER = r"(redis|nginx|memcached|postgres|chat)[^:]*"
BARE = "a bare library"
HEAP_BARE = Least(BARE, r"$", ", a bare library")
SERVER_BARE = Least(BARE, r"(shim )?idle|profile at 100 Hz|all profiles, 100 Hz", "a bare library")
THREAD = Least("any second thread", r"shim idle|profile at 100 Hz", "idle thread, no shim")
CALLS = Least("the system calls", r"$", ", its system calls alone")

BUDGETS = [
    Budget("malloc+free, one size", "1.10 times", r"malloc\+free pair, \d+ threads?$", HEAP_BARE),
    Budget("malloc+free, mixed sizes", "1.05 times", r"malloc\+free mixed sizes, \d+ threads?$",
           HEAP_BARE),
    Budget("malloc+free, instructions", "24 more", r"malloc\+free .*, not sampled$"),
    Budget("a heap sample, 30 frames", "2 us", r"heap sample and its free, 30 frames$"),
    Budget("heap profile of a server, always on", "0.3 % CPU", r"heap samples of "),
    Budget("lock+unlock, uncontended", "1.10 times", r"(mutex|rwlock) .*uncontended, hooks on$"),
    Budget("lock+unlock, instructions", "20 more", r"mutex lock\+unlock, uncontended, beyond libc"),
    Budget("contended locks, time", "1.03 times",
           r"(mutex, \d+ threads|condition|semaphore|rwlock, \d+ readers).*, hooks on$"),
    Budget("a server's CPU time, idle", "1.01 times", SERVER + r", (shim )?idle, CPU$", SERVER_BARE),
    Budget("a server's CPU time, profile at 100 Hz", "1.03 times", SERVER + r", profile at 100 Hz, CPU$",
           SERVER_BARE),
    Budget("a server's CPU time, all profiles", "1.03 times", SERVER + r", all profiles, 100 Hz, CPU$",
           SERVER_BARE),
    Budget("a CPU sample, 30 frames, everything", "5 us", r"whole sample, 30 frames$"),
    Budget("of which the signal handler", "0.5 us", r"handler, 30 frames"),
    Budget("walk, a frame", "30 ns", r"walk a frame, "),
    Budget("start of a program", "1 ms more", r"start of true, with"),
    Budget("fork", "50 us more", r"fork and wait, (shim idle|profile)", THREAD),
    Budget("idle wake-ups", "none", r"listener, idle, "),
    Budget("memory, idle", "1 MiB", r"private memory, idle"),
    Budget("memory, profiling", "32 MiB", r"private memory, profile"),
    Budget("memory, after a profile", "1 MiB", r"private memory, \d s after"),
    Budget("answer after the sampling, full table", "500 ms", r"answer, .*, (CPU|wall)$"),
    Budget("answer after the sampling, 10,000 threads", "500 ms", r"growth, answer after it"),
    Budget("thread dump, a thread", "10 us", r"thread dump, \d{3,} threads$", CALLS),
    Budget("a wall-clock profile, up to 1,000 threads", "1 %", r"wall, \d+ threads$"),
    Budget("CPU truth, shares", "2 points", r"truth, shim, worst share"),
    Budget("CPU truth, total", "4 %", r"truth, shim, total"),
    Budget("heap truth, by site", "4 std. errors", r"heap truth, pprofshim, worst site of all"),
    Budget("heap truth, redis with 1 GB", "5 %", r"heap truth, redis"),
]

# What README shows of them, in this order.
ASKED_FOR = ["a server's CPU time, idle", "a server's CPU time, profile at 100 Hz",
             "a server's CPU time, all profiles", "malloc+free, one size", "lock+unlock, uncontended",
             "a CPU sample", "a wall-clock profile", "thread dump, a thread", "fork", "start of a program", "memory, idle",
             "memory, profiling"]


def severity(result):
    """How much of its budget it is; for what has to be zero, any is too much."""
    if result["budget"]:
        return result["value"] / result["budget"]
    return float("inf") if result["value"] else 0


def judged(results):
    """[(budget, worst result or None)], the worst first and what was not measured last."""
    found = []
    for b in BUDGETS:
        own = [r for r in results if "budget" in r and re.match(b.pattern, r["name"])]
        found.append((b, max(own, key=severity, default=None)))
    return sorted(found, key=lambda f: severity(f[1]) if f[1] else -1, reverse=True)


def least(budget, result, results):
    """What the worst result of a budget is with nothing of ours, or None."""
    if not result or not budget.least:
        return None
    name = re.sub(budget.least.pattern, budget.least.put, result["name"], count=1)
    return next((r for r in results if r["name"] == name and name != result["name"]), None)
