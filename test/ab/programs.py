"""Suites that are a folder of small test programs: build what builds, run each, tell how it ended.

    built = programs.build({name: [source, more.c, ...]}, out, flags)      # {name: path}
    return programs.run(side, built, only)                                # {name: outcome}
"""
import concurrent.futures
import os
import signal
import subprocess
import time

import ab

JOBS = 8  # most of these programs sleep
LIMIT = 300  # seconds; a program that is not back then has hung


def build_one(name, sources, out, flags):
    """The path of the program, or None when it does not compile here."""
    path = os.path.join(out, name.replace('/', '_'))
    if os.path.exists(path):
        return path
    done = subprocess.run(['gcc', '-w', '-o', path + '.new', *sources, *flags],
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        return None
    os.rename(path + '.new', path)
    return path


def build(wanted, out, flags):
    """{name: path} of the programs that compile; {name: sources} is wanted."""
    os.makedirs(out, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {n: pool.submit(build_one, n, s, out, flags) for n, s in sorted(wanted.items())}
    return {n: j.result() for n, j in jobs.items() if j.result()}


def ended(code):
    names = {s.value: s.name for s in signal.Signals}  # of real-time signals the first and last only
    return 'signal %s' % names.get(-code, -code) if code < 0 else 'status %d' % code


def run_one(side, name, path, environment):
    """How the program ended.  What it started and left behind is killed."""
    work = side.directory(name.replace('/', '_'))
    wrapped = side.wrap(path, os.path.join(work, 'program'))
    # Not executed: another thread's child may still have it open for writing.
    p = subprocess.Popen(['/bin/sh', wrapped], cwd=work, env=environment, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         start_new_session=True)
    until = time.monotonic() + LIMIT
    try:
        return ended(p.wait(max(0, until - time.monotonic())))
    except subprocess.TimeoutExpired:
        return 'hung'
    finally:
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        p.wait()


def run(side, built, only):
    """{name: outcome} of all, or of those in `only`."""
    wanted = {n: p for n, p in built.items() if only is None or n in only}
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        jobs = {n: pool.submit(run_one, side, n, p, ab.environment()) for n, p in wanted.items()}
    return {n: j.result() for n, j in jobs.items()}
