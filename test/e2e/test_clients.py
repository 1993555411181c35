#!/usr/bin/env python3
"""What other people's readers make of our answers: google-pprof, jeprof, go tool pprof, panicparse and
gostackparse, each where the machine has it.  The last two are fetched through Go's proxy and built when
FETCH_CLIENTS=1 is set; what panicparse accepts is checked by its rules in any case.

Seen to fail against: the text of a heap under Go's header (older tools divide by zero), made-up addresses in
texts (<unknown>, __abi_tag), locations without mapping, tracebacks with paths of C++ (panicparse stops)."""
import functools
import http.client
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading

import browser
import harness
import pprof_reader
from harness import KEY, Target, check, poll, run, same, skip

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


def go_program(name, package, source=None, made=None):
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
    return os.path.join(folder, made or name)


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


# ---- forms for scripts, and readers of files

def collapsed(text):
    """Each stack (names, root first) and its value."""
    return [(line.rpartition(' ')[0].split(';'), int(line.rpartition(' ')[2])) for line in text.splitlines()]


def test_forms_for_scripts_have_what_the_file_has():
    with shown() as t:
        if not is_ready(t):
            return
        for page, kinds in (('heap', ('alloc_space', 'inuse_space', 'inuse_objects')), ('allocs', ('alloc_space',)),
                            ('threadcreate', ('threadcreate',)), ('goroutine', ('goroutine',))):
            p = pprof_reader.parse(t.fetch(page))
            for kind in kinds:
                ask = f'{page}?sample_index={kind}&format='
                stacks = collapsed(text_of(t, ask + 'collapsed'))
                same(f'{page}, {kind}: collapsed, total', sum(v for _, v in stacks), p.total(kind))
                leaves = {}
                for names, v in stacks:
                    leaves[names[-1]] = leaves.get(names[-1], 0) + v
                same(f'{page}, {kind}: collapsed, leaves', leaves, {n: v for n, v in p.flat(kind).items() if v})
                text = text_of(t, ask + 'text')
                total = re.search(r'^Total: \S+(?: \((\d+) \w+\))?', text, re.M)
                check(f'{page}, {kind}: text, total', total and int(total.group(1)) == p.total(kind), text[:300])
                check(f'{page}, {kind}: text, list and tree',
                      all(text.count('  %s\n' % n) >= 2 for n, v in p.flat(kind).items() if v * 20 > p.total(kind)), text)
        usual = collapsed(text_of(t, 'allocs?format=collapsed'))
        same('what is usual', sum(v for _, v in usual), pprof_reader.parse(t.fetch('allocs')).total('alloc_space'))
        cpu = text_of(t, 'profile?seconds=1&debug=1')
        check('CPU as text', cpu.startswith('Program: ') and '\nType: cpu\n' in cpu, cpu[:200])


def files_of(t):
    """Every profile as a file."""
    for page in 'heap', 'allocs', 'block', 'mutex', 'goroutine', 'threadcreate', 'profile?seconds=1':
        path = os.path.join(harness.work, page.split('?')[0] + '.pb.gz')
        with open(path, 'wb') as f:
            f.write(t.fetch(page))
        yield path, pprof_reader.load(path)


def test_pprof_old_and_new_complains_of_nothing():
    pprof = 'github.com/google/pprof@'
    tools = [[p] for p in (go_program('pprof-2021', pprof + 'v0.0.0-20210407192527-94a9f03dee38', made='pprof'),
                           go_program('pprof-new', pprof + 'latest', made='pprof')) if p]
    tools += [['go', 'tool', 'pprof']] if shutil.which('go') else []
    with shown() as t:
        if not is_ready(t):
            return
        for path, p in files_of(t):
            for tool in tools:
                out = said(*tool, '-raw', path)
                samples = re.findall(r'^ +(-?\d[-\d ]*):', out.partition('Samples:')[2].partition('Locations')[0], re.M)
                same(f'{tool}: totals of {path}', [sum(int(s.split()[i]) for s in samples) if samples else 0
                                                  for i in range(len(p.sample_types))],
                     [p.total(kind.type) for kind in p.sample_types])
                top = said(*tool, '-top', path)
                check(f'{tool}: a word about {path}', not re.search('not available|unknown|warning|FAILED', top, re.I), top)


FLAMESHOW = '''
import sys
from flamegraph_textual.parsers import parse
for path in sys.argv[1:]:
    p = parse(open(path, 'rb').read(), path)
    print(*p.root_stack.values)
'''


def test_flameshow_reads_everything():
    if not os.environ.get('FETCH_CLIENTS'):
        skip('flameshow', 'FETCH_CLIENTS=1 fetches it with pip')
        return
    home = os.path.join(harness.work, 'flameshow')
    python = os.path.join(home, 'bin/python')
    for command in [sys.executable, '-m', 'venv', home], [python, '-m', 'pip', '-q', 'install', 'flameshow==1.1.5']:
        r = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if r.returncode:
            skip('flameshow', 'it could not be installed: ' + r.stderr.strip()[-200:])
            return
    with shown() as t:
        if not is_ready(t):
            return
        for path, p in files_of(t):
            same(f'flameshow: totals of {path}', said(python, '-c', FLAMESHOW, path).split(),
                 [str(p.total(kind.type)) for kind in p.sample_types])
        path = saved(text_of(t, 'heap?format=collapsed'), 'heap.collapsed')
        same('flameshow: collapsed', said(python, '-c', FLAMESHOW, path).strip(),
             str(pprof_reader.parse(t.fetch('heap')).total('inuse_space')))


def test_speedscope_imports_everything():
    if not os.environ.get('FETCH_CLIENTS') or not browser.there() or not shutil.which('npm'):
        skip('speedscope', 'with npm and Chromium, FETCH_CLIENTS=1 fetches it')
        return
    r = subprocess.run(['sh', '-c', 'npm pack speedscope@1.25.0 && tar xzf speedscope-*.tgz'], cwd=harness.work,
                       capture_output=True, text=True, timeout=300)
    if r.returncode:
        skip('speedscope', 'it could not be fetched: ' + r.stderr.strip()[-200:])
        return
    pages = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(
        Quiet, directory=os.path.join(harness.work, 'package/dist/release')))
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    with shown() as t, browser.Browser() as b:
        if not is_ready(t):
            return
        paths = [path for path, _ in files_of(t)]
        paths.append(saved(text_of(t, 'heap?format=collapsed'), 'heap.collapsed'))
        for path in paths:
            page = b.page()
            page.open('http://127.0.0.1:%d/index.html' % pages.server_port)
            page.until("document.querySelector('input[type=file]')")
            page.choose_file('input[type=file]', path)
            check(f'speedscope: {path}', page.until("document.title.startsWith(%r)" % os.path.basename(path)),
                  page.value('document.body.innerText'))
    pages.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *unused):
        pass


NAMED = '''
import ctypes, sys, threading, time
libc = ctypes.CDLL(None)
def burn(name, seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    if name:
        libc.prctl(15, name.encode(), 0, 0, 0)
        end = time.thread_time() + 0.3
        while time.thread_time() < end:
            pass
        print('enough', flush=True)
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


def stop(t, name):
    c = http.client.HTTPConnection('127.0.0.1', t.port, timeout=30)
    c.request('POST', '/debug/pprof/stop?id=' + name, headers={'Authorization': 'Bearer ' + KEY})
    same('stopped', c.getresponse().status, 200)
    c.close()


def test_cpu_samples_tell_their_thread():
    """Also one that is named while the profile runs, and one that ends in it."""
    with Target(sys.executable, '-c', NAMED) as t:
        if not is_ready(t):
            return
        c = t.open('profile?seconds=200&hz=500&id=named', timeout=240)
        t.say()
        t.wait_for('enough', 180)
        stop(t, 'named')
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
    bare, link = (os.path.join(harness.work, name) for name in ('bare-file', 'bare-link'))
    subprocess.run(['strip', '-o', bare, PROGRAM], check=True)
    os.symlink(bare, link)
    with shown(link) as t:
        if is_ready(t):
            names = set(pprof_reader.parse(t.fetch('heap')).cum())
            check('and so are frames without names', '[bare-link]' in names and '[bare-file]' not in names, names)


run(test_a_heap_of_which_nothing_is_left, test_addresses_of_texts_are_code, test_every_location_has_a_mapping,
    test_counts_of_the_index, test_debug_3_is_tracebacks_as_in_go, test_tracebacks_are_read_whole,
    test_forms_for_scripts_have_what_the_file_has, test_pprof_old_and_new_complains_of_nothing,
    test_flameshow_reads_everything, test_speedscope_imports_everything, test_cpu_samples_tell_their_thread, test_a_link_has_the_name_that_was_started)
