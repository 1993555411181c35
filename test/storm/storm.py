#!/usr/bin/env python3
"""The long version: every hostile program, everything fetched all the time, a watchdog.

    SECONDS=600 test/storm/storm.py [NAME...]

STORM_SECONDS or SECONDS: how long each program runs (default 60).  First each
hazard test with storms of that length, then every program with all rates at their
highest, clients that fetch every endpoint in a loop, and one that never waits for
its answer.  A program that does not end has its stacks printed.
"""
import os
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.realpath(__file__))
E2E = os.path.join(HERE, '../e2e')
os.environ.setdefault('STORM_SECONDS', os.environ.get('SECONDS', '60'))
sys.path.insert(0, E2E)

import harness  # noqa: E402  (it reads STORM_SECONDS)
import pprof_reader  # noqa: E402
from everything import CPU, HIGHEST, Everything  # noqa: E402
from harness import Target, check, plain, same, switch_profiles  # noqa: E402

MS = int(1000 * harness.seconds(60))
PLUGIN = os.path.join(harness.FIXTURES, 'hostile_throw_plugin.so')
# Name: program, arguments.  Programs whose stdout is the same however long they run.
PROGRAMS = {
    'reset': ('hostile_signals', 'reset', MS),
    'wait': ('hostile_signals', 'wait', MS),
    'fork-exec': ('hostile_signals', 'fork-exec', MS // 60),  # up to 70 ms each
    'exec': ('hostile_signals', 'exec', MS // 20),
    'churn': ('hostile_threads', 'churn', MS),
    'small': ('hostile_threads', 'small', MS),
    'altstack': ('hostile_threads', 'altstack', MS),
    'sentinels': ('hostile_threads', 'sentinels', MS),
    'waits': ('hostile_waits', MS),
    'close-range': ('hostile_files', 'close-range', MS),
    'lowest': ('hostile_files', 'lowest', MS),
    'write': ('hostile_files', 'write', MS),
    'swap': ('hostile_stacks', 'swap', MS),
    'assembly': ('hostile_stacks', 'assembly', MS),
    'jit': ('hostile_stacks', 'jit', MS),
    'neighbours': ('hostile_stacks', 'neighbours', MS),
    'jump': ('hostile_stacks', 'jump', MS),
    'signal': ('hostile_stacks', 'signal', MS),
    'fibers': ('hostile_stacks', 'fibers', MS),
    'context': ('hostile_stacks', 'context', MS),
    'onstack': ('hostile_stacks', 'onstack', MS),
    'throw': ('hostile_cxx', 'throw', MS, PLUGIN),
    'cancel': ('hostile_cxx', 'cancel', MS),
    'leaps': ('hostile_leaps', 'often', MS),
    'storm': ('hostile_cxx', 'storm', MS),
    'unload': ('hostile_cxx', 'unload', MS),
}


def copies():
    import shutil
    for i in range(50):
        path = os.path.join(harness.work, 'storm%d.so' % i)
        shutil.copy(PLUGIN, path)
        yield path


def storm(name):
    """All endpoints, and profiles that are broken off, until the program ends."""
    program, *args = PROGRAMS[name]
    if name in ('storm', 'unload'):
        args += list(copies())
    short = [a if a != MS else 1500 for a in args]
    expected = plain(program, *short)
    with Target(program, *args, env=HIGHEST, limit=MS / 1000 * 4 + 60) as t:
        t.wait_ready()
        with Everything(lambda: [t.port]) as e:
            breaker = threading.Thread(target=switch_profiles, daemon=True,
                                       args=(t, lambda: not e.running, 0.2))
            breaker.start()
            t.say()
            result = t.finish()
    different = name in ('fork-exec',)  # its output holds how often
    same('%s: status and output' % name, (result.code, '' if different else result.out),
         (expected.code, '' if different else expected.out))
    check('%s: profiles came' % name, CPU in e.bodies or name == 'exec', sorted(e.bodies))
    for query, body in e.bodies.items():
        if body[:2] == b'\x1f\x8b' and 'debug' not in query:
            problems = pprof_reader.parse(body).problems
            check('%s: %s can be read' % (name, query), not problems, problems[:3])
    print('%s: %d answers of %d kinds' % (name, e.count, len(e.bodies)), flush=True)


def tests():
    """The hazard tests, with storms as long as asked for."""
    for name in sorted(os.listdir(E2E)):
        if name.startswith('test_hazards_') and name.endswith('.py'):
            p = subprocess.run([sys.executable, os.path.join(E2E, name)], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
            print(''.join('  ' + line for line in p.stdout.splitlines(True)), end='', flush=True)
            check(name, p.returncode == 0)


def main():
    wanted = sys.argv[1:]
    del sys.argv[1:]
    programs = [lambda name=name: storm(name) for name in PROGRAMS if not wanted or name in wanted]
    for fn in programs:
        fn.__name__ = 'storm'
    tests.__name__ = 'tests'
    harness.run(*([] if wanted else [tests]), *programs)


if __name__ == '__main__':
    main()
