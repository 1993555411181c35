#!/usr/bin/env python3
"""PPROF_HEAP_MMAP: memory that a program has from mmap, mremap and sbrk, in the heap profile.

Seen to fail against a munmap hook that knows whole mappings only, one that misses what MAP_FIXED replaces, and
one that counts what an allocator maps for itself.
"""
import glob
import os

import harness
import pprof_reader
from harness import SHIM, Target, check, poll, run, same, skip

MIB = 1 << 20
LEAF = {'map_kept': 64, 'map_half': 16, 'map_over': 10, 'map_again': 4, 'map_grown': 16}
ALLOCATED = {'map_kept': 64, 'map_gone': 32, 'map_half': 32, 'map_over': 16, 'map_again': 4, 'map_grown': 17}


def of(p, function, value, leaf=None):
    return sum(s.values[p.index(value)] for s in p.samples
               if function in s.stack and (leaf is None or s.stack[0] == leaf))


def heap(t, query=''):
    return pprof_reader.parse(t.fetch('heap' + query))


def started(rate, on='1', preload=None, **env):
    return Target('heap_mapped', env={'PPROF_HEAP_RATE': str(rate), 'PPROF_HEAP_MMAP': on, **env}, preload=preload)


def judge(t, what, malloc=10 * MIB, breaks=4):
    p = heap(t)
    for function, mib in LEAF.items():
        same(f'{what}: {function}', of(p, function, 'inuse_space'), mib * MIB)
    for function, mib in ALLOCATED.items():
        same(f'{what}: {function}, all', of(p, function, 'alloc_space'), mib * MIB)
    same(f'{what}: where it is from', {s.stack[:2][-1] for s in p.samples if 'map_grown' in s.stack},
         {'map', 'map_grown'})
    same(f'{what}: by what', {s.stack[0] for s in p.samples if 'map_grown' in s.stack}, {'mmap', 'mremap'})
    same(f'{what}: by the break', of(p, 'by_break', 'inuse_space', 'sbrk'), breaks * MIB)
    for function in 'map_reserved', 'map_file', 'map_nothing_there':
        same(f'{what}: {function}', of(p, function, 'alloc_space'), 0)
    same(f'{what}: malloc once', of(p, 'plain_malloc', 'inuse_space'), malloc)
    same(f'{what}: a thread\'s stack is not there', of(p, 'with_thread', 'inuse_space', 'mmap'), 0)
    return p


def test_the_truth():
    with started(1) as t:
        t.wait_for('ready')
        judge(t, 'each')
        check('what is old', poll(lambda: of(heap(t, '?older=1s'), 'map_half', 'inuse_space') == 16 * MIB, 20, every=0.2))
        t.say()
        t.wait_for('gone')
        p = heap(t)
        same('all is gone', {f: of(p, f, 'inuse_space') for f in LEAF}, dict.fromkeys(LEAF, 0))
        peak = heap(t, '?peak=1')
        check('most was in use before', of(peak, 'map_kept', 'inuse_space') >= 60 * MIB)
        t.say()
        same('its end', t.finish().seen()[0], 'status 0')


def test_by_samples():
    with started(524288) as t:
        t.wait_for('ready')
        p = heap(t)
        total = sum(of(p, f, 'inuse_space') for f in LEAF) / MIB
        check('in all', abs(total - sum(LEAF.values())) < 0.3 * sum(LEAF.values()), total)


def test_allocators_that_map_are_not_counted_twice():
    for name in 'libjemalloc.so.2', 'libtcmalloc.so.4', 'libmimalloc.so.2.0', 'libmimalloc.so.2':
        found = glob.glob('/usr/lib/*/' + name)
        if not found:
            continue
        with started(1, preload=SHIM + ':' + found[0]) as t:
            t.wait_for('ready')
            p = judge(t, name, malloc=of(heap(t), 'plain_malloc', 'inuse_space'))
            check(f'{name}: malloc once', 10 * MIB <= of(p, 'plain_malloc', 'inuse_space') < 11 * MIB)
        with started(65536, preload=SHIM + ':' + found[0]) as t:
            t.wait_for('ready')
            p = heap(t)
            same(f'{name}: nothing that it maps', [s.stack for s in p.samples if 'many_small' in s.stack and s.stack[0] in
                                                   ('mmap', 'sbrk')], [])
            check(f'{name}: what it gives', abs(of(p, 'many_small', 'inuse_space') - 64 * MIB) < 10 * MIB)


def test_off_by_default():
    for on in '', '0':
        with started(1, on=on) as t:
            t.wait_for('ready')
            p = heap(t)
            same('nothing of it', {f: of(p, f, 'alloc_space') for f in ALLOCATED}, dict.fromkeys(ALLOCATED, 0))
            same('malloc', of(p, 'plain_malloc', 'inuse_space'), 10 * MIB)


def test_bad_values():
    with started(1, on='2') as t:
        check('a sentence', poll(lambda: 'PPROF_HEAP_MMAP is "2" but must be 0 (off) or 1' in t.output(1)), t.output(1))


if __name__ == '__main__':
    run(test_the_truth, test_by_samples, test_allocators_that_map_are_not_counted_twice, test_off_by_default,
        test_bad_values)
