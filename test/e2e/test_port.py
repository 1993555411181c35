#!/usr/bin/env python3
"""The port belongs to the program when the program wants it, and one true sentence tells where we are.

Seen to fail against a library without the hook of bind: "refused: Address already in use"; busy: one that
closes first after an answer (ours): the same."""
import http.client
import os
import re
import socket
import sys
import threading

import harness
import pprof_reader
from harness import Target, check, poll, run, same, skip

MOVED = re.compile(r'^pprofshim: the program takes port (\d+) for itself; '
                   r'the endpoint is at 127\.0\.0\.1:(\d+) from now on\n$')


def answers_above(t):
    """Whether the endpoint is at one of the next ports."""
    set_port = t.port
    try:
        for t.port in range(set_port + 1, set_port + 17):
            if t.answers():
                return True
        return False
    finally:
        t.port = set_port


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(('::1', 0))
        return True
    except OSError:
        return False


def moved_to(t, what):
    """Checks that the endpoint moved and said so; the new port."""
    told = MOVED.match(t.output(1))
    if not check(f'{what}: one sentence says where', told, t.output(1)):
        return None
    same(f'{what}: it names the port', int(told[1]), t.port)
    return int(told[2])


def check_moved(t, what):
    port, old = moved_to(t, what), t.port
    if not port:
        return
    t.port = port
    check(f'{what}: the endpoint is there', t.wait_ready())
    check(f'{what}: the page says so', f'\nport: {port}, since the program took' in t.shim_page())
    same(f'{what}: our thread is called', [c for c in comms(t) if c.startswith('pprofshim')],
         [f'pprofshim:{port}'])
    t.port = old


def comms(t):
    return [harness.read(f'/proc/{t.pid}/task/{tid}/comm').strip() for tid in harness.tasks(t.pid)]


def test_every_way_to_bind():
    ways = ['v4 reuse', 'v4', 'any4', 'any4 reuse reuseport', 'v4 raw', 'v4 twice', 'v4 fork', 'v4 reuse filter']
    if has_ipv6():
        ways += ['any6', 'mapped6 reuse', 'any6 fork raw']
    else:
        skip('binds by IPv6', 'there is none')
    for way in ways:
        with Target('port_taker', *way.split()) as t:
            if not check(f'{way}: the endpoint is there first', t.wait_ready()):
                continue
            t.say()
            lines = 2 if 'twice' in way else 1
            poll(lambda: t.output().count('\n') >= lines)
            same(f'{way}: the program', t.output(), 'listening, errno 77\n' * lines)
            if 'filter' in way:
                same(f'{way}: a filtered thread writes nothing', t.output(1), '')
                check(f'{way}: the endpoint is near', poll(lambda: answers_above(t), 5))
            else:
                check_moved(t, way)


def test_what_is_no_wish_for_our_port():
    for way in 'other4', 'v4 udp', 'only6':
        if way == 'only6' and not has_ipv6():
            continue
        with Target('port_taker', *way.split()) as t:
            check(f'{way}: the endpoint is there', t.wait_ready())
            t.say()
            poll(lambda: '\n' in t.output())
            same(f'{way}: the program', t.output(), 'listening, errno 77\n')
            check(f'{way}: the endpoint stays', t.answers() and t.output(1) == '', t.output(1))


def test_a_port_that_another_process_has():
    """The program hears what it would without us."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen()
        with Target('port_taker', 'v4', port=s.getsockname()[1]) as t:
            poll(lambda: t.output(1))
            t.say()
            poll(lambda: '\n' in t.output())
            same('the program', t.output(), 'refused: Address already in use\n')


def test_profiles_under_way_go_on():
    with Target('port_taker', 'v4', 'reuse') as t:
        check('the endpoint is there', t.wait_ready())
        blobs = []
        fetching = threading.Thread(target=lambda: blobs.append(t.fetch('profile?seconds=2')))
        fetching.start()
        poll(lambda: 'cpu: active: sampling' in t.shim_page())
        t.say()
        poll(lambda: '\n' in t.output())
        same('the program', t.output(), 'listening, errno 77\n')
        fetching.join()
        check('the profile is whole', blobs and pprof_reader.parse(blobs[0]).duration_ns >= 2e9)
    with Target('port_taker', 'v4') as t:  # a connection would keep the port from it
        check('the endpoint is there', t.wait_ready())
        c = t.open('profile?seconds=30')
        t.say()
        poll(lambda: '\n' in t.output())
        same('the program without SO_REUSEADDR', t.output(), 'listening, errno 77\n')
        c.close()


def test_a_daemon_that_moved_is_found_there():
    """The survivor takes over where its parent was, and not on the port that is the program's own."""
    program = '''
import os, select, socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sys.stdin.read(1)
s.bind(('127.0.0.1', int(os.environ['PPROF_PORT']))); s.listen()
if os.fork(): os._exit(0)
print('pid', os.getpid(), flush=True)
while True: select.select([], [], [], 0.05)
'''
    with Target(sys.executable, '-c', program) as t:
        check('the endpoint is there', t.wait_ready())
        t.say()
        if not check('it is in the background', t.wait_for('pid ')):
            return
        pid = int(re.search(r'pid (\d+)', t.output())[1])
        try:
            port = moved_to(t, 'daemon')
            t.port = port or t.port
            check('the survivor has the endpoint', poll(t.answers, 30, 0.1))
            check('by its own word', f'took over from process {t.pid}' in t.shim_page(), t.shim_page()[:600])
        finally:
            os.kill(pid, 9)


def test_stderr_that_became_another_file():
    """A daemon's descriptor 2 may be a file of its own by then."""
    path = os.path.join(harness.work, 'data')
    script = f'exec 2>{path}; exec "$0" "$@"'
    with Target('/bin/sh', '-c', script, harness.fixture('port_taker'), 'v4') as t:
        # a connection to the shell would end by exec, and the kernel keep the port for a minute
        check('it is executed', poll(lambda: 'port_taker' in harness.read(f'/proc/{t.pid}/comm'), 20))
        check('the endpoint is there', t.wait_ready())
        t.say()
        check('the program listens', t.wait_for('listening'), t.output())
        check('it is told where stderr was at its start', MOVED.match(harness.read(path)))
    program = f'''
import os, socket, sys
sys.stdin.read(1)
os.dup2(os.open({path + '2'!r}, os.O_CREAT | os.O_WRONLY, 0o600), 2)
s = socket.socket(); s.bind(('127.0.0.1', int(os.environ['PPROF_PORT']))); s.listen()
print('listening', flush=True); sys.stdin.read()
'''
    with Target(sys.executable, '-c', program) as t:
        check('the endpoint is there', t.wait_ready())
        t.say()
        check('the program listens', t.wait_for('listening'), t.output())
        same('nothing is written into its file', harness.read(path + '2') + t.output(1), '')


def ask(port, *lines):
    """One request as any client makes it that knows where an answer ends; then it closes."""
    with socket.create_connection(('127.0.0.1', port), timeout=20) as s:
        s.sendall('\r\n'.join(lines + ('Host: 127.0.0.1', '', '')).encode())
        answer = http.client.HTTPResponse(s)
        answer.begin()
        answer.read()
        return answer.status


def test_no_answer_keeps_the_port_busy():
    """A connection that we close first has the port for a minute: bind without SO_REUSEADDR fails."""
    key = 'Authorization: Bearer ' + harness.KEY
    with Target('port_taker', 'v4') as t:
        t.wait_ready()
        for line, more, expected in (('GET /debug/pprof/shim HTTP/1.1', [key, 'Connection: close'], 200),
                                     ('GET /debug/pprof/heap HTTP/1.1', [key, 'Connection: close'], 200),
                                     ('GET /debug/pprof/shim HTTP/1.1', [key], 200),
                                     ('GET /debug/pprof/shim HTTP/1.1', [], 401),
                                     ('GET /debug/pprof/nothing HTTP/1.1', [key, 'Connection: close'], 404),
                                     ('nonsense', [], 400)):
            same(f'{line}, {more and more[-1]}: the answer', ask(t.port, line, *more), expected)
        t.say()
        poll(lambda: 'errno' in t.output() or t.p.poll() is not None)
        same('the program has the port', t.output(), 'listening, errno 77\n')


def test_the_sentence_of_a_taken_port():
    port = harness.free_port()
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(('127.0.0.1', port))
    holder.listen()
    with Target('/bin/sleep', '60', port=port) as t:
        poll(lambda: t.output(1))
        same('one sentence', t.output(1),
             f'pprofshim: port {port} on 127.0.0.1 is taken (PPROF_PORT sets another); it is tried again every '
             'half second, and until then there is no endpoint\n')
        holder.close()
        check('it is true', t.wait_ready())
        same('and said once', t.output(1).count('\n'), 1)


run(test_every_way_to_bind, test_what_is_no_wish_for_our_port, test_a_port_that_another_process_has,
    test_profiles_under_way_go_on, test_a_daemon_that_moved_is_found_there,
    test_stderr_that_became_another_file, test_no_answer_keeps_the_port_busy, test_the_sentence_of_a_taken_port)
