#!/usr/bin/env python3
"""Short of something, or watched by somebody: the program does what it does without us (H25, H34, H57, H64, H65, H67, H68, H85).

Each case is run plainly, and under the shim with a profile running; status and
output must be the same.

Seen to fail against:
  mlockall       mappings that stay locked (ours of the first day): 14 MiB more resident in a profile;
                 .bss locked with the rest: 6 MiB more, and a user with 8 MiB was refused
  huge_pages     a .bss without advice
  dormant        no look for valgrind: its log and its descriptors were closed under it; none
                 for sanitizers: a thread that they did not know
  no_time        timers whatever RLIMIT_RTTIME is (ours): SIGKILL
  queued         a timer for every thread: the program's own timer_create failed
"""
import os
import re
import resource
import shutil
import subprocess

import harness
from harness import SHIM, Profiling, Target, check, poll, run, same, skip

LIMITS = 'hostile_limits'
ROOT_ONLY = 'not root'


def limit(what, value):
    return lambda: resource.setrlimit(what, (value, value))


def run_profiled(t):
    """What it did, with a profile running if one can be had."""
    if not t.wait_ready(1):  # not to be reached from here, or dormant
        t.say()
        t.say()
        return t.finish()
    with Profiling(t) as p:
        t.say()
        t.wait_for('done')
        poll(lambda: p.blobs or p.refused, 3)
        t.say()
        return t.finish()


def alike(what, *args, **options):
    with Target(LIMITS, *args, preload='', **options) as t:
        t.say()
        t.say()
        expected = t.finish()
    with Target(LIMITS, *args, **options) as t:
        got = run_profiled(t)
    check(what + ': as without us', (got.code, got.out) == (expected.code, expected.out),
          'got %r, expected %r' % (got, expected))


def test_little_address_space_and_no_locked_memory():
    alike('40 MiB of address space', 'memory', preexec=limit(resource.RLIMIT_AS, 40 << 20))
    alike('no locked memory', 'locked', preexec=limit(resource.RLIMIT_MEMLOCK, 0))


def memory_of(t):
    return int(harness.status_field(t.pid, 'VmRSS').split()[0]) / 1024


def locked_memory(preload):
    with Target(LIMITS, 'locked', preload=preload) as t:
        if preload:
            t.wait_ready()
        t.say()
        t.wait_for('done')
        idle = memory_of(t)
        if preload:
            c = t.open('profile?seconds=1&hz=1000')
            busy = memory_of(t)
            c.answer.read()
            poll(lambda: memory_of(t) < idle + 4, 10)
            return idle, busy, memory_of(t)
        return idle, idle, idle


def test_mlockall_locks_little_of_ours():
    if os.geteuid() != 0:
        return skip('mlockall', ROOT_ONLY)
    plain_idle = locked_memory('')[0]
    idle, busy, after = locked_memory(SHIM)
    # the library's code is locked with the rest, and of its data what is touched
    check('resident under mlockall, idle', idle - plain_idle < 2, (idle, plain_idle))
    check('resident under mlockall, in a profile', busy - idle < 8, (busy, idle))
    check('resident under mlockall, afterwards', after - idle < 4, (after, idle))


def test_locked_by_a_user():
    """Ours must neither be what is too much, nor take from what may still be locked."""
    if os.geteuid() != 0:
        return skip('mlockall by a user', ROOT_ONLY)
    user = ['setpriv', '--reuid=64126', '--clear-groups', 'prlimit', '--memlock=%d' % (8 << 20)]
    for mode in 'locked', 'locked-on-fault', 'locked-now':
        with Target(LIMITS, mode, preload='', prefix=user) as t:
            t.say()
            t.say()
            expected = t.finish()
        if 'mlockall' not in expected.out:
            return skip('mlockall by a user', "the program is out of a user's reach")
        with Target(LIMITS, mode, prefix=user) as t:
            t.wait_ready()
            poll(lambda: harness.is_at_rest(t.pid))
            t.say()
            t.say()
            got = t.finish()
        told = [re.sub(r'blocks: .*', '', r.out) for r in (expected, got)]
        blocks = [int(re.search(r'blocks: (\d+)', r.out).group(1)) for r in (expected, got)]
        same(mode + ' by a user: as without us', told[1], told[0])
        # of 100 kB each; the loader's notes on our file may be the last straw
        check(mode + ' by a user: as much memory', abs(blocks[0] - blocks[1]) <= 1, blocks)


def flags_of_bss(pid):
    """Of the area that follows the library's own in smaps."""
    with open('/proc/%d/smaps' % pid) as f:
        areas = re.split(r'^(?=[0-9a-f]+-[0-9a-f]+ )', f.read(), flags=re.M)
    ours = [i for i, area in enumerate(areas) if 'libpprofshim.so' in area]
    return re.search('VmFlags: (.*)', areas[ours[-1] + 1]).group(1).split()


def test_huge_pages():
    """With transparent huge pages always on, one of 2 MiB would lie in the filter (H29)."""
    with Target(LIMITS, 'memory') as t:
        t.wait_ready()
        flags = flags_of_bss(t.pid)
        check('no huge page in .bss, and none of it in a core', {'nh', 'dd'} <= set(flags), flags)
        t.say()
        t.say()
        t.finish()


def test_few_queued_signals_are_left_to_the_program():
    # the limit counts all processes of a user, so that this is one of its own
    if os.geteuid() != 0:
        return skip('signal queue', ROOT_ONLY)
    # ours takes a quarter at most; here the program needs 8
    for value in 12, 16:
        alike('%d queued signals' % value, 'queue',
              prefix=['setpriv', '--reuid=64124', '--clear-groups', 'prlimit',
                      '--sigpending=%d' % value])


def test_one_process_more_than_the_program_needs():
    """The program's need is met to the last thread, and ours is one more."""
    if os.geteuid() != 0:
        return skip('limits on processes', ROOT_ONLY)
    user = ['setpriv', '--reuid=64125', '--clear-groups', 'prlimit']
    for n in 5, 6:
        alike('%d processes' % n, 'threads', 3, prefix=user + ['--nproc=%d' % n])
    group = '/sys/fs/cgroup/pids/pprofshim-test-%d' % os.getpid()
    try:
        os.mkdir(group)
    except OSError as e:
        return skip('pids.max', e)
    try:
        for n in 1, 5:
            with open(group + '/pids.max', 'w') as f:
                f.write(str(n))
            enter = ['sh', '-c', 'echo $$ >%s/cgroup.procs && exec "$@"' % group, 'sh']
            alike('pids.max %d' % n, 'threads', 3, prefix=enter)
    finally:
        poll(lambda: not harness.read(group + '/cgroup.procs'), 5)
        os.rmdir(group)


def test_few_descriptors():
    for n in 3, 5:
        alike('%d descriptors' % n, 'memory', preexec=limit(resource.RLIMIT_NOFILE, n))


def test_namespaces_chroot_and_no_loopback():
    if os.geteuid() != 0:
        return skip('no loopback, chroot', ROOT_ONLY)
    alike('no loopback', 'burn', 300, prefix=['unshare', '-n'])
    alike('a pid namespace', 'burn', 300, prefix=['unshare', '-fp', '--mount-proc'])
    alike('a user namespace', 'burn', 300, prefix=['unshare', '-Ur'])


def test_real_time():
    if os.geteuid() != 0:
        return skip('real time', ROOT_ONLY)
    alike('real time', 'fifo')
    with Target(LIMITS, 'burn', prefix=['chrt', '-f', '10']) as t:
        t.wait_ready()
        other = [tid for tid in harness.tasks(t.pid) if tid != t.pid]
        same('policies', [os.sched_getscheduler(tid) for tid in [t.pid] + other],
             [os.SCHED_FIFO, os.SCHED_OTHER])
        t.say()
        t.say()
        t.finish()


# ---- watched

def test_no_time_at_real_time_priorities():
    """For this limit the kernel ends any thread that has a timer."""
    with Target(LIMITS, 'burn', 300, prefix=['prlimit', '--rttime=0']) as t:
        if not check('answers', t.wait_ready()):
            return
        status = t.open('profile?seconds=1').answer
        same('a profile is refused', (status.status, b'RLIMIT_RTTIME' in status.read()), (500, True))
        check('threads are shown', 'goroutine' in t.fetch('goroutine?debug=2').decode())
        t.say()
        t.say()
        same('it ends as without us', t.finish().code, 11)


def test_gdb_and_strace_beside_us():
    expected = ('status 11', 'done\n', '')
    with Target(LIMITS, 'burn', 1000) as t:
        t.wait_ready()
        with Profiling(t) as p:
            t.say()
            for _ in range(2):
                out = subprocess.run(['gdb', '-nx', '-batch', '-p', str(t.pid), '-ex', 'bt 1',
                                      '-ex', 'detach'], stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, text=True, timeout=60).stdout
                check('gdb attaches', 'detached' in out, out[-300:])
            t.wait_for('done')
            t.say()
            same('with gdb attached during profiles', t.finish().seen(), expected)
        check('profiles were taken', p.blobs)
    with Target(LIMITS, 'burn', 500, prefix=['strace', '-f', '-qq', '-o', '/dev/null']) as t:
        same('under strace', run_profiled(t).seen(), expected)


def compiled(compiler, *flags):
    out = os.path.join(harness.work, 'limits-' + re.sub(r'\W', '', ''.join(flags)))
    source = os.path.join(harness.ROOT, 'test/fixtures/hostile_limits.c')
    failed = subprocess.run([compiler, '-I' + harness.ROOT, '-g', '-O1', '-pthread', *flags, '-o',
                             out, source], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL).returncode
    return None if failed else out


def dormant(what, program, why, *args, **options):
    with Target(program, *args, preload='', **options) as t:
        t.say()
        t.say()
        expected = t.finish().seen()
    with Target(program, *args, **options) as t:
        t.say()
        t.say()
        got = t.finish()
    said = 'pprofshim: %s; profiling is off, the program runs as usual\n' % why
    same(what + ': as without us', (got.seen()[0], got.out, got.err.replace(said, '')), expected)
    same(what + ': the reason is told', got.err.count(said), 1)


def test_dormant_under_sanitizers_and_valgrind():
    why = 'the program is built with a sanitizer'
    for compiler, flags in (('clang', '-fsanitize=address'), ('gcc', '-fsanitize=thread')):
        program = shutil.which(compiler) and compiled(compiler, flags)
        if program:
            dormant(compiler + ' ' + flags, program, why, 'threads', 4)
        else:
            skip(compiler + ' ' + flags, 'cannot be built here')
    if shutil.which('valgrind'):
        dormant('valgrind', LIMITS, 'the program runs under valgrind', 'threads', 4,
                prefix=['valgrind', '-q', '--error-exitcode=9', '--trace-children=yes'],
                limit=120)
    else:
        skip('valgrind', 'not installed')


if __name__ == '__main__':
    run(test_little_address_space_and_no_locked_memory, test_mlockall_locks_little_of_ours,
        test_locked_by_a_user, test_huge_pages, test_few_queued_signals_are_left_to_the_program,
        test_one_process_more_than_the_program_needs, test_few_descriptors,
        test_namespaces_chroot_and_no_loopback, test_real_time, test_no_time_at_real_time_priorities, test_gdb_and_strace_beside_us,
        test_dormant_under_sanitizers_and_valgrind)
