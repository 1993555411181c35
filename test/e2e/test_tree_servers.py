#!/usr/bin/env python3
"""Real servers with workers, each asked once under load: the time of all of them is in one profile,
with stacks, and the functions of workers are in it.

    nginx      four workers, which run as another user
    gunicorn   two workers, below a shell
    postgres   a process for each connection, each of one query
    php-fpm    a process for each request (pm.max_requests=1), behind nginx, both below a shell

Others (apache, uwsgi, puma, uvicorn, haproxy, node, supervisord, su, tini) were asked by hand.
"""
import contextlib
import glob
import os
import shutil
import signal
import subprocess
import tempfile

import harness
import pprof_reader
from harness import Target, check, poll, same
from test_tree import included

SECONDS = 2


def have(*programs):
    missing = [p for p in programs if not shutil.which(p)]
    if os.geteuid() != 0 or missing:
        print('skipped: needs root and ' + ', '.join(missing or programs))
    return os.geteuid() == 0 and not missing


@contextlib.contextmanager
def folder(**files):
    path = tempfile.mkdtemp(prefix='pprof-tree-')
    os.chmod(path, 0o755)
    for name, text in files.items():
        with open(os.path.join(path, name.replace('_', '.')), 'w', encoding='utf-8') as f:
            f.write(text.replace('@', path))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def descendants(pid):
    """It and all below it, those that start others first."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f'/proc/{one}/task'):
                with open(f'/proc/{one}/task/{task}/children', encoding='ascii') as f:
                    found += map(int, f.read().split())
    return found


@contextlib.contextmanager
def server(*command, **more):
    with Target(*command, preexec=os.setsid, preload=harness.for_everyone(harness.SHIM), **more) as t:
        check(f'{command[0]}: it answers', t.wait_ready(), t.output(1))
        yield t
        for pid in descendants(t.pid):  # php-fpm has a process group of its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def load(*command):
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
        yield
        p.kill()


def answers(url):
    return subprocess.run(['curl', '-sf', '-o', '/dev/null', url], check=False).returncode == 0


def look(name, t, processes, least=0.8):
    """A machine that is busy lets workers do little; what they did is there all the same."""
    last = [None]

    def is_good():
        p = pprof_reader.parse(t.fetch(f'profile?seconds={SECONDS}', timeout=60))
        flat = p.flat('cpu')
        total = sum(flat.values())
        last[0] = (total, flat['[unsampled]'], p.comments)
        return total > 2e7 and total - flat['[unsampled]'] > least * total and \
            (included(p) or 0) >= processes
    check(f'{name}: all its time has stacks', poll(is_good, 40), last[0])
    return pprof_reader.parse(t.fetch(f'profile?seconds={SECONDS}', timeout=60))


def ab(port, path='/'):
    return ('ab', '-q', '-t', '60', '-n', '10000000', '-c', '4', f'http://127.0.0.1:{port}{path}')


NGINX = '''worker_processes %d; daemon off; error_log @/error.log; pid @/pid; user www-data;
events { worker_connections 128; }
http { access_log off; client_body_temp_path @/b; proxy_temp_path @/p; fastcgi_temp_path @/f;
uwsgi_temp_path @/u; scgi_temp_path @/s;
server { listen 127.0.0.1:%d; root @; location / { %s } } }
'''


def test_nginx():
    if not have('nginx', 'ab'):
        return
    port = harness.free_port()
    with folder(nginx_conf=NGINX % (4, port, 'return 200 "hello\\n";')) as at, \
            server(shutil.which('nginx'), '-p', at, '-c', at + '/nginx.conf') as t, load(*ab(port)):
        p = look('nginx', t, 5)
        check('nginx: what its workers do', any('writev' in s.stack or 'send' in s.stack
                                                for s in p.samples), p.flat('cpu').most_common(5))


def test_gunicorn_below_a_shell():
    if not have('gunicorn', 'ab'):
        return
    port = harness.free_port()
    app = '''def app(environ, start):
    start('200 OK', [])
    return [str(sum(i * i for i in range(5000))).encode()]
'''
    gunicorn = shutil.which('gunicorn', path='/usr/bin') or shutil.which('gunicorn')
    with folder(app_py=app) as at, \
            server('/bin/sh', '-c', f'{gunicorn} -w 2 -b 127.0.0.1:{port} app:app; :',
                   env={'PYTHONPATH': at}, cwd=at) as t:
        check('gunicorn: it serves', poll(lambda: answers(f'http://127.0.0.1:{port}/'), 30),
              t.output(1))
        with load(*ab(port)):
            look('gunicorn', t, 4)


def test_postgres_with_a_process_for_each_transaction():
    binaries = sorted(glob.glob('/usr/lib/postgresql/*/bin'))
    if not binaries or not have('pgbench', 'runuser'):
        return
    port = harness.free_port()
    as_user = ['runuser', '-u', 'postgres', '--']
    with folder(query_sql='select sum(x*x) from generate_series(1,2000) x;') as at:
        shutil.chown(at, 'postgres')
        made = subprocess.run([*as_user, binaries[-1] + '/initdb', '-N', '-A', 'trust', '-D',
                               at + '/data'], stdout=subprocess.DEVNULL, check=False)
        same('postgres: initdb', made.returncode, 0)
        with server(shutil.which('runuser'), '-u', 'postgres', '--', binaries[-1] + '/postgres',
                    '-D', at + '/data', '-p', str(port), '-k', at, '-c', 'fsync=off') as t:
            check('postgres: it serves', poll(lambda: subprocess.run(
                ['pg_isready', '-q', '-h', '127.0.0.1', '-p', str(port)], check=False).returncode == 0,
                30), t.output(1))
            with load('pgbench', '-h', '127.0.0.1', '-p', str(port), '-U', 'postgres', '-n', '-C',
                      '-c', '2', '-T', '60', '-f', at + '/query.sql', 'postgres'):
                p = look('postgres', t, 2)
            check('postgres: backends are in it', any('forked meanwhile' in c for c in p.comments),
                  p.comments)


def test_php_with_a_process_for_each_request():
    php = sorted(glob.glob('/usr/sbin/php-fpm*'))
    if not php or not have('nginx', 'ab'):
        return
    port, behind = harness.free_port(), harness.free_port()
    fpm = ('[global]\nerror_log=@/fpm.log\ndaemonize=no\n[www]\nuser=www-data\ngroup=www-data\n'
           f'listen=127.0.0.1:{behind}\npm=static\npm.max_children=2\npm.max_requests=1\n')
    pass_on = (f'fastcgi_pass 127.0.0.1:{behind}; include /etc/nginx/fastcgi_params; '
               'fastcgi_param SCRIPT_FILENAME @/x.php;')
    with folder(fpm_conf=fpm, nginx_conf=NGINX % (1, port, pass_on),
                x_php='<?php $s = 0; for ($i = 0; $i < 50000; $i++) $s += $i; echo $s;') as at, \
            server('/bin/sh', '-c', f'{php[-1]} -y {at}/fpm.conf & nginx -p {at} -c {at}/nginx.conf'
                   ' & wait') as t:
        check('php: it serves', poll(lambda: answers(f'http://127.0.0.1:{port}/x.php'), 30),
              t.output(1))
        with load(*ab(port, '/x.php')):
            p = look('php', t, 4)
        check('php: requests are in it', any('forked meanwhile' in c for c in p.comments), p.comments)


if __name__ == '__main__':
    harness.run(test_nginx, test_gunicorn_below_a_shell,
                test_postgres_with_a_process_for_each_transaction,
                test_php_with_a_process_for_each_request)
