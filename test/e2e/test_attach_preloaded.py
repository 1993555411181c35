#!/usr/bin/env python3
"""pprof-attach where the library was preloaded: it is woken, and what is said is true."""
import os
import re
import socket
import sys

import harness
import pprof_reader
from harness import KEY, Target, check, poll, run, same
from test_attach import ASKED, OTHER, PLUGIN, PROGRAM, attach, children, ends_well, profile, refused, tool

# Nothing is asked of a program's environment: who sets these had it dormant.
NO_KEY = {'ADMIN_KEY': ''}
DORMANT = [NO_KEY, {'PPROF_HZ': '9999'}, {'PPROF_ONLY': 'zzz'}]


def preloaded(*args, name=PROGRAM, **options):
    t = Target(name, *args, **options)
    t.what = 'preloaded ' + ' '.join(map(os.path.basename, map(str, args)))[:40]
    return t


def woken(t, *args):
    """With the key and the port of the tool.  True when that worked."""
    status, out, err = tool('--port', t.port, *args, t.pid)
    return check('%s is woken' % t.what, status == 0 and 'woke' in err and str(t.port) in out and
                 '--detach' not in out, (status, out, err))


def test_a_dormant_library_is_woken():
    """Seen to fail: a fault inside, since the loader's record of us is no handle there."""
    for env in DORMANT:
        with preloaded('malloc', env={**env, **ASKED}) as t:
            t.wait_for('ready')
            check('it sleeps', not t.answers())
            if not woken(t):
                continue
            comments = '\n'.join(pprof_reader.parse(t.fetch('goroutine')).comments)
            check('since when', re.search(r'was woken.*since \d\d:\d\d:\d\d UTC', comments), comments)
            check('the page', 'woken: since' in t.shim_page())
            check('a heap profile', poll(lambda: pprof_reader.parse(t.fetch('heap')).total('alloc_space') > 0))
            status, out, err = tool(t.pid)
            check('is there', status == 0 and 'already' in out, (status, out, err))
            refused('and stays', 'stays until it ends', '--detach', t.pid)
            ends_well(t)


def test_whatever_it_is_doing():
    for args in ['fork'], ['vfork'], ['signals'], ['small'], ['dlopen', PLUGIN], ['wait', 'condition']:
        with preloaded(*args, env={**NO_KEY, **ASKED}) as t:
            t.wait_for('ready')
            if woken(t):
                profile(t, 'seconds=1&hz=1000')
            ends_well(t)


FORKS = '''
import os, sys, time
pid = os.fork()
if pid == 0:
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(3)
    os._exit(0)
print("ready", pid, flush=True)
sys.stdin.read()
'''


def test_a_worker_that_sleeps():
    """It never came to a hook.  It joins, and its heap and stacks are to be had by the one port."""
    with preloaded('-c', FORKS, name=sys.executable) as t:
        t.wait_for('ready')
        t.wait_ready()
        worker = children(t.pid)[0]
        for args in ['--hooks'], [], ['--port', 1]:
            status, out, err = tool(*args, worker)
            check('it joins', status == 0 and 'in the tree of process %d' % t.pid in out and
                  '127.0.0.1:%d/debug/pprof/profile?pid=%d' % (t.port, worker) in out,
                  (status, out, err))
        comments = pprof_reader.parse(t.fetch('goroutine?pid=%d' % worker)).comments
        check('it answers', not any('did not answer' in line for line in comments), comments)
        same('with the key that was there', tool(worker)[1].count(OTHER), 0)


def test_workers_of_a_dormant_program():
    """Each is woken by itself, and answers by the one port with --tree."""
    with preloaded('-c', FORKS, name=sys.executable, env=NO_KEY) as t:
        t.wait_for('ready')
        if woken(t, '--tree'):
            profiles = poll(lambda: 'Processes in this profile: 2' in '\n'.join(
                pprof_reader.parse(profile(t, 'seconds=1')).comments))
            check('both are in it', profiles)
    with preloaded('-c', FORKS, name=sys.executable, env=NO_KEY) as t:
        t.wait_for('ready')
        t.pid = children(t.pid)[0]
        if woken(t):
            check('the worker alone', t.fetch('heap') is not None)


LOADS = '''
import ctypes, sys
ctypes.CDLL(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
'''


def test_what_cannot_be_woken():
    with Target(sys.executable, '-c', LOADS, harness.SHIM, preload='') as t:
        t.wait_for('ready')
        refused('one that loaded it itself', 'it loaded libpprofshim.so itself', t.pid)
    with preloaded('-c', FORKS, name=sys.executable, env={'PPROF_TREE': '0'}) as t:
        t.wait_for('ready')
        refused('a worker without a tree', 'without PPROF_TREE=0', children(t.pid)[0])


def test_what_has_no_endpoint():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen()
        with preloaded('malloc', port=s.getsockname()[1]) as t:
            t.wait_for('ready')
            refused('a taken port', 'waits for port %d, which another' % t.port, t.pid)
            s.close()
            check('it has it then', poll(lambda: t.answers() or None))
            status, out, err = tool(t.pid)
            check('which is told', status == 0 and ':%d/' % t.port in out, (status, out, err))
            ends_well(t)
    out = os.path.join(harness.work, 'files')
    os.makedirs(out, exist_ok=True)
    with preloaded('malloc', env={'PPROF_OUT': out},
                   prefix=['env', '-u', 'ADMIN_KEY', '-u', 'PPROF_PORT']) as t:
        t.wait_for('ready')
        refused('files only', 'writes files only', t.pid)
        ends_well(t)


def test_other_endpoints():
    path = os.path.join(harness.work, 'only.sock')
    with preloaded('malloc', env={**NO_KEY, 'PPROF_PORT': 'off', 'PPROF_SOCKET': path}) as t:
        t.wait_for('ready')
        poll(lambda: os.path.exists(path))
        status, out, err = tool(t.pid)
        check('a socket', status == 0 and "--unix-socket '%s'" % path in out, (status, out, err))
        ends_well(t)
    with preloaded('malloc') as t:
        t.wait_ready()
        status, out, err = tool('--port', harness.free_port(), t.pid)
        check('another port', status == 0 and 'start the program again' in err and
              'detach' not in err, (status, out, err))
        ends_well(t)


if __name__ == '__main__':
    run(test_a_dormant_library_is_woken, test_whatever_it_is_doing, test_a_worker_that_sleeps,
        test_workers_of_a_dormant_program, test_what_cannot_be_woken,
        test_what_has_no_endpoint, test_other_endpoints)
