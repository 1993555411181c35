#!/usr/bin/env python3
"""Real programs' own tests, with and without the shim, and what differs.

usage: [ATTACH=1] test/ab/ab.py [SUITE...]      suites: the files test/ab/suite_*.py

Each suite runs once without us and once under us, the latter with every allocation
and every wait recorded, while clients fetch every profile of every process that answers, all the time.  A test whose outcome
differs runs again, up to AGAIN times each way:

  DIFFERENT   without us it always ended one way, under us never that way
  noise       anything else: it fails, or not, without us too

With ATTACH programs start without us, and are attached to, profiled and detached from while
they run, again and again.

A suite is a module with NAME and run(side, only) that returns {test: outcome};
`only` names the tests to run, or is None for all.
"""
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
ATTACH = bool(os.environ.get('ATTACH'))  # before the harness tidies up the environment
sys.path[:0] = [HERE, os.path.join(HERE, '../e2e')]

from attacher import Attacher  # noqa: E402
from everything import HIGHEST, Everything  # noqa: E402
from harness import KEY, ROOT, SHIM  # noqa: E402

AGAIN = 3


class Skip(Exception):
    """The suite cannot run here; says why."""


class Side:
    """One of the two ways to run a suite: plainly, or under the shim."""

    def __init__(self, shim, work):
        self.shim, self.work = shim, work
        self.name = 'shim' if shim else 'plain'
        self.ports_file = os.path.join(work, 'ports')
        open(self.ports_file, 'w').close()
        os.chmod(self.ports_file, 0o666)  # servers may run as another user

    def ports(self):
        """Of the processes started last; those that are gone do not answer.  ATTACH: their numbers."""
        with open(self.ports_file) as f:
            return [int(line) for line in f.read().split()[-6:]]

    def wrap(self, program, at):
        """An executable at `at` that becomes `program`, under the shim if that is this side.

        The port follows the process id, so that servers that run at the same time differ."""
        lines = ['#!/bin/sh']
        if self.shim and ATTACH:
            lines += ["echo $$ >>'%s'" % self.ports_file, "exec env '%s' \"$@\"" % program]
        elif self.shim:
            lines += ['port=$((10000 + $$ % 9000))',
                      "echo $port >>'%s'" % self.ports_file,
                      "exec env LD_PRELOAD='%s' ADMIN_KEY=%s PPROF_PORT=$port %s '%s' \"$@\"" % (
                          SHIM, KEY, ' '.join('%s=%s' % x for x in HIGHEST.items()), program)]
        else:
            lines += ["exec env '%s' \"$@\"" % program]
        if os.path.lexists(at):
            os.unlink(at)
        with open(at, 'w') as f:
            f.write('\n'.join(lines) + '\n')
        os.chmod(at, 0o755)
        return at

    def directory(self, name):
        """A new, empty one."""
        path = os.path.join(self.work, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        os.chmod(path, 0o755)
        return path


def environment():
    return {k: v for k, v in os.environ.items()
            if not k.startswith('PPROF_') and k not in ('ADMIN_KEY', 'LD_PRELOAD')}


def kept(name):
    """A folder for what a suite builds, kept for the next time."""
    path = os.path.join(ROOT, os.environ.get('BUILD', 'build'), 'ab', name + '.built')
    os.makedirs(path, exist_ok=True)
    return path


def must(command):
    """Runs a command of a suite's own that has to succeed."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise Skip('%s: %s' % (' '.join(command)[:80], done.stdout[-300:]))


def source_of(package):
    """The unpacked source package, kept for the next time."""
    out = os.path.join(ROOT, os.environ.get('BUILD', 'build'), 'ab', package)
    if not os.path.isdir(out):
        if subprocess.run([ROOT + '/.ci/source.sh', package, out]).returncode != 0:
            raise Skip('no source package ' + package)
    return out


def one_side(suite, shim, work, only=None):
    """(outcomes, what the clients got)."""
    side = Side(shim, work)
    if not shim:
        return suite.run(side, only), 0
    with (Attacher(side.ports) if ATTACH else Everything(side.ports, clients=2)) as clients:
        outcomes = suite.run(side, only)
    if ATTACH and clients.refused:
        print('  refused: %s' % clients.refused)
    return outcomes, clients.count


def differing(plain, shim):
    return sorted(t for t in set(plain) | set(shim) if plain.get(t) != shim.get(t))


def judge(suite, work, plain, shim):
    """{test: (outcomes without us, outcomes under us)} of the tests that differ; seen more often."""
    seen = {t: ([plain.get(t)], [shim.get(t)]) for t in differing(plain, shim)}
    for _ in range(AGAIN):
        wanted = sorted(t for t, (a, b) in seen.items() if not set(a) & set(b))
        if not wanted:
            break
        for which in 0, 1:
            got, _ = one_side(suite, bool(which), work, wanted)
            for t in wanted:
                seen[t][which].append(got.get(t))
    return seen


def is_different(a, b):
    return len(set(a)) == 1 and not set(a) & set(b)


GOOD = ('ok', 'completed', 'said', 'status 0', 'skipped', 'skip', 'ignore')


def tell(name, outcomes, fetched, seen, started):
    counts = {}
    for outcome in outcomes.values():
        word = str(outcome).split(':')[0]
        counts[word] = counts.get(word, 0) + 1
    print('%s: %d tests (%s), %d %s, %d s' % (
        name, len(outcomes), ', '.join('%d %s' % (n, w) for w, n in sorted(counts.items())[:6]),
        fetched, 'attaches' if ATTACH else 'fetches', time.monotonic() - started))
    for t, outcome in sorted(outcomes.items()):
        if t not in seen and not str(outcome).startswith(GOOD):
            print('  the same with us and without: %s: %s' % (t, str(outcome)[:200]))
    for t, (a, b) in sorted(seen.items()):
        print('  %s: %s: without %s, with %s' %
              ('DIFFERENT' if is_different(a, b) else 'noise', t, a, b))
    sys.stdout.flush()


def compare(suite):
    """The number of tests, and of those that differ."""
    started = time.monotonic()
    work = tempfile.mkdtemp(prefix='pprofshim-ab.')
    os.chmod(work, 0o755)
    try:
        plain, _ = one_side(suite, False, work)
        shim, fetched = one_side(suite, True, work)
        seen = judge(suite, work, plain, shim)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    tell(suite.NAME, plain, fetched, seen, started)
    different = sum(is_different(a, b) for a, b in seen.values())
    if not plain:
        print('%s: FAILED: no test ran' % suite.NAME)
        different += 1
    return len(plain), different


def main():
    names = [f[6:-3] for f in sorted(os.listdir(HERE)) if f.startswith('suite_')]
    passed = failed = 0
    for name in sys.argv[1:] or names:
        try:
            tests, different = compare(importlib.import_module('suite_' + name))
        except Skip as why:
            print('skipped: %s: %s' % (name, why), flush=True)
            continue
        passed += tests - different
        failed += different
    print('%d passed, %d failed' % (passed, failed))
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    sys.modules['ab'] = sys.modules['__main__']
    main()
