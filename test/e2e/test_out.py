#!/usr/bin/env python3
"""PPROF_OUT: profiles as files of programs that end, whichever way they do, and nothing else different.

Seen to fail against a library without hooks of exec, of the older functions for signals, and of exit_group;
one whose handler dies of a signal that it sends anew (another core, another si_code); one that takes signals
in the first process of a namespace (its waits were cut short), and no real-time ones; one that samples before
the thread that made ours has its signals back (half of a short program was [unsampled]).
"""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import harness
import pprof_reader
from harness import SHIM, check, poll, run, same, skip
from test_tree import AS_ROOT

ENDS = harness.fixture('out_ends')
SIGNALS = [s for s in range(1, 32) if s not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGCONT,
                                                signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGURG,
                                                signal.SIGWINCH)]


def new_folder():
    return tempfile.mkdtemp(dir=harness.work)


def environment(folder, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith('PPROF_') and k not in ('ADMIN_KEY', 'LD_PRELOAD')}
    return {**env, **({'LD_PRELOAD': SHIM, 'PPROF_OUT': folder} if folder else {}), **more}


class Done:
    def __init__(self, command, folder, limit=60, cwd=None, **more):
        started = time.monotonic()
        p = subprocess.Popen(command, env=environment(folder, **more), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True, cwd=cwd, preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL))
        self.pid = p.pid
        self.out, self.err = p.communicate(timeout=limit)
        self.code, self.took = p.returncode, time.monotonic() - started
        self.lines = [line for line in self.out.splitlines() if not line.startswith('cpu ')]
        told = re.search(r'^cpu (\d+)', self.out, re.M)
        self.cpu = int(told[1]) if told else 0


def files(folder, kind='cpu'):
    return sorted(glob.glob(os.path.join(glob.escape(folder), '*.%s.pb.gz' % kind)))


def load(path):
    with open(path, 'rb') as f:
        return pprof_reader.parse(f.read())


def judge(how, leaves_file=True):
    """The same end as without us, and the work that it did in its file."""
    folder = new_folder()
    bare, got = Done([ENDS, how], None), Done([ENDS, how], folder)
    same(f'{how}: its end', (got.code, got.lines), (bare.code, bare.lines))
    same(f'{how}: nothing is said', got.err, bare.err)
    same(f'{how}: files', [os.path.basename(f) for f in files(folder)],
         [f'out_ends.{got.pid}.cpu.pb.gz'] if leaves_file else [])
    check(f'{how}: nothing half written', not glob.glob(folder + '/.*'))
    check(f'{how}: no delay', got.took < bare.took + 5, got.took)
    for path in files(folder):
        p = load(path)
        same(f'{how}: mode', os.stat(path).st_mode & 0o777, 0o600)
        total = p.total('cpu')
        check(f'{how}: its time', 0.7 * got.cpu < total < 1.2 * got.cpu + 2e7, (total, got.cpu))
        check(f'{how}: its work', p.cum('cpu')['burn_known'] > 0.3 * total, dict(p.flat('cpu')))


def test_ways_to_end():
    for how in ('return', 'exit', '_exit', '_Exit', 'quick_exit', 'exit_group', 'thread', 'exec', 'exec-by-path', 'abort',
                'handler', 'default-again', 'own-sigaction', 'null', 'bad-instruction'):
        judge(how)
    judge('deep-recursion', leaves_file=False)  # there is no stack for a handler; the death is the same


def test_signals_that_end():
    for sig in [*SIGNALS, signal.SIGRTMIN, 50, signal.SIGRTMAX]:
        judge('k%d' % sig)
    for sig in signal.SIGABRT, signal.SIGSEGV, signal.SIGTERM:
        judge('r%d' % sig)


def test_the_first_process_of_a_namespace():
    """No signal from inside ends it, nor may one cut a wait short; a fault does."""
    if not AS_ROOT or not harness.may_mount():
        skip('the first process', 'needs root and namespaces')
        return
    for how, first, left in (('first', True, 1), ('first-of-two', True, 2), ('null', True, 1), ('abort', True, 1),
                             ('first-forked', False, 1), ('first-cloned', False, 1)):
        folder, prefix = new_folder(), ['unshare', '-p', '-f', '--kill-child'] if first else []
        bare, got = Done([*prefix, ENDS, how], None), Done([*prefix, ENDS, how], folder)
        same(f'{how}: its end', (got.code, got.lines), (bare.code, bare.lines))
        check(f'{how}: as it was to be', 'process 1, poll 0' in bare.out or how in ('first-of-two', 'null', 'abort'), bare.out)
        same(f'{how}: files', len([f for f in files(folder) if '/out_ends.' in f]), left)


def dumped(how, folder):
    """Whether the kernel says that there is a core."""
    p = subprocess.Popen(['sh', '-c', 'ulimit -c unlimited; exec env "$@"', 'sh', *(['LD_PRELOAD=' + SHIM] if folder else []),
                          ENDS, how], env={**environment(None), **({'PPROF_OUT': folder} if folder else {})},
                         stdout=subprocess.DEVNULL, cwd=new_folder())
    return os.WCOREDUMP(os.waitpid(p.pid, 0)[1])


def test_cores_are_the_same():
    for how in 'null', 'abort', 'k%d' % signal.SIGQUIT, 'k%d' % signal.SIGTERM, 'bad-instruction':
        same(f'{how}: core', dumped(how, new_folder()), dumped(how, None))


def test_forked_children_have_files_of_their_own():
    folder = new_folder()
    bare, got = Done([ENDS, 'forks'], None), Done([ENDS, 'forks'], folder)
    same('their ends', (got.code, got.lines), (bare.code, bare.lines))
    found = files(folder)
    same('files', len(found), 4)
    for path in found:
        p = load(path)
        check('their work', p.cum('cpu')['burn_known'] > 0.3 * p.total('cpu'), (path, dict(p.flat('cpu'))))
        check('not that of others', p.total('cpu') < 4e8, p.total('cpu'))


def test_kinds_and_names():
    folder = new_folder()
    got = Done([sys.executable, '-c', 'x = [bytearray(1000) for _ in range(100000)]'], folder + '/x-%n-%t',
               PPROF_OUT_PROFILES='heap,cpu,block,mutex,top')
    name = os.path.basename(os.path.realpath(sys.executable))
    check('names', all(re.match(r'x-python[\d.]*-\d+\.%d\.' % got.pid, f) for f in os.listdir(folder)), os.listdir(folder))
    kinds = {f.split('.')[-3] if f.endswith('gz') else f.split('.')[-2] for f in os.listdir(folder)}
    check('kinds', {'heap', 'cpu', 'top'} <= kinds, (kinds, name))
    p = load(files(folder, 'heap')[0])
    check('what it allocated', p.total('alloc_space') > 50e6, p.total('alloc_space'))
    top = harness.read(glob.glob(folder + '/*.top.txt')[0]).splitlines()
    check('lines of top', top and all(re.match(r'\d+ \d+ .', line) for line in top), top[:3])


def test_where_the_time_goes():
    """In several windows: each exec that fails ends one."""
    folder = new_folder()
    code = 'import os, time\nfor i in range(3):\n time.sleep(0.4)\n try: os.execv("/no/such", ["x"])\n except OSError: pass'
    began = time.monotonic()
    got = Done([sys.executable, '-c', code], folder, PPROF_OUT_PROFILES='wall')
    took = (time.monotonic() - began) * 1e9
    same('its end', (got.code, got.err), (0, ''))
    same('one file', os.listdir(folder), ['%s.%d.wall.pb.gz' % (os.path.basename(sys.executable), got.pid)])
    p = load(files(folder, 'wall')[0])
    total = p.total('wall')
    check('all of its time', 1.2e9 <= total <= took, (total, took))
    asleep = sum(s.values[p.index('wall')] for s in p.samples if s.labels.get('state') == 'blocked')
    check('it slept', asleep > 1.1e9, asleep)


def test_an_image_of_the_same_name_has_another_file():
    folder = new_folder()
    again = 'import os, sys; sum(range(5000000)); sys.argv[1:] and os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])'
    got = Done([os.path.realpath(sys.executable), '-c', again, again], folder)
    same('its end', (got.code, got.err), (0, ''))
    same('two files', len(files(folder)), 2)
    check('of one process', all('.%d' % got.pid in f for f in files(folder)), files(folder))


def test_what_was_there_is_written_now_and_then():
    """For a program that is killed: looked at when it is there, and then killed."""
    folder = background['folder']
    p = background['process']
    check('a file after half a minute', poll(lambda: files(folder), 90), os.listdir(folder))
    p.kill()
    p.wait()
    check('with its work', load(files(folder)[0]).cum('cpu')['burn_known'] > 0)


# ---- where nothing can be written

def told_once(what, got, reason):
    check(f'{what}: one sentence', got.err.startswith('pprofshim: profiles cannot be written to ') and reason in got.err and
          got.err.count('\n') == 1, got.err)


def test_places_where_nothing_can_be_written():
    folder = new_folder()
    with open(folder + '/file', 'w') as f:
        f.write('precious')
    for place, reason in ((folder + '/none', 'no such directory'), (folder + '/file', 'in the place of a directory'),
                          ('/proc/1/fdinfo', ''), ('/sys/kernel', '')):
        for how, code in ('forks', 2), ('k15', -15), ('_exit', 4):
            got = Done([ENDS, how], place)
            same(f'{place}, {how}: its end', got.code, code)
            told_once(f'{place}, {how}', got, reason)
    same('a file in its place', harness.read(folder + '/file'), 'precious')


def test_a_directory_of_others():
    if not AS_ROOT:
        skip('a directory of others', 'needs root')
        return
    folder = new_folder()
    os.chmod(harness.work, 0o755)
    os.chmod(folder, 0o755)
    got = Done(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'env', 'LD_PRELOAD=' + SHIM, ENDS, 'exit'],
               None, PPROF_OUT=folder)
    same('its end', got.code, 3)
    told_once('a directory of others', got, 'not allowed')


def test_directories_without_a_name():
    """Of a program whose own directory is gone, or has a name longer than the kernel tells."""
    gone = new_folder()
    script = 'cd "$1" && rmdir "$1" && exec env LD_PRELOAD="$2" PPROF_OUT=here "$3" exit'
    got = Done(['sh', '-c', script, 'sh', gone, SHIM, ENDS], None)
    same('gone: its end', got.code, 3)
    told_once('gone', got, 'no such directory')
    deep = new_folder()
    script = 'cd "$1"; i=0; while [ $i -lt 22 ]; do mkdir $4; cd $4; i=$((i+1)); done; mkdir here; ' \
             'env LD_PRELOAD="$2" PPROF_OUT=here "$3" exit; code=$?; ls here; exit $code'
    got = Done(['bash', '-c', script, 'sh', deep, SHIM, ENDS, 'd' * 200], None)
    same('deep: its end', (got.code, got.err), (3, ''))
    check('deep: its file', any('cpu.pb.gz' in line for line in got.lines), got.lines)
    shutil.rmtree(deep, ignore_errors=True)


def test_names_that_are_too_long():
    """What is cut would be another place."""
    deep = new_folder()
    script = 'cd "$1"; i=0; while [ $i -lt 19 ]; do mkdir $4; cd $4; i=$((i+1)); done; mkdir $4; ' \
             'exec env LD_PRELOAD="$2" PPROF_OUT=$(printf "/.%.0s" $(seq 50))/$4/$4 "$3" exit'
    got = Done(['bash', '-c', script.replace('PPROF_OUT=', 'PPROF_OUT=$4'), 'sh', deep, SHIM, ENDS, 'd' * 200], None)
    same('its end', got.code, 3)
    told_once('too long', got, 'too long')
    shutil.rmtree(deep, ignore_errors=True)


def test_an_endpoint_that_cannot_be():
    """There are files all the same."""
    cases = [('/no/such/socket', None, 'no such directory'), ('/etc/passwd', None, 'no socket has that name')]
    if AS_ROOT:
        cases.append((None, '81', 'the kernel refuses a socket'))
    for path, port, reason in cases:
        folder = new_folder()
        os.chmod(harness.work, 0o755)
        os.chmod(folder, 0o777)
        user = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] if port else []
        got = Done([*user, 'env', 'LD_PRELOAD=' + harness.for_everyone(SHIM), harness.for_everyone(ENDS), 'exit'], None,
                   PPROF_OUT=folder, PPROF_PORT=port or 'off', **({'PPROF_SOCKET': path} if path else {'ADMIN_KEY': 'k'}))
        same(f'{path or port}: its end', got.code, 3)
        check(f'{path or port}: one sentence', reason in got.err and got.err.count('\n') == 1 and 'profiling is off' not in
              got.err, got.err)
        same(f'{path or port}: its file', len(files(folder)), 1)


def test_limits():
    for limit, reason in (('-f 0', 'RLIMIT_FSIZE'), ('-n 4', 'RLIMIT_NOFILE')):
        for how, code in ('exit', 3), ('k15', -15):
            folder = new_folder()
            got = Done(['bash', '-c', 'ulimit -S %s; exec env LD_PRELOAD="$1" PPROF_OUT="$2" "$3" "$4"' % limit, 'sh', SHIM,
                        folder, ENDS, how], None)
            same(f'{limit}, {how}: its end', (got.code, os.listdir(folder)), (code, []))
            told_once(f'{limit}, {how}', got, reason)


def test_a_full_disk():
    if not AS_ROOT or not harness.may_mount():
        skip('a full disk', 'needs root and mounts')
        return
    folder = new_folder()
    script = '''mount -t tmpfs -o size=16k none "$1" || exit 99
head -c 20000 /dev/zero > "$1/fill" 2>/dev/null
LD_PRELOAD="$3" PPROF_OUT="$1" "$2" "$4"; code=$?
ls -A "$1"; exit $code'''
    for how, code in ('exit', 3), ('k15', 128 + 15), ('forks', 2):
        got = Done(['unshare', '-m', 'sh', '-c', script, 'sh', folder, ENDS, SHIM, how], None)
        same(f'{how}: its end', got.code, code)
        told_once(f'{how}: a full disk', type('', (), {'err': got.err.replace('Terminated\n', '')}), 'no space')
        check(f'{how}: nothing is left there', got.lines[-1] == 'fill', got.lines)


def test_setuid_programs_are_left_alone():
    if not AS_ROOT:
        skip('setuid', 'needs root')
        return
    folder = new_folder()
    os.chmod(folder, 0o777)
    program = new_folder() + '/setuid'
    shutil.copy(ENDS, program)
    os.chown(program, 65534, 65534)
    os.chmod(program, 0o4755)
    os.chmod(os.path.dirname(program), 0o755)
    got = Done([program, 'exit'], folder)
    same('its end', got.code, 3)
    same('no files', os.listdir(folder), [])


def test_nonsense():
    for name, value in (('PPROF_TOGGLE', 'KILL'), ('PPROF_TOGGLE', '33'), ('PPROF_OUT', '/tmp/%q'), ('PPROF_OUT', 'x' * 1001), ('PPROF_OUT_PROFILES', 'cpu,heat'),
                        ('PPROF_OUT_PROFILES', ','), ('PPROF_OUT_PROFILES', 'cpu,')):
        got = Done(['/bin/true'], new_folder(), **{name: value})
        check(f'{name}={value[:20]}', got.code == 0 and got.err.startswith(f'pprofshim: {name} is "') and
              got.err.count('\n') == 1, got.err)


# ---- many

def test_a_thousand_short_processes():
    folder = new_folder()
    got = Done(['sh', '-c', 'i=0; while [ $i -lt 1000 ]; do /bin/true || echo failed; i=$((i+1)); done'], folder, limit=300)
    same('their ends', (got.code, got.out, got.err), (0, '', ''))
    check('nothing half written', not glob.glob(folder + '/.*'))
    check('few files for nothing', len(os.listdir(folder)) < 1000, len(os.listdir(folder)))


def test_a_build():
    folder, project = new_folder(), new_folder()
    for i in range(8):
        with open('%s/f%d.c' % (project, i), 'w') as f:
            f.write('#include <stdio.h>\n#include <stdlib.h>\n#include <math.h>\n')
            f.writelines('int g%d_%d(int a, int b) { int s = 0; for (int i = 0; i < a; i++) s += (i * b) %% (i + %d);'
                         ' return s; }\n' % (i, k, k + 1) for k in range(300))
    with open(project + '/Makefile', 'w') as f:
        f.write('all: $(patsubst %.c,%.o,$(wildcard *.c))\n%.o: %.c\n\tgcc -O2 -c $< -o $@\n')
    got = Done(['make', '-j4'], folder, cwd=project, limit=300, CCACHE_DISABLE='1')
    same('the build', (got.code, got.err), (0, ''))
    same('its objects', len(glob.glob(project + '/*.o')), 8)
    compilers = [load(f) for f in files(folder) if os.path.basename(f).startswith('cc1.')]
    same('a file of each compiler', len(compilers), 8)
    total = sum(p.total('cpu') for p in compilers)
    names = {}
    for p in compilers:
        for name, value in p.cum('cpu').items():
            names[name] = names.get(name, 0) + value
    known = {n: v for n, v in names.items() if 'rest_of_compilation' in n or 'execute_pass' in n or 'compile_file' in n or
             'cgraph_node::expand' in n or 'toplev::main' in n}
    check('its functions are named', known and max(known.values()) > 0.2 * total,
          sorted(names.items(), key=lambda x: -x[1])[:20])


def test_the_launcher():
    inject = os.path.join(harness.ROOT, 'pprof-inject.sh')
    folder = new_folder() + '/made for it'
    got = Done([inject, '--out', folder, '--', ENDS, 'exit'], None)
    same('status', got.code, 3)
    head = got.err.splitlines()
    check('the summary', len(head) > 3 and re.match(r'pprof-inject: 0\.\d\d s of CPU time', head[0]) and
          head[0].endswith('; profiles written: 1 in ' + folder) and 'function' in head[1] and len(head) <= 12,
          got.err)
    check('what used most', any('burn_known' in line for line in head[2:]), got.err)
    same('files', len(files(folder)), 1)
    check('and nothing else', all(f.endswith('.pb.gz') for f in os.listdir(folder)), os.listdir(folder))
    same('a signal', Done([inject, '--out=' + folder, ENDS, 'k9'], None).code, 128 + 9)
    p = subprocess.Popen([inject, '--out', folder, ENDS, 'wait'], env=environment(None), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    p.stdout.readline()
    p.terminate()
    err = p.communicate(timeout=60)[1]
    same('a signal that is sent on', p.returncode, 128 + 15)
    check('its summary', 'burn_known' in err, err)


def test_without_the_setting_no_handler_is_there():
    code = 'import re; print(*re.findall("SigCgt:.*", open("/proc/self/status").read()))'
    with_us = Done([sys.executable, '-c', code], None, LD_PRELOAD=SHIM, ADMIN_KEY='k', PPROF_PORT=str(harness.free_port()))
    same('handlers', with_us.out, Done([sys.executable, '-c', code], None).out)


background = {}

if __name__ == '__main__':
    if len(sys.argv) < 2 or any(word in 'test_what_was_there_is_written_now_and_then' for word in sys.argv[1:]):
        background['folder'] = new_folder()
        background['process'] = subprocess.Popen([ENDS, 'wait'], env=environment(background['folder']), stdout=subprocess.DEVNULL)
    run(test_ways_to_end, test_signals_that_end, test_the_first_process_of_a_namespace, test_cores_are_the_same, test_forked_children_have_files_of_their_own,
        test_kinds_and_names, test_where_the_time_goes, test_an_image_of_the_same_name_has_another_file, test_places_where_nothing_can_be_written,
        test_directories_without_a_name, test_names_that_are_too_long, test_an_endpoint_that_cannot_be, test_limits, test_a_directory_of_others, test_a_full_disk, test_setuid_programs_are_left_alone, test_nonsense,
        test_a_thousand_short_processes, test_a_build, test_the_launcher, test_without_the_setting_no_handler_is_there,
        test_what_was_there_is_written_now_and_then)
