#!/usr/bin/env python3
"""pprof-attach: the endpoint in a program that runs, and out of it again (docs/HAZARDS.md).

Each program is attached to and detached from again and again (ROUNDS), and says itself what
was wrong: a call that returned early or with EINTR, errno, a result, a child.
"""
import concurrent.futures
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import harness
import pprof_reader
import test_truth
from harness import BUILD, FIXTURES, KEY, Target, check, poll, run, same, skip, status_field

ATTACH = os.path.join(BUILD, 'pprof-attach')
PROGRAM = 'hostile_attached'
OTHER = 'an0ther-key'
PLUGIN = os.path.join(FIXTURES, 'names_chain_plugin.so')
SLOW = os.path.join(FIXTURES, 'slow_constructor_plugin.so')
CALLS = ['poll', 'ppoll', 'select', 'epoll', 'nanosleep', 'recv', 'sigtimedwait', 'condition',
         'semaphore', 'read', 'poll-for-ever', 'epoll-for-ever']


def tool(*args, env=None, prefix=(), limit=60):
    """Status, standard output and standard error of pprof-attach."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith('PPROF_')}
    variables.update({'ADMIN_KEY': KEY}, **(env or {}))
    done = subprocess.run([*prefix, ATTACH, *map(str, args)], env=variables, timeout=limit,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def attach(t, *args, **options):
    """Attaches to the target at its port; true when that worked."""
    status, out, err = tool('--port', t.port, *args, t.pid, **options)
    return check('attach to %s' % t.what, status == 0, (status, out, err))


def detach(t):
    status, out, err = tool('--detach', t.pid)
    return check('detach from %s' % t.what, status == 0, (status, out, err))


# Threads are then asked for their alternate stacks, wherever they are.
ASKED = {'HANDLER_ON_STACK': '1'}


def program(*args, what=None, name=PROGRAM, **options):
    t = Target(name, *args, preload='', **options)
    t.what = what or ' '.join([name, *map(os.path.basename, map(str, args))])
    return t


def ends_well(t):
    t.p.stdin.close()
    got = t.finish()
    same('what %s says' % t.what, (got.code, got.out.splitlines()[-1:]), (0, ['ended, 0 wrong']))
    if got.code:
        print(got.out, got.err)


def again_and_again(t, rounds, ask=None, args=()):
    t.wait_for('ready')
    for _ in range(rounds):
        if not attach(t, *args):
            break
        if ask:
            ask(t)
        if not detach(t):
            break


def profile(t, query='seconds=1&hz=1000'):
    blob = t.fetch('profile?' + query)
    check('a profile of %s' % t.what, blob is not None)
    return blob


# ---- what a program must not notice

def test_waits_go_on_as_if_nothing_had_been():
    for call in CALLS:
        with program('wait', call, env=ASKED) as t:
            again_and_again(t, harness.rounds(8))
            ends_well(t)


def test_waits_of_hours_can_be_attached_to_again():
    """A stop gives such a call another number.  Seen to fail: nobody waited, for 5 s."""
    for call, stop in ('poll', False), ('poll', True), ('nanosleep', True):
        with program('hours', call) as t:
            t.wait_for('ready')
            if stop:
                t.p.send_signal(signal.SIGSTOP)
                poll(lambda: status_field(t.pid, 'State').startswith('T'))
                t.p.send_signal(signal.SIGCONT)
            again_and_again(t, 3)
            if call == 'poll':
                ends_well(t)


def test_who_waits_with_a_timeout_is_left_alone():
    """An epoll_wait that is stopped begins its timeout anew; there is another thread to stop."""
    with program('timeout') as t:
        t.wait_for('ready')
        poll(lambda: harness.read('/proc/%d/syscall' % t.pid).startswith('232 '))  # epoll_wait
        before = status_field(t.pid, 'voluntary_ctxt_switches')
        again_and_again(t, 3)
        same('how often it slept', status_field(t.pid, 'voluntary_ctxt_switches'), before)
        ends_well(t)


def test_programs_that_allocate_load_and_fork():
    for args in ['malloc'], ['dlopen', PLUGIN], ['small'], ['fork'], ['vfork']:
        with program(*args, env=ASKED if args[0] != 'vfork' else None) as t:
            again_and_again(t, 1, profile)
            again_and_again(t, harness.rounds(12))
            ends_well(t)


def test_signals_are_not_lost():
    with program('signals', env=ASKED) as t:
        again_and_again(t, harness.rounds(12))
        ends_well(t)


def test_nothing_of_us_is_left():
    """After detaching: the threads, descriptors and port that there were before."""
    with program('malloc') as t:
        t.wait_for('ready')
        before = harness.tasks(t.pid), sorted(os.listdir('/proc/%d/fd' % t.pid))
        again_and_again(t, 2, profile)
        check('our thread ended', poll(lambda: harness.tasks(t.pid) == before[0]))
        same('descriptors', sorted(os.listdir('/proc/%d/fd' % t.pid)), before[1])
        check('the port is free', not t.answers())
        maps = harness.read('/proc/%d/maps' % t.pid)
        again_and_again(t, 20)
        grown = len(harness.read('/proc/%d/maps' % t.pid).splitlines()) - len(maps.splitlines())
        check('mappings do not pile up', grown < 5, grown)
        same('what was said on stderr', t.output(1), '')
        ends_well(t)


def test_a_profile_under_way_at_the_end():
    """It ends with what it has.  Seen to fail: the connection was closed in its middle."""
    with program('malloc') as t:
        t.wait_for('ready')
        attach(t)
        asked = [t.open(page) for page in ('profile?seconds=60&hz=1000', 'wall?seconds=60')]
        check('it is sampled', poll(lambda: t.counter('cpu_samples') > 10, 30))
        detach(t)
        for c in asked:
            p = pprof_reader.parse(c.answer.read())
            check('has what there was', p.samples and p.duration_ns < 30e9, p.duration_ns)
        ends_well(t)


def test_the_key_is_nowhere_to_be_seen():
    with program('malloc') as t:
        t.wait_for('ready')
        attach(t, env={'ADMIN_KEY': OTHER})
        for name in 'environ', 'cmdline':
            check('the key in %s' % name, OTHER not in harness.read('/proc/%d/%s' % (t.pid, name)))
        detach(t)
        ends_well(t)


# ---- what it shows

def test_profiles_say_since_when():
    with program('malloc') as t:
        t.wait_for('ready')
        attach(t)
        p = pprof_reader.parse(profile(t, 'seconds=1&hz=1000'))
        comments = '\n'.join(p.comments)
        check('the comment', re.search(r'since \d\d:\d\d:\d\d UTC', comments), comments)
        page = t.shim_page()
        check('the page', 'attached: since' in page and 'hooks: none' in page, page[:400])
        c = t.open('heap')
        why = c.answer.read().decode()
        check('heap says why', c.answer.status == 404 and 'attached' in why, why)
        text = (t.fetch('goroutine?debug=2') or b'').decode()
        check('stacks of threads', text.count('goroutine ') >= 5 and 'allocate' in text, text[:500])
        check('threads without their creators', t.fetch('threadcreate') is not None)
        text = (t.fetch('wall?seconds=1&format=text') or b'').decode()
        check('wall', 'allocate' in text and 'since' in text, text[:400])
        index = (t.fetch('') or b'').decode()
        check('the index says why there is no heap', 'attached to the running program' in index)
        detach(t)
        ends_well(t)


def test_threads_made_later_are_sampled():
    """The first thread of a program, with which libc takes the signal's handler, and more.

    As Python does, it has a handler that would go to an alternate stack, and no such stack.
    """
    with program('late', env=ASKED) as t:
        t.wait_for('ready')
        attach(t)
        c = t.open('profile?seconds=3&hz=1000')
        before = harness.cpu_seconds(t.pid)
        t.say('g')
        p = pprof_reader.parse(c.answer.read())
        used = harness.cpu_seconds(t.pid) - before  # with what our thread took to name things
        text = (t.fetch('profile?seconds=2&hz=1000&format=text') or b'').decode()
        total = sum(v for name, v in p.cum('cpu').items() if name == 'spin') / 1e9
        check('most of what was used', total > used / 2, (total, used))
        check('in the thread that spins', 'spin' in text, text[:600])
        ends_well(t)


STACKS = 'hostile_altstacks'


def works(pid, tid):
    return int(harness.read('/proc/%d/task/%d/stat' % (pid, tid)).rsplit(')')[1].split()[11]) > 0


def profile_in(mode, early=False):
    """The answer, of a program whose threads have alternate stacks in that mode and goes on."""
    with program(mode, 60000, name=STACKS) as t:
        if early:
            poll(lambda: harness.read('/proc/%d/syscall' % t.pid).startswith('0 '))  # read
            attach(t)
        t.say()
        poll(lambda: sum(works(t.pid, tid) for tid in harness.tasks(t.pid)) > 1)
        if not early:
            attach(t)
        answer = t.open('profile?seconds=1&hz=1000').answer
        blob = answer.read()
        check('%s goes on' % t.what, t.p.poll() is None)
        return pprof_reader.parse(blob) if answer.status == 200 else blob.decode()


def test_alternate_stacks():
    """Shared ones, on which two ticks would overwrite each other, and those that alone have room.

    Seen to fail: with all ticks there the first died in its first profile, with none the second.
    """
    for mode in 'shared-away', 'owns':
        p = profile_in(mode)
        lost = p.flat('cpu').get('[unsampled]', 0)
        check('threads of %s are sampled' % mode, lost < 0.1 * p.total('cpu') > 0,
              (lost, p.total('cpu')))
    p = profile_in('shared-away', early=True)  # nobody sees those of threads that begin later
    check('threads of which nothing is known are left out', p.flat('cpu').get('[unsampled]', 0) >
          0.9 * p.total('cpu') > 0, p.flat('cpu'))
    check('which is told', 'attach again' in '\n'.join(p.comments), p.comments)
    check('where there are both kinds none is', 'pprof-inject' in profile_in('mixed'))


def test_restartable_sequences():
    """Counters of processors, as allocators have them: none is put back by who was stopped.

    Seen to fail: 1,300 steps and more were lost.
    """
    with program(4, name='hostile_rseq') as t:
        if not t.wait_for('ready'):
            skip('restartable sequences', 'libc has none here')
            return
        attach(t)
        t.p.stdin.close()
        same('steps that were lost', t.finish().out.splitlines()[-1:], ['lost 0'])


class Attached(Target):
    """As a target that has the library from the start, to who only asks for profiles."""

    def __init__(self, name, *args, **options):
        super().__init__(name, *args, **dict(options, preload=''))
        self.what = ' '.join(map(str, (name, *args)))
        poll(lambda: len(harness.tasks(self.pid)) > 1)
        attach(self)


def test_profiles_are_as_true_as_of_a_preloaded_program():
    """By the same program, which keeps its own account, and within the same bounds."""
    harness.Target = Attached
    try:
        test_truth.compare('steady', 4, where=test_truth.NORMAL)
        test_truth.sampled('churn', 8, seconds=(2,), needed_s=1)
    finally:
        harness.Target = Target


WORK = '''
import hashlib, json, os, re, threading, zlib
threading.Thread(target=lambda: os.read(0, 1), daemon=True).start()
print("ready", flush=True)
text = json.dumps([{"name": "x%d" % i, "value": i * 1.5} for i in range(300)])
while True:
    hashlib.sha256(zlib.compress(text.encode(), 1)).hexdigest()
    sorted(json.loads(text), key=lambda d: d["name"])
    re.sub("[0-9]+", "y", text[:2000])
'''


def shares(t):
    p = pprof_reader.parse(t.fetch('profile?seconds=3&hz=1000'))
    total = p.total('cpu')
    return {name: v / total for name, v in p.flat('cpu').items()}, total / 1e6


def test_top_20_as_of_a_preloaded_run():
    """The same program, within the sampling error of both (five times, and 1 %)."""
    with Target(sys.executable, '-c', WORK) as t:
        t.wait_for('ready')
        expected, samples = shares(t)
    with program('-c', WORK, name=sys.executable, what='python that works') as t:
        t.wait_for('ready')
        if not attach(t):
            return
        got, attached_samples = shares(t)
    for name in sorted(expected, key=expected.get, reverse=True)[:20]:
        a, b = expected[name], got.get(name, 0)
        bound = 5 * (a * (1 - a) * (1 / samples + 1 / attached_samples)) ** 0.5 + 0.01
        check('%s has %.1f %%, preloaded %.1f %%' % (name, 100 * b, 100 * a), abs(a - b) <= bound)


FORKING = '''
import os, sys, time
for _ in range(2):
    if os.fork() == 0:
        parent = os.getppid()
        while os.getppid() == parent:
            until = time.time() + 0.01
            while time.time() < until:
                sum(range(1000))
            time.sleep(0.005)
        os._exit(0)
print("ready", flush=True)
sys.stdin.read()
'''


def test_a_tree():
    """Its descendants answer by the same port, and are left alone again with it."""
    with program('-c', FORKING, name=sys.executable, what='python with children') as t:
        t.wait_for('ready')
        pids = sorted([t.pid, *children(t.pid)])
        for again in False, True:
            attach(t, '--tree')
            for _ in range(10):  # on a busy machine one may answer late, which is told
                p = pprof_reader.parse(profile(t, 'seconds=2&hz=1000'))
                if 'Processes in this profile: 3' in '\n'.join(p.comments):
                    break
            by_pid = {}
            for sample in p.samples:
                pid = dict(sample.labels).get('pid')
                by_pid[pid] = by_pid.get(pid, 0) + sample.values[1]
            comments = '\n'.join(p.comments)
            check('three processes', 'Processes in this profile: 3' in comments, comments)
            check('both children have samples', all(by_pid.get(pid, 0) > 0 for pid in
                                                    children(t.pid)), by_pid)
            if again:
                continue
            status, out, err = tool('--tree', '--port', t.port, t.pid)
            check('there already', status == 0 and 'already' in out, (status, out, err))
            status, out, err = tool('--detach', '--tree', t.pid)
            check('detach from all', status == 0 and err.count('detached from') == 3, err)
            check('no thread of ours', poll(lambda: all(len(harness.tasks(p)) == 1 for p in pids)))
        t.p.stdin.close()
        same('it ends', t.finish().code, 0)


def test_two_tools_at_once():
    """One of them attaches; the other says that it is there, and with whose key."""
    with program('wait', 'poll') as t:
        t.wait_for('ready')
        for _ in range(5):
            with concurrent.futures.ThreadPoolExecutor() as pool:
                done = [pool.submit(tool, '--port', port, t.pid, env={'ADMIN_KEY': key})
                        for port, key in ((t.port, KEY), (harness.free_port(), OTHER))]
            said = [d.result() for d in done]
            same('both are done', [s[0] for s in said], [0, 0])
            check('one attached, one found it there', sorted('already' in s[1] for s in said) == [False, True], said)
            detach(t)
        ends_well(t)


def test_where_the_work_may_be_is_told():
    """A master alone, and a program in a network of its own."""
    with program('-c', FORKING, name=sys.executable, what='python with children') as t:
        t.wait_for('ready')
        status, out, err = tool('--port', t.port, t.pid)
        check('children are told of', status == 0 and '2 processes below it are not attached' in err, err)
        check('and nothing of networks', 'nsenter' not in err, err)
        detach(t)
        t.p.stdin.close()
        same('it ends', t.finish().code, 0)
    if os.geteuid() != 0:
        return skip('another network', 'not root')
    with program('-n', sys.executable, '-c', 'import sys; print("ready", flush=True); sys.stdin.read()',
                 name=shutil.which('unshare'), what='a network of its own') as t:
        t.wait_for('ready')
        status, out, err = tool('--port', t.port, t.pid)
        check('the network is told of', status == 0 and f'nsenter -t {t.pid} -n' in err, err)
        check('no children', 'below' not in err, err)
        check('the command to detach is the one that was called', f"{ATTACH} --detach {t.pid}" in out, out)
        detach(t)
        t.p.stdin.close()
        same('it ends', t.finish().code, 0)


COMPLAINING = '''
both() {
    env LD_PRELOAD="$1" ADMIN_KEY=k PPROF_PORT="$2" /bin/true
    env LD_PRELOAD="$1" PPROF_OUT=/no/such /bin/true
    echo "$3"
}
echo ready; read x
(both "$1" "$2" attached; read x; both "$1" "$2" in-child)
both "$1" "$2" detached
'''


def test_preloaded_programs_below_complain_again():
    """Whose parent has us is silent about what it could not do; whose parent had us is not."""
    with harness.socket.socket() as s, \
            program('-c', COMPLAINING, 'sh', harness.SHIM, taken(s), name='/bin/sh') as t:
        t.wait_for('ready')
        attach(t)
        t.say('g\n')
        t.wait_for('attached')
        same('while it is attached', t.output(1), '')
        check('a child has nothing of ours', 'memfd:pprofshim' not in harness.read('/proc/%d/maps' % children(t.pid)[0]))
        detach(t)
        t.say('g\n')
        got = t.finish()
        sentences = [line for line in got.err.splitlines() if line.startswith('pprofshim: ')]
        same('sentences after that', len(sentences), 4)
        check('of both kinds', sum('/no/such' in line for line in sentences) == 2, sentences)


def taken(s):
    s.bind(('127.0.0.1', 0))
    s.listen()
    return str(s.getsockname()[1])


# ---- what is refused, and how

def refused(what, words, *args, status=126, **options):
    got, out, err = tool(*args, **options)
    check(what, got == status and words in err and not out and err.count('\n') == 1,
          (got, out, err))


def test_requests_that_make_no_sense():
    refused('no process', 'no process given', status=2)
    refused('two', 'one process at a time', 1, 2, status=2)
    refused('no number', "'x' is not a process", 'x', status=2)
    refused('a bad port', "'0' is not a port", '--port', 0, 1, status=2)
    refused('a bad rate', "'5000' is not a sampling rate", '--hz', 5000, 1, status=2)
    refused('an unknown option', 'no such option: --prot', '--prot', 1, status=2)
    refused('no value', '--port needs a value', '--port', status=2)
    refused('an empty key', 'no key; ADMIN_KEY is empty', 1, env={'ADMIN_KEY': ''}, status=2)
    refused('no key file', 'cannot be read', '--key-file', '/no/such', 1, status=2)
    refused('nobody', 'there is no process', 4194303)
    refused('a kernel thread', 'a thread of the kernel', 2)
    with program('malloc') as t:
        t.wait_for('ready')
        refused('a thread', 'is a thread of process %d' % t.pid, harness.tasks(t.pid)[-1])
        refused('detached already', 'is not attached to', '--detach', t.pid, status=2)
        with harness.socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            s.listen()
            refused('a taken port', 'is taken', '--port', s.getsockname()[1], t.pid, status=2)
        ends_well(t)


def test_programs_that_cannot_be_attached_to():
    with program('busy') as t:
        t.wait_for('ready')
        refused('nobody waits', 'no thread of process', t.pid)
        ends_well(t)
    with program('handler') as t:
        t.wait_for('ready')
        refused('the only thread is in a handler', 'no thread of process', t.pid)
        t.p.stdin.close()
        same('it goes on', t.finish().code, 0)
    with program('malloc') as t:
        t.wait_for('ready')
        t.p.send_signal(signal.SIGSTOP)
        poll(lambda: harness.status_field(t.pid, 'State').startswith('T'))
        refused('a stopped program', 'kill -CONT', t.pid)
        t.p.send_signal(signal.SIGCONT)
        ends_well(t)


def compiled(name, *how):
    """A program that waits for its input's end, made in another way; None: not here."""
    path = os.path.join(harness.work, name)
    source = path + '.c'
    with open(source, 'w') as f:
        f.write('#include <unistd.h>\nint main(void) { char c; return write(1, "ready\\n", 6) != 6 || read(0, &c, 1); }\n')
    if not shutil.which(how[0]) or subprocess.run([*how, '-o', path, source],
                                                  stderr=subprocess.DEVNULL).returncode:
        skip(name, 'it cannot be made here')
        return None
    return path


def test_other_kinds_of_programs():
    for name, words, how in (('static', 'static executable', ['gcc', '-static']),
                             ('static-pie', 'no glibc loaded', ['gcc', '-static-pie']),
                             ('musl', 'musl', ['musl-gcc']),
                             ('32-bit', '32-bit', ['gcc', '-m32'])):
        path = compiled(name, *how)
        if path:
            with program(name=path) as t:
                t.wait_for('ready')
                refused(name, words, t.pid)
                t.p.stdin.close()
                same(name + ' goes on', t.finish().code, 0)


def test_a_program_that_is_traced():
    if not shutil.which('strace'):
        skip('strace', 'not here')
        return
    with program('malloc') as t:
        t.wait_for('ready')
        tracer = subprocess.Popen(['strace', '-f', '-o', '/dev/null', '-p', str(t.pid)],
                                  stderr=subprocess.DEVNULL)
        poll(lambda: harness.status_field(t.pid, 'TracerPid') not in ('', '0'))
        refused('traced', 'is being traced by process %d (strace)' % tracer.pid, t.pid)
        tracer.terminate()
        tracer.wait()
        poll(lambda: harness.status_field(t.pid, 'TracerPid') == '0')
        again_and_again(t, 2)
        ends_well(t)


def is_in_constructor(t):
    """Its other thread is in poll()."""
    return any(harness.read('/proc/%d/task/%d/syscall' % (t.pid, tid)).startswith('7 ')
               for tid in harness.tasks(t.pid) if tid != t.pid)


def test_a_loader_that_is_busy():
    """A thread is in a constructor: what waits for its lock is taken back after 2 s."""
    with program('loading', SLOW) as t:
        t.wait_for('ready')
        poll(lambda: is_in_constructor(t), every=0.005)
        status, out, err = tool('--port', t.port, t.pid)
        check('taken back', status == 126 and 'busy with another library' in err, (status, out, err))
        check('the constructor ends', poll(lambda: len(harness.tasks(t.pid)) == 1))
        again_and_again(t, 2)
        ends_well(t)


def test_there_already():
    with program('malloc') as t:
        t.wait_for('ready')
        attach(t)
        status, out, err = tool('--port', t.port, t.pid)
        check('attached twice', status == 0 and 'already' in out, (status, out, err))
        detach(t)
        ends_well(t)
    with Target(PROGRAM, 'malloc') as t:
        t.what = 'a preloaded program'
        t.wait_ready()
        status, out, err = tool(t.pid)
        check('preloaded', status == 0 and 'since it was started' in out and str(t.port) in out,
              (status, out, err))
        refused('detached from a preloaded one', 'stays until it ends', '--detach', t.pid)
        ends_well(t)


def test_other_roots_and_namespaces():
    if not harness.may_mount():
        skip('namespaces', 'forbidden here')
        return
    with program('malloc', prefix=['unshare', '-m', '--mount-proc', '-p', '-f']) as t:
        poll(lambda: children(t.pid), 5)
        t.wait_for('ready')
        inner = children(t.pid)[0]
        status, out, err = tool('--port', t.port, inner)
        check('in a mount and pid namespace', status == 0 and profile(t), (status, out, err))
        status, out, err = tool('--detach', inner)
        check('out of it', status == 0, (status, out, err))
        ends_well(t)
    with program('malloc', prefix=['unshare', '-U', '-r']) as t:
        t.wait_for('ready')
        again_and_again(t, 2, profile)
        ends_well(t)


def children(pid):
    return [int(p) for p in harness.read('/proc/%d/task/%d/children' % (pid, pid)).split()]


def test_a_chroot():
    """The library is not in it: it is handed over without a name; without /proc it cannot be."""
    root = os.path.join(harness.work, 'root')
    program_path = os.path.join(FIXTURES, PROGRAM)
    libraries = subprocess.run(['ldd', program_path], stdout=subprocess.PIPE, text=True).stdout
    for path in [program_path, *re.findall(r'(/\S+)', libraries)]:
        os.makedirs(root + os.path.dirname(path), exist_ok=True)
        shutil.copy(path, root + path)
    with program('malloc', prefix=['chroot', root]) as t:
        t.wait_for('ready')
        status, out, err = tool('--port', t.port, t.pid)
        check('a root without /proc', status == 126 and 'refuses' in err, (status, out, err))
        ends_well(t)
    os.makedirs(root + '/proc', exist_ok=True)
    if subprocess.run(['mount', '-t', 'proc', 'proc', root + '/proc'],
                      stderr=subprocess.DEVNULL).returncode:
        skip('a root with /proc', 'nothing can be mounted here')
        return
    try:
        with program('malloc', prefix=['chroot', root]) as t:
            again_and_again(t, 1, profile)
            ends_well(t)
    finally:
        subprocess.run(['umount', root + '/proc'])


def test_filters():
    """Its own may kill it for what loading needs; one that it was started under is tried first."""
    filtered = harness.fixture('hostile_filtered')
    with program('malloc', prefix=[filtered, '444', 'kill', '-']) as t:
        t.wait_for('ready')
        refused('a filter of its own', 'put itself under a system-call filter', t.pid)
        ends_well(t)
    shell = ['/bin/sh', '-c', '"$@"; exit $?', 'sh']
    for what, call, action, works in (('of no call of ours', '444', 'kill', True),
                                      ('of timers', '222', 'kill', False)):
        with program('malloc', prefix=[filtered, call, action, '-', *shell]) as t:
            t.wait_for('ready')
            t.what = 'a program under a filter ' + what
            pid = children(t.pid)[0]
            status, out, err = tool('--port', t.port, pid)
            check('attach to ' + t.what, status == 0, err)
            c = t.open('profile?seconds=1')
            same('a profile of ' + t.what, c.answer.status == 200, works)
            check('threads of ' + t.what, b'goroutine ' in (t.fetch('goroutine?debug=2') or b''))
            status, out, err = tool('--detach', pid)
            check('detach from ' + t.what, status == 0, err)
            ends_well(t)


def test_who_may():
    """Another user may not; the sentence says who may."""
    if os.geteuid() != 0:
        skip('another user', 'only root can become one')
        return
    with program('malloc') as t:
        t.wait_for('ready')
        refused('a stranger', 'belongs to user 0', t.pid,
                prefix=['setpriv', '--reuid', '65534', '--clear-groups'])
        ends_well(t)
    with program('malloc', prefix=['setpriv', '--reuid', '65534', '--clear-groups']) as t:
        again_and_again(t, 2, profile)
        ends_well(t)


def test_a_program_that_gives_up_its_user():
    """No hook tells our thread, so it goes: it would keep what the program gave up."""
    source = ('import os, sys\nprint("ready", flush=True)\nsys.stdin.read(2)\nos.setuid(65534)\n'
              'print("given", flush=True)\nsys.stdin.read(2)\n')
    with program('-c', source, name=sys.executable, what='python that gives up its user') as t:
        if os.geteuid() != 0:
            skip('giving up a user', 'only root has one to give up')
            return
        t.wait_for('ready')
        attach(t)
        t.say('g\n')
        t.wait_for('given')
        with contextlib.suppress(OSError, harness.http.client.HTTPException):
            same('an answer after that', t.fetch('shim', timeout=5), None)
        check('our thread goes', poll(lambda: len(harness.tasks(t.pid)) == 1))
        t.p.stdin.close()
        same('it goes on', t.finish().code, 0)


if __name__ == '__main__':
    run(test_waits_go_on_as_if_nothing_had_been, test_waits_of_hours_can_be_attached_to_again,
        test_who_waits_with_a_timeout_is_left_alone, test_programs_that_allocate_load_and_fork,
        test_signals_are_not_lost, test_nothing_of_us_is_left,
        test_a_profile_under_way_at_the_end, test_the_key_is_nowhere_to_be_seen,
        test_profiles_say_since_when, test_threads_made_later_are_sampled, test_alternate_stacks,
        test_restartable_sequences, test_profiles_are_as_true_as_of_a_preloaded_program,
        test_top_20_as_of_a_preloaded_run, test_a_tree, test_preloaded_programs_below_complain_again,
        test_where_the_work_may_be_is_told, test_two_tools_at_once,
        test_requests_that_make_no_sense, test_programs_that_cannot_be_attached_to,
        test_other_kinds_of_programs, test_a_program_that_is_traced, test_a_loader_that_is_busy,
        test_there_already, test_other_roots_and_namespaces, test_a_chroot, test_filters, test_who_may,
        test_a_program_that_gives_up_its_user)
