"""Servers, and what puts load on them: what servers.py measures with.

A turn is some milliseconds of requests on connections that last.  A burst sends
a number of requests to one server and returns what the tool had to say:
requests, seconds, and latencies in ms (None where the tool has none).
"""

import atexit
import getpass
import os
import re
import shutil
import subprocess
import sys
import time
from collections import namedtuple

import clients
from measure import BUILD, LIBRARY, cpu_ns, environment, free_port, wait_for_port

Burst = namedtuple("Burst", "requests seconds p50 p99 p999")


def burst_of(seconds, took):
    """Of requests of which each took so many seconds."""
    ms = sorted(1e3 * s for s in took)
    return Burst(len(ms), seconds, *(ms[min(int(len(ms) * p), len(ms) - 1)] for p in (0.5, 0.99, 0.999)))


QUICK = bool(os.environ.get("QUICK"))
os.environ["PATH"] += ":/usr/sbin:/sbin:/usr/local/sbin"


def scaled(requests):
    return requests // 3 if QUICK else requests


def run(*command, **options):
    try:
        done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, **options)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{command[0]} took too long") from None
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout[-500:]}")
    return done.stdout


def find(pattern, text):
    """What the groups of a pattern match; what a tool says changes when it meets trouble."""
    found = re.search(pattern, text)
    if not found:
        raise RuntimeError(f"no {pattern!r} in {text[-300:]!r}")
    return found.groups()


def cpu_ns_with_children(pid):
    """Of a process and those of its children that live."""
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return cpu_ns(pid) + sum(cpu_ns(int(child)) for child in f.read().split())


class Server:
    """One process that serves; a subclass says how it is started and loaded."""

    needs = ()  # commands, without which it is left out
    user = None  # to run as, when we are root
    starts = 12  # each with its own place in memory
    per_turn = 4  # questions on each connection
    young_seconds = 0  # after which it costs less than at first

    def __init__(self, env, folder):
        self.folder, self.port, self.env = folder, free_port(), dict(env)
        self.share(folder)
        self.prepare()
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [str(c) for c in self.command()], env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=self.owner())
        atexit.register(self.process.kill)
        self.pid = self.process.pid
        self.wait_ready()

    def owner(self):
        return self.user if os.getuid() == 0 else None

    def share(self, folder):
        """A user of its own can read neither our folder nor, perhaps, the library's."""
        if self.owner():
            shutil.chown(folder, self.user)
            if LIBRARY in self.env.get("LD_PRELOAD", ""):
                copy = shutil.copy(LIBRARY, folder)
                os.chmod(copy, 0o755)
                self.env["LD_PRELOAD"] = self.env["LD_PRELOAD"].replace(LIBRARY, copy)

    def prepare(self):
        pass

    def wait_ready(self):
        """redis-benchmark, for one, would turn in circles when nobody listens."""
        until = time.monotonic() + 20
        while True:
            try:
                wait_for_port(self.port, 5)
                return self.first_contact()
            except (RuntimeError, OSError):
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
                time.sleep(0.1)

    def first_contact(self):
        """Called again, from the start, when it is not up yet."""
        self.connections = self.connect()

    def turn(self):
        """How many requests were answered."""
        return sum(clients.ask_each(self.connections) for _ in range(self.per_turn))

    def spent_ns(self):
        return cpu_ns(self.pid)

    def stop(self):
        for c in self.connections:
            c.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Redis(Server):
    needs = ("redis-server", "redis-benchmark")
    pipeline = 1
    requests = 8000

    def command(self):
        return ["redis-server", "--port", self.port, "--save", "", "--loglevel", "warning"]

    def connect(self):
        return [clients.Redis(self.port, self.pipeline) for _ in range(20)]

    def burst(self):
        """GETs, then SETs; latencies are those of both, weighted alike."""
        n = scaled(self.requests)
        parts = [self.part(kind, n) for kind in ("get", "set")]
        return Burst(2 * n, sum(p[0] for p in parts),
                     *(sum(p[i] for p in parts) / 2 for i in (1, 2, 3)))

    def part(self, kind, n):
        out = run("redis-benchmark", "-p", self.port, "-t", kind, "-n", n, "-c", 20, "-r", 10000,
                  "-P", self.pipeline, env=environment()).replace("\r", "\n")
        per_second = float(find(r"throughput summary: ([\d.]+)", out)[0])
        steps = [(float(p), float(ms)) for p, ms in
                 re.findall(r"^([\d.]+)% <= ([\d.]+) milliseconds \(cumulative", out, re.M)]
        return (n / per_second, *(min(ms for p, ms in steps if p >= at) for at in (50, 99, 99.9)))


class RedisPipelined(Redis):
    pipeline = 16
    requests = 60000


class Nginx(Server):
    needs = ("nginx", "wrk")
    run_as = "master_process off;"
    tell = 'done = function(s, l) print(string.format("took %f %f %f %f %f", s.requests, ' \
           's.duration, l:percentile(50), l:percentile(99), l:percentile(99.9))) end\n'

    def prepare(self):
        os.makedirs(f"{self.folder}/html", exist_ok=True)
        with open(f"{self.folder}/html/index.html", "w") as f:
            f.write("<p>static</p>\n" * 100)
        with open(f"{self.folder}/tell.lua", "w") as f:
            f.write(self.tell)
        temp = " ".join(f"{kind}_temp_path {self.folder}/{kind};" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(f"{self.folder}/nginx.conf", "w") as f:
            f.write(f"""daemon off; {self.run_as} user {getpass.getuser()}; pid {self.folder}/pid;
error_log {self.folder}/error.log; events {{ worker_connections 512; }}
http {{ access_log off; keepalive_requests 1000000000; {temp}
server {{ listen 127.0.0.1:{self.port}; root {self.folder}/html; }} }}""")

    def command(self):
        return ["nginx", "-p", self.folder, "-c", f"{self.folder}/nginx.conf"]

    def connect(self):
        return [clients.Http(self.port) for _ in range(16)]

    def burst(self):
        out = run("wrk", "-t", 1, "-c", 16, "-d", "1s", "-s", f"{self.folder}/tell.lua",
                  f"http://127.0.0.1:{self.port}/", env=environment())
        n, us, p50, p99, p999 = map(float, find(r"took (.*)", out)[0].split())
        if n == 0:
            raise RuntimeError("wrk: no answers")
        return Burst(n, us / 1e6, p50 / 1e3, p99 / 1e3, p999 / 1e3)


class NginxWorkers(Nginx):
    """Forked from a master, as in production: each worker is a child that finds us there already."""

    young_seconds = 11
    run_as = "master_process on; worker_processes 4;"

    def spent_ns(self):
        return cpu_ns_with_children(self.pid)


class Memcached(Server):
    needs = ("memcached", "memcaslap")
    user = "nobody"

    def command(self):
        return ["memcached", "-l", "127.0.0.1", "-p", self.port, "-U", 0, "-t", 4, "-m", 64]

    def connect(self):
        return [clients.Memcached(self.port) for _ in range(16)]

    def burst(self):
        out = run("memcaslap", "-s", f"127.0.0.1:{self.port}", "-T", 1, "-c", 16, "-x", scaled(40000),
                  env=environment())
        done, rate = find(r"Ops: (\d+) TPS: (\d+)", out)
        return Burst(int(done), int(done) / max(int(rate), 1), None, None, None)


class Postgres(Server):
    """With the tables and the select of pgbench."""

    needs = ("pgbench",)
    user = "postgres"
    young_seconds = 11  # a child's heap is recorded until it is clear that its parent stays
    per_turn = 10
    is_filled = False

    def binary(self, name):
        found = [f"{d}/{name}" for d in sorted(self.folders(), reverse=True)
                 if os.path.exists(f"{d}/{name}")]
        return found[0] if found else name

    @staticmethod
    def folders():
        base = "/usr/lib/postgresql"
        return [f"{base}/{v}/bin" for v in os.listdir(base)] if os.path.isdir(base) else []

    def prepare(self):
        run(self.binary("initdb"), "-D", f"{self.folder}/data", "-A", "trust", "-U", "bench",
            "--no-sync", user=self.owner(), cwd=self.folder, env=environment())

    def command(self):
        return [self.binary("postgres"), "-D", f"{self.folder}/data", "-p", self.port,
                "-h", "127.0.0.1", "-k", self.folder, "-c", "fsync=off", "-c", "autovacuum=off"]

    def connect(self):
        if not self.is_filled:
            run(self.binary("pgbench"), "-h", "127.0.0.1", "-p", self.port, "-U", "bench", "-i",
                "-q", "postgres", env=environment(), cwd=self.folder)
        self.is_filled = True
        return [clients.Postgres(self.port, "bench", "postgres") for _ in range(4)]

    def burst(self):
        """pgbench would start backends anew for it, which are slow at first."""
        begin = time.perf_counter()
        took = [s for _ in range(scaled(300)) for s in clients.time_each(self.connections)]
        return burst_of(time.perf_counter() - begin, took)

    def spent_ns(self):
        return cpu_ns_with_children(self.pid)


class Chat(Server):
    """A server with 64 threads that allocates, locks and computes."""

    per_turn = 1
    members = 4  # of each room

    def command(self):
        return [os.path.abspath(f"{BUILD}/fixtures/chat_server"), "--port", self.port,
                "--workers", 64]

    def connect(self):
        return [clients.Chat(self.port, i // self.members, i, self.members) for i in range(64)]

    def burst(self):
        out = run(f"{BUILD}/fixtures/chat_load", "--port", self.port, "--connections", 64,
                  "--threads", 1, "--seconds", 1, env=environment())
        line = out.strip().splitlines()[-1]
        n, seconds, p50, p99 = map(float, find(
            r"(\d+) messages in ([\d.]+) s.*p50 ([\d.]+) ms.*p99 ([\d.]+) ms", line))
        return Burst(n, seconds, p50, p99, None)


ALL = {"redis": Redis, "redis, pipeline 16": RedisPipelined, "nginx": Nginx,
       "nginx, 4 workers": NginxWorkers,
       "memcached": Memcached, "postgres": Postgres, "chat, 64 threads": Chat}


def available(names=None):
    """{name: class} of those asked for whose programs are there."""
    found = {}
    for name, cls in ALL.items():
        missing = [c for c in cls.needs if not shutil.which(c)]
        if names and name not in names:
            continue
        if missing:
            print(f"bench: {name}: not measured, there is no {missing[0]}", file=sys.stderr)
        else:
            found[name] = cls
    return found
