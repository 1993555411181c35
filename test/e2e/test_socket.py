#!/usr/bin/env python3
"""The endpoint on a unix socket: who may ask, whose the file is, and who has it after forks.

Seen to fail against: a file made with the program's umask; one that is replaced while somebody answers;
a browser's foreign page that is let in because its tunnel is ours; a bind to port 0 that is taken for
a wish for ours.
"""
import contextlib
import glob
import http.client
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys

import harness
import pprof_reader
from harness import KEY, Target, check, poll, run, same, skip
from test_hazards_sandbox import numbers
from test_tree import AS_ROOT, by_label, included


def new_path(name='s'):
    return os.path.join(harness.work, '%s.%d' % (name, harness.free_port()))


class Connection(http.client.HTTPConnection):
    """To a path, or to @name."""

    def __init__(self, path, timeout):
        super().__init__('localhost', timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path.replace('@', '\0') if self.path[0] == '@' else self.path)


class Socket(Target):
    """A program whose endpoint is asked by its socket, without a key."""

    def __init__(self, name, *args, path, env=None, **more):
        self.path = path
        super().__init__(name, *args, env={'PPROF_PORT': 'off', 'PPROF_SOCKET': path, 'ADMIN_KEY': '',
                                           **(env or {})}, **more)

    def open(self, path, timeout=30, headers={}):
        c = Connection(self.path, timeout)
        c.request('GET', '/debug/pprof/' + path, headers=headers)
        c.answer = c.getresponse()
        return c

    def status(self, headers):
        c = self.open('cmdline', headers=headers)
        c.close()
        return c.answer.status


PYTHON_WAITS = ('-c', 'import sys; sys.stdin.readline()')


def test_nothing_but_the_socket():
    for path in new_path(), '@pprof-%d' % harness.free_port():
        with Socket(sys.executable, *PYTHON_WAITS, path=path) as t:
            if not check(f'{path[0]}: it answers', t.wait_ready(), t.output(1)):
                continue
            check(f'{path[0]}: a profile', pprof_reader.parse(t.fetch('profile?seconds=1')).duration_ns >= 1e9)
            check(f'{path[0]}: the page tells', f'PPROF_PORT=off\nPPROF_SOCKET={path}\n' in t.shim_page())
            same(f'{path[0]}: no other key opens', t.status({'Authorization': 'Bearer '}), 200)
            listening = [line.split()[9] for line in harness.read('/proc/net/tcp').splitlines()[1:]]
            mine = [os.readlink(fd) for fd in glob.glob(f'/proc/{t.pid}/task/*/fd/*')
                    if os.path.islink(fd)]
            same(f'{path[0]}: no port', [x for x in mine if x[8:-1] in listening], [])
            t.say()
            same(f'{path[0]}: its end', t.finish().seen(), ('status 0', '', ''))


def test_the_file_is_the_users_own():
    path = new_path()
    with Socket(sys.executable, *PYTHON_WAITS, path=path, preexec=lambda: os.umask(0)) as t:
        t.wait_ready()
        same('its mode', stat.S_IMODE(os.stat(path).st_mode), 0o600)
        same('the program\'s mask stays', harness.status_field(t.pid, 'Umask'), '0000')


def test_curl():
    path = new_path()
    with Socket(sys.executable, *PYTHON_WAITS, path=path) as t:
        t.wait_ready()
        got = subprocess.run(['curl', '-fsS', '--unix-socket', path, 'http://localhost/debug/pprof/cmdline'],
                             stdout=subprocess.PIPE, check=True).stdout
        check('curl --unix-socket', got.startswith(sys.executable.encode()), got)


def test_pages_of_others_come_through_a_tunnel_too():
    with Socket(sys.executable, *PYTHON_WAITS, path=new_path()) as t:
        t.wait_ready()
        same('a host of its own', t.status({'Host': 'localhost:6060'}), 200)
        same('a foreign host', t.status({'Host': 'evil.example'}), 403)
        same('a foreign page', t.status({'Host': 'localhost:6060', 'Origin': 'http://evil.example'}), 403)


def ask_as_nobody(path, *headers):
    """The status that curl, run as another user, gets."""
    command = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'curl', '-sS', '-o', '/dev/null',
               '-w', '%{http_code}', '--abstract-unix-socket', path[1:], *headers,
               'http://localhost/debug/pprof/cmdline']
    return subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True).stdout


def test_others_need_the_key():
    if not AS_ROOT:
        skip('others', 'only root can be somebody else')
        return
    path = '@pprof-%d' % harness.free_port()
    right, wrong = (('-H', 'Authorization: Bearer ' + key) for key in (KEY, 'wrong'))
    with Socket(sys.executable, *PYTHON_WAITS, path=path, env={'ADMIN_KEY': KEY}) as t:
        t.wait_ready()
        same('another without it', ask_as_nobody(path), '401')
        same('another with a wrong one', ask_as_nobody(path, *wrong), '401')
        same('another with it', ask_as_nobody(path, *right), '200')
        same('we without it', t.status({}), 200)
    with Socket(sys.executable, *PYTHON_WAITS, path=path) as t:
        t.wait_ready()
        same('there is none: another', ask_as_nobody(path), '401')
        same('there is none: another with an empty one', ask_as_nobody(path, '-H', 'Authorization: Bearer '), '401')


def test_beside_the_port():
    path = new_path()
    with Target(sys.executable, *PYTHON_WAITS, env={'PPROF_SOCKET': path}) as t:
        check('the port answers', t.wait_ready())
        c = Connection(path, 10)
        c.request('GET', '/debug/pprof/cmdline')
        same('and the socket', c.getresponse().status, 200)
        t.say()
        same('its end', t.finish().seen(), ('status 0', '', ''))
        check('its file is gone', not os.path.exists(path))


# ---- the file

ENDS = {
    'return': '', 'exit': 'sys.exit(3)', '_exit': 'os._exit(4)',
    'exec': 'os.execv("/bin/sleep", ["sleep", "0.3"])',
}


def test_no_file_stays_behind():
    for how, code in ENDS.items():
        path = new_path()
        with Socket(sys.executable, '-c', 'import os, sys; sys.stdin.readline(); ' + code, path=path) as t:
            t.wait_ready()
            t.say()
            t.finish()
            check(f'{how}: no file', not os.path.exists(path))


def test_a_stale_file_is_replaced():
    path = new_path()
    with Socket(sys.executable, *PYTHON_WAITS, path=path) as t:
        t.wait_ready()
        os.kill(t.pid, signal.SIGKILL)
        t.finish()
    check('it stays behind', os.path.exists(path))
    with Socket(sys.executable, *PYTHON_WAITS, path=path) as t:
        check('the next one answers', t.wait_ready(), t.output(1))
        same('and says nothing', t.output(1), '')


def one_sentence(what, text, start):
    check(f'{what}: one sentence', text.startswith('pprofshim: ' + start) and text.count('\n') == 1, text)


def test_whoever_answers_keeps_it():
    path = new_path()
    with Socket(sys.executable, *PYTHON_WAITS, path=path) as first:
        first.wait_ready()
        with Socket(sys.executable, *PYTHON_WAITS, path=path) as second:
            poll(lambda: second.output(1))
            one_sentence('the second', second.output(1), f'the socket {path} is another process\'s')
            check('the first has it', str(first.pid) in first.fetch('sd').decode(), first.fetch('sd'))
            first.say()
            first.finish()
            check('the second has it then', second.wait_ready())
            second.say()
            same('its end', second.finish().code, 0)


def test_a_foreign_file_is_left_alone():
    path = new_path()
    with open(path, 'w') as f:
        f.write('precious')
    with Socket(sys.executable, *PYTHON_WAITS, path=path) as t:
        poll(lambda: t.output(1))
        one_sentence('foreign', t.output(1), f'the socket {path} cannot be made, since a file')
        t.say()
        same('foreign: its end', t.finish().code, 0)
    same('what it holds', harness.read(path), 'precious')
    link = new_path('link')
    os.symlink(path, link)
    with Socket(sys.executable, *PYTHON_WAITS, path=link) as t:
        poll(lambda: t.output(1))
        one_sentence('a link', t.output(1), f'the socket {link} cannot be made, since a file')
    check('the link is there', os.path.islink(link))


def test_places_where_there_can_be_none():
    for path in '/no/such/directory/s', '/proc/s':
        for port in 'off', None:
            with Socket('/bin/cat', path=path, env={'ADMIN_KEY': KEY, 'PPROF_PORT': port or str(harness.free_port())}) as t:
                poll(lambda: t.output(1))
                one_sentence(f'{path}, port {port}', t.output(1), f'the socket {path} cannot be made: ')
                t.p.stdin.close()
                same('its end', t.finish().code, 0)


def test_settings_that_make_no_sense():
    for value in 'relative', '/', '@', '/' + 90 * 'x', '/tmp/%q', '/tmp/x%':
        with Socket('/bin/true', path='/unused', env={'PPROF_SOCKET': value}) as t:
            got = t.finish()
            one_sentence(value, got.err, f'PPROF_SOCKET is "{value}" but must be ')
            same(f'{value}: its end', got.code, 0)
    with Target('/bin/true', env={'PPROF_PORT': 'off'}) as t:
        one_sentence('nothing at all', t.finish().err, 'PPROF_PORT is off, and ')


# ---- forks

class SocketTree(Socket):
    def __init__(self, mode, count, **more):
        super().__init__('tree_workers', mode, count, preexec=os.setsid, **more)

    def __exit__(self, *unused):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        super().__exit__(*unused)

    def workers(self):
        return [int(line.split()[1]) for line in self.output().splitlines() if line.startswith('worker')]

    def profile(self, page):
        return pprof_reader.parse(self.fetch(page, timeout=60))


def test_workers_are_in_the_profile():
    with SocketTree('plain', 3, path=new_path()) as t:
        t.wait_ready()
        t.wait_for('ready')
        last = [None]

        def all_there():
            last[0] = t.profile('profile?seconds=1&hz=250')
            return included(last[0]) == 4
        check('all are in it', poll(all_there, 30), last[0].comments)
        same('whose the samples are', sorted(by_label(last[0], 'pid', 'cpu')), sorted([t.pid, *t.workers()]))


SURVIVOR = '''
import os, select
pid = os.fork()
if pid: print('child', pid, flush=True)
while True: select.select([], [], [], 0.05)
'''


def test_a_survivor_takes_it_over():
    for name in 'file', 'file of its own', '@':
        base = new_path() if name != '@' else '@pprof-%d' % harness.free_port()
        pattern = base + '.%p' if name == 'file of its own' else base
        with Socket(sys.executable, '-c', SURVIVOR, path=pattern) as t:
            t.path = pattern.replace('%p', str(t.pid))
            check(f'{name}: the parent answers', t.wait_ready(), t.output(1))
            t.wait_for('child')
            child = int(t.output().split()[1])
            try:
                os.kill(t.pid, signal.SIGKILL)
                t.p.wait()
                t.path = pattern.replace('%p', str(child))
                if check(f'{name}: the survivor answers', poll(t.answers, 30)):
                    check(f'{name}: it is the survivor', f'took over from process {t.pid}' in t.shim_page())
            finally:
                os.kill(child, signal.SIGKILL)


def test_a_wrapper_has_it_and_its_program_is_in_the_profile():
    server = harness.fixture('tree_workers')
    path = new_path()
    with Socket('/bin/sh', '-c', f'{server} plain 1; :', path=path, preexec=os.setsid) as t:
        try:
            t.wait_ready()
            t.wait_for('ready')
            last = [None]

            def whole():
                last[0] = pprof_reader.parse(t.fetch('profile?seconds=1&hz=250'))
                got = last[0].cum('cpu')
                return got['work_even'] and got['work_parent']
            check('the work of all', poll(whole, 30), last[0] and last[0].comments)
            same('nobody complains', t.output(1), '')
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(t.pid, signal.SIGKILL)


def test_the_program_may_bind_any_port():
    program = ('import socket, sys; sys.stdin.readline(); s = socket.socket(); s.bind(("127.0.0.1", 0)); '
               's.listen(); print("listening", flush=True); sys.stdin.readline()')
    with Socket(sys.executable, '-c', program, path=new_path()) as t:
        t.wait_ready()
        t.say()
        check('it listens', t.wait_for('listening'))
        check('and the endpoint is there', t.answers())
        same('nothing is said', t.output(1), '')


# ---- filters

def start_under(number, action, env):
    env = {**{k: v for k, v in os.environ.items() if k not in ('LD_PRELOAD', 'ADMIN_KEY')}, **env}
    command = [harness.fixture('hostile_filtered'), str(number), action, harness.SHIM, '/bin/true']
    p = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    return p.returncode, p.stderr


def test_calls_that_only_the_socket_needs():
    port = {'ADMIN_KEY': KEY, 'PPROF_PORT': str(harness.free_port())}
    for name in 'flock', 'fchmod', 'unlinkat':
        number = numbers()[name]
        for action in 'kill', 'errno':
            same(f'{name}, {action}: without a socket', start_under(number, action, port), (0, ''))
            code, err = start_under(number, action, {**port, 'PPROF_SOCKET': new_path()})
            same(f'{name}, {action}: with one', code, 0)
            if action == 'kill':
                one_sentence(f'{name}: with one', err,
                             f'the system-call filter that the program runs under forbids {name}, so')


if __name__ == '__main__':
    assert shutil.which('curl'), 'curl'
    run(test_nothing_but_the_socket, test_the_file_is_the_users_own, test_curl,
        test_pages_of_others_come_through_a_tunnel_too, test_others_need_the_key, test_beside_the_port,
        test_no_file_stays_behind, test_a_stale_file_is_replaced, test_whoever_answers_keeps_it,
        test_a_foreign_file_is_left_alone, test_places_where_there_can_be_none, test_settings_that_make_no_sense,
        test_workers_are_in_the_profile, test_a_survivor_takes_it_over,
        test_a_wrapper_has_it_and_its_program_is_in_the_profile, test_the_program_may_bind_any_port,
        test_calls_that_only_the_socket_needs)
