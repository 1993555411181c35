"""libuv's own tests, one by one by its own runner: loops, polls, processes, signals, pipes, threads.

The runner starts a program for the test and one for each server that it needs.  The runner is left
alone; what it starts is under us."""
import os
import shutil
import subprocess

import ab

NAME = 'libuv'
# Has the runner execute what AB_PROGRAM names.  What that starts in turn is not asked.
REDIRECT = r'''#include <stdlib.h>
#include <unistd.h>
int __real_execve(const char *file, char *const argv[], char *const envp[]);
int __wrap_execve(const char *file, char *const argv[], char *const envp[])
{
	const char *program = getenv("AB_PROGRAM");

	if (!program)
		return __real_execve(file, argv, envp);
	unsetenv("AB_PROGRAM");
	return execv(program, argv);
}
'''
LIMIT = 120  # seconds; the runner's own limit for a test is below that


def build(out):
    """The runner, which has all tests in it."""
    runner = out + '/test/run-tests'
    if os.path.exists(runner):
        return runner
    shutil.copytree(ab.source_of('libuv1'), out, symlinks=True, dirs_exist_ok=True)
    with open(out + '/redirect.c', 'w') as f:
        f.write(REDIRECT)
    ab.must(['gcc', '-c', '-o', out + '/redirect.o', out + '/redirect.c'])
    ab.must(['sh', '-c', 'cd "$0" && ./autogen.sh && ./configure --disable-shared', out])
    ab.must(['make', '-C', out, '-j2', 'test/run-tests',
             'LDFLAGS=-Wl,--wrap=execve ' + out + '/redirect.o'])
    return runner


def run_one(runner, side, program, name):
    environment = {**ab.environment(), 'AB_PROGRAM': program, 'UV_RUN_AS_ROOT': '1',
                   'UV_TEST_TIMEOUT_MULTIPLIER': '4', 'RES_OPTIONS': 'attempts:0'}
    try:
        p = subprocess.run([runner, name], cwd=os.path.dirname(runner) + '/..', env=environment,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True, errors='replace', timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return 'hung'
    lines = [line for line in p.stdout.splitlines() if line.startswith(('ok ', 'not ok '))]
    return 'skipped' if lines and '# SKIP' in lines[0] else 'status %d' % p.returncode


def run(side, only):
    runner = build(ab.kept('libuv'))
    listed = subprocess.run([runner, '--list'], env={**os.environ, 'UV_RUN_AS_ROOT': '1'},
                            stdout=subprocess.PIPE, text=True, check=True).stdout.split('\n')
    program = side.wrap(runner, os.path.join(side.work, 'run-tests'))
    return {name: run_one(runner, side, program, name)
            for name in sorted({line.split()[0] for line in listed if line.strip()})
            if only is None or name in only}
