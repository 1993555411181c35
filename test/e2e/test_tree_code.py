#!/usr/bin/env python3
"""Names of code that workers of a tree make at run time: their runtimes tell them in files under
the worker's process id, where perhaps only the worker sees them."""
import contextlib
import os

import harness
import pprof_reader
from harness import Target, check, poll

CHAINS = {'map': ['made_inner', 'made_outer', 'run_made'],
          'dump': ['made_inner', 'made_outer', 'run_made'],
          'bare': ['made_inner', 'made_outer', 'run_made'],
          'again': ['leaf', 'mid', 'main']}


def forget_files(pids):
    for pid in pids:
        for name in (f'/tmp/perf-{pid}.map', f'/tmp/jit-{pid}.dump'):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def profile_with(t, chain):
    """The profile of a second in which the worker was; the last one if it never is."""
    last = [None]

    def worked():
        last[0] = pprof_reader.parse(t.fetch('profile?seconds=1&hz=250'))
        return any(s.stack[:4] == ['burn', *chain] for s in last[0].samples)
    check('it works, with names', poll(worked, 30), last[0] and [s.stack[:5] for s in last[0].samples])
    return last[0]


def check_worker(how):
    with Target('names_made', how, 'fork', preexec=os.setsid) as t:
        check(f'{how}: it answers', t.wait_ready(), t.output(1))
        p = profile_with(t, CHAINS[how])
        pids = {s.labels['pid'] for s in p.samples if 'burn' in s.stack}
        check(f'{how}: it is the worker', pids and t.pid not in pids, pids)
        if how == 'dump':
            lines = {(p.function_by_id[line.function].file, line.line)
                     for l in p.locations for line in l.lines}
            check('with lines', ('/src/made.x', 12) in lines, lines)
        forget_files(pids)


def test_code_made_at_run_time_in_a_worker_has_its_names():
    for how in CHAINS:
        check_worker(how)


if __name__ == '__main__':
    harness.run(test_code_made_at_run_time_in_a_worker_has_its_names)
