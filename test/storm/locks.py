#!/usr/bin/env python3
"""The long version of the lock tests: other random operations until the time is up, ten
thousand cancellations of each call, forks, with profiles taken all the time.

STORM_SECONDS or SECONDS: how long each goes on (default 60).
"""
import os
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
os.environ.setdefault('STORM_SECONDS', os.environ.get('SECONDS', '60'))
sys.path.insert(0, os.path.join(HERE, '../e2e'))

import harness  # noqa: E402  (it reads STORM_SECONDS)
import test_locks  # noqa: E402
from harness import Profiling, check, plain, same  # noqa: E402


def operations():
    until = time.monotonic() + harness.seconds(60)
    seed = 100
    while time.monotonic() < until:
        seed += 1
        expected = plain('lock_model', 100000, seed)
        for name, env in test_locks.SETTINGS.items():
            with test_locks.Locks('lock_model', 100000, seed, env=env) as t:
                t.wait_ready(5)
                with Profiling(t, 'seconds=1&hz=1000', overlap=2):
                    same('seed %d, %s' % (seed, name), t.finish().seen(), expected.seen())
    check('some seeds', seed > 100)


def cancellations():
    test_locks.cancelled(int(10000 * min(1.0, harness.seconds(60) / 60)))


def forks():
    children = int(10 * harness.seconds(60))
    for name, env in test_locks.SETTINGS.items():
        with test_locks.Locks('lock_fork', children, env=env, limit=600) as t:
            with Profiling(t, 'seconds=1&hz=1000'):
                check('%s: all children end well' % name, t.wait_for('failed 0', 600), t.output())
            t.say()
            same('%s: the parent ends well' % name, t.finish().code, 0)


def truth():
    until = time.monotonic() + harness.seconds(60)
    while time.monotonic() < until:
        test_locks.test_at_1_everything_is_exact()
        test_locks.test_sampled_sums_are_right()


if __name__ == '__main__':
    harness.run(operations, cancellations, forks, truth)
