#!/usr/bin/env python3
"""Arguments, environment, masks and switches are the target's own (H45, H53, H60, H61, H63, H94, H95).

Seen to fail against:
  block      a constructor that takes its settings out of the environment: gaps, no key
  setenv     a key that is looked up in the environment at each request: SIGSEGV
  masks      a listener created with all blocked, the mask not restored: children inherit it
  clock      hooks that read the time stamp counter, or the vdso's clock (ours): SIGSEGV
  dispatched a carrier that stays (ours): killed by SIGSYS as a handler returned; a hook that
             asked for its thread's id while a dump ran (ours): taken 36
  flags      a siginterrupt hook that knows the carrier only: reads were not restarted
"""
import os
import re
import shutil
import subprocess

import harness
from everything import CPU, HIGHEST, Everything
from harness import (FIXTURES, KEY, SHIM, Target, check, free_port, plain, run, same, seconds,
                     skip)

ENV = 'hostile_env'


def milliseconds(short):
    return int(1000 * seconds(short))


def same_lines(what, got, expected):
    """Names the first line that differs."""
    for a, b in zip(got + ['(end)'], expected + ['(end)']):
        if a != b:
            return check(what, False, '\n  got      %s\n  expected %s' % (a, b))
    return same(what, got, expected)


def under_everything(name, *args, first=True, **options):
    """What the program did while everything was fetched; and what came."""
    with Target(name, *args, env=dict(HIGHEST, **options.pop('env', {})), **options) as t:
        t.wait_ready()
        if first:
            t.fetch('profile?seconds=1&hz=1000')
        with Everything(lambda: [t.port]) as e:
            t.say()
            got = t.finish()
    return got, e.bodies


def test_the_block_of_arguments_stays_in_one_piece():
    """As in the hands of nginx, postgres or sshd, which write their titles over the block."""
    got, _ = under_everything(ENV, 'layout')
    expected = plain(ENV, 'layout')
    same('the block of arguments and environment', got.seen(),
         (expected.seen()[0], expected.out.replace('preload not there', 'preload there'), ''))
    check('it has no gap', '0 gaps' in got.out, got.out)


def test_environment_changes():
    got, bodies = under_everything(ENV, 'setenv', milliseconds(4))
    same('an environment that moves', got.seen(), ('status 0', '0 wrong\n', ''))
    check('much was fetched', CPU in bodies and len(bodies) > 4, sorted(bodies))


def test_masks_of_children():
    expected = plain(ENV, 'inherit')
    for first in True, False:
        got, _ = under_everything(ENV, 'inherit', first=first)
        same_lines('masks that threads and children inherit', got.out.splitlines(),
                   expected.out.splitlines())
        same('and the status', (got.code, got.err), (expected.code, expected.err))


def test_flags_of_signal_actions_read_back():
    got, _ = under_everything(ENV, 'toggles')
    same('siginterrupt and the flags of actions', got.seen(), plain(ENV, 'toggles').seen())


def actions(path):
    """The rt_sigaction calls of the main thread, but for what having a thread brings.

    glibc handles its own signal 33 from the first thread on, and handlers on alternate
    stacks have the carrier added to their masks.  A question (no new action) changes nothing."""
    with open(path) as f:
        calls = [line.strip() for line in f if 'rt_sigaction(' in line and 'SIGRT_1,' not in line
                 and not re.search(r'rt_sigaction\(\w+, NULL', line)]
    return [re.sub(r'0x[0-9a-f]+', 'ADDRESS', call.replace('sa_mask=[RT_1]', 'sa_mask=[]'))
            for call in calls]


def traced(preload, command):
    path = os.path.join(harness.work, 'trace')
    env = dict(os.environ, ADMIN_KEY=KEY, PPROF_PORT=str(free_port()))
    subprocess.run(['strace', '-qq', '-o', path, '-e', 'trace=rt_sigaction', '-E',
                    'LD_PRELOAD=' + preload] + command, env=env, input='go\n', text=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    return actions(path)


def test_actions_of_a_start():
    """Without a profile the kernel hears of the same actions as without us, call for call."""
    if not shutil.which('strace'):
        return skip('strace', 'not installed')
    for command in ([harness.fixture(ENV), 'toggles'], ['/usr/bin/python3', '-c', 'pass'],
                    ['/bin/bash', '-c', 'trap : TERM HUP; trap "" USR1; /bin/true']):
        expected, got = traced('', command), traced(SHIM, command)
        if not expected:
            return skip('strace', 'it traces nothing here')
        same_lines('rt_sigaction calls of %s' % os.path.basename(command[0]), got, expected)


SWITCHES = 'hostile_switches'


def test_no_processor_clock():
    """The program forbids itself to read it."""
    for rates in {}, dict(PPROF_BLOCK_RATE='1', PPROF_MUTEX_FRACTION='1'):
        with Target(SWITCHES, 'clock', env=rates) as t:
            t.wait_ready()
            t.say()
            same('without the processor\'s clock', t.finish().seen(),
                 ('status 0', 'counted 400000\n', ''))


def test_system_calls_dispatched():
    expected = plain(SWITCHES, 'dispatch')
    if expected.code == 99:
        return skip('system calls dispatched', 'not in this kernel')
    for first in True, False:
        got, _ = under_everything(SWITCHES, 'dispatch', first=first)
        same('system calls dispatched', got.seen(), expected.seen())


def test_busy_before_main():
    """Other preloads that start threads, fork or exec in their constructors."""
    early = os.path.join(FIXTURES, 'hostile_early_plugin.so')
    for how in 'thread', 'fork', 'exec':
        expected = plain('hostile_exit', 'return', env={'HOSTILE_EARLY': how})
        for preload in SHIM + ':' + early, early + ':' + SHIM:
            got, bodies = under_everything('hostile_exit', 'return', first=False, preload=preload,
                                           env={'HOSTILE_EARLY': how})
            same('early %s, %s' % (how, preload), got.seen(), expected.seen())


if __name__ == '__main__':
    run(test_the_block_of_arguments_stays_in_one_piece, test_environment_changes,
        test_masks_of_children, test_flags_of_signal_actions_read_back, test_actions_of_a_start,
        test_no_processor_clock, test_system_calls_dispatched,
        test_busy_before_main)
