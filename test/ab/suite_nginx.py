"""nginx: what clients, operators and the log see in the life of a master with workers."""
import contextlib
import hashlib
import http.client
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time

import ab

NAME = 'nginx'
CONFIG = '''
{user}worker_processes 2;
daemon {daemon};
pid {work}/nginx.pid;
error_log {work}/error.log notice;
events {{ worker_connections 256; }}
http {{
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/f;
  uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  access_log {work}/access.log;
  sendfile {sendfile}; gzip on; gzip_min_length 100; gzip_types *;
  keepalive_requests 50;
  proxy_cache_path {work}/cache keys_zone=c:1m;
  server {{
    listen 127.0.0.1:{port};
    root {work}/www;
    location /back {{ proxy_pass http://127.0.0.1:{port}/; proxy_cache c; proxy_cache_valid 1m; }}
    location /gone {{ return 410; }}
    location /up {{ client_max_body_size 1m; proxy_pass http://127.0.0.1:{port}/gone; }}
    location /slow {{ limit_rate 400k; }}
  }}
}}
'''
FILES = {'empty': 0, 'small': 100, 'page': 5000, 'big': 3000000}


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def until(condition, limit=15):
    end = time.monotonic() + limit
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def children_of(pid):
    found = []
    for name in os.listdir('/proc'):
        with contextlib.suppress(OSError, ValueError), open('/proc/%d/stat' % int(name)) as f:
            if int(f.read().rsplit(')', 1)[1].split()[1]) == pid:
                found.append(int(name))
    return sorted(found)


def title(pid):
    with contextlib.suppress(OSError), open('/proc/%d/cmdline' % pid) as f:
        return f.read().replace('\0', ' ').strip()
    return ''


class Server:
    """One nginx in a directory."""

    def __init__(self, side, name, program, daemon='off', sendfile='on'):
        self.work, self.port = side.directory(name), free_port()
        os.mkdir(self.work + '/www')
        chance = random.Random(1)
        for file, size in FILES.items():
            with open(os.path.join(self.work, 'www', file), 'wb') as f:
                f.write(bytes(chance.randrange(32, 90) for _ in range(size)))
        self.config = self.work + '/nginx.conf'
        user = 'user nobody nogroup;\n' if os.geteuid() == 0 else ''
        with open(self.config, 'w') as f:
            f.write(CONFIG.format(user=user, work=self.work, port=self.port, daemon=daemon,
                                  sendfile=sendfile))
        # The binary upgrade runs this name again.
        self.program = side.wrap(program, self.work + '/nginx')
        self.p = subprocess.Popen([self.program, '-p', self.work, '-c', self.config],
                                  env=ab.environment(), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.up = until(lambda: self.get('empty')[0] == 200)

    def get(self, path, method='GET', body=None, headers=None):
        """(status, bytes, digest)."""
        c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=10)
        try:
            c.request(method, '/' + path, body, headers or {})
            r = c.getresponse()
            data = r.read()
            return r.status, len(data), hashlib.sha1(data).hexdigest()[:10]
        except (OSError, http.client.HTTPException) as e:
            return type(e).__name__, 0, ''
        finally:
            c.close()

    def pid(self):
        with contextlib.suppress(OSError, ValueError), open(self.work + '/nginx.pid') as f:
            return int(f.read())
        return 0

    def workers(self):
        return [p for p in children_of(self.pid()) if 'worker process' in title(p)]

    def titles(self):
        return sorted(title(pid).replace(self.work, 'WORK') for pid in [self.pid()] + self.workers())

    def kill(self, sig, pid=None):
        pid = pid or self.pid()
        if pid > 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)

    def stop(self):
        self.kill(signal.SIGQUIT)
        try:
            return self.p.wait(20), self.p.stdout.read().decode()
        except subprocess.TimeoutExpired:
            self.kill(signal.SIGKILL)
            self.p.kill()
            return 'did not end', ''

    def complaints(self):
        """What the log says above notice."""
        with open(self.work + '/error.log') as f:
            lines = [line.split('] ', 1)[-1] for line in f
                     if any(w in line for w in ('[error]', '[crit]', '[alert]', '[emerg]', '[warn]',
                                                'exited on signal'))]
        return sorted({re.sub(r'\d+', '', line.replace(self.work, 'WORK')) for line in lines})


def requests(s):
    found = {file: s.get(file) for file in FILES}
    for file in FILES:
        found['zipped ' + file] = s.get(file, headers={'Accept-Encoding': 'gzip'})[:1]
    found['head'] = s.get('big', 'HEAD')
    found['range'] = s.get('big', headers={'Range': 'bytes=1000-200000'})
    found['missing'] = s.get('nosuch')
    found['gone'] = s.get('gone')
    found['proxied'] = s.get('back/page')
    found['cached'] = s.get('back/page')
    found['upload'] = s.get('up', 'POST', b'x' * 500000)
    found['too large'] = s.get('up', 'POST', b'x' * 2000000)[0] in (413, 'BrokenPipeError',
                                                                   'ConnectionResetError')
    found['slow'] = s.get('slow/../big')
    found['bad'] = s.get('%zz')
    many = [s.get('page') for _ in range(300)]
    found['300 more'] = len(set(many)), many[0]
    return found


def operate(s):
    """Reload, reopened logs, a killed worker."""
    found = {'titles': s.titles()}
    before = s.workers()
    s.kill(signal.SIGHUP)
    found['reload: new workers'] = bool(until(
        lambda: len(s.workers()) == 2 and not set(before) & set(s.workers())))
    found['reload: answers'] = s.get('page')
    os.rename(s.work + '/access.log', s.work + '/access.old')
    s.kill(signal.SIGUSR1)
    found['reopen'] = bool(until(lambda: os.path.exists(s.work + '/access.log')))
    victim = s.workers()[0]
    s.kill(signal.SIGKILL, victim)
    found['worker replaced'] = bool(until(
        lambda: len(s.workers()) == 2 and victim not in s.workers()))
    return found


def upgrade(s):
    """Another binary takes over the sockets; only a daemon can."""
    found, old = {}, s.pid()
    s.kill(signal.SIGUSR2)
    found['new master'] = bool(until(lambda: s.pid() not in (0, old) and len(s.workers()) == 2))
    s.kill(signal.SIGWINCH, old)
    s.kill(signal.SIGQUIT, old)
    found['the old one ends'] = bool(until(lambda: not title(old)))
    found['answers'] = s.get('page')
    found['titles'] = s.titles()
    return found


def run(side, only):
    program = shutil.which('nginx', path=os.environ['PATH'] + ':/usr/sbin')
    if not program:
        raise ab.Skip('nginx is not installed')
    found = {}
    for name, options in (('foreground', {}), ('copied', {'sendfile': 'off'}),
                          ('daemon', {'daemon': 'on'})):
        s = Server(side, name, program, **options)
        found[name + ': starts'] = bool(s.up)
        for what, got in requests(s).items():
            found['%s: %s' % (name, what)] = got
        if name != 'copied':
            found.update(('%s: %s' % (name, k), v) for k, v in operate(s).items())
        if name == 'daemon':
            found.update(('upgrade: ' + k, v) for k, v in upgrade(s).items())
        master = s.pid()
        found[name + ': ends'] = s.stop()
        found[name + ': is gone'] = bool(until(lambda pid=master: not title(pid)))
        found[name + ': log'] = s.complaints()
    return {t: 'said: %r' % (o,) for t, o in found.items() if not only or t in only}
