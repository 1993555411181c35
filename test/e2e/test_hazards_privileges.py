#!/usr/bin/env python3
"""Privileges given up, namespaces entered: our thread is not in the way and keeps nothing (H06, H54, H55).

Seen to fail against:
  drops          a listener that stays (ours of the first day): killed by SIGABRT in set*id after
                 keepcaps or capset; all capabilities kept in our thread after capset alone
  namespaces     the same: unshare and setns of user and mount namespaces failed with EINVAL
"""
import contextlib
import os

import harness
from harness import Profiling, Target, check, poll, run, same, skip

PRIVILEGES = 'hostile_privileges'
CONFINED = ['Uid', 'Gid', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp']

DROPS = {
    'ntpd': 'keepcaps groups gid uid bind',
    'named': 'ids groups gid uid bind nothing',
    'nginx': 'groups gid uid',
    'dovecot': 'bounding keepcaps groups gid uid bind nnp',
    'setpriv': 'keepcaps ids uid ids gid groups bounding nnp nothing',
    'slowly': 'keepcaps wait groups wait gid wait uid wait bind wait nnp wait',
    'failing': 'uid gid groups nnp bind root uid',
    'securebits': 'securebits uid gid nothing',
    'often': 'often keepcaps often bind',
    'by number': 'raw-ids groups gid uid',
    'libcap': 'raw-keepcaps groups gid uid raw-bind gid wait raw-ids uid',
    'libcap, failing': 'raw-bind gid uid groups',
}
NAMESPACES = {
    'user': 'userns',
    'user by number': 'raw-userns',
    'mount': 'mountns setns-mount',
    'mount of any kind': 'setns-any',
    'net': 'netns setns-net',
    'child': 'fork-unshare',
    'both': 'setns-mount keepcaps gid uid userns wait setns-any',
    'chroot': 'chroot groups gid uid',
}


def confinement(pid):
    """What each thread may do: one entry when all are alike."""
    seen = {}
    for tid in harness.tasks(pid):
        status = harness.read('/proc/%d/task/%d/status' % (pid, tid))
        fields = dict(line.split(':', 1) for line in status.splitlines() if ':' in line)
        if fields.get('State', 'X').strip()[0] not in 'ZX':
            seen[tid] = tuple(fields.get(name, '').strip() for name in CONFINED)
    return seen


def plain_steps(steps):
    with Target(PRIVILEGES, *steps, preload='') as t:
        t.say()
        t.wait_for('done')
        expected = list(confinement(t.pid).values())
        t.say()
        return t.finish().seen(), expected


def judge(name, steps, profiling, answers=True):
    steps = steps.split()
    expected, confined = plain_steps(steps)
    with Target(PRIVILEGES, *steps) as t:
        t.wait_ready()
        with (Profiling(t) if profiling else contextlib.nullcontext()):
            t.say()
            t.wait_for('done')
            if answers:
                check(name + ': answers afterwards', poll(t.answers, 10))
            else:
                poll(lambda: len(harness.tasks(t.pid)) == 2, 10)
            same(name + ': every thread is confined', set(confinement(t.pid).values()),
                 set(confined))
            t.say()
            got = t.finish()
        same(name + ': results', got.seen(), expected)


def test_privileges_that_are_given_up_are_given_up():
    if os.geteuid() != 0:
        return skip('privileges', 'not root')
    for name, steps in DROPS.items():
        for profiling in False, True:
            judge(name + (' while profiled' if profiling else ''), steps, profiling)


def test_namespaces_are_entered_as_without_us():
    if os.geteuid() != 0 or plain_steps(['userns'])[0][1] != 'userns: 0 \ndone\n':
        return skip('namespaces', 'not root, or no user namespaces')
    for name, steps in NAMESPACES.items():
        judge(name, steps, False, 'netns' not in steps)


if __name__ == '__main__':
    run(test_privileges_that_are_given_up_are_given_up, test_namespaces_are_entered_as_without_us)
