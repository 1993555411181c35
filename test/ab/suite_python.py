"""Python's own tests of threads, signals and processes."""
import os
import subprocess
import xml.etree.ElementTree as ET

import ab

NAME = 'python'
PYTHON = '/usr/bin/python3'
MODULES = ['test_threading', 'test_signal', 'test_subprocess', 'test_fork1', 'test_faulthandler',
           'test_popen', 'test_wait4', 'test_thread', 'test_posix', 'test_pty', 'test_mmap',
           'test_threadsignals', 'test_eintr', 'test_cprofile', 'test_asyncio',
           'test_multiprocessing_fork']


def outcomes(report):
    for case in ET.parse(report).iter('testcase'):
        bad = [child.tag for child in case if child.tag in ('error', 'failure', 'skipped')]
        yield case.get('name'), bad[0] if bad else case.get('result', 'ok')


def run(side, only):
    probe = subprocess.run([PYTHON, '-c', 'import test.test_threading'], stderr=subprocess.DEVNULL)
    if probe.returncode != 0:
        raise ab.Skip('%s has no test suite (Debian: libpython3.N-testsuite)' % PYTHON)
    work = side.directory('python')
    python = side.wrap(PYTHON, work + '/python')
    report = work + '/report.xml'
    modules = sorted({m for m in MODULES if any(m in t for t in only)}) if only else MODULES
    more = [x for t in only for x in ('-m', t)] if only else []
    p = subprocess.run([python, '-m', 'test', '--timeout=900', '--junit-xml', report] + more +
                       modules, cwd=work, env=ab.environment(), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       errors='replace', timeout=3600)
    found = dict(outcomes(report)) if os.path.exists(report) else {}
    if only is None:
        found['exit status'] = 'status %d' % p.returncode
    return found
