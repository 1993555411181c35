#!/usr/bin/env python3
"""/debug/pprof/goroutine: every thread's stack, and nobody notices.

Stacks are compared with gdb's, frame by frame; calls that Linux never restarts are
counted; programs that hang for ever are to be told so.
"""
import collections
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import harness
import pprof_reader
from harness import Target, check, poll, same, skip

ROOTS = {'clone3', '__clone3', 'clone', '__clone', '_start'}
CLONE3 = {'clone3', '__clone3'}  # glibc 2.36 and 2.41
HEADER = re.compile(r'goroutine (\d+) \[([^,\]]+)(?:, (\d+) minutes)?(?:, locked to thread)?\]:$')
FRAME = re.compile(r'[^()]*\([^()]*\)$')
PLACE = re.compile(r'\t.+:\d+( \+0x[0-9a-f]+)?$')

Thread = collections.namedtuple('Thread', 'tid state minutes name functions creator')


class BadTraceback(Exception):
    pass


def parse_tracebacks(text):
    """As strict as the strictest reader of Go's dumps: every line has to fit."""
    threads, lines = {}, text.splitlines()
    at = 0
    while at < len(lines) and (lines[at].startswith('#') or not lines[at]):
        at += 1
    while at < len(lines):
        m = HEADER.match(lines[at])
        if not m:
            raise BadTraceback(f'no header: {lines[at]!r}')
        at, functions, creator = at + 1, [], None
        while at < len(lines) and lines[at]:
            if lines[at] == '...additional frames elided...':
                at += 1
                continue
            if lines[at].startswith('created by '):
                creator = lines[at][len('created by '):]
                if at + 1 == len(lines) or not PLACE.match(lines[at + 1]):
                    raise BadTraceback(f'no place: {lines[at]!r}')
                at += 2
                continue
            if not FRAME.match(lines[at]) or at + 1 == len(lines) or \
                    not PLACE.match(lines[at + 1]):
                raise BadTraceback(f'no frame: {lines[at]!r}')
            functions.append(lines[at][:-len('(...)')])
            at += 2
        at += 1
        if not functions:
            raise BadTraceback('a thread without a frame')
        state, _, label = m[2].partition(' labels:')
        name = json.loads(label)['thread'] if label else ''
        threads[int(m[1])] = Thread(int(m[1]), state, int(m[3] or 0), name, functions,
                                    creator)
    return threads


def tracebacks(target, query='debug=2'):
    text = target.fetch('goroutine?' + query, timeout=60).decode()
    return parse_tracebacks(text), [l for l in text.splitlines() if l.startswith('#')]


def profile(target, query='lines=0'):
    return pprof_reader.parse(target.fetch('goroutine?' + query, timeout=60))


def by_tid(p):
    return {s.labels['tid']: s for s in p.samples}


def addresses(p, sample):
    return [p.location_by_id[i].address for i in sample.locations]


# ---- gdb

GDB_SCRIPT = """
import gdb, json
gdb.execute('set backtrace past-main on')
result = {}
for t in gdb.selected_inferior().threads():
    t.switch()
    frames, f = [], gdb.newest_frame()
    while f is not None:
        ours = 'libpprofshim' in (gdb.solib_name(f.pc()) or '')
        if f.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME) and not ours:
            frames.append((f.pc(), f.name() or ''))
        try:
            f = f.older()
        except gdb.error:
            break
    result[t.ptid[1]] = frames
print('STACKS ' + json.dumps(result))
"""


def gdb_stacks(pid):
    """tid -> [(pc, function)], inlined and made-up frames left out."""
    script = os.path.join(harness.work, 'stacks.py')
    with open(script, 'w') as f:
        f.write(GDB_SCRIPT)
    out = subprocess.run(['gdb', '-q', '-nx', '-batch', '-p', str(pid), '-x', script],
                         capture_output=True, text=True, timeout=120).stdout
    for line in out.splitlines():
        if line.startswith('STACKS '):
            return {int(k): v for k, v in json.loads(line[7:]).items()}
    return None


def look_up(frames):
    """The addresses that a profile has: the innermost exact, callers in their calls."""
    return [pc - (i > 0) for i, (pc, _) in enumerate(frames)]


def differences_from_gdb(target, p):
    """(equal, shorter, [(tid, ours, theirs)]): threads by how gdb sees them; None without gdb."""
    theirs = gdb_stacks(target.pid)
    if theirs is None:
        return None
    equal = shorter = 0
    other_way = []
    for tid, sample in by_tid(p).items():
        mine = addresses(p, sample)
        other = look_up(theirs.get(tid, []))
        if mine == other:
            equal += 1
        elif other and mine[:len(other)] == other:
            shorter += 1  # gdb gave up before the root
        else:
            other_way.append((tid, sample.stack, [name for _, name in theirs.get(tid, [])]))
    return equal, shorter, other_way


def compare_with_gdb(what, target):
    """How many threads have the same addresses as gdb; gdb may have less.

    A server's timer may run between the two looks (redis has ten a second): who differed is
    looked at again by both. A stack that is followed wrongly differs each time.
    """
    looks = 5
    for _ in range(looks):
        p = profile(target)
        seen = differences_from_gdb(target, p)
        if seen is None:
            return skip(what, 'gdb may not attach')
        equal, shorter, other_way = seen
        if not other_way:
            break
    check(f'{what}: each thread is as gdb sees it', not other_way,
          f'{len(other_way)} in the last of {looks} looks: {other_way[:2]}')
    check(f'{what}: gdb sees whole stacks too', equal >= len(p.samples) / 2 and shorter <= equal,
          f'{equal} equal, {shorter} shorter, of {len(p.samples)}')
    return None


# ---- fixtures built in many ways

BUILDS = {
    'O0': ['-O0', '-fno-omit-frame-pointer'],
    'O0-no-fp': ['-O0', '-fomit-frame-pointer'],
    'O2': ['-O2', '-fno-omit-frame-pointer'],
    'O2-no-fp': ['-O2', '-fomit-frame-pointer'],
}


def build_plugins():
    paths = []
    for name, flags in BUILDS.items():
        path = os.path.join(harness.work, f'wait_calls_{name}.so')
        subprocess.run(['gcc', '-g', '-w', *flags, '-fPIC', '-shared', '-pthread', '-I',
                        harness.ROOT, '-o', path,
                        os.path.join(harness.ROOT, 'test/fixtures/wait_calls_plugin.c')],
                       check=True)
        paths.append(path)
    return paths


@contextlib.contextmanager
def waiting_threads(each):
    with Target('waiting_threads', each, *build_plugins()) as t:
        check('the program is ready', t.wait_ready() and t.wait_for('ready', 60))
        yield t
        t.say()
        same('the program ends well', t.finish().code, 0)


def is_whole(sample):
    return sample.stack[-1] in ROOTS and '[truncated]' not in sample.stack


# ---- the tests

def test_stacks_are_whole():
    """24 calls, four ways of compiling: stacks reach the thread's start and are gdb's."""
    with waiting_threads(24) as t:
        p = profile(t)
        problems = pprof_reader.check(p)
        check('the profile is sound', not problems, problems[:5])
        whole = sum(is_whole(s) for s in p.samples)
        check('99 of 100 stacks are whole', whole * 100 >= len(p.samples) * 99,
              f'{whole} of {len(p.samples)}')
        called = 0
        for s in p.samples:
            name = s.labels['thread']
            if name.startswith('in_'):
                called += any(f.startswith(name) for f in s.stack)
                check('a thread that waits says so', s.labels['state'] == 'waiting' and
                      s.labels.get('wait_reason'), s.labels)
        same('each thread is in its call', called, 24 * len(BUILDS))
        compare_with_gdb('24 calls', t)


def test_a_thousand_threads():
    """The share of whole stacks among a thousand, and how long it takes (told, not judged)."""
    with waiting_threads(int(harness.rounds(250))) as t:
        begin = time.monotonic()
        p = profile(t)
        took = time.monotonic() - begin
        whole = sum(is_whole(s) for s in p.samples)
        check('99 of 100 stacks are whole', whole * 100 >= len(p.samples) * 99,
              f'{whole} of {len(p.samples)}')
        print(f'{len(p.samples)} threads in {took * 1000:.0f} ms, {whole} whole')


def test_what_each_thread_waits_for_in_words():
    """What each thread waits for, in words."""
    expected = {'in_epoll_wait': 'epoll wait', 'in_poll': 'poll', 'in_select': 'select',
                'in_nanosleep': 'sleep', 'in_sleep': 'sleep', 'in_sem_wait': 'semaphore wait',
                'in_mutex_lock': 'mutex wait', 'in_cond_wait': 'condition wait',
                'in_barrier_wait': 'barrier wait', 'in_join': 'join', 'in_futex': 'futex wait',
                'in_read': 'read', 'in_write': 'write', 'in_recv': 'socket receive',
                'in_accept': 'socket accept', 'in_semop': 'semaphore wait',
                'in_msgrcv': 'message receive', 'in_io_getevents': 'IO wait',
                'in_pause': 'signal wait', 'in_sigwaitinfo': 'signal wait',
                'in_rwlock_rdloc': 'rwlock wait'}
    with waiting_threads(24) as t:
        got = {s.labels['thread']: s.labels.get('wait_reason') for s in profile(t).samples}
        for name, reason in expected.items():
            same(f'{name} waits', got.get(name), reason)


def switches(pid, but):
    """tid -> how often each thread was switched away from; `but` is left out."""
    found = {}
    for tid in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{tid}/status') as f:
            text = f.read()
        name = re.search(r'^Name:\s+(.*)$', text, re.M)[1]
        if name != but:
            found[int(tid)] = re.findall(r'ctxt_switches:\s+(\d+)', text)
    return found


def test_nobody_is_woken():
    """Counts of context switches of a hundred idle threads stay as they are."""
    with waiting_threads(24) as t:
        tracebacks(t)
        before = switches(t.pid, 'pprofshim')
        end = time.monotonic() + harness.seconds(2)
        dumps = 0
        while time.monotonic() < end or dumps < 10:
            t.fetch(('goroutine', 'goroutine?debug=1', 'goroutine?debug=2')[dumps % 3], timeout=60)
            dumps += 1
            time.sleep(0.02)
        same(f'nobody was woken by {dumps} dumps', switches(t.pid, 'pprofshim'), before)


def test_no_call_returns_early():
    """Ten dumps a second and a CPU profile: no EINTR, no early return."""
    with Target('hostile_waits', int(harness.seconds(4) * 1000)) as t:
        check('the program is ready', t.wait_ready())
        done, seen = threading.Event(), []

        def dump():
            while not done.wait(0.1):
                with contextlib.suppress(Exception):
                    seen.append(t.fetch('goroutine?debug=2'))

        with harness.Profiling(t, 'seconds=1&hz=100'):
            t.say()
            dumper = threading.Thread(target=dump)
            dumper.start()
            result = t.finish(harness.seconds(4) + 120)
            done.set()
            dumper.join()
        same('idle threads', result.out.splitlines()[-1], 'idle: many, 0 interrupted, 0 early')
        check('dumps were taken', len([s for s in seen if s]) >= 5, len(seen))
        parsed = [parse_tracebacks(s.decode()) for s in seen if s]
        spins = [th for d in parsed for th in d.values() if 'spin' in th.functions]
        running = [th for th in spins if th.state == 'running']
        check('a thread that runs is seen running', running, len(spins))
        check('and where', all('burn_ms' in ' '.join(th.functions) for th in running),
              [th.functions for th in running[:2]])


DEADLOCKS = {  # mode: (lines at the top, threads named in each)
    'mutexes': r'# DEADLOCK: thread \d+ \(teller-0\) waits for mutex 0x[0-9a-f]+ held by thread '
               r'\d+ \(teller-1\), which waits for mutex 0x[0-9a-f]+ held by thread \d+ '
               r'\(teller-0\)$',
    'three': r'# DEADLOCK: thread \d+ \(teller-0\) .*\(teller-1\), .*\(teller-2\), .*\(teller-0\)$',
    'join': r'# DEADLOCK: thread \d+ \(closer\) waits for the end of thread \d+ \(auditor\), which '
            r'waits for mutex 0x[0-9a-f]+ held by thread \d+ \(closer\)$',
    'rwlock': r'# DEADLOCK: thread \d+ \(writer-0\) waits for rwlock 0x[0-9a-f]+ held by thread '
              r'\d+ \(writer-1\), which waits for rwlock .*\(writer-0\)$',
    'self': r'# DEADLOCK: thread (\d+) \(twice\) waits for mutex 0x[0-9a-f]+ held by thread \1 ',
    'pi': r'# DEADLOCK: thread \d+ \(teller-\d\) asked for a mutex and the kernel answered',
    'gone': r'# DEADLOCK: thread \d+ \(waiter\) waits for mutex 0x[0-9a-f]+ held by thread \d+, '
            r'which does not exist any more$',
    'fork': r'# DEADLOCK: thread \d+ \(waiter\) waits for mutex 0x[0-9a-f]+ held by thread \d+, '
            r'which does not exist \(in this pid namespace\)$',
    'once': r'# DEADLOCK: thread (\d+) \(once-\d\) waits for pthread_once 0x[0-9a-f]+ run by thread '
            r'(\d+) \(once-\d\), which waits for pthread_once 0x[0-9a-f]+ run by thread \1 ',
    'files': r'# DEADLOCK: thread (\d+) \(files-\d\) waits for lock 0x[0-9a-f]+ of libc held by thread '
             r'(\d+) \(files-\d\), which waits for lock 0x[0-9a-f]+ of libc held by thread \1 ',
    'reader': r'# DEADLOCK: thread (\d+) \((?:reader|writer)\) waits for (?:mutex|rwlock) '
              r'0x[0-9a-f]+ held by thread \d+ \((?:reader|writer)\), which waits for '
              r'(?:mutex|rwlock) 0x[0-9a-f]+ held by thread \1 ',
    'upgrade': r'# DEADLOCK: thread (\d+) \(upgrader\) waits for rwlock 0x[0-9a-f]+ held by '
               r'thread \1 \(upgrader\)$',
    'slow': None,
    'timed': None,
}
DEADLOCKS['crowd'] = DEADLOCKS['reader']


def test_deadlocks_are_named():
    for mode, line in DEADLOCKS.items():
        with Target('deadlock', mode, env={'PPROF_RWLOCK_READERS': '1'}) as t:
            check(f'{mode} is ready', t.wait_ready() and t.wait_for('ready'))
            top = []

            def told():
                threads, top[:] = tracebacks(t)
                stuck = [th for th in threads.values() if th.state.startswith(
                    ('mutex', 'rwlock', 'once', 'libc'))]
                return top if line else stuck

            poll(told, 20, 0.1)
            told()
            if line:
                # Who come at the same time are both refused by the kernel: 26 of 1000 do.
                most = 2 if mode == 'pi' else 1
                check(f'{mode}: one line at the top', 1 <= len(top) <= most, top)
                check(f'{mode}: it names who waits for whom',
                      top and all(re.match(line, x) for x in top), top)
            else:
                same(f'{mode}: nothing is made up', top, [])
            t.say()
            t.finish()


def test_readers_are_counted_where_they_are_not_recorded():
    with Target('deadlock', 'crowd') as t:
        check('crowd is ready', t.wait_ready() and t.wait_for('ready'))
        held = ' held by 3 readers'
        check('the writer waits for three readers', poll(lambda: any(
            held in th.state for th in tracebacks(t)[0].values()), 20, 0.1))
        same('nothing is made up', tracebacks(t)[1], [])
        t.say()
        t.finish()


def test_go_tool_pprof_reads_both_forms():
    """Go's own tool reads both forms, and what it shows is what waits there."""
    with Target('deadlock', 'mutexes') as t:
        check('the program is ready', t.wait_ready() and t.wait_for('ready'))
        poll(lambda: tracebacks(t)[1], 20, 0.1)
        for query in ('debug=0', 'debug=1'):
            path = os.path.join(harness.work, 'goroutine.' + query)
            with open(path, 'wb') as f:
                f.write(t.fetch('goroutine?' + query))
            out = subprocess.run(['go', 'tool', 'pprof', '-traces', path], capture_output=True,
                                 text=True, timeout=60)
            check(f'pprof reads {query}', out.returncode == 0, out.stderr)
            check(f'{query} shows the transfers',
                  re.search(r'(?s) 1 .*\n +transfer\n +transfer_thread', out.stdout),
                  out.stdout)
        text = t.fetch('goroutine?debug=1').decode()
        check('groups have a header', re.match(r'goroutine profile: total 3\n', text), text[:80])
        check('and labels', '# labels: {"state":"waiting", "thread":"teller-0", '
              '"wait_reason":"mutex wait"}\n' in text, text[:1500])
        t.say()
        t.finish()


def test_seconds_shows_threads_that_came():
    """Threads that came in between, and nobody who stayed."""
    with Target('deadlock', 'slow') as t:
        check('the program is ready', t.wait_ready() and t.wait_for('ready'))
        time.sleep(0.2)
        p = profile(t, 'seconds=1')
        same('nobody came or went', p.samples, [])
        check('the time is told', p.duration_ns >= 1e9, p.duration_ns)
        same('the type is told', [tuple(x) for x in p.sample_types], [('goroutine', 'count')])
        t.say()
        t.finish()


def test_clients_that_hang_up():
    """What a client that went away had asked for is given back."""
    with Target('waiting_threads', 300, *build_plugins()[:1]) as t:
        check('the program is ready', t.wait_ready() and t.wait_for('ready'))
        t.fetch('goroutine?lines=0')
        for query in ('seconds=30', 'debug=2', ''):
            for _ in range(5):
                t.open('goroutine?' + query).close()
        mapped = re.compile(r'mapped_bytes (\d+)')
        check('memory is given back', poll(
            lambda: int(mapped.search(t.shim_page())[1]) < 8 << 20, 30, 0.2),
            mapped.search(t.shim_page())[1])
        t.say()
        t.finish()


PYTHON_THREADS = """
import os, select, threading, time
%s
def spin():
    while True:
        sum(range(1000))
for target in spin, lambda: time.sleep(1e6), lambda: select.select([0], [], []):
    threading.Thread(target=target, daemon=True).start()
print('ready', flush=True)
time.sleep(1e6)
"""
NO_PROC = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /proc && exec "$@"', 'sh']


def dump_of_python(first, prefix=()):
    """The dump of a python program with four threads that did `first`, and its thread count."""
    with Target(real_python(), '-c', PYTHON_THREADS % first, prefix=prefix) as t:
        check('the program is ready', t.wait_ready() and t.wait_for('ready'))
        poll(lambda: len(profile(t, 'debug=0&lines=0').samples) == 4, 20, 0.2)
        created = pprof_reader.parse(t.fetch('threadcreate?lines=0'))
        return tracebacks(t), created


def real_python():
    """Not the launcher script that some machines have in PATH."""
    return os.path.realpath(sys.executable)


def test_without_privileges():
    """After setuid the kernel keeps quiet: names, reasons, who runs; and the dump says so."""
    if os.geteuid() != 0:
        return skip('without privileges', 'not root')
    (threads, top), created = dump_of_python('os.setgid(65534); os.setuid(65534)')
    states = sorted(th.state for th in threads.values())
    check('the reasons are known', states.count('sleep') == 2 and 'running' in states, states)
    spinning = [th for th in threads.values() if th.state == 'running']
    check('the thread that runs has its stack', len(spinning) == 1 and
          CLONE3 & set(spinning[0].functions), threads)
    check('what is missing is told', any('gave up privileges' in line for line in top), top)
    same('creators are known', created.total(), 4)
    return None


def test_without_proc():
    if not harness.may_mount():
        return skip('without /proc', 'no mounts of its own')
    (threads, top), created = dump_of_python('', NO_PROC)
    spinning = [th for th in threads.values() if th.state == 'running']
    check('the thread that runs has its stack', len(spinning) == 1 and
          CLONE3 & set(spinning[0].functions), threads)
    same('all four are listed', len(threads), 4)
    check('what is missing is told', top and '/proc is not there' in top[0], top)
    same('creators are known', created.total(), 4)
    return None


def test_filter_that_kills():
    """A system-call filter that forbids sigreturn: the dump interrupts nobody."""
    expected = harness.plain('hostile_sandbox', 'prctl', 1500)
    with Target('hostile_sandbox', 'prctl', 1500) as t:
        check('the program is ready', t.wait_ready())
        t.fetch('goroutine')
        t.say()
        time.sleep(0.5)
        seen = []
        with contextlib.suppress(Exception):
            while True:
                seen.append(tracebacks(t)[1])
        got = t.finish()
        same('the filtered program', (got.code, got.out), (expected.code, expected.out))
        check('it was dumped meanwhile, or says why not',
              seen or 'system-call filter' in got.err, got.err)


def test_threads_by_the_call_that_made_them():
    """Live threads, by the call that made them; they go when the threads go."""
    with Target('waiting_threads', 40, *build_plugins()[:1]) as t:
        check('the program is ready', t.wait_ready() and t.wait_for('ready'))
        p = pprof_reader.parse(t.fetch('threadcreate'))
        problems = pprof_reader.check(p)
        check('the profile is sound', not problems, problems[:5])
        same('all threads are there', p.total(), 43)
        made = [th.creator for th in tracebacks(t)[0].values()]
        same('the dump says so too', made.count('start_waits'), 40)
        same('by whom', (p.cum()['start_waits'], p.flat()['[main thread]']), (42, 1))
        path = os.path.join(harness.work, 'threadcreate.txt')
        with open(path, 'wb') as f:
            f.write(t.fetch('threadcreate?debug=1'))
        out = subprocess.run(['go', 'tool', 'pprof', '-top', path], capture_output=True, text=True,
                             timeout=60)
        check('pprof reads the text', out.returncode == 0 and 'start_waits' in out.stdout,
              out.stdout + out.stderr)
        t.say()
        t.finish()


DAEMON = """
import os, select, sys, threading, time
threading.Thread(target=lambda: time.sleep(1e6), daemon=True).start()
if os.fork():
    os._exit(0)
for _ in range(3):
    threading.Thread(target=lambda: time.sleep(1e6), daemon=True).start()
print('pid', os.getpid(), flush=True)
while True:
    select.select([], [], [], 0.1)
"""


def test_in_a_daemon():
    """A child that outlives its parent: its own threads, and none of the parent's."""
    with Target(real_python(), '-W', 'ignore', '-c', DAEMON) as t:
        t.p.wait(30)
        check('the child is there', poll(lambda: 'pid' in t.output(), 20))
        child = int(t.output().split()[1])
        try:
            check('it serves', poll(t.answers, 30, 0.2))
            threads, _ = tracebacks(t)
            same('its threads', len(threads), 4)
            same('are whole', [th for th in threads.values() if th.functions[-1] not in ROOTS], [])
            p = pprof_reader.parse(t.fetch('threadcreate'))
            same('those that it made', p.total() - p.flat()['[main thread]'], 3)
            same('each is known', p.flat()['[unknown stack]'], 0)
        finally:
            os.kill(child, signal.SIGKILL)


SERVERS = {
    'redis': lambda port: (['redis-server', '--port', port, '--save', ''], 'aeMain'),
    'python3': lambda port: ([real_python(), python_with_threads()],
                             'PyThread_acquire_lock_timed' if sys.version_info < (3, 13)
                             else '_PySemaphore_Wait'),
    'nginx': lambda port: (['nginx', '-p', harness.work, '-c', nginx_conf(port)],
                           'ngx_process_events_and_timers'),
}


def python_with_threads():
    path = os.path.join(harness.work, 'fifty.py')
    with open(path, 'w') as f:
        f.write('import queue, socket, threading, time\n'
                'q, e, l = queue.Queue(), threading.Event(), threading.Lock()\n'
                'l.acquire()\n'
                'waits = [q.get, e.wait, l.acquire, lambda: time.sleep(1e6),\n'
                '         lambda: socket.socketpair()[0].recv(1)]\n'
                'for i in range(50):\n'
                '    threading.Thread(target=waits[i % 5], daemon=True).start()\n'
                'print("ready", flush=True)\n'
                'time.sleep(1e6)\n')
    return path


def nginx_conf(port):
    path = os.path.join(harness.work, 'nginx.conf')
    with open(path, 'w') as f:
        f.write(f'daemon off; master_process off; error_log {harness.work}/error.log;\n'
                f'pid {harness.work}/nginx.pid; events {{}}\n'
                f'http {{ access_log off; server {{ listen 127.0.0.1:{port}; }} }}\n')
    return path


def test_whole_stacks_of_real_servers():
    """Real programs, as their packages have them: whole stacks, and gdb agrees."""
    for name, how in SERVERS.items():
        command, function = how(str(harness.free_port()))
        program = shutil.which(command[0], path=os.environ['PATH'] + ':/usr/sbin')
        if not program:
            skip(name, 'it is not installed')
            continue
        with Target(program, *command[1:]) as t:
            check(f'{name} is ready', t.wait_ready())
            poll(lambda: any(function in th.functions for th in tracebacks(t)[0].values()), 20, 0.2)
            p = profile(t)
            check(f'{name}: {function} is seen', function in p.cum(), p.cum())
            same(f'{name}: all stacks are whole', [s.stack for s in p.samples if not is_whole(s)],
                 [])
            compare_with_gdb(name, t)


NODE_PROGRAM = """
require('http').createServer(() => {}).listen(0, '127.0.0.1', () => console.log('ready'));
setInterval(() => { for (let i = 0; i < 1e6; i++); }, 20);
"""
JAVA_PROGRAM = """
public class Waits {
    static final Object lock = new Object();
    static void waitForEver() {
        synchronized (lock) {
            try { lock.wait(); } catch (InterruptedException e) { }
        }
    }
    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 5; i++)
            new Thread(Waits::waitForEver).start();
        Thread.sleep(200);
        System.out.println("ready");
        Thread.sleep(1000000);
    }
}
"""


def test_stacks_through_code_made_at_run_time():
    """Code made at run time has no names, and what leads through it may be cut, but not made up."""
    for name, source, function in (('node', NODE_PROGRAM, 'uv_run'),
                                   ('java', JAVA_PROGRAM, 'thread_native_entry')):
        program = shutil.which(name)
        if not program:
            skip(name, 'it is not installed')
            continue
        path = os.path.join(harness.work, 'Waits.' + ('js' if name == 'node' else 'java'))
        with open(path, 'w') as f:
            f.write(source)
        with Target(os.path.realpath(program), path) as t:
            check(f'{name} is ready', t.wait_ready(60) and t.wait_for('ready', 60))
            p = profile(t)
            problems = pprof_reader.check(p)
            check(f'{name}: the profile is sound', not problems, problems[:5])
            check(f'{name}: {function} is seen', function in p.cum(), p.cum())
            ends = ROOTS | {'[truncated]', '[unseen stack]'}
            bad = [s.stack for s in p.samples
                   if s.stack[-1] not in ends and '__libc_start_main' not in s.stack]
            same(f'{name}: stacks are whole, or say that they are not', bad, [])
            parse_tracebacks(t.fetch('goroutine?debug=2').decode())


def test_the_first_thread_has_ended():
    """Its number has no memory and its files are empty: the others have what there is."""
    with Target('main_ends') as t:
        if not check('the first has ended', t.wait_for('ready') and t.wait_ready()):
            return
        for path, value in ('profile?seconds=1&hz=500', 'cpu'), ('goroutine', 'goroutine'), ('wall?seconds=1', 'wall'):
            p = pprof_reader.parse(t.fetch(path))
            cum, flat = p.cum(value), p.flat(value)
            same(f'{path}: what has no name or stack', sorted(n for n in cum if n in (
                '[unknown]', '[truncated]', '[kernel thread]', '[unseen stack]')), [])
            check(f'{path}: what computes', cum['compute'], flat)
            check(f'{path}: what sleeps', value == 'cpu' or cum['sleep_for_ever'], flat)
        threads = p.total('wall') / p.duration_ns
        check('wall: three threads', abs(threads - 3) < 0.1, threads)
        comments = pprof_reader.parse(t.fetch('heap')).comments
        check('heap: the memory is told', any(re.search(r'RssAnon: [1-9]', c) for c in comments), comments)
        t.p.stdin.close()
        same('it ends', t.finish().code, 3)


if __name__ == '__main__':
    harness.run(test_the_first_thread_has_ended, test_stacks_are_whole, test_a_thousand_threads,
        test_what_each_thread_waits_for_in_words, test_nobody_is_woken, test_no_call_returns_early,
        test_deadlocks_are_named, test_go_tool_pprof_reads_both_forms,
        test_seconds_shows_threads_that_came, test_clients_that_hang_up, test_without_privileges,
        test_without_proc, test_filter_that_kills, test_threads_by_the_call_that_made_them,
        test_in_a_daemon, test_whole_stacks_of_real_servers,
        test_stacks_through_code_made_at_run_time)
