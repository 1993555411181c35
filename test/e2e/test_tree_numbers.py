#!/usr/bin/env python3
"""A process ends and another one gets its number; the one that takes the profile is killed.

In a pid namespace of its own a process may choose which number its next child gets.
"""
import contextlib
import os
import shutil
import signal
import time

import harness
import pprof_reader
from harness import Target, check, poll, same


def clocks(pid):
    """CPU time in ns of a process, and of its children that it has waited for."""
    with open(f'/proc/{pid}/stat', encoding='ascii') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    ended = sum(int(n) for n in fields[13:15]) * 10**9 // os.sysconf('SC_CLK_TCK')
    return time.clock_gettime_ns(~pid << 3 | 2) + ended


def first_child(pid):
    with contextlib.suppress(OSError, IndexError):
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
            return int(f.read().split()[0])
    return 0


def tree_clocks(pid):
    child = first_child(pid)
    return clocks(pid) + (clocks(child) if child else 0)


def test_a_number_is_used_again():
    if os.geteuid() != 0 or not shutil.which('unshare'):
        print('skipped: only root may make a pid namespace')
        return
    server = harness.fixture('tree_reuse')
    with Target(shutil.which('unshare'), '--pid', '--fork', '--mount-proc', '--kill-child', server,
                preexec=os.setsid, env={'PPROF_ONLY': 'tree_reuse'}) as t:
        check('it answers', t.wait_ready(), t.output())
        check('it works', t.wait_for('ready'), t.output())
        server_pid = first_child(t.pid)
        joined = [None]

        def worker_joined():
            joined[0] = pprof_reader.parse(t.fetch('allocs'))
            return joined[0].cum('alloc_space')['work_first'] > 0
        check('the worker joins', poll(worker_joined, 20), joined[0].comments)
        before, started = tree_clocks(server_pid), time.monotonic()
        connection = t.open('profile?seconds=3&hz=250')
        poll(lambda: tree_clocks(server_pid) > before + 5e8, 20)  # in the middle of the profile
        t.say('\n')
        if not poll(lambda: 'again' in t.output() or 'no' in t.output().split(), 10) or \
                'again' not in t.output():
            print('skipped: the number of the next process cannot be chosen')
            return
        p = pprof_reader.parse(connection.answer.read())
        used, took = tree_clocks(server_pid) - before, time.monotonic() - started
        connection.close()
        cum, total = p.cum('cpu'), sum(p.flat('cpu').values())
        check('both are in it', cum['work_first'] > 0 and cum['work_next'] > 0, dict(cum))
        check('and no time counts twice', total < 1.03 * used + 3e7, (total, used, took))
        check('nor is any lost', total > 0.97 * used * min(1, 3 / took) - 1e8, (total, used, took))
        last = [None]

        def both():
            last[0] = pprof_reader.parse(t.fetch('allocs'))
            return last[0].cum('alloc_space')['work_next'] > 0
        check('allocs: both are in it', poll(both, 20), dict(last[0].cum('alloc_space')))
        check('allocs: what the first one had stays', last[0].cum('alloc_space')['work_first'] >=
              joined[0].cum('alloc_space')['work_first'])


def test_who_takes_the_profile_is_killed():
    """Children that were forked meanwhile go on; nobody takes their ticks any more."""
    with Target('tree_short', 'orphan', '300', '2', preexec=os.setsid) as t:
        check('it answers', t.wait_ready(), t.output(1))
        check('it forks', t.wait_for('ready'), t.output())
        connection = t.open('profile?seconds=20&hz=1000')
        check('children of the profile end', poll(lambda: t.output().count('survived') > 2, 40),
              t.output())
        with open(f'/proc/{t.pid}/task/{t.pid}/children', encoding='ascii') as f:
            children = f.read().split()
        os.kill(t.pid, signal.SIGKILL)
        same('it is killed by that', t.p.wait(), -signal.SIGKILL)
        connection.close()
        check('those that were there end as they should',
              poll(lambda: all(f'survived {pid}\n' in t.output() for pid in children), 40),
              (children, t.output()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(t.pid, signal.SIGKILL)


if __name__ == '__main__':
    harness.run(test_a_number_is_used_again, test_who_takes_the_profile_is_killed)
