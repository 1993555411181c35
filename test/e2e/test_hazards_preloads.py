#!/usr/bin/env python3
"""Other preloaded libraries, in front of us and behind (H02, H19, H80).

Seen to fail against:
  results    no variant was found: dlsym in every malloc passes with this glibc
  profiler   a carrier taken whatever its disposition, and a handler that drops what is not ours:
             libprofiler's file held no sample
  traces     a next malloc that is looked for among default versions only (ours): 2 lines of 402
"""
import glob
import os
import shutil
import subprocess

import harness
from everything import HIGHEST, Everything
from harness import FIXTURES, KEY, SHIM, Target, check, free_port, run, same, seconds, skip

LIBRARIES = '/usr/lib/x86_64-linux-gnu/'
PLUGIN = os.path.join(FIXTURES, 'hostile_throw_plugin.so')
# What it is, the file, what it is told.
OTHERS = [
    ('eatmydata', 'libeatmydata.so', {}),
    ('faketime', 'faketime/libfaketime.so.1', {'FAKETIME': '-1d'}),
    ('jemalloc', 'libjemalloc.so.2', {}),
    ('tcmalloc', 'libtcmalloc.so.4', {}),
    ('mimalloc', 'libmimalloc.so.[23]', {}),
    ('libprofiler', 'libprofiler.so.0', {'CPUPROFILE': 'cpu.prof'}),
    ('tcmalloc and libprofiler', 'libtcmalloc_and_profiler.so.4', {'CPUPROFILE': 'cpu.prof'}),
]


def milliseconds(short):
    """In storms there are many of these: ten seconds each at most."""
    return int(1000 * min(seconds(short), 10))


def present():
    for name, file, env in OTHERS:
        found = sorted(glob.glob(LIBRARIES + file + '*'))
        if found:
            yield name, found[0], env
        else:
            skip(name, LIBRARIES + file + ' is not installed')


def orders(path):
    return ('in front', path + ':' + SHIM), ('behind', SHIM + ':' + path)


def plugins():
    for i in range(4):
        path = os.path.join(harness.work, 'other%d.so' % i)
        if not os.path.exists(path):
            shutil.copy(PLUGIN, path)
        yield path


def outcome(preload, env, *command, taking=Everything):
    """(status, stdout), and the profiles taken meanwhile if we are in it."""
    directory = os.path.join(harness.work, 'at')
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory)
    with Target(*command, preload=preload, env=dict(env, **HIGHEST), cwd=directory) as t:
        if SHIM not in preload:
            t.say()
            r = t.finish()
            return ('hung' if r.hung else r.code, r.out), {}
        check('%s: answers' % preload, t.wait_ready())
        with taking(lambda: [t.port]) as e:
            t.say()
            r = t.finish()
        return ('hung' if r.hung else r.code, r.out), e.bodies


def programs(env):
    yield 'hostile_exit', 'return'
    # gperftools' profiler unwinds in its handler and hangs or aborts in this one, without us too.
    if 'CPUPROFILE' not in env:
        yield 'hostile_cxx', 'unload', milliseconds(0.8), *plugins()


def test_results_are_the_same():
    for name, path, env in present():
        for command in programs(env):
            expected, _ = outcome(path, env, *command)
            for where, preload in orders(path):
                got, _ = outcome(preload, env, *command)
                same('%s, %s %s' % (' '.join(command[:2]), name, where), got, expected)


def test_python_under_each():
    """A program that somebody else wrote, with threads and children."""
    script = ('import threading, subprocess, zlib, json\n'
              'def f(): [zlib.compress(bytes(range(256)) * 50) for _ in range(150)]\n'
              'ts = [threading.Thread(target=f) for _ in range(4)]\n'
              '[t.start() for t in ts]; [t.join() for t in ts]\n'
              'print(subprocess.run(["/bin/echo", "child"], capture_output=True))\n'
              'print(json.dumps({"a": [1] * 5}))\n')
    for name, path, env in present():
        expected = None
        for preload in (path,) + tuple(p for _, p in orders(path)):
            p = subprocess.run(['env', 'LD_PRELOAD=' + preload, '/usr/bin/python3', '-c', script],
                               cwd=harness.work, text=True, stdout=subprocess.PIPE, timeout=60,
                               stderr=subprocess.DEVNULL,
                               env=dict(os.environ, **env, ADMIN_KEY=KEY,
                                        PPROF_PORT=str(free_port())))
            got = (p.returncode, p.stdout)
            expected = expected or got
            same('python, %s' % preload, got, expected)


def samples_in(path):
    """Of gperftools' file: words; after a head of five come count, depth, addresses."""
    if not os.path.exists(path):
        return 0
    with open(path, 'rb') as f:
        words = memoryview(f.read()[:os.path.getsize(path) // 8 * 8]).cast('Q')
    at, total = 5, 0
    while at + 2 < len(words) and words[at]:
        total += words[at]
        at += 2 + words[at + 1]
    return total


def test_another_profiler_measures_what_it_would():
    """It owns SIGPROF and a timer from before main; both profiles have samples."""
    path = LIBRARIES + 'libprofiler.so.0'
    if not os.path.exists(path):
        return skip('libprofiler', path + ' is not installed')
    file = os.path.join(harness.work, 'at', 'cpu.prof')
    env = {'CPUPROFILE': 'cpu.prof', 'CPUPROFILE_FREQUENCY': '100'}
    command = 'hostile_signals', 'spin', 1500
    expected, _ = outcome(path, env, *command)
    alone = samples_in(file)
    check('it measures something alone', alone > 30, alone)
    for where, preload in orders(path):
        # One client: its timer goes by the CPU time of the process, our thread's included.
        got, bodies = outcome(preload, env, *command, taking=lambda p: Everything(p, clients=1))
        same('%s, %s' % (where, command), got, expected)
        with_us = samples_in(file)
        check('%s: its samples' % where, 0.8 * alone <= with_us <= 1.3 * alone,
              '%d, without us %d' % (with_us, alone))
        cpu = sum(1 for q in bodies if q.startswith('profile'))
        check('%s: and ours' % where, cpu > 0, sorted(bodies))


def traced_lines(preload):
    """How many lines mtrace() writes; libc's part of it is in a library of its own."""
    path = os.path.join(harness.work, 'malloc_trace')
    with Target('hostile_switches', 'trace', preload=preload, env={'MALLOC_TRACE': path}) as t:
        t.say()
        same('traced allocations: status', t.finish().code, 0)
    lines = harness.read(path).count('\n')
    if os.path.exists(path):
        os.remove(path)
    return lines


def test_the_malloc_of_libc_that_traces():
    """It has the version of malloc that programs want, and not by default."""
    debug = 'libc_malloc_debug.so.0'
    expected = traced_lines(debug)
    if expected < 100:
        return skip('traced allocations', 'libc has no %s' % debug)
    for order in SHIM + ':' + debug, debug + ':' + SHIM:
        same('traced allocations, ' + order, traced_lines(order), expected)


if __name__ == '__main__':
    run(test_results_are_the_same, test_python_under_each,
        test_another_profiler_measures_what_it_would, test_the_malloc_of_libc_that_traces)
