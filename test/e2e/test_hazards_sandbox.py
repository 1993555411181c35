#!/usr/bin/env python3
"""System-call filters, the program's own and one that it is started under (H25, H36, H93).

Seen to fail against:
  filters        hooks that do nothing: SIGSYS; no look at what the filter says to
                 rt_sigreturn (ours): SIGSYS at the next tick; a listener that stays when the
                 main thread enters the strict mode (ours): the process never ended
  unseen         stacks of newborn threads that the kernel copies (ours): SIGSYS
  allocations    tables that grow in the filtered thread (ours): SIGSYS
  one call       hooks that ask for their ids (ours): SIGSYS for getpid and gettid
  harmless       a listener that stays outside of the filter (ours): Seccomp differs between threads
  main thread    a listener that does not look after it (ours): the process never ended
  questions      a question that is taken for the strict mode (ours): the answer broke off
  invalid        a filter that is taken as installed before it is (no variant was tried)
  started under  no probe, or one that comes too late (ours): SIGSYS for getpid, gettid, madvise,
                 clock_gettime; one that leaves core files, and that waits for ever where
                 exit_group is refused (ours)
  own calls      a list without getpid
  refused later  a server that asks again for ever (ours): no sentence; one that waits by ppoll
                 where ppoll is refused (ours): our thread used a whole processor
"""
import concurrent.futures
import contextlib
import errno
import glob
import os
import re
import resource
import signal
import socket
import subprocess
import time

import harness
from harness import KEY, ROOT, SHIM, Target, check, plain, poll, run, same
from test_hazards_privileges import confinement

SANDBOX = 'hostile_sandbox'
SENTENCE = 'pprofshim: a system-call filter of the program may refuse '


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def numbers():
    """The system calls of calls.c by name, as this machine numbers them."""
    names = re.findall(r'CALL\((\w+),', harness.read(os.path.join(ROOT, 'shim/life/calls.c')))
    source = '#include <sys/syscall.h>\n' + ''.join('%s SYS_%s\n' % (n, n) for n in names)
    out = subprocess.run(['gcc', '-E', '-P', '-'], input=source, stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    return {name: int(number) for name, number in re.findall(r'^(\w+) (\d+)$', out, re.M)}


def judge(what, args, concerns_us, limit=20):
    """As without us, while a profile runs; with a sentence when the endpoint is given up."""
    expected = plain(*args, preexec=no_core)
    with Target(*args, preexec=no_core) as t:
        t.wait_ready()
        c = t.open('profile?seconds=30&hz=1000')
        t.say()
        got = t.finish(limit)
        c.close()
    same(what, got.seen()[:2], expected.seen()[:2])
    check(what + ': ends well without us', expected.code == 0, expected)
    check(what + ': what is said', got.err.startswith(SENTENCE) if concerns_us else not got.err,
          got.err)


def test_filters_that_kill():
    """A filter that the target installs while a profile runs knows nothing of our calls."""
    for how in 'prctl', 'call', 'tsync', 'worker', 'strict':
        for more in ['sigreturn'], []:
            what = 'filter by %s%s' % (how, '' if more else ', rt_sigreturn not in its list')
            judge(what, (SANDBOX, how, 300, *more), how != 'worker')


def test_an_unseen_filter_of_a_newborn_thread():
    """No hook sees it: ticks make no call that a usual list lacks."""
    for _ in range(3):
        judge('unseen filter of a newborn thread', (SANDBOX, 'unseen', 100, 'sigreturn'), False)


def test_what_is_executed_under_a_filter_inherits_nothing():
    """Where handlers cannot return, ticks end; their signal is not ignored by who comes next."""
    args = SANDBOX, 'exec', 300, 15  # rt_sigreturn
    expected = plain(*args, preexec=no_core)
    with Target(*args, env={'PPROF_ONLY': 'hostile_sandbox'}, preexec=no_core) as t:
        t.wait_ready()
        c = t.open('profile?seconds=30&hz=1000')
        t.say()
        same('signals that are ignored', t.finish(20).seen()[:2], expected.seen()[:2])
        c.close()


def test_allocations_under_a_filter():
    for rate in '1', '65536':
        args = SANDBOX, 'alloc', 100, 'sigreturn'
        with Target(*args, preexec=no_core, env={'PPROF_HEAP_RATE': rate}) as t:
            t.wait_ready()
            t.say()
            got = t.finish(20)
        same('allocations under a filter, rate ' + rate, got.seen()[:2], ('status 0', 'done\n'))


def judge_one_call(name_and_number):
    name, number = name_and_number
    args = SANDBOX, 'every', 1, number
    expected = plain(*args, preexec=no_core)
    if expected.code != 0:
        return  # libc makes it, too
    with Target(*args, preexec=no_core, env={'PPROF_HEAP_RATE': '1'}) as t:
        t.wait_ready()
        t.say()
        got = t.finish(20)
    same('a filter that kills for ' + name, got.seen()[:2], expected.seen()[:2])


def test_one_call_kills():
    """A filter that kills for a call that only we would make, while the program does all it can."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(judge_one_call, numbers().items()))


def test_harmless_filter():
    """One that allows all we do changes nothing, and our thread is under it, too."""
    with Target(SANDBOX, 'every-and-wait', 1, 165) as t:  # mount
        t.wait_ready()
        t.say()
        t.wait_for('errors')
        check('harmless filter: answers', poll(t.answers, 10))
        same('harmless filter: every thread is under it', len(set(confinement(t.pid).values())), 1)
        same('harmless filter: a filter is there', harness.status_field(t.pid, 'Seccomp'), '2')
        check('harmless filter: a CPU profile', t.fetch('profile?seconds=1') is not None)
        t.say()
        same('harmless filter: its end', t.finish().seen(), ('status 0', 'errors: 0\ndone\n', ''))


def test_a_filter_kills_the_main_thread():
    """And only that: the process ends with its last thread, as it would without ours."""
    for how in 'dies', 'dies-beside':
        args = SANDBOX, how, 300, 165  # mount
        expected = plain(*args, preexec=no_core)
        with Target(*args, preexec=no_core) as t:
            t.wait_ready()
            t.say()
            same('a filter kills a thread: ' + how, t.finish(20).seen(), expected.seen())
        check('a filter kills a thread: %s ends so without us' % how,
              expected.code == (0 if how == 'dies-beside' else -signal.SIGSYS), expected)


def test_questions_about_filters():
    """What asks the kernel for its filters ends no profile."""
    with Target(SANDBOX, 'asks', 1) as t:
        t.wait_ready()
        c = t.open('profile?seconds=1')
        t.say()
        t.wait_for('asked')
        check('questions: the profile comes', len(c.answer.read()) > 0)
        t.say()
        same('questions: the end', t.finish().seen(), ('status 0', 'asked: 4\ndone\n', ''))


def test_invalid_filter():
    """One that the kernel does not take leaves the endpoint where it was."""
    with Target(SANDBOX, 'refused', 1) as t:
        t.wait_ready()
        t.say()
        t.wait_for('filter')
        check('invalid filter: answers', poll(t.answers, 10))
        t.say()
        same('invalid filter: its end', t.finish().seen()[:2], ('status 0', 'filter: -1\ndone\n'))


def start_under(number, action, preload, cwd):
    env = {k: v for k, v in os.environ.items() if k not in ('LD_PRELOAD', 'ADMIN_KEY')}
    env.update(ADMIN_KEY=KEY, PPROF_PORT=str(harness.free_port()))
    command = [harness.fixture('hostile_filtered'), str(number), action, preload or '-', '/bin/true']
    began = time.monotonic()
    p = subprocess.run(command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True, timeout=60)
    return p.returncode, p.stderr, time.monotonic() - began


def test_started_under_a_filter():
    """/bin/true, which makes few calls: each of ours is tried in a child before it is made."""
    cwd = os.path.join(harness.work, 'cores')
    os.mkdir(cwd)
    for name, number in numbers().items():
        for action in 'kill', 'errno':
            what = 'started under a filter, %s of %s' % (action, name)
            code, _, _ = start_under(number, action, '', cwd)
            if code != 0 or (name, action) == ('clone', 'kill'):
                continue  # told in README's Limits: nothing can try clone before it is made
            code, err, took = start_under(number, action, SHIM, cwd)
            same(what, code, 0)
            check(what + ': what is said', len(err.splitlines()) <= 1, err)
            check(what + ': no hang', took < 30, took)
    same('core files of the probe', glob.glob(cwd + '/core*'), [])


def our_thread(pid):
    """(its CPU time in seconds, how often it slept) until now, None when there is none."""
    for task in glob.glob('/proc/%d/task/*' % pid):
        with contextlib.suppress(OSError):
            if harness.read(task + '/comm').startswith('pprofshim'):
                slept = re.search(r'\nvoluntary_ctxt_switches:\s*(\d+)', harness.read(task + '/status'))
                return int(harness.read(task + '/schedstat').split()[0]) / 1e9, int(slept.group(1))
    return None


def knock(port):
    """A request; nobody may answer."""
    with contextlib.suppress(OSError):
        with socket.create_connection(('127.0.0.1', port), timeout=1.5) as s:
            s.sendall(b'GET /debug/pprof/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
            s.recv(1)


def judge_refused_later(name, error, for_good):
    what = '%s refused later, %s' % (name, errno.errorcode[error])
    with Target('hostile_refusal', numbers()[name], error) as t:
        t.wait_ready()
        t.say()
        t.wait_for('refused')
        began, used = time.monotonic(), our_thread(t.pid)
        sentence = 'pprofshim: our thread ended, because the kernel refuses it %s;' % name
        while time.monotonic() - began < (15 if for_good else 2.5):
            knock(t.port)
            time.sleep(0.05)  # refused at once, and every request is work
            if t.output(1):
                break
        now = our_thread(t.pid)
        if for_good:
            check(what + ': our thread is gone', now is None, now)
        elif now is not None:
            check(what + ': no spinning', now[0] - used[0] < 0.1 and now[1] - used[1] < 100, (used, now))
        t.say()
        got = t.finish(20)
    same(what, got.seen()[:2], ('status 0', 'refused\ndone\n'))
    check(what + ': what is said', got.err.startswith(sentence) and got.err.count('\n') == 1
          if for_good else not got.err, got.err)


def test_refused_later():
    """By a filter that no hook saw.  What is refused as such ends our thread; what is lacking is waited for."""
    cases = [(name, error, error in (errno.ENOSYS, errno.EPERM, errno.EACCES))
             for name in ('accept4', 'ppoll', 'recvfrom', 'sendmsg')
             for error in (errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EMFILE, errno.ENOMEM, errno.EIO)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda case: judge_refused_later(*case), cases))


def test_own_calls_are_listed():
    """calls.c names every system call of the sources."""
    listed, made = set(numbers()), set()
    for folder in 'sampler', 'shim', 'http', 'proto':
        for path in glob.glob(os.path.join(ROOT, folder, '**', '*.[ch]'), recursive=True):
            if path.endswith('/waits.c'):
                continue  # what the program asked for
            text = harness.read(path)
            made.update(re.findall(r'sys_call\d\(\s*SYS_(\w+)', text))
    check('calls were found', len(made) > 40, len(made))
    same('system calls that calls.c does not list', sorted(made - listed), [])


if __name__ == '__main__':
    run(test_filters_that_kill, test_an_unseen_filter_of_a_newborn_thread,
        test_what_is_executed_under_a_filter_inherits_nothing,
        test_allocations_under_a_filter, test_one_call_kills, test_harmless_filter,
        test_a_filter_kills_the_main_thread, test_questions_about_filters, test_invalid_filter,
        test_started_under_a_filter, test_refused_later, test_own_calls_are_listed)
