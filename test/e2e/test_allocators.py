#!/usr/bin/env python3
"""The malloc family behaves under the shim as without it, whatever allocator is behind.

A torture program prints what came of every call: results, errno, alignment, usable
sizes, what children and other threads saw.  It prints the same with the shim, for
each allocator, linked or preloaded before or after, at each rate.
"""
import glob
import json
import os
import subprocess

import harness
import pprof_reader
from harness import SHIM, Target, check, same

LIBRARIES = '/usr/lib/x86_64-linux-gnu/'
ALLOCATORS = {'jemalloc': 'libjemalloc.so.2', 'tcmalloc': 'libtcmalloc_minimal.so.4',
              'mimalloc': 'libmimalloc.so.[23]'}
RATES = (524288, 64, 1, 0)
FAKETIME = LIBRARIES + 'faketime/libfaketime.so.1'

skipped = []


def library(name):
    """The path of an allocator, or None, told once."""
    pattern = LIBRARIES + ALLOCATORS[name]
    for path in sorted(glob.glob(pattern)):
        return path
    if name not in skipped:
        skipped.append(name)
        harness.skip(name, f'{pattern} is not installed')
    return None


def linked(path):
    """The torture program with an allocator among its libraries."""
    program = os.path.join(harness.work, 'linked_' + os.path.basename(path))
    subprocess.run(['gcc', '-g', '-O2', '-w', '-pthread', '-I', harness.ROOT, '-o', program,
                    harness.ROOT + '/test/fixtures/heap_torture.c', '-Wl,--no-as-needed', path],
                   check=True)
    return program


def outcome(program, preload, mode='all', env=None):
    """What the program says.  stderr is for allocators that talk about huge sizes."""
    with Target(program, mode, preload=preload, env=env) as t:
        r = t.finish()
        return 'hung' if r.hung else harness.status_text(r.code), r.out


def compare(name, program, preload, expected):
    for rate in RATES:
        same(f'{name} at rate {rate}',
             outcome(program, preload, env={'PPROF_HEAP_RATE': str(rate)}), expected)


def matrix_of(name):
    path = library(name)
    if not path:
        return
    expected = outcome('heap_torture', path)
    check(f'{name}: the torture itself is well', expected[0] == 'status 0', expected)
    program = linked(path)
    same(f'{name}, linked: as preloaded', outcome(program, ''), expected)
    compare(f'{name}, linked', program, SHIM, expected)
    compare(f'{name}, preloaded before', 'heap_torture', f'{path}:{SHIM}', expected)
    compare(f'{name}, preloaded after', 'heap_torture', f'{SHIM}:{path}', expected)


def test_glibc_torture_is_as_without_us():
    expected = outcome('heap_torture', '')
    check('glibc: the torture itself is well', expected[0] == 'status 0', expected)
    compare('glibc', 'heap_torture', SHIM, expected)


def test_jemalloc_in_every_order_of_preloads():
    matrix_of('jemalloc')


def test_tcmalloc_in_every_order_of_preloads():
    matrix_of('tcmalloc')


def test_mimalloc_in_every_order_of_preloads():
    matrix_of('mimalloc')


def test_faketime_that_allocates_before_main():
    """Its hooks allocate before main and ask dlsym for much."""
    if not os.path.exists(FAKETIME):
        return harness.skip('faketime', FAKETIME + ' is not installed')
    env = {'FAKETIME': '-1d', 'PPROF_HEAP_RATE': '64'}
    expected = outcome('heap_torture', FAKETIME, env=env)
    for preload in (f'{SHIM}:{FAKETIME}', f'{FAKETIME}:{SHIM}'):
        same('faketime', outcome('heap_torture', preload, env=env), expected)
    return None


def test_coverage_is_told():
    """An allocator in front hides ours; one behind does not."""
    path = library('jemalloc')
    if not path:
        return
    for preload, hidden in ((f'{path}:{SHIM}', True), (f'{SHIM}:{path}', False)):
        with Target('heap_truth', 100, preload=preload, env={'PPROF_HEAP_RATE': '1'}) as t:
            t.wait_ready()
            t.wait_for('\n')
            p = pprof_reader.parse(t.fetch('heap'))
            same('the comment says so', any('own malloc' in c for c in p.comments), hidden)
            same('and the blocks', p.cum('alloc_space')['before_main'],
                 0 if hidden else 40 << 20)


# ---- visible state

def test_successful_calls_change_neither_errno_nor_fpu_flags():
    for rate in RATES:
        same(f'errno and FPU flags at rate {rate}',
             outcome('heap_torture', SHIM, 'errno', {'PPROF_HEAP_RATE': str(rate)}),
             ('status 0', 'errno changed 0 times, FPU flags 0 times, wrong 0\n'))


def test_free_of_null_finds_nothing():
    """With a live block in the first page of 4 GiB, whose look in the filter is also NULL's."""
    expected = outcome('heap_torture', '', 'null')
    check('a block at the first page was met', 'met\n' in expected[1], expected)
    for rate in (1, 64):
        got = outcome('heap_torture', SHIM, 'null', {'PPROF_HEAP_RATE': str(rate)})
        check(f'a block at the first page was met at {rate}', 'met\n' in got[1], got)
        same(f'free(NULL) at rate {rate}', got, expected)


# ---- signals

def test_a_signal_handler_may_come_at_any_moment():
    """At 1 kHz for a second or more, with an allocator behind that handlers may call."""
    plugin = os.path.join(harness.FIXTURES, 'heap_signal_plugin.so')
    for rate in (1, 64):
        with Target('heap_torture', 'signals', preload=f'{SHIM}:{plugin}',
                    env={'PPROF_HEAP_RATE': str(rate)}) as t:
            if not check(f'signals at {rate}: no crash, no hang', t.wait_for('ready', 30),
                         t.output()):
                return
            p = pprof_reader.parse(t.fetch('heap'))
            after = {c: p.cum(c)['allocate_after_signals']
                     for c in ('alloc_objects', 'inuse_objects')}
            # the first of them may have filled the ring before the listener came
            unknown = p.cum('inuse_objects')['[unknown stack]']
            check(f'signals at {rate}: the thread is still sampled',
                  0 < after['inuse_objects'] <= 1000 <= after['inuse_objects'] + unknown,
                  (after, unknown))
            held = p.cum('inuse_objects')['allocate_in_handler']
            same(f'signals at {rate}: what handlers freed is freed', held, 0)
            t.say()
            same(f'signals at {rate}: it ends well', t.finish().code, 0)


# ---- children

def test_a_vfork_child_shares_our_books():
    """Its blocks are the parent's, and so are its frees."""
    with Target('heap_torture', 'vfork', env={'PPROF_HEAP_RATE': '1'}) as t:
        t.wait_ready()
        check('vfork: the first child', t.wait_for('first'), t.output())
        t.fetch('heap')  # from here on its stack is known
        t.say()
        if not check('vfork: ready', t.wait_for('ready, wrong 0'), t.output()):
            return
        p = pprof_reader.parse(t.fetch('heap'))
        got = {c: p.cum(c)['allocate_in_vfork_child']
               for c in ('alloc_objects', 'alloc_space', 'inuse_objects', 'inuse_space')}
        same('21 vfork children', got, {'alloc_objects': 2100, 'alloc_space': 2100000,
                                        'inuse_objects': 0, 'inuse_space': 0})
        t.say()
        same('vfork: it ends well', t.finish().code, 0)


def test_threads_in_each_others_addresses_are_counted_exactly():
    """One arena and no caches, so that an address is soon another thread's: a free that was
    recorded after the fact, or a realloc, would take out the other's block."""
    env = {'PPROF_HEAP_RATE': '1',
           'GLIBC_TUNABLES': 'glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0'}
    with Target('heap_torture', 'crowd', env=env) as t:
        t.wait_ready()
        check('crowd: the first few', t.wait_for('first'), t.output())
        t.fetch('heap')  # from here on its stacks are known
        t.say()
        if not check('crowd: it ends', t.wait_for('}', 40), t.output()):
            return
        held = json.loads(t.output().splitlines()[-1])['held']
        p = pprof_reader.parse(t.fetch('heap'))
        used = p.cum('inuse_objects')
        got = used['replace_block'] + used['resize_block'] + used['[unknown stack]']
        same('crowd: live blocks', got, held)
        check('crowd: there are many', held > 50000, held)
        t.say()
        same('crowd: it ends well', t.finish().code, 0)


def early_plugin(body):
    """An object whose constructor runs before the shim's."""
    path = os.path.join(harness.work, 'early.so')
    source = path[:-3] + '.c'
    with open(source, 'w') as f:
        f.write(body)
    subprocess.run(['gcc', '-shared', '-fPIC', '-O1', '-w', '-o', path, source], check=True)
    return path


ALLOCATES = '''
#include <stdlib.h>
void *volatile early_blocks[4000];
__attribute__((constructor)) static void early(void)
{
	for (int i = 0; i < 4000; i++)
		early_blocks[i] = malloc(5000);
}
__attribute__((destructor)) static void late(void)
{
	for (int i = 0; i < 4000; i++)
		free(early_blocks[i]);
}
'''

FORKS = '''
#include <stdlib.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((constructor)) static void early(void)
{
	void *volatile block[4000];
	int status;
	for (int i = 0; i < 4000; i++)
		block[i] = malloc(5000);
	if (fork() == 0) {
		for (int i = 0; i < 4000; i++)
			free(block[i]);
		for (int i = 0; i < 4000; i++)
			block[i] = malloc(5000);
		_exit(5);
	}
	wait(&status);
	printf("child %d\\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
	fflush(stdout);
}
'''


def test_children_free_what_was_allocated_early():
    """By constructors that run before the shim has read its settings: 20 MB, so about 40 samples."""
    plugin = early_plugin(ALLOCATES)
    for name, env in (('active', {}), ('off', {'PPROF_HEAP_RATE': '0'}),
                      ('dormant', {'ADMIN_KEY': ''}), ('not meant', {'PPROF_ONLY': 'another'})):
        with Target('/bin/sh', '-c', '(exit 3); (exec 2>/dev/null; exit 4); exit 5',
                    preload=f'{SHIM}:{plugin}', env=env) as t:
            same(f'sh, {name}', t.finish().code, 5)
        same(f'children that free, {name}',
             outcome('heap_torture', f'{SHIM}:{plugin}', 'children', env),
             ('status 0', 'wrong 0\n'))
        forker = '''
import ctypes, os, sys
blocks = (ctypes.c_void_p * 4000).in_dll(ctypes.CDLL(sys.argv[1]), 'early_blocks')
libc = ctypes.CDLL(None)
libc.free.argtypes = [ctypes.c_void_p]
pid = os.fork()
if pid == 0:
    for b in list(blocks):
        libc.free(b)
    os._exit(6)
print(os.waitpid(pid, 0)[1], flush=True)
os._exit(0)
'''
        with Target('/usr/bin/python3', '-c', forker, plugin, preload=f'{SHIM}:{plugin}',
                    env=env) as t:
            same(f'a child frees early blocks, {name}', t.finish().out.strip(), str(6 << 8))


def test_a_constructor_forks():
    """Before the shim's own constructor has run, and so before it can tell children."""
    plugin = early_plugin(FORKS)
    with Target('heap_torture', 'null', preload=f'{SHIM}:{plugin}') as t:
        same('the child of a constructor', t.finish().out.split('\n')[0], 'child 5')


# ---- plugins that come and go

def test_stacks_never_name_the_wrong_module():
    """Two plugins of the same shape, most often at the same address, with blocks of sizes that
    are their own: bytes by objects tell which one it was.  At rate 64 nearly every block is
    sampled: of 1000 bytes one in 6 million is not, and then counts 1/p."""
    plugins = [os.path.join(harness.FIXTURES, f'heap_storm_{x}_plugin.so') for x in 'ab']
    with Target('heap_torture', 'storm', *plugins, env={'PPROF_HEAP_RATE': '64'}) as t:
        if not check('storm: it ends', t.wait_for('}', 50), t.output()):
            return
        rounds = json.loads(t.output().splitlines()[-1])
        t.wait_ready()
        p = pprof_reader.parse(t.fetch('heap'))
        # two modules may have been at one address; addresses of one profile are then not unique
        problems = [x for x in pprof_reader.check(p)
                    if 'the same addresses' not in x and 'overlap' not in x]
        check('storm: a valid profile', not problems, problems[:5])
        stacks = [tuple(s.locations) for s in p.samples]
        same('storm: no stack is there twice', len(stacks), len(set(stacks)))
        seen = 0
        for x, size in (('a', 1000), ('b', 3000)):
            objects = p.cum('alloc_objects')['allocate_in_' + x]
            space = p.cum('alloc_space')['allocate_in_' + x]
            seen += objects
            same(f'storm: blocks of {x} are of its size', space, objects * size)
            same(f'storm: nothing of {x} is in use', p.cum('inuse_space')['allocate_in_' + x], 0)
        check('storm: and all others counted',
              p.total('alloc_objects') >= 20 * sum(rounds.values()), p.flat('alloc_objects'))
        print(f'ok: storm: {seen} of {20 * sum(rounds.values())} blocks named', flush=True)
        t.say()
        same('storm: it ends well', t.finish().code, 0)


def test_a_plugin_of_a_moment_is_named():
    """Loaded by a relative path, run and unloaded at once, the same two again and again at one
    address: what each allocated is followed before it goes, but for where the listener came too
    late, which is counted."""
    plugins = [os.path.relpath(os.path.join(harness.FIXTURES, f'heap_storm_{x}_plugin.so'))
               for x in 'ab']
    with Target('heap_torture', 'reload', *plugins, env={'PPROF_HEAP_RATE': '64'}) as t:
        if not check('reload: it ends', t.wait_for('}', 50), t.output()):
            return
        rounds = json.loads(t.output().splitlines()[-1])
        t.wait_ready()
        p = pprof_reader.parse(t.fetch('heap'))
        late = t.counter('dlclose_waits_timed_out')
        named = {x: p.cum('alloc_objects')['allocate_in_' + x] for x in 'ab'}
        check('reload: both are named', min(named.values()) > 0, named)
        check('reload: all others came too late',
              20 * sum(rounds.values()) - sum(named.values()) <= 20 * late, (rounds, named, late))
        print(f'ok: reload: {named} of 20 times {rounds}, {late} unloads not awaited', flush=True)
        t.say()
        same('reload: it ends well', t.finish().code, 0)


if __name__ == '__main__':
    harness.run(test_glibc_torture_is_as_without_us, test_jemalloc_in_every_order_of_preloads,
        test_tcmalloc_in_every_order_of_preloads, test_mimalloc_in_every_order_of_preloads,
        test_faketime_that_allocates_before_main, test_coverage_is_told,
        test_successful_calls_change_neither_errno_nor_fpu_flags, test_free_of_null_finds_nothing,
        test_a_signal_handler_may_come_at_any_moment, test_a_vfork_child_shares_our_books,
        test_threads_in_each_others_addresses_are_counted_exactly,
        test_children_free_what_was_allocated_early, test_a_constructor_forks,
        test_stacks_never_name_the_wrong_module, test_a_plugin_of_a_moment_is_named)
