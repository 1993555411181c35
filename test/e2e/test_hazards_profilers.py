#!/usr/bin/env python3
"""Programs that use SIGPROF or a profiler themselves: both work (H04, H43).

Each is started before and after the first profile: then the signal is theirs, and
ours is another one; or it is ours, and theirs are passed on.

Seen to fail against:
  all            a handler that drops what is not ours: PHP ran for ever, python counted nothing,
                 gmon.out had no ticks
"""
import glob
import json
import os
import re
import shutil
import subprocess

import harness
from harness import Profiling, Target, check, plain, run, same, skip

PHP = '$go = fgets(STDIN); %s $x = 0; while (true) { $x += sqrt($x + 1); }'

# The kernel counts such a timer's time in whole ticks: not to the percent.
PYTHON = '''
import signal, sys, time
n = 0
def tick(*unused):
    global n
    n += 1
def start():
    signal.signal(signal.SIGPROF, tick)
    signal.setitimer(signal.ITIMER_PROF, 0.01, 0.01)
if sys.argv[1] == 'early':
    start()
sys.stdin.readline()
start()
n, since = 0, time.process_time()
while time.process_time() - since < 2.2:
    pass
signal.setitimer(signal.ITIMER_PROF, 0)  # its end resets the handlers
print(n > 110, n < 440)
'''

GPROF = '''
#include <stdio.h>
#include <time.h>
static double used(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}
volatile unsigned x;
__attribute__((noinline)) void two_thirds(void)
{
	for (unsigned i = 0; i < 2000000; i++)
		x = x * 3 + 1;
}
__attribute__((noinline)) void one_third(void)
{
	for (unsigned i = 0; i < 1000000; i++)
		x = x * 3 + 1;
}
int main(void)
{
	getchar();
	for (double start = used(); used() - start < 1.5;) {
		two_thirds();
		one_third();
	}
	puts("done");
	return 0;
}
'''


def with_profiles(program, *args, first, **options):
    """The program with profiles from before it goes on until its end, and those."""
    with Target(program, *args, **options) as t:
        t.wait_ready()
        if first:  # the signal is ours before the program asks for it
            t.fetch('profile?seconds=1&hz=1000')
        with Profiling(t) as p:
            with t.open('profile?seconds=60&hz=1000').answer:
                t.say('go\n')
                result = t.finish()
        return result, p


def is_profiled(what, p):
    """Each uses two seconds or more, one of them while one of these was taken."""
    used = sum(profile.total('cpu') for profile in p.load())
    check(what + ': it is profiled', used > 0.2e9, used)


def both_ways(what, program, *args, **options):
    expected = plain(program, *args, **options).seen()
    for first in False, True:
        got, p = with_profiles(program, *args, first=first, **options)
        same('%s%s' % (what, ', our signal' if first else ''), got.seen(), expected)
        is_profiled(what, p)
    return expected


def test_php_time_limit_by_sigprof():
    php = shutil.which('php')
    if not php:
        return skip('php', 'not installed')
    seen = both_ways('php', php, '-n', '-d', 'display_errors=stderr', '-r',
                     PHP % 'set_time_limit(2);')
    check('php: the time is exceeded', 'Maximum execution time of 2 seconds' in seen[2], seen)


def test_python_interval_timer_keeps_its_signal():
    for mode, first in (('early', False), ('late', True)):
        got, p = with_profiles(shutil.which('python3'), '-c', PYTHON, mode, first=first)
        same('python counts its ticks, ' + mode, got.seen(), ('status 0', 'True True\n', ''))
        is_profiled('python', p)


def gprof_seconds(folder, program):
    """function -> seconds, as gprof reads gmon.out."""
    out = subprocess.run(['gprof', '-b', '-p', program, folder + '/gmon.out'],
                         stdout=subprocess.PIPE, text=True).stdout
    rows = re.findall(r'^ *[\d.]+ +[\d.]+ +([\d.]+) .*?(\w+)$', out, re.M)
    return {name: float(s) for s, name in rows}


def test_gprof_counts_as_without_us():
    folder = os.path.join(harness.work, 'gprof')
    os.mkdir(folder)
    source, program = folder + '/counted.c', folder + '/counted'
    with open(source, 'w') as f:
        f.write(GPROF)
    if subprocess.run(['gcc', '-pg', '-O1', '-fno-pie', '-no-pie', '-o', program, source],
                      stderr=subprocess.DEVNULL).returncode:
        return skip('-pg', 'cannot be built here')
    for preload in '', None:
        with Target(program, preload=preload, cwd=folder) as t:
            if preload is None:
                t.wait_ready()
                with Profiling(t), t.open('profile?seconds=60&hz=1000').answer:
                    t.say()
                    result = t.finish()
            else:
                t.say()
                result = t.finish()
        what = 'gmon.out' + ('' if preload == '' else ' under the shim')
        same(what + ': the program', result.seen(), ('status 0', 'done\n', ''))
        found = gprof_seconds(folder, program)
        two, one = found.get('two_thirds', 0), found.get('one_third', 0)
        # 150 ticks of 10 ms, counted by the kernel's ticks; the share of one function is off by a fifth once in 10^7
        check(what + ': seconds', 1 < two + one < 2.5, found)
        check(what + ': shares', 0.47 < two / max(two + one, 0.01) < 0.87, found)
        os.remove(folder + '/gmon.out')


def test_node_cpu_prof_beside_us():
    node = shutil.which('node')
    if not node:
        return skip('node --cpu-prof', 'not installed')
    script = ('function spin() { let x = 0; while (process.cpuUsage().user < 2.4e6)'
              ' for (let i = 0; i < 1e5; i++) x += Math.sqrt(x + 1); }'
              'process.stdin.once("data", () => { spin(); process.exit(7); });')
    folder = os.path.join(harness.work, 'node')
    for first in False, True:
        got, p = with_profiles(node, '--cpu-prof', '--cpu-prof-dir=' + folder, '-e', script,
                               first=first)
        same('node --cpu-prof: status', got.seen(), ('status 7', '', ''))
        is_profiled('node', p)
        written = glob.glob(folder + '/*.cpuprofile')
        if check('node: its own profile', len(written) == 1, written):
            with open(written[0]) as f:
                check('node: samples of its own', len(json.load(f)['samples']) > 100)
            os.remove(written[0])


if __name__ == '__main__':
    run(test_php_time_limit_by_sigprof, test_python_interval_timer_keeps_its_signal,
        test_gprof_counts_as_without_us, test_node_cpu_prof_beside_us)
