#!/usr/bin/env python3
"""Series that only grow, of a tree whose workers are replaced: what scrapers subtract never falls.

HAZARD_SECONDS=300 in the environment makes it longer: so it was run by hand.
"""
import contextlib
import os
import signal
import time

import harness
import pprof_reader
from harness import Target, check

SECONDS = harness.seconds(12)
LIFETIME_MS = '2000'

GROWING = {'allocs': ('alloc_objects', 'alloc_space'),
           'block': ('contentions', 'delay'),
           'mutex': ('contentions', 'delay')}


class Sums(Target):
    def __init__(self, **more):
        super().__init__('tree_sums', LIFETIME_MS, '2', preexec=os.setsid,
                         env={'PPROF_HEAP_RATE': '65536', 'PPROF_BLOCK_RATE': '100000',
                              'PPROF_MUTEX_FRACTION': '1'}, **more)

    def __exit__(self, *unused):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        super().__exit__(*unused)


def series(p, names):
    """(type, stack, labels) -> value, and (type,) -> total."""
    sums = {}
    for s in p.samples:
        labels = tuple(sorted((k, str(v)) for k, v in s.labels.items()))
        for name in names:
            value = s.values[p.index(name)]
            for key in ((name, tuple(s.stack), labels), (name,)):
                sums[key] = sums.get(key, 0) + value
    return sums


def test_no_series_falls():
    with Sums() as t:
        check('it answers', t.wait_ready(), t.output(1))
        check('it works', t.wait_for('ready'), t.output())
        last = {page: {} for page in GROWING}
        fallen, scrapes, pids = [], 0, set()
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            for page, names in GROWING.items():
                p = pprof_reader.parse(t.fetch(page, timeout=30))
                now = series(p, names)
                pids |= {s.labels.get('pid') for s in p.samples}
                fallen += [(page, key, was, now.get(key, 0)) for key, was in last[page].items()
                           if now.get(key, 0) < was]
                last[page] = now
            scrapes += 1
            time.sleep(0.3)
        check('no series falls', not fallen, fallen[:5])
        for page, names in GROWING.items():
            check(f'{page}: there is something', all(last[page].get((name,), 0) > 0 for name in names),
                  last[page].keys())
        check('workers were replaced', len(pids - {None}) > 3, pids)
        print(f'{scrapes} scrapes, {len(pids)} processes')


if __name__ == '__main__':
    harness.run(test_no_series_falls)
