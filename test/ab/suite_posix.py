"""The Open POSIX Test Suite of the Linux Test Project: some 1,500 programs that each hold libc
to a sentence of the standard.  A tree of it is named by LTP_SRC where the distribution has none."""
import glob
import os

import ab
import programs

NAME = 'posix'
FLAGS = ['-std=gnu99', '-D_POSIX_C_SOURCE=200809L', '-D_XOPEN_SOURCE=700', '-D_GNU_SOURCE', '-pthread', '-lrt', '-lm']
# Change the clock of the machine, or wait for minutes by themselves.
LEFT_OUT = ('clock_settime', 'speculative')


def run(side, only):
    tree = os.environ.get('LTP_SRC') or ab.source_of('ltp')
    top = os.path.join(tree, 'testcases/open_posix_testsuite')
    if not os.path.isdir(top):
        raise ab.Skip('%s has no testcases/open_posix_testsuite' % tree)
    interfaces = os.path.join(top, 'conformance/interfaces')
    sources = glob.glob(interfaces + '/**/[0-9]*-[0-9]*.c', recursive=True)
    wanted = {os.path.relpath(s, interfaces)[:-2]: [s] + glob.glob(top + '/lib/*.c')
              for s in sources if not any(word in s for word in LEFT_OUT)}
    built = programs.build(wanted, os.path.join(ab.kept('posix'), 'programs'),
                           ['-I' + top + '/include', *FLAGS])
    return programs.run(side, built, only)
