"""What the benchmarks written in Python share; measure.h is its twin.

A result is one line on stdout and, when BENCH_RESULTS names a file, one JSON
object on a line there; table.py makes the table of those.
"""

import http.client
import json
import math
import os
import socket
import statistics
import subprocess
import time

BUILD = os.environ.get("BUILD", "build")
LIBRARY = os.path.abspath(f"{BUILD}/libpprofshim.so")
BARE = os.environ.get("BENCH_BARE")  # the library of bare.cc
KEY = "bench"


def rounds(full):
    """QUICK=1: a third."""
    return max(full // 3, 1) if os.environ.get("QUICK") else full


def spread(values):
    """Median, and between what it lies in 19 of 20 repetitions, by ranks."""
    values = sorted(values)
    n = len(values)
    reach = math.ceil(0.98 * math.sqrt(n))
    lo, hi = max(n // 2 - reach, 0), min(n // 2 + reach, n - 1)
    return statistics.median(values), values[lo], values[hi]


def report(name, values, unit, budget=None, note=""):
    """`values`: one number, or many whose median counts."""
    if isinstance(values, (int, float)):
        values = [values]
    value, lo, hi = spread(values)
    verdict = "-"
    if budget is not None:
        verdict = "pass" if value <= budget else "short" if lo > budget else "unclear"
    print(f"{name:44} {value:10.4g} {unit:12} [{lo:.4g} .. {hi:.4g}] {verdict} {note}", flush=True)
    result = {"name": name, "value": value, "lo": lo, "hi": hi, "unit": unit}
    if budget is not None:
        result["budget"] = budget
    result.update(verdict=verdict, note=note)
    if os.environ.get("BENCH_RESULTS"):
        with open(os.environ["BENCH_RESULTS"], "a") as f:
            f.write(json.dumps(result) + "\n")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, seconds=30):
    until = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=seconds).close()
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def environment(**settings):
    """Ours, without what would preload or set up a profiler, and with `settings`."""
    ours = ("LD_PRELOAD", "ADMIN_KEY", "PPROF_", "CPUPROFILE")
    env = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    env.update({k: str(v) for k, v in settings.items()})
    return env


def with_bare():
    return environment(LD_PRELOAD=BARE)


def with_shim(port):
    return environment(LD_PRELOAD=LIBRARY, ADMIN_KEY=KEY, PPROF_PORT=port)


def find_library(name):
    """Where the loader would find it, or None."""
    out = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True,
                         env={"PATH": "/sbin:/usr/sbin:/usr/bin:/bin"}).stdout
    for line in out.splitlines():
        if name + "." in line:
            return line.split()[-1]
    return None


def find_gperftools():
    return find_library("libprofiler.so")


def with_gperftools(library, path, hz=100):
    return environment(LD_PRELOAD=library, CPUPROFILE=path, CPUPROFILE_FREQUENCY=hz)


def cpu_ns(pid):
    """CPU time of all threads of a process, those that ended included."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def thread_cpu_ns(pid, tid):
    with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
        return int(f.read().split()[0])


def find_listener(pid):
    """The one thread of the shim's; it names itself soon after it started."""
    for _ in range(250):
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/comm") as f:
                if f.read().startswith("pprof"):
                    return int(tid)
        time.sleep(0.02)
    raise RuntimeError("the shim started no listener")


def memory_kib(pid, field):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(f"{field}:"))


def private_kib(pid):
    """What is there because this process wrote it, and goes only when it does."""
    return memory_kib(pid, "Private_Dirty")


def cached_kib(pid):
    """Pages of files that no other process has mapped: of the kernel's cache, which takes them back
    when it needs them."""
    return memory_kib(pid, "Private_Clean")


def fetch(port, page):
    """The body of a page of the shim's; it may not be up yet."""
    for _ in range(500):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            c.request("GET", f"/debug/pprof/{page}", headers={"Authorization": f"Bearer {KEY}"})
            return c.getresponse().read()
        except ConnectionRefusedError:
            time.sleep(0.02)
        finally:
            c.close()
    raise RuntimeError("the shim does not answer")


class Profile:
    """A CPU profile of a shim; open() returns when sampling has begun."""

    def __init__(self, port):
        self.port = port
        self.connection = None

    def open(self, seconds, hz=100):
        deadline = time.monotonic() + 10
        while True:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                self.connection.request("GET", f"/debug/pprof/profile?seconds={seconds}&hz={hz}",
                                        headers={"Authorization": f"Bearer {KEY}"})
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.status
        return self

    def read(self):
        return self.response.read()

    def close(self):
        """Ends it before its time."""
        if self.connection:
            self.response.close()
            self.connection.close()
        self.connection = None
