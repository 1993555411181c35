#!/usr/bin/env python3
"""Handlers on alternate stacks, whose masks have the signal of ticks from us while ticks may come: left in ways that tell
no hook, and asked meanwhile for what libc does by that signal (H14, H180).

Seen to fail against the masks being there always (ours): throw, builtin, asm, stays and forks ended by SIGALRM, with no
profile too, and `seen` differed; against nothing that opens them: throw, builtin, asm, stays, forks and later while a profile runs;
against timers for threads that were in such a handler before: SIGSEGV in always-full and always-full-open;
against a handler for libc's other signal that is always as libc's own (ours): own.
"""
import harness
from harness import Target, check, plain, poll, run, same, seconds, with_and_without

LEAPS, ALTSTACKS = 'hostile_leaps', 'hostile_altstacks'
CARRIER = 1 << 32


def a_thread_blocks_carrier(pid):
    return any(int(harness.read('/proc/%d/task/%s/status' % (pid, t)).split('SigBlk:')[1].split()[0], 16)
               & CARRIER and 'pprofshim' not in harness.read('/proc/%d/task/%s/comm' % (pid, t))
               for t in harness.tasks(pid))


def test_no_handler_is_changed_without_a_profile():
    for mode in 'throw', 'builtin', 'asm', 'seen', 'stays', 'forks':
        with Target(LEAPS, mode) as t:
            check('ready', t.wait_ready())
            t.say()
            same('without a profile: ' + mode, t.finish().seen(), plain(LEAPS, mode).seen())


def test_ids_change_while_a_profile_runs():
    for mode in 'throw', 'builtin', 'asm', 'stays', 'own', 'forks':
        got, _ = with_and_without('while a profile runs: ' + mode, LEAPS, mode)
        check('ids changed: ' + mode, 'ids changed\n' in got.out, got)


def test_a_handler_that_is_left_after_the_profile():
    with Target(LEAPS, 'later') as t:
        if not check('ready', t.wait_ready()):
            return
        c = t.open('profile?seconds=60')
        t.say()
        check('it blocks the signal', poll(lambda: a_thread_blocks_carrier(t.pid), 10))
        c.close()
        t.say()
        same('left after the profile', t.finish().seen(), ('status 0', 'ids changed\nalive\n', ''))


def test_what_is_set_while_a_profile_runs_is_read_back():
    with_and_without('actions', LEAPS, 'sets', int(1000 * seconds(0.5)))


def test_a_profile_begins_within_a_handler():
    """On a stack that does not hold two frames; of the second kind no mask tells that it runs."""
    for mode in 'always-full', 'always-full-open':
        with Target(ALTSTACKS, mode, int(1000 * seconds(1.5))) as t:
            check('ready', t.wait_ready())
            t.say()
            c = t.open('profile?seconds=60&hz=1000')
            same('a profile begins within a handler: ' + mode, t.finish().seen(),
                 ('status 0', 'alive\n', ''))
            c.close()


run(test_no_handler_is_changed_without_a_profile, test_ids_change_while_a_profile_runs,
    test_a_handler_that_is_left_after_the_profile,
    test_what_is_set_while_a_profile_runs_is_read_back, test_a_profile_begins_within_a_handler)
