#!/usr/bin/env python3
"""The shim is never the reason a process ends, and never keeps one (H25, H79).

Seen to fail against:
  ends           a destructor that writes: output differs
  leaving        no hook of thrd_exit and pthread_cancel (ours of the first day): the listener kept
                 the process for ever; a listener that slept once more before it looked (ours): the
                 same; an undertaker that did not wait for the listener's real end (ours): what
                 stdio had buffered was lost
  closed         a listener in the target's table: its first open returned 1
  limits         no look at RLIMIT_AS: the target's malloc failed (ours)
  no_proc        no variant was tried
  copies         no marker: two copies waited for each other for ever (ours); loaded by dlopen or
                 dlmopen: a call through NULL (ours)
  filters        sandbox hooks that do nothing: SIGSYS
"""
import os
import resource
import shutil
import subprocess

import harness
from harness import (KEY, SHIM, Target, check, plain, poll, profiled, rounds, run, same,
                     skip, still_open)

EXIT = 'hostile_exit'
ENDS = ['return', 'exit', '_exit', 'quick_exit', 'abort', 'kill', 'term', 'segv', 'thread-exit']
LEAVES = ['pthread-exit', 'thrd-exit', 'cancel', 'pthread-exit-nofile', 'pthread-exit-then-exit']


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def few_files():
    no_core()
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def end_in_flight(how, preexec=no_core):
    """With a profile running and the download of another under way."""
    with Target(EXIT, how, limit=20, preexec=preexec) as t:
        if not t.wait_ready():
            return t.finish()
        one = t.open('profile?seconds=30&hz=1000')
        two = t.open('profile?seconds=1&hz=1000')
        t.say()
        result = t.finish()
        one.close()
        two.close()
        return result


def each_way(ways, n, preexec=no_core):
    for how in ways:
        expected = plain(EXIT, how, preexec=preexec).seen()
        bad = 0
        for i in range(n):
            got = end_in_flight(how, preexec).seen()
            if got != expected:
                bad += 1
                if bad == 1:
                    check('ends by ' + how, False, 'run %d: got %r, expected %r' %
                          (i, got, expected))
                if got[0] == 'hung':
                    break
        same('runs that end otherwise by ' + how, bad, 0)


def test_ends():
    each_way(ENDS, rounds(12))


def test_leaving():
    each_way(LEAVES, rounds(5), few_files)


def test_main_gone_by_system_call():
    expected = plain(EXIT, 'raw-exit').seen()
    with Target(EXIT, 'raw-exit', limit=5) as t:
        t.wait_ready()
        t.say()
        gone = poll(lambda: t.p.poll() is not None, 3)
        got = t.finish().seen() if gone else 'still there'
    same('main ends by syscall(SYS_exit)', got, expected)


def test_closed_descriptors():
    def close_all():
        os.closerange(0, 3)

    for _ in range(rounds(5)):
        expected = subprocess.run([harness.fixture(EXIT), 'closed'], preexec_fn=close_all)
        env = dict(os.environ, LD_PRELOAD=SHIM, ADMIN_KEY=KEY, PPROF_PORT=str(harness.free_port()))
        got = subprocess.run([harness.fixture(EXIT), 'closed'], env=env, preexec_fn=close_all)
        same('status with 0, 1 and 2 closed', got.returncode, expected.returncode)


def test_limits():
    megabyte = 1 << 20
    for how, what, value in (('limit-as', resource.RLIMIT_AS, 16 * megabyte),
                             ('limit-as', resource.RLIMIT_AS, 24 * megabyte),
                             ('limit-as', resource.RLIMIT_AS, 80 * megabyte),
                             ('limit-nofile', resource.RLIMIT_NOFILE, 4)):
        def limit():
            resource.setrlimit(what, (value, value))

        expected = plain(EXIT, how, preexec=limit)
        got, _ = profiled(EXIT, how, preexec=limit)
        same('%s %d' % (how, value), (got.code, got.out), (expected.code, expected.out))
    if os.geteuid() == 0:  # as another user, as root has no such limit
        got = limited_processes(SHIM)
        same('no thread to be had: status and output', got, limited_processes(''))


def limited_processes(preload):
    command = ['setpriv', '--reuid=64123', '--clear-groups', 'prlimit', '--nproc=1', 'env',
               'LD_PRELOAD=' + preload, harness.fixture(EXIT), 'limit']
    env = dict(os.environ, ADMIN_KEY=KEY, PPROF_PORT=str(harness.free_port()))
    p = subprocess.run(command, env=env, input='go\n', stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=20)
    return p.returncode, p.stdout


def test_no_proc():
    if os.geteuid() != 0:
        return skip('no /proc', 'not root')
    prefix = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /proc && exec "$@"', 'sh']
    for how in 'return', 'pthread-exit', 'abort':
        expected = plain(EXIT, how, prefix=prefix, preexec=no_core).seen()
        got, _ = profiled(EXIT, how, prefix=prefix, preexec=no_core)
        same('without /proc: ' + how, got.seen(), expected)


def test_read_only_root():
    if os.geteuid() != 0:
        return skip('read-only root', 'not root')
    prefix = ['unshare', '-m', 'sh', '-c', 'mount -o remount,bind,ro / && exec "$@"', 'sh']
    got, blobs = profiled(EXIT, 'limit', prefix=prefix)
    same('on a read-only root', got.seen(), plain(EXIT, 'limit', prefix=prefix).seen())


def test_copies():
    copy, link = os.path.join(harness.work, 'copy.so'), os.path.join(harness.work, 'link.so')
    shutil.copy(SHIM, copy)
    os.symlink(SHIM, link)
    for second in copy, link:
        for how in 'return', 'pthread-exit':
            got, blobs = profiled(EXIT, how, preload=SHIM + ':' + second)
            same('loaded twice, ' + how, got.seen(), plain(EXIT, how).seen())
        with Target(EXIT, 'limit', preload=SHIM + ':' + second) as t:
            check('one of two answers', t.wait_ready())
            same('threads of a program with two', len(harness.tasks(t.pid)), 2)


def test_loaded_late():
    for how in 'dlopen', 'dlmopen':
        for preload in '', SHIM:
            name = 'hostile_load'
            with Target(name, how, SHIM, preload=preload) as t:
                t.say()
                got = t.finish()
            same('loaded by %s%s' % (how, ' a second time' if preload else ''),
                 (got.code, got.out), (0, 'loaded\nended\n'))


def test_filters_that_kill():
    """A filter that the target installs while a profile runs knows nothing of our calls."""
    for how in 'prctl', 'call', 'tsync', 'worker', 'strict':
        for more in ['sigreturn'], []:
            args = 'hostile_sandbox', how, 1500, *more
            expected = plain(*args, preexec=no_core)
            with Target(*args, preexec=no_core) as t:
                t.wait_ready()
                c = t.open('profile?seconds=30&hz=1000')
                t.say()
                got = t.finish(20)
                c.close()
            what = 'filter by %s%s' % (how, '' if more else ', rt_sigreturn not in its list')
            judge = check if more or how == 'strict' else still_open
            judge(what, got.seen() == expected.seen(), 'got %r, expected %r' % (got, expected))


if __name__ == '__main__':
    run(test_ends, test_leaving, test_main_gone_by_system_call, test_closed_descriptors,
        test_limits, test_no_proc, test_read_only_root, test_copies, test_loaded_late,
        test_filters_that_kill)
