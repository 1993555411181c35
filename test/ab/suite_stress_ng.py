"""stress-ng --verify: its processor, scheduler, memory, signal and process stressors."""
import re
import shutil
import subprocess

import ab

NAME = 'stress-ng'
CLASSES = ['cpu', 'scheduler', 'memory']
SIGNALS_AND_PROCESSES = '''clone context cyclic daemon exec exit-group fork fork kill mq null pidfd
pthread set sigabrt sigchld sigfd sigfpe sigio sigloop signal signest sigpending sigpipe sigq
sigrt sigsegv sigsuspend sigtrap sigxcpu sigxfsz spawn switch timer timerfd vfork vforkmany wait
zombie alarm itimer nanosleep poll sleep session sem sem-sysv futex mutex'''.split()
# These want the whole machine's memory or disk, change its settings, or take minutes.
NOT_OURS = '''bad-altstack bigheap brk full idle-page malloc memhotplug mlockmany numa oom-pipe
physpage resources shm stackmmap swap vm-addr watchdog cpu-online sysinval
rmap memrate mcontend ioport smi uprobe loadavg mmapfork forkheavy zlib module netlink-proc memthrash softlockup'''.split()
SECONDS = '1'


def stressors():
    names = set(SIGNALS_AND_PROCESSES)
    for c in CLASSES:
        p = subprocess.run(['stress-ng', '--class', c + '?'], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
        names |= set(p.stdout.split(':')[-1].split())
    p = subprocess.run(['stress-ng', '--stressors'], stdout=subprocess.PIPE, text=True)
    return sorted((names & set(p.stdout.split())) - set(NOT_OURS))


def one(side, work, name):
    program = side.wrap(shutil.which('stress-ng'), work + '/stress-ng')
    command = [program, '--' + name, '1', '--timeout', SECONDS, '--verify', '--metrics',
               '--no-rand-seed', '--oomable', '--temp-path', work]
    if name in ('vm', 'mmap', 'vm-rw', 'vm-splice', 'mremap'):
        command += ['--%s-bytes' % name, '32M']
    try:
        p = subprocess.run(command, cwd=work, env=ab.environment(), stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           errors='replace', timeout=60)
    except subprocess.TimeoutExpired:
        return 'hung'
    complaints = sorted({re.sub(r'\d+', 'N', line.split('] ', 1)[-1]) for line in
                         p.stdout.splitlines() if ' fail: ' in line or 'error: ' in line})
    return 'status %d%s' % (p.returncode, ''.join('; ' + c for c in complaints))


def run(side, only):
    if not shutil.which('stress-ng'):
        raise ab.Skip('stress-ng is not installed')
    work = side.directory('stress-ng')
    return {name: one(side, work, name) for name in only or stressors()}
