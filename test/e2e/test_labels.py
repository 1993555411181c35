#!/usr/bin/env python3
"""Labels by the program (include/pprofshim.h), compared with what the program knows about itself.

What a thread does has the labels with which it came there: who called it says which.  Blocks and
waits are all recorded (rates of 1), so their sums are exact.  Shares of CPU time are draws: of n
ticks with share p sigma is sqrt(p * (1 - p) / n), and SIGMAS are allowed, or 10 points.

Seen to fail against a handler that copies no labels, and a hook; one without a bound for each key;
a process that drops the labels of others; one that does not know those of threads that wait.
"""
import glob
import math
import os
import re
import shutil
import subprocess
import tempfile

import harness
import pprof_reader
from harness import ROOT, SHIM, Target, check, poll, run, same, skip
from test_attach import attach, detach
from test_tree import Tree

ALL = {'PPROF_HEAP_RATE': '1', 'PPROF_BLOCK_RATE': '1', 'PPROF_MUTEX_FRACTION': '1'}
SIGMAS = 4.5
TICK_NS = 10e6  # the longest that the kernel has


def labels(mode, *args, env=None, **options):
    return Target('labels_truth', mode, *args, env={**ALL, **(env or {})}, **options)


def fetched(t, page):
    p = pprof_reader.parse(t.fetch(page, 60))
    same(f'{page}: a valid profile', pprof_reader.check(p), [])
    return p


def of(p, value, *functions, **wanted):
    """What samples with these labels (None: without that key), in these functions, add up to."""
    i = p.index(value)
    return sum(s.values[i] for s in p.samples if all(f in s.stack for f in functions) and
               all(s.labels.get(key) == text for key, text in wanted.items()))


def share(what, part, whole, true):
    allowed = max(0.1, SIGMAS * math.sqrt(true * (1 - true) / max(whole / TICK_NS, 1)))
    check(f'{what}: {part / max(whole, 1):.3f}, should be {true} +- {allowed:.3f}',
          whole > 0 and abs(part / whole - true) <= allowed, (part, whole))


def told_by_stack(s):
    """Route and step of what these functions do."""
    return ('/write' if 'write_route' in s.stack else '/read' if 'read_route' in s.stack else None,
            'inner' if 'inner' in s.stack else None)


def judge_places(p, what, *functions):
    """Returns what was seen."""
    found = [s for s in p.samples if any(f in s.stack for f in functions)]
    wrong = [(s.labels, s.stack) for s in found
             if (s.labels.get('route'), s.labels.get('step')) != told_by_stack(s)]
    same(f'{what}: all have the labels with which they came', wrong[:3], [])
    return {told_by_stack(s) for s in found}


def judge_cpu(p, what='profile'):
    worker = of(p, 'cpu', thread='worker')
    judge_places(p, what, 'burn_ms')
    share(f'{what}: /read', of(p, 'cpu', thread='worker', route='/read'), worker, 0.8)
    share(f'{what}: /write', of(p, 'cpu', thread='worker', route='/write'), worker, 0.2)
    share(f'{what}: inner', of(p, 'cpu', thread='worker', route='/read', step='inner'), worker, 0.2)
    same(f'{what}: the other thread has none', of(p, 'cpu', thread='plain', route=None),
         of(p, 'cpu', thread='plain'))


def judge_allocations(p, rounds, what):
    own = {'route': '/read', 'step': None}
    same(f'{what}: kept', of(p, 'inuse_space', 'block', **own), 1000 * rounds)
    same(f'{what}: allocated', of(p, 'alloc_objects', 'block', route='/write'), rounds)
    same(f'{what}: and freed', of(p, 'inuse_space', 'block', route='/write'), 0)
    same(f'{what}: none without', of(p, 'alloc_space', 'block', route=None), 0)
    check(f'{what}: the exception is of the scope that it left',
          of(p, 'alloc_objects', step='inner', route='/read') >= rounds)


def test_shares_are_true():
    with labels('truth') as t:
        t.wait_ready()
        judge_cpu(fetched(t, 'profile?seconds=2&hz=1000'))
        seen = set()

        def look():
            seen.update(judge_places(fetched(t, 'wall?seconds=1&hz=100&state=blocked'), 'wall', 'usleep'))
            return len(seen) == 3
        check('wall: waits of both routes and of who has none', poll(look), seen)
        without = fetched(t, 'profile?seconds=1&hz=1000&labels=0')
        same('labels=0: none', [s.labels for s in without.samples if s.labels], [])
        t.say()
        t.wait_for('rounds')
        rounds = int(re.search(r'rounds (\d+) labels 0', t.output())[1])
        judge_allocations(fetched(t, 'heap'), rounds, 'heap')
        judge_allocations(fetched(t, 'allocs'), rounds, 'allocs')
        text = t.fetch('heap?debug=1').decode()
        check('debug=1 has them', '# labels: {"route":"/read"}' in text, text[:600])
        check('the page of the shim counts them', '3 sets of labels' in t.shim_page(), t.shim_page()[:900])
        t.say()
        same('it ends', t.finish().code, 0)


def test_threads():
    """Who waits somewhere has the labels with which it went there."""
    with labels('truth') as t:
        t.wait_ready()
        seen = set()

        def look():
            seen.update(judge_places(fetched(t, 'goroutine'), 'goroutine', 'usleep', 'burn_ms'))
            return {('/read', None), ('/write', None), (None, None)} <= seen
        check('both are seen', poll(look), seen)
        check('tracebacks have them', poll(lambda: '"thread": "worker"; "route": "/' in
                                           t.fetch('goroutine?debug=2').decode()))


def test_waits():
    with labels('locks') as t:
        t.wait_for('done')
        block, mutex = fetched(t, 'block'), fetched(t, 'mutex')
        waited = of(block, 'delay', 'pthread_mutex_lock', role='waiter')
        check('block: who waited', 5 * 30e6 < waited < 40 * 30e6, waited)
        same('block: nobody else did', of(block, 'delay', 'pthread_mutex_lock'), waited)
        blamed = of(mutex, 'delay', 'pthread_mutex_unlock', role='holder')
        check('mutex: who made it wait', 0.3 * waited < blamed <= 1.05 * waited, (blamed, waited))
        same('mutex: not the waiter', of(mutex, 'delay', role='waiter'), 0)


def check_pairs(p, what):
    """Both are set to the same value, and the handler sets its own beside them."""
    seen = [s.labels for s in p.samples]
    same(f'{what}: inner is what outer is',
         [l for l in seen if l.get('inner', l.get('outer')) != l.get('outer')], [])
    return seen


def test_storms():
    with labels('storm', env={'PPROF_HEAP_RATE': '4096'}) as t:
        t.wait_ready()
        seen = []

        def is_enough():
            seen.extend(check_pairs(fetched(t, 'profile?seconds=1&hz=1000'), 'profile'))
            return len({l.get('outer') for l in seen}) > 20 and any(l.get('by') == 'handler' for l in seen)
        check('all kinds are seen', poll(is_enough, 30), len(seen))
        check('heap: many are seen', len({l.get('inner') for l in check_pairs(fetched(t, 'heap'), 'heap')}) > 20)
        t.say()
        got = t.finish()
        check('it ends as it began', got.code == 0 and 'labels 0' in got.out, got)


def test_more_values_than_there_is_room_for():
    with labels('many') as t:
        t.wait_for('done')
        p = fetched(t, 'heap')
        ids = {s.labels.get('id') for s in p.samples if 'block' in s.stack}
        check('the first have their own', {'0', '500', '1000'} <= ids, len(ids))
        check('the rest is [other]', '[other]' in ids and '2999' not in ids, len(ids))
        for route in ('/odd', '/even'):
            same(f'{route} is whole', of(p, 'inuse_space', 'block', route=route), 1500 * 1000)
        for i in range(10):
            same('another key has room', of(p, 'inuse_space', route=f'/late{i}'), 5000)
        check('the profile says so', any('became [other]' in c for c in p.comments), p.comments)
        check('and so does a counter', t.counter('labels_other') >= 1900, t.counter('labels_other'))


def test_texts_of_all_kinds():
    with labels('bad') as t:
        t.wait_for('before')
        p = fetched(t, 'heap')
        found = [(s.values[p.index('inuse_space')], s.labels) for s in p.samples if 'block' in s.stack]
        blocks = dict(found)
        same('sizes', sorted(n for n, _ in found), [10, 100, 1000, 1000])
        same('what is no set of labels is not taken', *[l for n, l in found if n == 1000])
        same('at most eight', len(blocks[1000]), 8)
        same('none at last', blocks[10], {})
        check('a name of ours is not taken', 'mine' not in blocks[1000].values(), blocks[1000])
        check('cut', blocks[1000].get('x' * 64) == 'x' * 128, blocks[1000])
        check('bytes that are no text are replaced', 'bad \ufffd( \ufffd' in blocks[1000].values(), blocks[1000])
        check('cleared', 'good' not in blocks[100] and 'key1' not in blocks[100] and 'key0' in blocks[100], blocks[100])
        same('the refused are counted', t.counter('labels_refused'), 1 + 1 + 15)
        check('and told', any('17 were refused' in c for c in p.comments), p.comments)


class Family(Tree):
    def __init__(self):
        Target.__init__(self, 'labels_truth', 'fork', preexec=os.setsid, env={'PPROF_HEAP_RATE': '0'})


def test_families():
    with Family() as t:
        t.wait_ready()
        t.wait_for('child')
        child = int(re.search(r'child (\d+)', t.output())[1])
        poll(lambda: len({s.labels.get('pid') for s in fetched(t, 'profile?seconds=1&hz=1000').samples}) == 3)
        p = fetched(t, 'profile?seconds=1&hz=1000')
        inherited = of(p, 'cpu', 'burn_ms', pid=child, family='smith')
        check('a child keeps them', inherited > 0 and inherited == of(p, 'cpu', 'burn_ms', pid=child), inherited)
        check('who is handed them has them', of(p, 'cpu', thread='heir', family='smith') > 0)
        same('at all times', of(p, 'cpu', 'burn_ms', thread='heir', family=None), 0)
        same('a thread begins without', of(p, 'cpu', thread='orphan', family='smith'), 0)
        others = {s.labels.get('pid') for s in p.samples} - {t.pid, child}
        same('a third process', len(others), 1)
        same('a program that is executed has none', of(p, 'cpu', pid=others.pop(), family='smith'), 0)


def test_files():
    folder = tempfile.mkdtemp(dir=harness.work)
    with labels('truth', env={'PPROF_OUT': folder, 'PPROF_PORT': 'off'}) as t:
        poll(lambda: harness.cpu_seconds(t.pid) > 2, 120)  # enough to judge shares by
        t.say('go\ngo\n')
        rounds = int(re.search(r'rounds (\d+)', t.finish().out)[1])
    for path in glob.glob(folder + '/*.pb.gz'):
        p = pprof_reader.load(path)
        if '.cpu.' in path:
            judge_cpu(p, 'file')
        else:
            judge_allocations(p, rounds, 'file')
    same('two files', len(os.listdir(folder)), 2)


def test_a_library_that_comes_later():
    with labels('truth', preload='') as t:
        t.what = 'labels_truth'
        harness.poll(lambda: len(harness.tasks(t.pid)) == 3)
        if not attach(t):
            return
        p = fetched(t, 'profile?seconds=1&hz=1000')
        check('it is profiled', of(p, 'cpu', thread='worker') > 0)
        same('without labels', of(p, 'cpu', route='/read'), 0)
        detach(t)
        t.say('go\ngo\n')
        same('nothing else is different', t.finish().code, 0)


SMALL = '''
#include "include/pprofshim.h"
#include <stdio.h>
int main(void)
{
	unsigned before = pprof_label_set("a", "b"), during = pprof_labels_get();
#ifdef __cplusplus
	{
		pprof_scope s("c", "d");
	}
#endif
	pprof_labels_put(before);
	printf("%d %d", during != 0, pprof_labels_get() != 0);
	(void)pprof_label_clear("a");
	return 0;
}
'''
STRICT = '-Wall -Wextra -pedantic -Werror'
WAYS = [f'gcc -std=c99 {STRICT}', f'gcc -ansi -O2 {STRICT}', f'g++ -std=c++98 {STRICT}',
        f'g++ -std=c++20 -O2 -fvisibility=hidden {STRICT}', 'gcc -O2 -no-pie -fno-pie', 'gcc -O2 -flto',
        'gcc -no-pie -fuse-ld=lld', 'gcc -fuse-ld=gold -no-pie -fno-pie', f'clang -O2 -std=c99 {STRICT}',
        'clang -no-pie -fno-pie', 'gcc -static']


def test_ways_to_compile():
    for way in WAYS:
        cxx = way.startswith('g++')
        source, program = (os.path.join(harness.work, 'small' + end) for end in ('.cc' if cxx else '.c', ''))
        with open(source, 'w') as f:
            f.write(SMALL)
        built = subprocess.run([*way.split(), '-I', ROOT, source, '-o', program], capture_output=True, text=True) \
            if shutil.which(way.split()[0]) else None
        if not built or 'cannot find' in built.stderr:
            skip(way, 'this machine cannot')
            continue
        same(f'{way}: compiles', (built.returncode, built.stderr), (0, ''))
        same(f'{way}: alone', subprocess.check_output([program]), b'0 0')
        with_us = subprocess.run([program], env={**os.environ, 'LD_PRELOAD': SHIM, 'ADMIN_KEY': 'k', 'PPROF_PORT': 'off'},
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        same(f'{way}: with us', with_us, b'0 0' if 'static' in way else b'1 0')


if __name__ == '__main__':
    run(test_shares_are_true, test_threads, test_waits, test_storms, test_more_values_than_there_is_room_for,
        test_texts_of_all_kinds, test_families, test_files, test_a_library_that_comes_later, test_ways_to_compile)
