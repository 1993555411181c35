"""What the hazard tests share: programs under the shim, profiles of them, a watchdog.

    with Target('hostile_exit', 'return') as t:     # ADMIN_KEY, PPROF_PORT, LD_PRELOAD set
        t.wait_ready()
        blob = t.fetch('profile?seconds=1&hz=1000')
        t.finish()                                  # exit status; stacks and a kill on a hang

    a, b = with_and_without('hostile_signals', 'mask')

A test that takes longer than its bound has failed: all stacks are printed and
the program is killed.  SECONDS=n (or STORM_SECONDS) makes every storm that long.
"""
import contextlib
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), '../..'))


def kept_variables():
    with open(os.path.join(ROOT, '.ci/test-environment.txt')) as f:
        return {line.strip() for line in f if not line.startswith('#')}


for variable in set(os.environ) - kept_variables():  # .ci/tests.sh does so too
    del os.environ[variable]
BUILD = os.path.join(ROOT, os.environ.get('BUILD', 'build'))
SHIM = os.environ.get('SHIM', os.path.join(BUILD, 'libpprofshim.so'))
FIXTURES = os.path.join(BUILD, 'fixtures')
KEY = 'k3y-of-the-hazard-tests'
work = tempfile.mkdtemp(prefix='pprofshim-hazards.')


def seconds(short):
    """How long a storm is to last: `short` in the short tests."""
    return float(os.environ.get('STORM_SECONDS') or os.environ.get('HAZARD_SECONDS') or short)


# When a program hangs: long after the longest storm.
LIMIT = float(os.environ.get('HAZARD_LIMIT') or 60 + 3 * seconds(0))


def rounds(short):
    """How often to repeat something that takes a moment."""
    return int(short * max(1.0, seconds(6) / 6))


# ---- counting

counts = {'passed': 0, 'failed': 0}


def check(what, ok, detail=''):
    counts['passed' if ok else 'failed'] += 1
    if not ok:
        print('FAILED: %s%s' % (what, ': %s' % (detail,) if detail != '' else ''), flush=True)
    return ok


def same(what, got, expected):
    return check(what, got == expected, 'got %r, expected %r' % (got, expected))


def still_open(what, ok, detail=''):
    """A known gap: told, not counted until it is closed."""
    if ok:
        counts['passed'] += 1
    else:
        print('open: %s: %s' % (what, detail), flush=True)


def skip(what, why):
    print('skipped: %s: %s' % (what, why), flush=True)


def run(*tests):
    """Runs the tests, or those whose names contain an argument of ours; ends the program."""
    for test in tests:
        if sys.argv[1:] and not any(word in test.__name__ for word in sys.argv[1:]):
            continue
        started = time.monotonic()
        try:
            test()
        except Exception as e:  # a test that breaks has failed
            check(test.__name__, False, '%s: %s' % (type(e).__name__, e))
        if os.environ.get('V'):
            print('%6.1f s  %s' % (time.monotonic() - started, test.__name__), flush=True)
    shutil.rmtree(work, ignore_errors=True)
    print('%d passed, %d failed' % (counts['passed'], counts['failed']))
    sys.exit(1 if counts['failed'] else 0)


# ---- processes

def may_mount():
    """Whether programs may have mounts of their own; containers and chroots forbid it to root."""
    return subprocess.run(['unshare', '-m', 'true'], stderr=subprocess.DEVNULL).returncode == 0


claims = []  # of the ports that this test has been given: nobody else gets them until it ends


def free_port():
    """A port on which nobody listens and that no other test has; none that an outgoing connection may take."""
    while True:
        port = random.randrange(10000, 18000)
        claim = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError), socket.socket() as s:
            claim.bind('\0pprofshim test port %d' % port)
            s.bind(('127.0.0.1', port))
            claims.append(claim)
            return port
        claim.close()


def fixture(name):
    return name if '/' in name else os.path.join(FIXTURES, name)


def status_text(code):
    return 'signal %s' % signal.Signals(-code).name if code < 0 else 'status %d' % code


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ''


def is_open_to_all(path):
    """Whether any user may read it: all folders above can be searched."""
    above = [path]
    while above[-1] != '/':
        above.append(os.path.dirname(above[-1]))
    return os.stat(path).st_mode & 0o004 and all(os.stat(f).st_mode & 0o001 for f in above[1:])


def for_everyone(path):
    """The file, or a copy that other users can read: a clone in root's home is not for them."""
    if is_open_to_all(path):
        return path
    os.chmod(work, 0o755)
    return shutil.copy(path, work)


def tasks(pid):
    try:
        return sorted(int(t) for t in os.listdir('/proc/%d/task' % pid))
    except OSError:
        return []


def cpu_seconds(pid):
    return time.clock_gettime(~pid << 3 | 2)  # the clock of another process


def is_at_rest(pid):
    """Our thread waits for connections, and has given back what the last answer needed."""
    return any(read('/proc/%d/task/%d/comm' % (pid, t)) == 'pprofshim\n' and
               read('/proc/%d/task/%d/syscall' % (pid, t)).startswith('271 ')  # ppoll
               for t in tasks(pid))


def status_field(pid, name):
    for line in read('/proc/%d/status' % pid).splitlines():
        if line.startswith(name + ':'):
            return line.split(':', 1)[1].strip()
    return ''


def dump_stacks(pid):
    """Everything that can be said about where a process hangs."""
    print('  | stacks of %d:' % pid)
    for tid in tasks(pid):
        at = '/proc/%d/task/%d/' % (pid, tid)
        print('  | %d %s %s syscall %s' % (tid, read(at + 'comm').strip(), read(at + 'wchan'),
                                           read(at + 'syscall').strip()))
    with contextlib.suppress(Exception):
        out = subprocess.run(['gdb', '-nx', '-batch', '-p', str(pid), '-ex',
                              'thread apply all bt 12'], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, timeout=30).stdout
        for line in out.splitlines()[-150:]:
            print('  | ' + line)
    sys.stdout.flush()


class Result:
    """What a program did, as its parent sees it."""

    def __init__(self, code, out, err, hung=False):
        self.code, self.out, self.err, self.hung = code, out, err, hung

    def seen(self):
        return ('hung' if self.hung else status_text(self.code), self.out, self.err)

    def __repr__(self):
        return repr(self.seen())


class Target:
    """One program; under the shim unless preload=''."""

    def __init__(self, name, *args, env=None, preload=None, stdin=subprocess.PIPE, port=None,
                 stdout=None, stderr=None, limit=LIMIT, prefix=(), cwd=None, pass_fds=(),
                 preexec=None):
        self.port = port or free_port()
        self.limit = limit
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith('PPROF_') and k not in ('ADMIN_KEY', 'LD_PRELOAD')}
        preload = SHIM if preload is None else preload
        self.shim = bool(preload)
        self.env.update(ADMIN_KEY=KEY, PPROF_PORT=str(self.port))
        if env:
            self.env.update(env)
        self.files = [tempfile.TemporaryFile(dir=work) for _ in range(2)]
        # env(1) sets LD_PRELOAD, so that prefix programs do not run under the shim.
        command = list(prefix)
        command += ['env', 'LD_PRELOAD=' + preload] if preload else []
        command += [fixture(name)] + [str(a) for a in args]
        self.p = subprocess.Popen(command, env=self.env, stdin=stdin, cwd=cwd,
                                  stdout=stdout or self.files[0], stderr=stderr or self.files[1],
                                  preexec_fn=preexec, pass_fds=pass_fds)
        self.pid = self.p.pid
        self.result = None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        for f in self.files:
            f.close()

    def output(self, which=0):
        f = self.files[which]
        f.flush()
        size = os.fstat(f.fileno()).st_size
        return os.pread(f.fileno(), size, 0).decode(errors='replace')

    def wait_for(self, text, limit=20):
        """Until the program has printed `text`."""
        return poll(lambda: text in self.output() or self.p.poll() is not None, limit) and \
            text in self.output()

    def wait_ready(self, limit=20):
        return poll(lambda: self.answers() or self.p.poll() is not None, limit) and \
            self.p.poll() is None

    def answers(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.fetch('', timeout=2) is not None
        return False

    def open(self, path, timeout=30):
        """A connection with the request sent and the head of the answer read."""
        c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=timeout)
        c.request('GET', '/debug/pprof/' + path, headers={'Authorization': 'Bearer ' + KEY})
        c.answer = c.getresponse()
        return c

    def fetch(self, path, timeout=30):
        """The body, or None when the answer is not 200."""
        c = self.open(path, timeout)
        try:
            body = c.answer.read()
            return body if c.answer.status == 200 else None
        finally:
            c.close()

    def shim_page(self):
        return (self.fetch('shim') or b'').decode()

    def counter(self, name):
        for line in self.shim_page().splitlines():
            words = line.replace(':', ' ').replace('=', ' ').split()
            if len(words) > 1 and words[0] == name and words[1].isdigit():
                return int(words[1])
        return None

    def say(self, text='go\n'):
        with contextlib.suppress(BrokenPipeError):
            self.p.stdin.write(text.encode())
            self.p.stdin.flush()

    def finish(self, limit=None, signal_first=None):
        """Waits for the end; a program that does not end is shown and killed."""
        if signal_first:
            self.p.send_signal(signal_first)
        hung = False
        try:
            self.p.wait(limit or self.limit)
        except subprocess.TimeoutExpired:
            hung = True
            dump_stacks(self.pid)
            self.p.kill()
            self.p.wait()
        if self.p.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.p.stdin.close()
        self.result = Result(self.p.returncode, self.output(0), self.output(1), hung)
        return self.result


def poll(condition, limit=20, every=0.01):
    """Until the condition holds; its last value."""
    until = time.monotonic() + limit
    while True:
        value = condition()
        if value or time.monotonic() > until:
            return value
        time.sleep(every)


class Clients:
    """Threads that run loop(number) for as long as the block lasts; it looks at self.running."""

    def __init__(self, count, patience):
        self.running, self.patience = True, patience  # seconds for each to end
        self.threads = [threading.Thread(target=self.loop, args=(i,), daemon=True) for i in range(count)]

    def loop(self, number):
        raise NotImplementedError

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *unused):
        self.running = False
        for t in self.threads:
            t.join(self.patience)


class Profiling(Clients):
    """Takes profiles of a target one after the other for as long as the block lasts."""

    def __init__(self, target, query='seconds=1&hz=1000', overlap=1, page='profile'):
        super().__init__(overlap, 10)
        self.target, self.query = target, page + '?' + query
        self.blobs, self.refused = [], 0

    def loop(self, number):
        while self.running and self.target.p.poll() is None:
            try:
                blob = self.target.fetch(self.query)
                if blob:
                    self.blobs.append(blob)
                else:
                    self.refused += 1
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)

    def load(self):
        """All the profiles, read."""
        import pprof_reader
        return [pprof_reader.parse(b) for b in self.blobs]


def switch_profiles(target, until, pause=0.01):
    """Opens a profile and closes it again, until `until()`; how often."""
    n = 0
    while not until() and target.p.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            target.open('profile?seconds=30&hz=1000', timeout=5).close()
            n += 1
        time.sleep(pause)
    return n


def plain(name, *args, **options):
    """The program without the shim: what it does."""
    with Target(name, *args, preload='', **options) as t:
        t.say()
        return t.finish()


def profiled(name, *args, query='seconds=1&hz=1000', page='profile', before=None, **options):
    """The program with a profile running from before it is told to go until its end."""
    with Target(name, *args, **options) as t:
        if not t.wait_ready():
            t.say()
            return t.finish(), []
        with Profiling(t, query, page=page) as p:
            with contextlib.suppress(OSError, http.client.HTTPException):
                c = t.open('profile?seconds=60&hz=1000')  # so that there is no gap between two
            if before:
                before(t)
            t.say()
            result = t.finish()
        return result, p.blobs


def with_and_without(what, name, *args, **options):
    """Checks that a program does the same with a profile running as without the shim."""
    query = options.pop('query', 'seconds=1&hz=1000')
    before = options.pop('before', None)
    expected = plain(name, *args, **options)
    got, blobs = profiled(name, *args, query=query, before=before, **options)
    same(what, got.seen(), expected.seen())
    return got, blobs
