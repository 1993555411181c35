#!/usr/bin/env python3
"""A life in forks: into the background, workers, programs that start again (H07, H08, H33, H44, H58, H59).

Seen to fail against:
  a_daemon       dormant children for ever (ours of the first day): no answer; no heap in the child
                 before its listener was there: what it allocated first was missing; nobody who
                 waits for the parent's end: half of the daemons that wait at once never answered
  handler        a listener by pthread_create, made inside malloc (ours): it hung in each of six runs
  workers        a listener for every child: two threads in each
  under_load     records of CPU timers left out of the child without a wiped copy: SIGSEGV
  interrupted    waits in pieces (ours, once) with signals let through between them: the worker hung
"""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import harness
import pprof_reader
from harness import KEY, SHIM, Profiling, Target, check, plain, poll, rounds, run, same, seconds, skip

FORK = 'hostile_fork'
WAITS = ['epoll', 'epoll-mask', 'poll', 'ppoll', 'select', 'pselect', 'suspend', 'pause']
PAGES = ['', 'allocs', 'block', 'mutex', 'threadcreate', 'goroutine', 'goroutine?debug=2', 'cmdline',
         'symbol', 'shim']


def told_pids(target):
    return [int(pid) for pid in re.findall(r'pid (\d+)', target.output())]


def is_there(pid):
    return bool(harness.tasks(pid)) and harness.status_field(pid, 'State')[:1] != 'Z'


@contextlib.contextmanager
def ending(pids):
    """Kills what is left of `pids()` in the end."""
    try:
        yield
    finally:
        for pid in pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def names(blob):
    return pprof_reader.parse(blob).cum('inuse_space')


def seconds_to_answer(t):
    """From the end of the first process."""
    start = time.monotonic()
    poll(t.answers, 30, 0.002)
    return time.monotonic() - start


def burns(blob):
    cpu = pprof_reader.parse(blob)
    return cpu.cum('cpu').get('burn_ms', 0) > 0.5 * cpu.total('cpu') > 0


def into_background(mode, wait='poll'):
    what = '%s, then %s' % (mode, wait)
    with Target(FORK, mode, wait, env={'PPROF_HEAP_RATE': '65536'}) as t, \
            ending(lambda: told_pids(t)):
        first = t.pid
        t.say()
        same(what + ': the first process', t.finish().seen()[0], 'status 0')
        took = seconds_to_answer(t)
        if os.environ.get('V'):
            print('%6.3f s to answer: %s' % (took, what))
        if not check(what + ': answers', t.answers()):
            return None
        poll(lambda: told_pids(t), 10)
        survivor = told_pids(t)[-1]
        same(what + ': nothing is said', t.output(1), '')
        check(what + ': the page tells', 'took over from process %d' % first in t.shim_page() or
              mode == 'double', t.shim_page())
        same(what + ': threads', len(harness.tasks(survivor)), 2)
        cum = names(t.fetch('heap'))
        for function in 'allocate_before', 'allocate_after':
            # 30 MB at one sample in 64 KiB: off by a quarter once in 10^7 runs at most
            check('%s: heap of %s' % (what, function),
                  abs(cum.get(function, 0) / 30e6 - 1) < 0.25, cum)
        if wait == 'busy':
            for page in PAGES:
                check('%s: %s' % (what, page), t.fetch(page) is not None)
            # a second of a crowded machine may have no tick for it
            check(what + ': cpu', poll(lambda: burns(t.fetch('profile?seconds=1')), 20))
        return took


def test_a_daemon_answers_on_the_same_port():
    for mode in 'daemon', 'detach', 'double', 'handshake':
        into_background(mode, 'busy')
    for i, wait in enumerate(WAITS):
        into_background(['detach', 'handshake'][i % 2], wait)


def test_background_often():
    """The child may reach its endless wait before its parent is gone."""
    for i in range(rounds(8)):
        into_background('detach', 'suspend')


def test_no_takeover_inside_a_signal_handler():
    """The first wait of a child may be in a handler that interrupted malloc."""
    for _ in range(rounds(3)):
        with Target(FORK, 'reap') as t, ending(lambda: told_pids(t)):
            t.say()
            t.finish()
            check('a daemon whose handler waits goes on', poll(lambda: told_pids(t), 60))
            check('a daemon whose handler waits answers', poll(t.answers, 10))


def test_one_orphan_of_many_workers_takes_over():
    for wait in 'epoll', 'suspend', 'busy':
        with Target(FORK, 'workers', wait) as t, ending(lambda: told_pids(t)):
            t.wait_ready()
            t.say()
            poll(lambda: len(told_pids(t)) == 5, 10)
            pids = told_pids(t)
            workers = [p for p in pids if p != t.pid]
            same('workers', len(workers), 4)
            check('the parent answers', t.answers())
            same('threads of workers', [len(harness.tasks(p)) for p in workers], [1] * 4)
            check('the page tells of no takeover', 'took over' not in t.shim_page())
            t.p.kill()
            t.p.wait()
            if wait == 'busy':  # one that sleeps is found at its next wait
                check('a worker whose parent is gone answers', poll(t.answers, 20))
                poll(lambda: sorted(len(harness.tasks(p)) for p in workers) == [1, 1, 1, 2], 10)
                same('threads of orphans', sorted(len(harness.tasks(p)) for p in workers),
                     [1, 1, 1, 2])
            same('nothing is said', t.output(1), '')


def test_old_worker():
    """One that was dormant has a heap from its takeover on, and says what it forgot."""
    if seconds(2) < 30:
        return skip('a worker of more than ten seconds', 'in make storm')
    with Target(FORK, 'workers', 'churn', env={'PPROF_HEAP_RATE': '65536'}) as t, \
            ending(lambda: told_pids(t)):
        t.wait_ready()
        t.say()
        poll(lambda: len(told_pids(t)) == 5, 10)
        time.sleep(15)  # ours to be a worker after ten
        t.p.kill()
        t.p.wait()
        check('an old worker answers', poll(t.answers, 30))
        # 30 MB at one sample in 64 KiB
        check('it lost sight of blocks', (t.counter('heap_blocks_lost') or 0) > 200,
              t.counter('heap_blocks_lost'))
        check('none of those are shown', names(t.fetch('heap')).get('allocate_before', 0) == 0)
        before = pprof_reader.parse(t.fetch('allocs')).cum('alloc_space').get('wait_churn', 0)
        check('it records again', poll(lambda: pprof_reader.parse(t.fetch('allocs')).cum(
            'alloc_space').get('wait_churn', 0) > before + 1e7, 60))


def test_forks_under_load_end_as_without_us():
    expected = ('status 0', 'forks: done\n', '')
    for rate in '1', '65536':
        with Target(FORK, 'storm', seconds(2), env={'PPROF_HEAP_RATE': rate},
                    limit=seconds(2) + 120) as t:
            t.wait_ready()
            with Profiling(t) as p:
                t.say()
                got = t.finish().seen()
            same('forks among busy threads, rate ' + rate, got, expected)
            check('profiles were taken', p.blobs)
            for profile in p.load():
                check('a profile has samples', profile.total('cpu') > 0)


def test_children_on_our_memory_harm_nothing():
    with Target(FORK, 'spawn', seconds(2), env={'PPROF_HEAP_RATE': '1'},
                limit=seconds(2) + 60) as t:
        t.wait_ready()
        with Profiling(t) as p:
            t.say()
            poll(lambda: t.p.poll() is not None, seconds(2) + 60, 0.1)
            same('children on our memory', t.finish().seen(), ('status 0', 'spawned\n', ''))
        check('profiles were taken', p.blobs)


def test_a_program_that_executes_itself_answers():
    with Target(FORK, 'exec', 30) as t:
        check('a program that executed itself 30 times answers', t.wait_ready())
        same('the same process', poll(lambda: told_pids(t), 10), [t.pid])
        same('threads', len(harness.tasks(t.pid)), 2)
        same('nothing is said', t.output(1), '')


def test_waits_of_a_worker_are_interrupted():
    n = rounds(200)
    same('waits of a worker are interrupted as ever', plain(FORK, 'interrupt', 40).seen(),
         ('status 0', 'worker: 0\n', ''))
    with Target(FORK, 'interrupt', n) as t:
        t.wait_ready()
        t.say()
        same('waits of a worker are interrupted', t.finish().seen(), ('status 0', 'worker: 0\n', ''))


# ---- real servers

def servers_of(shim=SHIM):
    """pid -> threads of all processes that have the library mapped."""
    found = {}
    for name in os.listdir('/proc'):
        if name.isdigit() and shim in harness.read('/proc/%s/maps' % name):
            found[int(name)] = len(harness.tasks(int(name)))
    return found


class Server:
    """A command that puts itself into the background, with a copy of the library of its own."""

    def __init__(self, *command, env=None):
        self.port = harness.free_port()
        folder = tempfile.mkdtemp(prefix='server-', dir=harness.work)
        os.chmod(folder, 0o755)  # workers of another user load it again
        self.shim = os.path.join(folder, 'libpprofshim.so')
        shutil.copy(SHIM, self.shim)
        env = dict(os.environ, LD_PRELOAD=self.shim, ADMIN_KEY=KEY, PPROF_PORT=str(self.port),
                   **(env or {}))
        with open(self.shim + '.out', 'wb') as out:  # a pipe would be held open by the server
            self.code = subprocess.run(command, env=env, stdout=out, stderr=out,
                                       stdin=subprocess.DEVNULL, timeout=60).returncode
        self.said = harness.read(self.shim + '.out')
        self.ended = time.monotonic()

    answers, open, fetch = Target.answers, Target.open, Target.fetch

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for pid in servers_of(self.shim):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def threads(self):
        return sorted(servers_of(self.shim).values())

    def judge(self, name, workers):
        same(name + ': started', (self.code, self.said), (0, ''))
        check(name + ': answers', poll(self.answers, 20, 0.005))
        # of itself: workers are not called, and have no thread of ours
        check(name + ': cpu', self.fetch('profile?seconds=1&pid=self'))
        check(name + ': heap', self.fetch('heap?pid=self'))
        check(name + ': took over', b'took over from' in self.fetch('shim'))
        if workers:
            poll(lambda: len(self.threads()) > workers, 10)
            time.sleep(0.3)
            check(name + ': one thread of ours', set(self.threads()[:-1]) == {1} and
                  self.threads()[-1] == 2, self.threads())


def test_nginx_master_and_workers():
    if not shutil.which('nginx', path=os.environ['PATH'] + ':/usr/sbin'):
        return skip('nginx', 'not installed')
    nginx = shutil.which('nginx', path=os.environ['PATH'] + ':/usr/sbin')
    folder, port = harness.work, harness.free_port()
    conf, log = folder + '/nginx.conf', folder + '/nginx.log'
    with open(conf, 'w') as f:
        f.write('worker_processes 3; pid %s/nginx.pid; error_log %s;\n'
                'env LD_PRELOAD; env ADMIN_KEY; env PPROF_PORT; events {}\n'
                'http { access_log off; server { listen 127.0.0.1:%d;\n'
                '    location / { return 200; } } }\n' % (folder, log, port))
    with Server(nginx, '-p', folder, '-c', conf) as s:
        s.judge('nginx', 3)
        old = int(harness.read(folder + '/nginx.pid'))
        os.kill(old, signal.SIGUSR2)  # a second master, by exec
        check('nginx: a second master', poll(lambda: len(s.threads()) == 8, 10), s.threads())
        check('nginx: answers beside it', s.answers())
        os.kill(old, signal.SIGQUIT)
        poll(lambda: not is_there(old), 20)
        check('nginx: the new one answers', poll(s.answers, 20))
        poll(lambda: len(s.threads()) == 4, 10)
        same('nginx: threads after the upgrade', s.threads(), [1, 1, 1, 2])
        same('nginx: problems', [line for line in harness.read(log).splitlines()
                                 if '[notice]' not in line], [])


def redis_cli(port, *command):
    return subprocess.run(['redis-cli', '-p', str(port), *command], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, timeout=60).stdout


def cow_bytes(preload, env):
    """What a save in the background of redis copies, by its own account."""
    folder, port = harness.work, harness.free_port()
    env = dict(os.environ, LD_PRELOAD=preload, ADMIN_KEY=KEY,
               PPROF_PORT=str(harness.free_port()), **env)
    p = subprocess.Popen(['redis-server', '--port', str(port), '--dir', folder, '--save', ''],
                         env=env, stdout=subprocess.DEVNULL)
    try:
        poll(lambda: redis_cli(port, 'ping') == 'PONG\n', 20, 0.05)
        redis_cli(port, 'debug', 'populate', '200000', 'k', '200')
        redis_cli(port, 'bgsave')
        poll(lambda: 'rdb_bgsave_in_progress:0' in redis_cli(port, 'info', 'persistence'), 30, 0.05)
        found = re.search(r'rdb_last_cow_size:(\d+)', redis_cli(port, 'info', 'persistence'))
        return int(found.group(1))
    finally:
        p.kill()
        p.wait()


def test_redis_in_the_background():
    if not shutil.which('redis-server') or not shutil.which('redis-cli'):
        return skip('redis', 'not installed')
    port = harness.free_port()
    with Server('redis-server', '--port', str(port), '--daemonize', 'yes', '--save', '', '--dir',
                harness.work, '--logfile', harness.work + '/redis.log') as s:
        s.judge('redis', 0)
        redis_cli(port, 'bgsave')
        check('redis: saved', poll(lambda: 'rdb_bgsave_in_progress:0' in
                                   redis_cli(port, 'info', 'persistence'), 30))
        check('redis: answers after a save', s.answers())
    more = min(cow_bytes(SHIM, {}) - cow_bytes('', {}) for _ in range(3))
    check('redis: a save copies 1 MiB more at most', more <= 1 << 20, more)


def test_apache_prefork_in_the_background():
    apache = shutil.which('apache2', path=os.environ['PATH'] + ':/usr/sbin')
    modules = '/usr/lib/apache2/modules/mod_'
    if not apache or os.geteuid() != 0:
        return skip('apache', 'not installed, or not root')
    folder, port = harness.work + '/apache', harness.free_port()
    os.mkdir(folder)
    with open(folder + '/conf', 'w') as f:
        f.write('ServerRoot {0}\nPidFile {0}/pid\nErrorLog {0}/log\nServerName localhost\n'
                'Listen 127.0.0.1:{1}\nLoadModule mpm_prefork_module {2}mpm_prefork.so\n'
                'LoadModule authz_core_module {2}authz_core.so\nUser www-data\n'
                'Group www-data\nDocumentRoot {0}\nStartServers 4\n'.format(folder, port, modules))
    with Server(apache, '-f', folder + '/conf', '-k', 'start') as s:
        s.judge('apache prefork', 4)
        same('apache: problems', [line for line in harness.read(folder + '/log').splitlines()
                                  if ':notice]' not in line], [])


def test_gunicorn_in_the_background():
    if not shutil.which('gunicorn'):
        return skip('gunicorn', 'not installed')
    folder, port = harness.work, harness.free_port()
    with open(folder + '/app.py', 'w') as f:
        f.write('def app(environ, start):\n    start("200 OK", [])\n    return [b"hello"]\n')
    with Server('gunicorn', '-w', '4', '-b', '127.0.0.1:%d' % port, '--daemon', '--chdir', folder,
                '--error-logfile', folder + '/gunicorn.log', 'app:app') as s:
        s.judge('gunicorn', 4)
        same('gunicorn: problems', [line for line in
                                    harness.read(folder + '/gunicorn.log').splitlines()
                                    if '[INFO]' not in line], [])


if __name__ == '__main__':
    run(test_a_daemon_answers_on_the_same_port, test_background_often,
        test_no_takeover_inside_a_signal_handler, test_one_orphan_of_many_workers_takes_over,
        test_old_worker, test_forks_under_load_end_as_without_us,
        test_children_on_our_memory_harm_nothing, test_a_program_that_executes_itself_answers,
        test_waits_of_a_worker_are_interrupted, test_nginx_master_and_workers,
        test_redis_in_the_background, test_apache_prefork_in_the_background,
        test_gunicorn_in_the_background)
