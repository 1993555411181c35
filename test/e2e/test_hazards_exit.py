#!/usr/bin/env python3
"""The shim is never the reason a process ends, and never keeps one (H25, H79, H92, H129).

Seen to fail against:
  to_end         a destructor that writes: output differs
  to_leave       no hook of thrd_exit and pthread_cancel (ours of the first day): the listener kept
                 the process for ever; a listener that slept once more before it looked (ours): the
                 same
  exit_handlers  a thread of ours as the program's last (ours): every signal was blocked in them,
                 and thread-local variables were new
  last_thread    a listener that ended with 0 after syscall(SYS_exit, 8) (ours); one that took a thread
                 for gone between two looks (ours): 0 for 5
  closed         a listener in the target's table: its first open returned 1
  limits         no look at RLIMIT_AS: the target's malloc failed (ours)
  no_proc        no variant was tried
  copies         no marker: two copies waited for each other for ever (ours); loaded by dlopen or
                 dlmopen: a call through NULL (ours)
"""
import concurrent.futures
import os
import resource
import shutil
import socket
import statistics
import subprocess
import time

import harness
from everything import HIGHEST
from harness import (KEY, SHIM, Target, check, plain, poll, profiled, rounds, run, same,
                     seconds, skip)

EXIT = 'hostile_exit'
ENDS = ['return', 'exit', '_exit', 'quick_exit', 'abort', 'kill', 'term', 'segv', 'thread-exit']
RAW = ['raw-alone', 'raw-then-raw', 'raw-then-return', 'raw-then-strict', 'raw-then-pthread-exit',
       'raw-then-thrd', 'raw-then-cancel', 'raw-after-join', 'raw-after-raw', 'pthread-exit-then-raw',
       'raw-strict']
LEAVES = ['pthread-exit', 'thrd-exit', 'cancel', 'pthread-exit-nofile', 'pthread-exit-then-exit']


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


NO_CORE = ('prlimit', '--core=0')
FEW_FILES = ('prlimit', '--core=0', '--nofile=64')


def deaf_client(port):
    """Asks for much and reads nothing: its answers are under way for ever."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    s.settimeout(10)
    s.connect(('127.0.0.1', port))
    s.sendall((b'GET /debug/pprof/allocs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ' +
               KEY.encode() + b'\r\n\r\n') * 50)
    return s


def end_in_flight(how, prefix):
    """With a profile running, another asked for, and a download under way; (seen, seconds to the end)."""
    with Target(EXIT, how, limit=20, prefix=prefix, env=HIGHEST) as t:
        if not t.wait_ready():
            return t.finish().seen(), 0
        clients = [t.open('profile?seconds=30&hz=1000'), t.open('profile?seconds=1&hz=1000'),
                   deaf_client(t.port)]
        t.say()
        started = time.monotonic()
        seen = t.finish().seen()
        for c in clients:
            c.close()
        return seen, time.monotonic() - started


def end_plainly(how, prefix):
    with Target(EXIT, how, preload='', prefix=prefix) as t:
        t.say()
        started = time.monotonic()
        return t.finish().seen(), time.monotonic() - started


def many(fn, n, *args):
    """n results; several at a time, as most of it is waiting."""
    with concurrent.futures.ThreadPoolExecutor(4 if n > 100 else 1) as pool:
        return list(pool.map(lambda _: fn(*args), range(n)))


def middle(runs):
    return statistics.median(s for _, s in runs)


def each_way(ways, n, prefix):
    for how in ways:
        plainly = many(end_plainly, max(3, n // 20), how, prefix)
        expected = plainly[0][0]
        runs = many(end_in_flight, n, how, prefix)
        bad = [seen for seen, _ in runs if seen != expected]
        check('%d ends by %s' % (n, how), not bad, '%d otherwise: got %r, expected %r' %
              (len(bad), bad[:1], expected))
        if n > 100:
            print('ends by %s: median %.3f s to the end, without us %.3f s, longest %.3f s' %
                  (how, middle(runs), middle(plainly), max(s for _, s in runs)), flush=True)


def how_often(short):
    """A thousand times in storms of a minute or more."""
    return 1000 if seconds(0) >= 60 else rounds(short)


def test_each_way_to_end_has_its_status():
    each_way(ENDS, how_often(10), NO_CORE)


def test_each_way_to_leave_main_has_its_status():
    each_way(LEAVES, how_often(5), FEW_FILES)


def test_exit_handlers_run_in_the_last_thread():
    """They run in the program's own last thread, with its mask, its variables and its fate."""
    for how in 'last-pthread-exit', 'last-thrd-exit', 'last-cancel':
        for act in '', 'raise', 'term', 'status':
            expected = plain(EXIT, how, act, preexec=no_core).seen()
            with Target(EXIT, how, act, limit=10, preexec=no_core) as t:
                t.wait_ready()
                t.say()
                same('exit handlers after %s, %s' % (how, act or 'return'), t.finish().seen(),
                     expected)


def test_main_gone_by_system_call():
    expected = plain(EXIT, 'raw-exit').seen()
    with Target(EXIT, 'raw-exit', limit=5) as t:
        t.wait_ready()
        t.say()
        gone = poll(lambda: t.p.poll() is not None, 3)
        got = t.finish().seen() if gone else 'still there'
    same('main ends by syscall(SYS_exit)', got, expected)


def test_status_of_the_last_thread():
    """Of one that leaves by the system call: the kernel counts the last that goes, whichever it is."""
    for how in RAW:
        for more in {}, {'PPROF_OUT': harness.work}:
            expected = plain(EXIT, how).seen()
            for _ in range(rounds(3)):
                with Target(EXIT, how, limit=10, env=more) as t:
                    t.wait_ready()
                    t.say()
                    same('%s%s' % (how, ', with files' if more else ''), t.finish().seen()[:2], expected[:2])


def test_closed_descriptors():
    def close_all():
        os.closerange(0, 3)

    for _ in range(rounds(5)):
        expected = subprocess.run([harness.fixture(EXIT), 'closed'], preexec_fn=close_all)
        env = dict(os.environ, LD_PRELOAD=SHIM, ADMIN_KEY=KEY, PPROF_PORT=str(harness.free_port()))
        got = subprocess.run([harness.fixture(EXIT), 'closed'], env=env, preexec_fn=close_all)
        same('status with 0, 1 and 2 closed', got.returncode, expected.returncode)


def test_limits_on_memory_and_descriptors_at_the_end():
    megabyte = 1 << 20
    # the program needs 10.5 of it; our file, its tables and our stack are 12.5, and 14 when modules are known
    for how, what, value in (('limit-as', resource.RLIMIT_AS, 25 * megabyte),
                             ('limit-as', resource.RLIMIT_AS, 28 * megabyte),
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
    if not harness.may_mount():
        return skip('no /proc', 'no mounts of its own')
    prefix = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /proc && exec "$@"', 'sh']
    for how in 'return', 'pthread-exit', 'abort':
        expected = plain(EXIT, how, prefix=prefix, preexec=no_core).seen()
        got, _ = profiled(EXIT, how, prefix=prefix, preexec=no_core)
        same('without /proc: ' + how, got.seen(), expected)


def test_read_only_root():
    if not harness.may_mount():
        return skip('read-only root', 'no mounts of its own')
    prefix = ['unshare', '-m', 'sh', '-c', 'mount -o remount,bind,ro / && exec "$@"', 'sh']
    got, blobs = profiled(EXIT, 'limit', prefix=prefix)
    same('on a read-only root', got.seen(), plain(EXIT, 'limit', prefix=prefix).seen())


def test_two_copies_of_us_in_one_program():
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


if __name__ == '__main__':
    run(test_each_way_to_end_has_its_status, test_each_way_to_leave_main_has_its_status,
        test_exit_handlers_run_in_the_last_thread, test_main_gone_by_system_call,
        test_status_of_the_last_thread, test_closed_descriptors,
        test_limits_on_memory_and_descriptors_at_the_end, test_no_proc,
        test_read_only_root, test_two_copies_of_us_in_one_program, test_loaded_late)
