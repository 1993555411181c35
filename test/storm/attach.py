#!/usr/bin/env python3
"""Real servers under load, attached to and detached from again and again.

Nobody may die, and no request may fail.  Programs that are not installed are skipped.

STORM_SECONDS or SECONDS: the number of rounds grows with it (1,000 each from 60 on).
"""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.realpath(__file__))
os.environ.setdefault('STORM_SECONDS', os.environ.get('SECONDS', '60'))
sys.path.insert(0, os.path.join(HERE, '../e2e'))

import harness  # noqa: E402  (it reads STORM_SECONDS)
import test_attach  # noqa: E402
from harness import check, poll, run, skip  # noqa: E402

ROUNDS = int(1000 * min(1.0, harness.seconds(60) / 60))


class Load:
    """One request after the other, each of which has to be answered, while the block lasts."""

    def __init__(self, request):
        self.request, self.did, self.failed, self.over = request, 0, [], False
        self.thread = threading.Thread(target=self.loop, daemon=True)

    def loop(self):
        while not self.over:
            try:
                ok = self.request()
            except Exception as e:  # a connection that broke
                ok = e
            if ok is True:
                self.did += 1
            else:
                self.failed.append(ok)
                time.sleep(0.05)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.over = True
        self.thread.join(20)


def command(*args, want=''):
    def request():
        done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=30)
        return True if done.returncode == 0 and want in done.stdout else done.stdout[-300:]
    return request


def web(port, path='/', want=b''):
    def request():
        c = harness.http.client.HTTPConnection('127.0.0.1', port, timeout=10)
        c.request('GET', path)
        return want in c.getresponse().read()
    return request


PAGES = ['profile?seconds=1', 'heap', 'block', 'mutex', 'allocs']


def attach_and_detach(what, pid, rounds):
    """Some rounds with profiles; how many were done and refused, and the longest stop.

    Every second is with hooks.
    """
    port, stops, refused = harness.free_port(), [], []
    for i in range(rounds):
        hooks = ['--hooks'] if i % 2 else []
        status, out, err = test_attach.tool(*hooks, '--port', port, pid)
        if status:
            refused.append(err.strip())
            if len(refused) > rounds / 10:
                break
            continue
        stops += [float(ms) for ms in re.findall(r'stopped for ([\d.]+) ms', err)]
        for page in PAGES if i in (0, 5, 55, rounds - 1) else PAGES[1:2] if i % 20 == 15 else []:
            blob = fetch(port, page)
            check('%s: %s' % (what, page), (blob and blob[:2] == b'\x1f\x8b') or not hooks, blob)
        status, out, err = test_attach.tool('--detach', pid)
        check('%s: detach' % what, status == 0 and 'passes them on' not in err, err)
    stops.sort()
    stops = stops or [0]
    check('%s: attached' % what, not refused, refused[:1])
    print('%s: %d attached, %d refused; a thread was stopped %.2f ms (median), %.2f (most)' % (
        what, len(stops), len(refused), stops[len(stops) // 2], stops[-1]), flush=True)


def fetch(port, path):
    c = harness.http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    c.request('GET', '/debug/pprof/' + path, headers={'Authorization': 'Bearer ' + harness.KEY})
    answer = c.getresponse()
    body = answer.read()
    return body if answer.status == 200 else None


def judge(what, start, request, pids=lambda p: [p.pid], cwd=None, background=()):
    """Starts a server, loads it, attaches to each of its processes that is named."""
    p = subprocess.Popen(start, cwd=cwd or harness.work, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         env={k: v for k, v in os.environ.items() if k != 'LD_PRELOAD'})
    loaders = []
    try:
        up = poll(lambda: answers(request), 60, 0.2)
        if not check('%s: it runs' % what, up):
            return
        loaders = [subprocess.Popen(b, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                   for b in background]
        with Load(request) as load:
            these = pids(p)
            for pid in these:
                attach_and_detach('%s %d' % (what, pid), pid, ROUNDS // len(these))
                check('%s: it lives' % what, os.path.exists('/proc/%d' % pid))
        check('%s: all requests' % what, load.did and not load.failed,
              (load.did, len(load.failed), load.failed[:2]))
        check('%s: it lives' % what, p.poll() is None)
    finally:
        for loader in loaders:
            loader.kill()
        p.terminate()
        try:
            p.wait(20)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


def answers(request):
    try:
        return request() is True
    except Exception:
        return False


def missing(*programs):
    gone = [p for p in programs if not shutil.which(p)]
    if gone:
        skip(gone[0], 'not installed')
    return gone


def children(pid):
    return [int(c) for c in harness.read('/proc/%d/task/%d/children' % (pid, pid)).split()]


SCRIPT = ("redis.call('set', KEYS[1], ARGV[1]) return "
          "redis.sha1hex(redis.call('get', KEYS[1]) .. ARGV[1])")
TEXT = 'text ' * 600


def test_redis():
    if not missing('redis-server', 'redis-cli', 'redis-benchmark'):
        port = str(harness.free_port())
        judge('redis', ['redis-server', '--port', port, '--save', ''],
              command('redis-cli', '-p', port, 'eval', SCRIPT, '1', 'key', TEXT,
                      want=hashlib.sha1((TEXT + TEXT).encode()).hexdigest()),
              background=[['redis-benchmark', '-p', port, '-l', '-q', '-t', 'set,get,lrange',
                           '-P', '4']])


def test_nginx():
    if missing('nginx'):
        return
    port, folder = harness.free_port(), os.path.join(harness.work, 'nginx')
    os.makedirs(folder, exist_ok=True)
    with open(folder + '/conf', 'w') as f:
        f.write('daemon off; pid %s/pid; error_log %s/error; events {}\nhttp { access_log off;'
                ' client_body_temp_path %s; proxy_temp_path %s; server { listen 127.0.0.1:%d;'
                ' location / { return 200 "hello"; } } }\n' % (folder, folder, folder, folder, port))
    judge('nginx', ['nginx', '-c', folder + '/conf', '-p', folder], web(port, '/', b'hello'),
          lambda p: [p.pid, *children(p.pid)])


def test_varnish():
    """Its worker, all of whose threads have one alternate stack."""
    if missing('varnishd'):
        return
    port, behind, folder = harness.free_port(), harness.free_port(), harness.work + '/varnish'
    server = subprocess.Popen([sys.executable, '-m', 'http.server', str(behind), '--bind', '127.0.0.1'],
                              cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    poll(lambda: answers(web(behind)), 20)
    judge('varnish', ['varnishd', '-F', '-n', folder, '-a', '127.0.0.1:%d' % port, '-b',
                      '127.0.0.1:%d' % behind], web(port, '/', b'attach.py'),
          lambda p: children(p.pid))
    server.kill()
    server.wait()


def postgres_programs():
    for version in range(20, 10, -1):
        folder = '/usr/lib/postgresql/%d/bin' % version
        if os.path.exists(folder + '/initdb'):
            return folder
    skip('postgres', 'not installed')
    return None


def test_postgres():
    programs = postgres_programs()
    if not programs or os.geteuid() != 0:
        return
    port, folder = str(harness.free_port()), os.path.join(harness.work, 'postgres')
    os.makedirs(folder)
    os.chmod(harness.work, 0o755)
    shutil.chown(folder, 'postgres')
    user = ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups']
    subprocess.run([*user, programs + '/initdb', '-N', '-A', 'trust', folder + '/data'],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    asks = [programs + '/psql', '-h', folder, '-p', port, '-U', 'postgres', '-qAtc']
    query = 'select sum(a * b) from generate_series(1, 300) a, generate_series(1, 300) b'
    worker = [*asks, 'do $$ begin for i in 1..100000 loop perform (%s); perform '
              'pg_sleep(0.01); end loop; end $$' % query]

    def backend_in_query(p):
        return [p.pid, *poll(lambda: list(map(int, subprocess.run(
            [*asks, "select pid from pg_stat_activity where query like 'do %'"],
            stdout=subprocess.PIPE, text=True).stdout.split()[:1])), 10)]

    judge('postgres', [*user, programs + '/postgres', '-D', folder + '/data', '-p', port, '-k',
                       folder, '-c', 'listen_addresses='],
          command(*asks, query, want='2038522500'), backend_in_query, background=[worker])


def test_mariadb():
    if missing('mariadbd', 'mariadb-install-db', 'setpriv') or os.geteuid() != 0:
        return
    folder = os.path.join(harness.work, 'mariadb')
    os.makedirs(folder)
    os.chmod(harness.work, 0o755)
    subprocess.run(['mariadb-install-db', '--no-defaults', '--datadir=' + folder + '/data',
                    '--auth-root-authentication-method=normal', '--user=root'],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = shutil.which('mariadb') or shutil.which('mysql')
    ask = command(client, '--no-defaults', '-S', folder + '/socket', '-u', 'root', '-e',
                  'select benchmark(200000, md5(now()))') if client else \
        (lambda: os.path.exists(folder + '/socket'))
    judge('mariadb', ['mariadbd', '--no-defaults', '--user=root', '--datadir=' + folder + '/data',
                      '--socket=' + folder + '/socket', '--skip-networking',
                      '--pid-file=' + folder + '/pid'], ask)


JAVA = '''
import com.sun.net.httpserver.*;
import java.net.*;
import java.util.*;
public class Serve {
    public static void main(String[] args) throws Exception {
        HttpServer s = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
        s.createContext("/", e -> {
            List<String> l = new ArrayList<>();
            for (int i = 0; i < 2000; i++) l.add("x" + i);
            Collections.sort(l);
            byte[] b = ("hello " + l.size()).getBytes();
            e.sendResponseHeaders(200, b.length);
            e.getResponseBody().write(b);
            e.close();
        });
        s.setExecutor(java.util.concurrent.Executors.newFixedThreadPool(4));
        s.start();
    }
}
'''


def test_java():
    if missing('java', 'javac'):
        return
    port = harness.free_port()
    with open(os.path.join(harness.work, 'Serve.java'), 'w') as f:
        f.write(JAVA)
    if subprocess.run(['javac', 'Serve.java'], cwd=harness.work).returncode:
        return skip('java', 'it does not compile')
    judge('java', ['java', 'Serve', str(port)], web(port, '/', b'hello 2000'))


def test_node():
    if missing('node'):
        return
    port = harness.free_port()
    program = ('require("http").createServer((q, r) => { let s = 0; for (let i = 0; i < 20000; '
               'i++) s += i %% 7; r.end("hello " + s) }).listen(%d, "127.0.0.1")' % port)
    judge('node', ['node', '-e', program], web(port, '/', b'hello 5999'))


PYTHON = '''
import http.server, json, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = json.dumps([sum(range(i)) for i in range(200)]).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *unused):
        pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
Server(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
'''


def test_python():
    port = harness.free_port()
    judge('python', [sys.executable, '-c', PYTHON, str(port)], web(port, '/', b'19701'))


if __name__ == '__main__':
    run(test_redis, test_nginx, test_varnish, test_postgres, test_mariadb, test_java, test_node, test_python)
