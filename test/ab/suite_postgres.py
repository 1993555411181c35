"""postgres: its own regression tests (from its source package), and pgbench with a check of sums."""
import glob
import os
import re
import shutil
import subprocess
import time

import ab

NAME = 'postgres'


def directories():
    """(programs, pg_regress, headers) of the newest server that has all of them."""
    for lib in sorted(glob.glob('/usr/lib/postgresql/*'), reverse=True):
        regress = lib + '/lib/pgxs/src/test/regress/pg_regress'
        config = lib + '/bin/pg_config'
        if os.path.exists(lib + '/bin/postgres') and os.path.exists(regress):
            headers = subprocess.run([config, '--includedir-server'], stdout=subprocess.PIPE,
                                     text=True).stdout.strip()
            return lib + '/bin', regress, headers
    raise ab.Skip('no server with pg_regress (Debian: postgresql-server-dev-all)')


def as_somebody(command):
    """The server refuses root."""
    if os.geteuid() != 0:
        return command
    return ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] + command


def give_away(path):
    if os.geteuid() == 0:
        subprocess.run(['chown', '-R', 'postgres', path], check=True)


def programs(side, bin_dir, at):
    """Links to all, and the server wrapped."""
    os.mkdir(at)
    for name in os.listdir(bin_dir):
        if name != 'postgres':
            os.symlink(os.path.join(bin_dir, name), os.path.join(at, name))
    side.wrap(bin_dir + '/postgres', at + '/postgres')
    return at


def tests(side):
    bin_dir, regress, headers = directories()
    version = bin_dir.split('/')[-2]
    source = ab.source_of('postgresql-' + version) + '/src/test/regress'
    work = side.directory('postgres')
    shutil.copytree(source, work + '/regress')
    subprocess.run(['gcc', '-shared', '-fPIC', '-O2', '-w', '-I', headers, '-o',
                    work + '/regress/regress.so', work + '/regress/regress.c'], check=True)
    at = programs(side, bin_dir, work + '/bin')
    os.makedirs(work + '/out')
    give_away(work)
    return work, at, regress


OUTCOME = re.compile(r'^(?:test|\s+|ok \d+\s+[-+]|not ok \d+\s+[-+])\s*(\w+)\s+\.\.\. (\w+)')


def regression(side, work, bin_dir, regress):
    command = as_somebody([regress, '--bindir=' + bin_dir, '--inputdir=' + work + '/regress',
                           '--outputdir=' + work + '/out', '--dlpath=' + work + '/regress',
                           '--temp-instance=' + work + '/instance', '--max-connections=10',
                           '--no-locale', '--encoding=UTF8', '--port=%d' % (61000 + os.getpid() % 4000),
                           '--schedule=' + work + '/regress/parallel_schedule'])
    p = subprocess.run(command, cwd=work, env=ab.environment(), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=3000)
    for line in p.stdout.splitlines():
        m = OUTCOME.match(line)
        if m:
            yield 'regress ' + m.group(1), m.group(2)
    if p.returncode not in (0, 1):
        yield 'regress', 'status %d: %s' % (p.returncode, p.stdout[-300:])


def psql(bin_dir, socket_dir, text):
    return subprocess.run(as_somebody([bin_dir + '/psql', '-XAtq', '-h', socket_dir, '-c', text,
                                       'postgres']), env=ab.environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout


SUMS = '''SELECT (SELECT sum(abalance) FROM pgbench_accounts) =
(SELECT sum(delta) FROM pgbench_history) AND (SELECT sum(bbalance) FROM pgbench_branches) =
(SELECT sum(delta) FROM pgbench_history), (SELECT count(*) FROM pgbench_history)'''


def bench(side, work, bin_dir):
    """Eight clients, 4,000 transactions; the books balance, also after a crash."""
    data, here = work + '/data', work + '/out'
    quiet = {'env': ab.environment(), 'stdout': subprocess.DEVNULL, 'stderr': subprocess.STDOUT,
             'stdin': subprocess.DEVNULL}
    subprocess.run(as_somebody([bin_dir + '/initdb', '-D', data, '-A', 'trust', '--no-locale']), **quiet)

    def start():
        return subprocess.Popen(as_somebody([bin_dir + '/postgres', '-D', data, '-k', here, '-c',
                                             'listen_addresses=']), **quiet)

    def ready():
        for _ in range(200):
            if psql(bin_dir, here, "SELECT 'ready'") == 'ready\n':
                return True
            time.sleep(0.1)
        return False

    server = start()
    yield 'bench starts', ready()
    common = [bin_dir + '/pgbench', '-h', here]
    subprocess.run(as_somebody(common + ['-i', '-q', 'postgres']), **quiet)
    p = subprocess.run(as_somebody(common + ['-n', '-c', '8', '-j', '2', '-t', '500', 'postgres']), **quiet)
    yield 'bench status', p.returncode
    yield 'bench sums', psql(bin_dir, here, SUMS)
    server.kill()
    server.wait()
    server = start()
    yield 'bench restarts', ready()
    yield 'bench sums after a crash', psql(bin_dir, here, SUMS)
    server.terminate()
    yield 'bench ends', server.wait(60)


def run(side, only):
    work, bin_dir, regress = tests(side)
    found = dict(regression(side, work, bin_dir, regress))
    for name, value in bench(side, work, bin_dir):
        found[name] = 'said: %r' % (value,)
    return {t: o for t, o in found.items() if not only or t in only}
