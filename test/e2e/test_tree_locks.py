#!/usr/bin/env python3
"""Locks that processes of a tree share: who holds what in another process, and deadlocks."""
import os
import re

import harness
from harness import Target, check, poll
from test_tree import Tree


def dump(t, text, times=1):
    """goroutine?debug=2 with all three processes, once it has `text` so many times."""
    last = ['']

    def has_it():
        last[0] = t.fetch('goroutine?debug=2').decode()
        return last[0].count('# process ') == 3 and last[0].count(text) == times
    check(f'it comes to have "{text}"', poll(has_it, 30), last[0][:1500])
    return last[0]


class Locks(Tree):
    """All processes are members before they wait for each other."""

    def __init__(self, how):
        Target.__init__(self, 'locks_between', how, preexec=os.setsid)

    def wait_for_ever(self):
        self.start()
        self.joined(count=2)
        self.say()
        return self


def test_a_deadlock_between_processes_is_named():
    for how, threads in (('two', 2), ('three', 3)):
        with Locks(how).wait_for_ever() as t:
            text = dump(t, '# DEADLOCK between processes: ')
            line = next(l for l in text.splitlines() if 'DEADLOCK between' in l)
            pids = set(re.findall(r'of process (\d+)', line))
            check(f'{how}: two processes are in it', len(pids) == 2 and str(t.pid) in pids, line)
            check(f'{how}: with their threads', line.count(' waits for lock 0x') == threads, line)
            check(f'{how}: once', text.count('DEADLOCK') == 1, text[:1500])
            check(f'{how}: no line between processes is left', '#wait' not in text)


def test_a_wait_for_another_process_is_no_deadlock():
    with Locks('none').wait_for_ever() as t:
        text = dump(t, f' of process {t.pid}', 2)
        check('no deadlock', 'DEADLOCK' not in text, text[:1500])


if __name__ == '__main__':
    harness.run(test_a_deadlock_between_processes_is_named,
                test_a_wait_for_another_process_is_no_deadlock)
