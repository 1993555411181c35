#!/usr/bin/env python3
"""Threads: how they begin and end, their stacks, identity and errno (H06, H13 to H16, H21, H46).

Seen to fail against:
  limit_of_queued  no budget: sigqueue was refused (ours); timers that are not deleted: SigQ stays
  many_threads     timers that are not deleted
  small_stacks     6 KB of stack in the handler: words before the stack overwritten
  alternate        nothing added to the mask of SA_ONSTACK handlers: killed by SIGSEGV; siglongjmp
                   left alone (ours): a tick that waited came on the alternate stack, SIGSEGV
                   a look at whether it is there (ours): with SS_AUTODISARM words below overwritten
  user             a listener that blocks all 64 signals by a raw call: setresuid hung
  daemon           a listener with an open mask: SIGTERM went to it, sigsuspend never woke
  errno            a handler that sets errno
"""
import os
import signal

import harness
from harness import (Profiling, Target, check, poll, profiled, rounds, run, same, seconds,
                     skip, status_field, switch_profiles, tasks, with_and_without)

THREADS = 'hostile_threads'


def milliseconds(short):
    return int(1000 * seconds(short))


def timers(pid):
    with open('/proc/%d/timers' % pid) as f:
        return sum(line.startswith('ID:') for line in f)


def queued(pid):
    return int(status_field(pid, 'SigQ').split('/')[0])


def test_short_threads_while_profiles_switch():
    """64 threads a second and more, while profiles begin and end all the time."""
    with Target(THREADS, 'churn', milliseconds(6)) as t:
        t.wait_ready()
        t.say()
        n = switch_profiles(t, lambda: 'churned' in t.output(), pause=0.2)
        result = t.finish()
    same('churn, profiles switched', (result.code, result.out), (0, 'churned\n'))
    check('profiles were begun', n > 5, n)
    result, blobs = profiled(THREADS, 'churn', milliseconds(4))
    same('churn, profiled', (result.code, result.out), (0, 'churned\n'))
    check('profiles came', len(blobs) >= 1, len(blobs))


def few_signals(threads):
    """The limit counts what the user has queued in all processes: be somebody else."""
    somebody = ['setpriv', '--reuid=%d' % (50000 + os.getpid() % 9999), '--clear-groups']
    return Target(harness.for_everyone(harness.fixture(THREADS)), 'queue', threads,
                  preload=harness.for_everyone(harness.SHIM),
                  prefix=(somebody if os.geteuid() == 0 else []) + ['prlimit', '--sigpending=20'])


def test_limit_of_queued_signals():
    with few_signals(100) as t:
        t.wait_ready()
        t.wait_for('threads run')
        before = queued(t.pid)
        with Profiling(t, 'seconds=2&hz=100'):
            poll(lambda: timers(t.pid) > 0, 5)
            armed = timers(t.pid)
            t.say()
            poll(lambda: 'queued' in t.output(), 30)
        check('timers take a quarter of the limit at most', 0 < armed <= 5, armed)
        blob = t.fetch('profile?seconds=1')
        check('SigQ is back', poll(lambda: queued(t.pid) <= before, 3),
              '%d, before %d' % (queued(t.pid), before))
        t.say()
        same('all signals of its own were queued', t.finish().seen(),
             ('status 0', 'threads run\nqueued 15000, refused 0\n', ''))


def test_refused_timers_are_told():
    import pprof_reader
    with few_signals(60) as t:
        t.wait_ready()
        t.wait_for('threads run')
        p = pprof_reader.parse(t.fetch('profile?seconds=2'))
        page = t.shim_page()
        t.say('go\ngo\n')
        t.finish()
    unsampled = p.flat('cpu').get('[unsampled]', 0)
    check('their time is in [unsampled]', unsampled > 0.5 * p.total('cpu'),
          '%d of %d' % (unsampled, p.total('cpu')))
    refused = [line for line in page.splitlines() if 'refused' in line and 'timer' in line]
    check('the shim page tells of refused timers',
          any(w.isdigit() and int(w) > 0 for line in refused for w in line.replace(':', ' ').split()),
          refused)


def test_many_threads():
    with Target(THREADS, 'many', 5000) as t:
        t.wait_ready()
        t.wait_for('threads\n')
        running = len(tasks(t.pid))
        before = queued(t.pid)
        import pprof_reader
        p = pprof_reader.parse(t.fetch('profile?seconds=2'))
        check('5,000 threads: the busy one is in the profile',
              p.cum('cpu').get('burn_until_stop', 0) > 0.3e9, p.flat('cpu').most_common(5))
        check('its timers are given back', poll(lambda: queued(t.pid) <= before, 5), queued(t.pid))
        t.say()
        result = t.finish()
        same('5,000 threads end', (result.code, result.out[-7:]), (0, 'joined\n'))
        check('there were as many', running > 4000, running)


def test_small_stacks():
    with_and_without('PTHREAD_STACK_MIN, used to the end', THREADS, 'small', milliseconds(4))
    with_and_without('threads of 16 KiB', THREADS, 'sixteen')


def test_small_alternate_stacks():
    with_and_without('a handler on a small alternate stack', THREADS, 'altstack', milliseconds(4))
    with_and_without('a handler that jumps off an alternate stack without room for a second frame',
                     THREADS, 'altstack-jump', milliseconds(3))
    with_and_without('one that the kernel takes away while a handler is there', THREADS,
                     'altstack-disarmed', milliseconds(3))


def test_another_user_in_all_threads():
    if os.geteuid() != 0:
        return skip('setgroups and setresuid', 'not root')
    with_and_without('another user in all threads', THREADS, 'user', rounds(100))


def test_a_daemon_that_ends_its_first_process_at_once():
    bad = 0
    for _ in range(rounds(60)):
        with Target(THREADS, 'daemon', limit=5) as t:
            if not t.wait_ready():
                bad += 1
                break
            c = t.open('profile?seconds=30&hz=1000')
            t.say()
            t.wait_for('waiting')
            result = t.finish(signal_first=signal.SIGTERM)
            c.close()
            if result.seen() != ('status 0', 'waiting\nterminated\n', ''):
                bad += 1
                check('SIGTERM wakes sigsuspend', False, result)
                break
    same('daemons that did not shut down', bad, 0)


def test_errno_and_floating_point_flags_stay():
    with_and_without('errno and floating-point flags', THREADS, 'sentinels', milliseconds(4))


if __name__ == '__main__':
    run(test_short_threads_while_profiles_switch, test_limit_of_queued_signals,
        test_refused_timers_are_told, test_many_threads, test_small_stacks,
        test_small_alternate_stacks, test_another_user_in_all_threads,
        test_a_daemon_that_ends_its_first_process_at_once, test_errno_and_floating_point_flags_stay)
