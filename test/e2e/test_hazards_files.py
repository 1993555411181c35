#!/usr/bin/env python3
"""Waiting calls, descriptors and files stay the target's own (H05, H09, H10).

Seen to fail against:
  idle       timers on a wall clock: EINTR in every call of idle threads
  closes, lowest, own_descriptors, locks  no private table of descriptors: hang, port lost, wrong numbers
  pipe       a private table that is emptied from 3 up: the reader saw no end
  writes     a handler that writes one byte to a number it believes to be its pipe's
"""
import os

import harness
from harness import Profiling, Target, check, plain, poll, profiled, run, same, seconds

FILES = 'hostile_files'


def milliseconds(short):
    return int(1000 * seconds(short))


def test_idle_threads_see_no_early_return():
    got, blobs = with_and_without_stderr('idle threads in calls that end with EINTR',
                                         'hostile_waits', milliseconds(6))
    interrupted, calls = (int(n) for n in got.err.split())
    check('bursty threads are interrupted at most once in 100 calls', interrupted * 100 <= calls,
          '%d of %d' % (interrupted, calls))


def test_idle_threads_are_looked_at_and_see_no_early_return():
    got, blobs = with_and_without_stderr('idle threads, looked at', 'hostile_waits',
                                         milliseconds(6), query='seconds=1&hz=100', page='wall')
    interrupted, calls = (int(n) for n in got.err.split())
    check('bursty threads are interrupted at most once in 100 calls', interrupted * 100 <= calls,
          '%d of %d' % (interrupted, calls))


def with_and_without_stderr(what, *args, **options):
    """stderr holds numbers, which differ."""
    expected = plain(*args)
    got, blobs = profiled(*args, **options)
    same(what, (got.code, got.out), (expected.code, expected.out))
    check('%s: profiles came' % what, blobs)
    return got, blobs


def alive_during(mode, ms, *args, **options):
    """The endpoint answers while and after the target does it."""
    with Target(FILES, mode, ms, *args, **options) as t:
        t.wait_ready()
        with Profiling(t) as p:
            t.say()
            result = t.finish()
        check('%s: profiles came' % mode, p.blobs)
        same('%s: none was refused or cut' % mode, p.refused, 0)
    return result


def test_closes_everything():
    ms = milliseconds(4)
    same('closes all, opens 2,000', alive_during('close-all', ms).seen(),
         ('status 0', '0 bad\n', ''))
    same('closes from 3 up all the time', alive_during('close-range', ms).seen(),
         ('status 0', '0 bad\n', ''))


def test_opens_the_lowest():
    same('gets the lowest numbers', alive_during('lowest', milliseconds(2)).seen(),
         plain(FILES, 'lowest', 100).seen())


def test_own_descriptors_are_the_only_ones():
    with Target(FILES, 'lowest', 1500) as t:
        t.wait_ready()
        t.fetch('profile?seconds=1')
        fds = {}
        for fd in os.listdir('/proc/%d/fd' % t.pid):
            fds[int(fd)] = os.readlink('/proc/%d/fd/%s' % (t.pid, fd))
        same('descriptors of the target', sorted(fds), [0, 1, 2])


def test_record_locks_survive_our_reading():
    """A file that is locked and in the maps: symbols are read from it, the lock stays."""
    path = os.path.join(harness.work, 'code')
    with open(path, 'wb') as f:  # mov rax, rdi; 1: dec rax; jnz 1b; ret
        f.write(b'\x48\x89\xf8\x48\xff\xc8\x75\xfb\xc3'.ljust(4096, b'\xc3'))
    same('record locks', alive_during('locks', milliseconds(3), path).seen(),
         ('status 0', '0 times without its lock\n', ''))


def test_closed_pipe():
    r, w = os.pipe()
    with Target(FILES, 'pipe', 3000, stdout=w) as t:
        os.close(w)
        t.wait_ready()
        c = t.open('profile?seconds=30')
        t.say()
        os.set_blocking(r, False)
        got = [b'']

        def at_end():
            try:
                piece = os.read(r, 100)
            except BlockingIOError:
                return False
            got[0] += piece
            return piece == b''

        check('the reader of a closed stdout sees its end within a second', poll(at_end, 1.5))
        check('while the target lives', t.p.poll() is None)
        same('what it wrote', got[0], b'before\n')
        check('and answers', t.answers())
        c.close()
        os.close(r)
        t.finish()


def test_no_writes_into_files():
    same('files of the target, frames without CFI', alive_during('write', milliseconds(3)).seen(),
         ('status 0', '0 changed\n', ''))
    with Target(FILES, 'write', 3000) as t:
        t.wait_ready()
        t.say()
        t.fetch('profile?seconds=1&hz=1000')
        kinds = [os.readlink('/proc/%d/fd/%s' % (t.pid, fd))
                 for fd in os.listdir('/proc/%d/fd' % t.pid)]
        same('pipes in its table, but for stdin',
             len([k for k in kinds if k.startswith('pipe:')]), 1)
        t.finish()


if __name__ == '__main__':
    run(test_idle_threads_see_no_early_return,
        test_idle_threads_are_looked_at_and_see_no_early_return, test_closes_everything, test_opens_the_lowest,
        test_own_descriptors_are_the_only_ones, test_record_locks_survive_our_reading,
        test_closed_pipe, test_no_writes_into_files)
