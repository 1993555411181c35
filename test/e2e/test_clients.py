#!/usr/bin/env python3
"""What other people's readers make of our answers: google-pprof, jeprof, go tool pprof, panicparse and
gostackparse, each where the machine has it.  The last two are fetched through Go's proxy and built when
FETCH_CLIENTS=1 is set; what panicparse accepts is checked by its rules in any case.

Seen to fail against: the text of a heap under Go's header (older tools divide by zero), made-up addresses in
texts (<unknown>, __abi_tag), locations without mapping, tracebacks with paths of C++ (panicparse stops)."""
import os
import re
import shutil
import subprocess
import sys

import harness
import pprof_reader
from harness import Target, check, poll, run, same, skip

EVERYTHING = {'PPROF_HEAP_RATE': '1', 'PPROF_BLOCK_RATE': '1', 'PPROF_MUTEX_FRACTION': '1'}
PROGRAM = harness.fixture('shown_everywhere')


def shown(path=PROGRAM):
    return Target(path, env=EVERYTHING)


def is_ready(t):
    return check('the program is ready', t.wait_ready() and t.wait_for('ready'), t.output(1))


def text_of(t, page):
    return t.fetch(page, timeout=60).decode()


def saved(text, name):
    path = os.path.join(harness.work, name)
    with open(path, 'w') as f:
        f.write(text)
    return path


def said(*command, feed=None):
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                       input=feed, env=dict(os.environ, PPROF_TMPDIR=harness.work))
    return r.stdout if r.returncode == 0 else 'FAILED: ' + r.stdout


def old_tools():
    """The Perl programs that gperftools and jemalloc ship."""
    there = [name for name in ('google-pprof', 'jeprof') if shutil.which(name)]
    if not there:
        skip('google-pprof and jeprof', 'neither is installed')
    return there


def row(table, name):
    """The numbers of a row of a table: flat and cumulative."""
    for line in table.splitlines():
        words = line.split()
        if words and words[-1].endswith(name):
            return float(words[0]), float(words[3])
    return None


def test_a_heap_of_which_nothing_is_left():
    with shown() as t:
        if not is_ready(t):
            return
        path = saved(text_of(t, 'heap?debug=1'), 'heap.txt')
        for tool in old_tools():
            table = said(tool, '--text', '--alloc_space', PROGRAM, path)
            same(f'{tool}: what goes, in MB', (row(table, 'goes') or [table])[0], 19.1)
            same(f'{tool}: what stays, in MB', (row(table, 'stays') or [table])[0], 19.1)
        if shutil.which('go'):
            table = said('go', 'tool', 'pprof', '-top', '-sample_index=alloc_space', '-unit=B', PROGRAM, path)
            check('go tool pprof: what goes', re.search(r'^ *20000000B .* goes$', table, re.M), table)


def test_addresses_of_texts_are_code():
    with shown() as t:
        if not is_ready(t):
            return
        for page in 'block', 'mutex', 'threadcreate', 'goroutine':
            text = text_of(t, page + '?debug=1')
            code = [(int(a, 16), int(b, 16))
                    for a, b in re.findall(r'^([0-9a-f]+)-([0-9a-f]+) r-xp ', text, re.M)]
            stacks = re.findall(r'^\d.* @(.*)$', text, re.M)
            check(f'{page}: stacks with addresses', stacks and all(stacks), text[:300])
            wild = [a for s in stacks for a in s.split()
                    if not any(lo <= int(a, 16) - 1 < hi for lo, hi in code)]
            same(f'{page}: addresses of no code', wild, [])
            path = saved(text, page + '.txt')
            if shutil.which('go'):
                top = said('go', 'tool', 'pprof', '-top', path)
                check(f'{page}: nothing unknown to go tool pprof',
                      'Showing nodes' in top and '<unknown>' not in top and 'not available' not in top, top)
            for tool in old_tools()[:1] if page == 'block' else ():
                table = said(tool, '--text', PROGRAM, path)
                check(f'{tool}: the call is named', row(table, 'pthread_mutex_lock'), table)


def test_every_location_has_a_mapping():
    with shown() as t:
        if not is_ready(t):
            return
        for page in 'block', 'mutex', 'threadcreate', 'goroutine', 'heap', 'profile?seconds=1':
            p = pprof_reader.parse(t.fetch(page))
            problems = pprof_reader.check(p, main=PROGRAM)
            same(f'{page}: problems', problems[:5], [])
            same(f'{page}: locations without mapping', [l for l in p.locations if not l.mapping], [])
        calls = [p for p in pprof_reader.parse(t.fetch('block')).mappings if 'libc' in p.file]
        check('a call is in the library that it is of', calls)


def test_counts_of_the_index():
    with shown() as t:
        if not is_ready(t):
            return
        poll(lambda: t.fetch('goroutine?debug=2').count(b'operator') > 0)
        index = re.sub('<[^>]*>', ' ', text_of(t, ''))
        count = {name: int(n) for n, name in re.findall(r'(\d+)\s+(\w+)', index)}
        for page in 'heap', 'allocs', 'block', 'mutex':
            same(f'{page}: as many as in its text', count.get(page),
                 len(re.findall(r'^\d.* @', text_of(t, page + '?debug=1'), re.M)))
        same('threads', (count['goroutine'], count['threadcreate']), (2, 2))


def test_debug_3_is_tracebacks_as_in_go():
    with shown() as t:
        if not is_ready(t):
            return
        for level in 2, 3, 1000000:
            same(f'debug={level}: threads',
                 len(re.findall(r'^goroutine \d+ \[', text_of(t, f'goroutine?debug={level}'), re.M)), 2)


# ---- readers of Go's tracebacks

# Of panicparse: a line that is neither ends its reading.
FUNCTION = re.compile(r'^(?:created by )?(.+?)(?:\((.*)\))?$')
FILE = re.compile(r'^\t(\?\?|<autogenerated>|.+\.(?:c|go|s)):(\d+)(?:| \+0x[0-9a-f]+)$')

GOSTACKPARSE = '''package main

import (
	"fmt"
	"os"

	"github.com/DataDog/gostackparse"
)

func main() {
	threads, errors := gostackparse.Parse(os.Stdin)
	fmt.Println("errors", len(errors), errors)
	for _, t := range threads {
		fmt.Println("thread", t.ID)
		for _, f := range t.Stack {
			fmt.Println(f.Func, "at", f.File, f.Line)
		}
	}
}
'''


def go_program(name, package, source=None):
    """The path of a program that Go's proxy has; None (and a sentence) without."""
    if shutil.which(name):
        return shutil.which(name)
    if not shutil.which('go') or not os.environ.get('FETCH_CLIENTS'):
        return skip(name, 'not installed; with Go, FETCH_CLIENTS=1 fetches it')
    folder = os.path.join(harness.work, name)
    os.makedirs(folder)
    env = dict(os.environ, GOBIN=folder, GOPATH=os.path.join(harness.work, 'go'), GOFLAGS='-modcacherw')
    commands = [['go', 'install', package]]
    if source:
        with open(os.path.join(folder, 'main.go'), 'w') as f:
            f.write(source)
        commands = [['go', 'mod', 'init', name], ['go', 'get', package], ['go', 'build', '-o', name]]
    for command in commands:
        try:
            r = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            return skip(name, 'it could not be built in time')
        if r.returncode:
            return skip(name, 'it could not be built: ' + r.stderr.strip()[-200:])
    return os.path.join(folder, name)


def frames_of(text):
    """Names and files, by reading every line as panicparse does."""
    frames, bad = [], []
    lines = [line for line in text.splitlines() if line and line[0] != '#']
    for i, line in enumerate(lines):
        if line.startswith('\t'):
            bad += [] if FILE.match(line) else [line]
            frames.append((lines[i - 1], line))
        elif '%' in line or '/' in line and '.' not in line.rpartition('/')[2]:
            bad.append(line)
    return frames, bad


def test_tracebacks_are_read_whole():
    with shown() as t:
        if not is_ready(t):
            return
        text = ''

        def has_operators():
            nonlocal text
            text = text_of(t, 'goroutine?debug=2')
            return 'operator' in text
        check('the worker was seen', poll(has_operators), text)
    frames, bad = frames_of(text)
    same('lines that panicparse does not know', bad, [])
    check('lines of C++ are still lines', re.search(r'^\t/.*/shown_everywhere\.cc:\d+ ', text, re.M), text)
    calls = len(frames) - text.count('created by')
    panicparse = go_program('panicparse', 'github.com/maruel/panicparse/v2@v2.5.0')
    if panicparse:
        out = said(panicparse, '-full-path', feed=text)
        read = re.findall(r'^ {4}.*\(\.\.\.\)$', out, re.M)
        same('panicparse: frames', len(read), calls)
        check('panicparse: nothing is left over', not re.search(r'^goroutine ', out, re.M), out)
    gostackparse = go_program('gostackparse', 'github.com/DataDog/gostackparse@v0.7.0', GOSTACKPARSE)
    if gostackparse:
        out = said(gostackparse, feed=text)
        check('gostackparse: no errors', out.startswith('errors 0 '), out)
        same('gostackparse: frames', len(re.findall(r' at \S+ \d+$', out, re.M)), calls)
        check('gostackparse: files end where they do',
              re.search(r'at /\S+/shown_everywhere\.cc \d+$', out, re.M), out)


NAMED = '''
import ctypes, sys, threading, time
libc = ctypes.CDLL(None)
def burn(name, seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    if name:
        libc.prctl(15, name.encode(), 0, 0, 0)
    while name and not stop.is_set():
        pass
stop = threading.Event()
print('ready', flush=True)
sys.stdin.readline()
for name in b'late-name', None:
    threading.Thread(target=burn, args=(name and name.decode(), 0.3)).start()
sys.stdin.readline()
stop.set()
'''


def test_cpu_samples_tell_their_thread():
    """Also one that is named while the profile runs, and one that ends in it."""
    with Target(sys.executable, '-c', NAMED) as t:
        if not is_ready(t):
            return
        c = t.open('profile?seconds=3&hz=500')
        t.say()
        p = pprof_reader.parse(c.answer.read())
        problems = pprof_reader.check(p, main=None)
        same('problems', problems[:5], [])
        by_name, without = {}, []
        for s, labels in zip(p.samples, p.labels):
            label = {l[0]: l[1:] for l in labels}
            if 'tid' in label:
                name = label.get('thread', ('',))[0]
                by_name[name] = by_name.get(name, 0) + s.values[1]
            else:
                without += p.names_of(s) if hasattr(p, 'names_of') else [s]
        check('the thread has its last name', by_name.get('late-name', 0) > 0.5e9, by_name)
        check('one that ended has a name', sum(v for k, v in by_name.items() if k != 'late-name') > 0.1e9, by_name)
        check('all but what is made up has a thread', len(without) <= 2, without[:5])
        plain = pprof_reader.parse(t.fetch('profile?seconds=1&labels=0'))
        same('labels=0', [l for l in plain.labels if l], [])
        t.say()


def test_a_link_has_the_name_that_was_started():
    link = os.path.join(harness.work, 'another-name')
    os.symlink(PROGRAM, link)
    for started in link, os.path.relpath(link):
        with shown(started) as t:
            if not is_ready(t):
                return
            p = pprof_reader.parse(t.fetch('heap'))
            same('the executable, as started', os.path.normpath(p.mappings[0].file), link)
            check('its functions are named', 'stays' in p.flat(), p.flat())
            if shutil.which('go'):
                path = os.path.join(harness.work, 'link.pb.gz')
                with open(path, 'wb') as f:
                    f.write(t.fetch('heap'))
                top = said('go', 'tool', 'pprof', '-top', path)
                check('go tool pprof calls it so', 'File: another-name\n' in top, top[:200])
    with shown() as t:
        if is_ready(t):
            p = pprof_reader.parse(t.fetch('heap'))
            same('without a link', p.mappings[0].file, os.path.realpath(PROGRAM))


run(test_a_heap_of_which_nothing_is_left, test_addresses_of_texts_are_code, test_every_location_has_a_mapping,
    test_counts_of_the_index, test_debug_3_is_tracebacks_as_in_go, test_tracebacks_are_read_whole,
    test_cpu_samples_tell_their_thread, test_a_link_has_the_name_that_was_started)
