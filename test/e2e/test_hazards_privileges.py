#!/usr/bin/env python3
"""Privileges given up, namespaces entered: our thread is not in the way and keeps nothing (H06, H54, H55).

Seen to fail against:
  drops          a listener that stays (ours of the first day): killed by SIGABRT in set*id after
                 keepcaps or capset; all capabilities kept in our thread after capset alone
  drops          a listener that is not told of calls by number, and one outside of the filter
                 (ours): SIGABRT in set*id; one that is ended and started again (ours): never
                 back after RLIMIT_NPROC 0
  a profile      a listener that is ended for the call (ours): the answer broke off
  a daemon       no hook of setrlimit (ours): no endpoint for good
  root directory a listener that stays at unshare(CLONE_FS) (ours): two roots
  namespaces     the same: unshare and setns of user and mount namespaces failed with EINVAL
"""
import contextlib
import os

import harness
import pprof_reader
from harness import Profiling, Target, check, poll, run, same, skip, with_and_without

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
    'ids by number': 'raw-groups raw-gid raw-uid root uid gid',
    'setuid by number': 'raw-gid raw-setuid root',
    'lent to a thread': 'lend groups gid uid',
    'haproxy': 'groups gid uid nnp no-processes wait',
    'haproxy, without its library': 'raw-groups raw-gid raw-uid nnp no-processes wait',
    'a filter that forbids it': 'nnp filter uid gid groups',
    'keyring': 'raw-session groups gid uid',
    'landlock': 'nnp raw-landlock groups gid uid',
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
    'files': 'files chroot groups gid uid',
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


def test_a_profile_goes_on():
    """What changes privileges, or only asks, costs nobody a profile."""
    steps = 'ask ' + ('keepcaps bounding groups gid uid bind nnp raw-uid' if os.geteuid() == 0
                      else 'nnp')
    with Target(PRIVILEGES, *steps.split()) as t:
        t.wait_ready()
        c = t.open('profile?seconds=2')
        t.say()
        t.wait_for('done')
        got = pprof_reader.parse(c.answer.read())
        check('a profile over all that', got.duration_ns >= 2e9, got.duration_ns)
        t.say()
        same('what is said', t.finish().err, '')


def test_threads_change_their_user_during_profiles():
    """By the signal of our ticks, which libc installs a handler for with the first thread."""
    with_and_without('ids of all threads', 'hostile_signals', 'ids', 1500)


def test_a_daemon_that_forbids_itself_threads():
    """haproxy -D: the thread that is to take the endpoint over has to be there by then."""
    steps = 'background gid uid nnp no-processes' if os.geteuid() == 0 else 'background nnp no-processes'
    with Target(PRIVILEGES, *steps.split()) as t:
        t.wait_ready()
        t.say()
        t.wait_for('done')
        check('daemon without threads: answers', poll(t.answers, 10))
        t.say()
        same('daemon without threads: what is said', t.finish().err, '')


def roots(t):
    """The root directory of each thread."""
    return {os.readlink('/proc/%d/task/%d/root' % (t.pid, tid)) for tid in harness.tasks(t.pid)}


def test_root_directory():
    """After unshare(CLONE_FS) a chroot concerns the threads that are made later."""
    if os.geteuid() != 0:
        return skip('root directory', 'not root')
    with Target(PRIVILEGES, 'files', 'chroot') as t:
        t.wait_ready()
        t.say()
        t.wait_for('done')
        poll(lambda: len(harness.tasks(t.pid)) == 2, 10)
        same('one root directory', len(roots(t)), 1)
        check('another than ours', roots(t) != {'/'}, roots(t))


def test_namespaces_are_entered_as_without_us():
    if os.geteuid() != 0 or plain_steps(['userns'])[0][1] != 'userns: 0 \ndone\n':
        return skip('namespaces', 'not root, or no user namespaces')
    for name, steps in NAMESPACES.items():
        judge(name, steps, False, 'netns' not in steps)


if __name__ == '__main__':
    run(test_privileges_that_are_given_up_are_given_up, test_a_profile_goes_on,
        test_threads_change_their_user_during_profiles,
        test_a_daemon_that_forbids_itself_threads,
        test_root_directory, test_namespaces_are_entered_as_without_us)
