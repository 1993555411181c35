#!/usr/bin/env python3
"""Clients, ports, keys, children (H22, H23, H24).

Seen to fail against:
  vanish     an open mask and sends without MSG_NOSIGNAL: killed by SIGPIPE
  aborted    a profile that is freed without closing the sampler: its timers stayed
  slow       one connection at a time
  key        the key instead of its origin on the shim page
  environment  LD_PRELOAD taken out of the environment
  children   a taken port told whoever holds it
"""
import contextlib
import os
import socket
import struct
import subprocess
import sys
import time
import zlib

import harness
from harness import (KEY, SHIM, Profiling, Target, check, plain, poll, rounds, run, same,
                     tasks)

SPIN = 'hostile_signals', 'spin'
REQUEST = 'GET /debug/pprof/%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ' + KEY + '\r\n\r\n'


def raw_client(port, small=False):
    s = socket.socket()
    if small:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    s.settimeout(10)
    s.connect(('127.0.0.1', port))
    return s


def reset(s):
    """Closes so that the other side gets a RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    s.close()


def timers(pid):
    with open('/proc/%d/timers' % pid) as f:
        return f.read().count('signal:')


# ---- H22

def test_clients_that_vanish():
    with Target(*SPIN, 200000) as t:
        t.wait_ready()
        t.say()
        for i in range(rounds(100)):
            try:
                s = raw_client(t.port, small=True)
            except OSError:
                break  # told below
            with contextlib.suppress(OSError):
                s.sendall((REQUEST % ('', 'shim', 'symbol?0x1', 'profile?seconds=1')[i % 4]).encode() * 3)
                if i % 2:
                    s.recv(10)
            s.close() if i // 4 % 2 else reset(s)
        check('the target lives', t.p.poll() is None, t.p.poll())
        check('and answers', poll(t.answers, 5))
        same('no signal is waiting for it', harness.status_field(t.pid, 'ShdPnd'), '0' * 16)


def test_client_killed_in_a_download():
    """curl, killed with SIGKILL while a profile runs or comes."""
    with Target(*SPIN, 200000) as t:
        t.wait_ready()
        t.say()
        header = os.path.join(harness.work, 'header')
        with open(header, 'w') as f:
            f.write('Authorization: Bearer ' + KEY)
        for i in range(rounds(15)):
            p = subprocess.Popen(['curl', '-sN', '-o', '/dev/null', '-H', '@' + header,
                                  'http://127.0.0.1:%d/debug/pprof/profile?seconds=1&hz=1000' % t.port])
            time.sleep(0.02 * (i % 5))
            p.kill()
            p.wait()
        check('the target lives', t.p.poll() is None, t.p.poll())


def test_an_aborted_profile_gives_its_timers_back():
    with Target('hostile_threads', 'many', 50) as t:
        t.wait_ready()
        t.wait_for('threads\n')
        for how in 'closed', 'reset':
            s = raw_client(t.port)
            s.sendall((REQUEST % 'profile?seconds=60').encode())
            check('timers run', poll(lambda: timers(t.pid) > 10, 5), timers(t.pid))
            s.close() if how == 'closed' else reset(s)
            check('%s: timers are gone within a second' % how, poll(lambda: timers(t.pid) == 0, 1),
                  timers(t.pid))
        t.say()
        same('status', t.finish().code, 0)


def test_slow_clients():
    """200 clients that never finish their request, others that read nothing."""
    with Target(*SPIN, 1500, limit=30) as t:
        t.wait_ready()
        slow = [raw_client(t.port) for _ in range(150)]
        for s in slow:
            s.sendall(b'GET /debug/pprof/ HT')
        deaf = [raw_client(t.port, small=True) for _ in range(20)]
        for s in deaf:
            s.sendall((REQUEST % '').encode() * 20)
        begin = time.monotonic()
        check('another client is served', t.answers())
        check('at once', time.monotonic() - begin < 2, time.monotonic() - begin)
        check('and profiles', bool(t.fetch('profile?seconds=1')))
        t.say()
        same('the target does its work', t.finish().seen(), ('status 0', '', ''))
        for s in slow + deaf:
            s.close()


def test_port_taken_before():
    with socket.socket() as other:
        other.bind(('127.0.0.1', 0))
        other.listen()
        with Target(*SPIN, 300, port=other.getsockname()[1]) as t:
            t.say()
            result = t.finish()
        same('status with the port taken', (result.code, result.out), (0, ''))
        check('one sentence that names it', result.err.count('\n') == 1 and
              'port %d' % t.port in result.err, result.err)
        with Target(*SPIN, 200000, port=t.port) as t:
            t.wait_for('no such text', 0.5)
            other.close()
            check('it gets the port when that is free', poll(t.answers, 5))


def test_port_given_up_to_nobody():
    """With the port taken, a program whose main thread leaves ends without delay."""
    with socket.socket() as other:
        other.bind(('127.0.0.1', 0))
        other.listen()
        with Target('hostile_exit', 'pthread-exit', port=other.getsockname()[1], limit=20) as t:
            t.say()
            result = t.finish()
        same('main leaves, port taken', (result.code, result.out),
             (plain('hostile_exit', 'pthread-exit').code, plain('hostile_exit', 'pthread-exit').out))


# ---- H23

def memory_with(pid, needle):
    """Writable mappings that hold the bytes."""
    found = []
    with open('/proc/%d/maps' % pid) as maps, open('/proc/%d/mem' % pid, 'rb', 0) as mem:
        for line in maps:
            start, end = (int(x, 16) for x in line.split()[0].split('-'))
            if 'w' not in line.split()[1]:
                continue
            try:
                mem.seek(start)
                if needle in mem.read(end - start):
                    found.append(line.split()[-1])
            except OSError:
                pass
    return found


def test_key_stays_secret():
    path = os.path.join(harness.work, 'key')
    secret = 'a-key-that-lies-in-a-file'
    with open(path, 'w') as f:
        f.write(secret + '\n')
    with Target(*SPIN, 5000, env={'ADMIN_KEY': '', 'ADMIN_KEY_FILE': path}) as t:
        poll(lambda: 'pprofshim' in ''.join(harness.read('/proc/%d/task/%d/comm' % (t.pid, i))
                                            for i in tasks(t.pid)), 5)
        t.say()

        def get(what):
            import urllib.request
            r = urllib.request.Request('http://127.0.0.1:%d/debug/pprof/%s' % (t.port, what),
                                       headers={'Authorization': 'Bearer ' + secret})
            with urllib.request.urlopen(r, timeout=20) as answer:
                return answer.read()

        poll(lambda: _quiet(get, ''), 10)
        pages = {p: get(p) for p in ('', 'shim', 'cmdline', 'symbol?0x1')}
        pages['profile'] = zlib.decompress(get('profile?seconds=1'), 31)
        for page, body in pages.items():
            check('the key is not in ' + (page or 'the index'), secret.encode() not in body)
        for name in 'cmdline', 'environ', 'maps', 'status', 'comm':
            check('nor in /proc/PID/' + name, secret not in harness.read('/proc/%d/%s' % (t.pid, name)))
        held = memory_with(t.pid, secret.encode())
        check('it lies in one place of memory, for as long as no client is served', len(held) <= 2,
              held)
        check('nor printed', secret not in t.output() + t.output(1))


def _quiet(fn, *args):
    try:
        return fn(*args) is not None
    except OSError:
        return False


# ---- H24

def test_environment_is_left_alone():
    expected = None
    with Target('/usr/bin/env') as t:
        expected = dict(t.env, LD_PRELOAD=SHIM)
        result = t.finish()
    got = dict(line.split('=', 1) for line in result.out.splitlines() if '=' in line)
    got.pop('_', None)
    expected.pop('_', None)
    same('env', {k: v for k, v in got.items() if '\n' not in expected.get(k, '')},
         {k: v for k, v in expected.items() if '\n' not in v})
    same('and nothing on stderr', result.err, '')


CHILDREN = ('read x; for i in 1 2 3; do /bin/true; env >/dev/null; sh -c "sh -c \\"echo hi\\"";'
            ' (sleep 0.1; echo sub) & done; wait; perl -e "print 1" 2>/dev/null; ls /proc/self/fd | wc -l')


def in_any_order(result):
    """The background's lines come when they come; each once, and whole."""
    status, out, err = result.seen()
    return status, sorted(out.splitlines()), err


def test_children_are_silent():
    expected = plain('/bin/bash', '-c', CHILDREN)
    with Target('/bin/bash', '-c', CHILDREN) as t:
        t.wait_ready()
        with Profiling(t):
            t.say()
            result = t.finish()
    same('children of a shell under the preload', in_any_order(result), in_any_order(expected))


def test_only_the_program_that_matches_answers():
    script = 'read x; sh -c "true"; exec "%s" spin 100000' % harness.fixture('hostile_signals')
    with Target('/bin/sh', '-c', script, env={'PPROF_ONLY': 'hostile_*'}) as t:
        poll(lambda: 'sh' in harness.read('/proc/%d/comm' % t.pid), 5)
        same('a wrapper has no thread of ours', len(tasks(t.pid)), 1)
        check('and does not answer', not t.answers())
        t.say('go\ngo\n')
        check('the program it starts does', t.wait_ready())
        same('stderr', t.output(1), '')


IN_MEMORY = """
import os, sys
fd = os.memfd_create("srv", os.MFD_CLOEXEC)
os.write(fd, open(sys.argv[1], "rb").read())
os.execve(fd, ["any"] + sys.argv[2:], os.environ)
"""


def test_a_program_without_a_path_is_called_by_its_name():
    """Executed from a descriptor, its path is /dev/fd/3; started by the loader, the loader's."""
    command = (harness.fixture('hostile_signals'), 'spin', 100000)
    for what, pattern, name, args in (
            ('from memory', 'srv', sys.executable, ('-c', IN_MEMORY, *command)),
            ('by the loader', 'hostile_signals', '/lib64/ld-linux-x86-64.so.2', command)):
        with Target(name, *args, env={'PPROF_ONLY': pattern}) as t:
            check('a program that was started %s answers' % what, t.wait_ready())
            same('stderr', t.output(1), '')
        with Target(name, *args, env={'PPROF_ONLY': 'another'}) as t:
            check('one that is not meant does not', not poll(t.answers, 0.5, 0.1))


def test_descriptors_of_children():
    """Nothing of ours is inherited: a child shows what it would without us."""
    script = 'read x; ls /proc/self/fd | wc -l; exec 3</dev/null; ls /proc/self/fd | wc -l'
    expected = plain('/bin/bash', '-c', script)
    with Target('/bin/bash', '-c', script, env={'PPROF_ONLY': 'bash'}) as t:
        t.wait_ready()
        c = t.open('profile?seconds=30')
        t.say()
        result = t.finish()
        c.close()
    same('descriptors of children', result.seen(), expected.seen())


if __name__ == '__main__':
    run(test_clients_that_vanish, test_client_killed_in_a_download,
        test_an_aborted_profile_gives_its_timers_back, test_slow_clients, test_port_taken_before,
        test_port_given_up_to_nobody, test_key_stays_secret, test_environment_is_left_alone,
        test_children_are_silent, test_only_the_program_that_matches_answers,
        test_a_program_without_a_path_is_called_by_its_name,
        test_descriptors_of_children)
