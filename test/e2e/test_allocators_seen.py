#!/usr/bin/env python3
"""What allocators do besides malloc is counted, once, or the profile says that it is not.

Sums of blocks of 1000 bytes at a rate of 4096: each block is sampled with p = 0.217 and
then counts 1/p, so the sum of 20,000 has a deviation of 1.35 %; 8 % are six of them,
passed by chance once in 500 million times.
"""
import glob
import os
import subprocess

import harness
import pprof_reader
from harness import SHIM, Target, check, same

TOTAL = 20000 * 1000
ERROR = 0.08


def about_others(p):
    """Without what explains the number of the first comment."""
    return [c for c in p.comments if not c.startswith('RssAnon has also')]


def near(what, got, expected=TOTAL):
    return check(what, abs(got - expected) <= ERROR * expected, f'{got}, expected {expected}')


class Program(Target):
    """The fixture in one of its ways, at a rate of 4096 or another."""

    def __init__(self, *args, program='heap_allocators', preload=SHIM, rate=4096):
        super().__init__(program, *args, preload=preload, env={'PPROF_HEAP_RATE': str(rate)})

    def profile(self, page='heap'):
        self.wait_ready()
        check('the program has allocated', self.wait_for('ready'), self.output())
        return pprof_reader.parse(self.fetch(page))


def built(source, name, *flags):
    """A program or library of its own, from a text."""
    path = os.path.join(harness.work, name)
    subprocess.run(['g++', '-g', '-O2', *flags, '-x', 'c++', '-o', path, '-'], check=True,
                   input=source.encode())
    return path


def preloads(*names):
    """(name, LD_PRELOAD with us before it) of each allocator that is installed."""
    for name in names:
        paths = sorted(glob.glob(f'/usr/lib/x86_64-linux-gnu/lib{name}.so.[0-9]'))
        if paths:
            yield name, f'{SHIM}:{paths[0]}'
        else:
            harness.skip(name, 'it is not installed')


ALL = ('jemalloc', 'tcmalloc_minimal', 'mimalloc')


def test_blocks_of_no_bytes_are_objects():
    with Program('zero', rate=1) as t:
        p = t.profile()
        same('objects of malloc(0)', p.cum('inuse_objects')['site_zero'], 20000)
        same('and their bytes', p.cum('inuse_space')['site_zero'], 0)
        t.say()
        same('it ends well', t.finish().code, 0)


def test_memory_of_the_process_is_told_beside_what_is_in_use():
    with Program('malloc') as t:
        for page in ('heap', 'allocs'):
            p = t.profile(page)
            told = [c for c in p.comments if c.startswith('In use here: ')]
            if not check(f'{page}: one comment of memory', len(told) == 1, p.comments):
                return
            words = told[0].split()
            same(f'{page}: bytes in use', int(words[3]), p.total('inuse_space'))
            with open(f'/proc/{t.pid}/status') as f:
                rss = [int(line.split()[1]) << 10 for line in f if line.startswith('RssAnon')][0]
            check(f'{page}: RssAnon',
                  words[5] == 'RssAnon:' and 0.8 * rss < int(words[6]) < 1.2 * rss, (told, rss))
        delta = pprof_reader.parse(t.fetch('heap?seconds=1'))
        same('a difference tells what is in use now', delta.comments[0].split()[:4],
             p.comments[0].split()[:4])
        same('nothing else is told', len(about_others(p)), 1)


POOL = r'''
#include <cstdio>
#include <cstdlib>
#include <new>
#include <sys/mman.h>

static char pool[64 << 20], *at = pool;

void *operator new(std::size_t n) { char *p = at; at += (n + 15) & ~15UL; return p; }
void operator delete(void *) noexcept {}
void operator delete(void *, std::size_t) noexcept {}

static void *volatile keep;

int main()
{
	char line[16];
	for (int i = 0; i < 20000; i++)
		keep = new char[1000];
	puts("ready");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) ? 0 : 1;
}
'''


def test_an_operator_new_of_the_program_itself_is_told():
    with Program(program=built(POOL, 'own_pool')) as t:
        p = t.profile()
        check('the comment says so', any('own operator new' in c for c in p.comments), p.comments)
        t.say()
        same('it ends well', t.finish().code, 0)


# ---- operator new

def test_operator_new_of_every_allocator_is_counted_once():
    """Its frame is off the leaf: the site is who called it."""
    for name, preload in [('libstdc++', SHIM), *preloads(*ALL)]:
        for way in ('new', 'new_array', 'new_aligned'):
            with Program(way, preload=preload) as t:
                near(f'{name}: {way}', t.profile().flat('inuse_space')['site_' + way])


def test_what_operator_delete_frees_is_freed():
    for name, preload in preloads(*ALL):
        with Program('delete', preload=preload) as t:
            p = t.profile()
            for site in ('site_new', 'site_new_array', 'site_new_aligned'):
                near(f'{name}: allocated at {site}', p.flat('alloc_space')[site])
                same(f'{name}: in use at {site}', p.flat('inuse_space')[site], 0)


def test_operator_new_fails_as_without_us():
    """Exceptions pass our frame, sampled or not, and handlers are asked as often.  Mimalloc, which
    is compiled as C, ends the program instead."""
    for name, preload in [('libstdc++', SHIM), *preloads(*ALL[:2])]:
        outputs = []
        for p, rate in ((preload[len(SHIM):].lstrip(':'), 0), (preload, 1), (preload, 4096)):
            with Program('fail', preload=p, rate=rate) as t:
                check(f'{name}: it ends', t.wait_for('ready'), t.output())
                outputs.append(t.output())
        same(f'{name}: outcome', outputs[1:], outputs[:1] * 2)
        check(f'{name}: something failed', 'caught 100' in outputs[0], outputs[0])


def test_names_are_answered_as_without_us_where_nothing_is_counted():
    with Program('where', preload='') as bare, Program('where') as t:
        bare.wait_for('ready')
        t.wait_for('ready')
        same('who answers', t.output(), bare.output())
    for name, preload in preloads('jemalloc'):
        with Program('where', preload=preload) as t:
            t.wait_for('ready')
            same(f'{name}: ours come first', t.output().split()[1::2][:3], ['libpprofshim.so'] * 3)


POOL_PLUGIN = r'''
#include <cstddef>
#include <new>

static char pool[1 << 20], *at = pool;
static int calls;

void *operator new(std::size_t n) { calls++; char *p = at; at += (n + 15) & ~15UL; return p; }
void operator delete(void *p) noexcept { if (p < pool || p > at) __builtin_trap(); }
void operator delete(void *p, std::size_t) noexcept { operator delete(p); }
extern "C" int use() { delete new long; delete new int; return calls; }
'''

PLAIN_PLUGIN = r'''
extern "C" int use() { int *volatile p = new int(5); int n = *p; delete p; return n; }
'''


def test_plugins_with_operators_of_their_own_keep_them():
    """In a program without C++: the loader finds each plugin's own operators, or libstdc++'s."""
    plugins = [built(source, name, '-shared', '-fPIC') for source, name in
               ((POOL_PLUGIN, 'pool.so'), (PLAIN_PLUGIN, 'plain.so'), (POOL_PLUGIN, 'pool2.so'))]
    script = 'import ctypes, sys; print([ctypes.CDLL(p).use() for p in sys.argv[1:] * 2])'
    for order in (plugins, plugins[::-1]):
        expected = subprocess.run(['/usr/bin/python3', '-c', script, *order], stdout=-1).stdout
        with Target('/usr/bin/python3', '-c', script, *order) as t:
            same('what plugins return', t.finish().out.encode(), expected)
            check('they worked', b'5' in expected, expected)


# ---- functions that only some have

def test_own_calls_of_jemalloc():
    for _, preload in preloads('jemalloc'):
        with Program('jemalloc', preload=preload) as t:
            p = t.profile()
            near('malloc, then sdallocx: allocated', p.flat('alloc_space')['site_malloc'])
            same('and in use', p.flat('inuse_space')['site_malloc'], 0)
            same('mallocx, then rallocx: in use', p.flat('inuse_space')['site_mallocx'], 0)
            near('rallocx', p.flat('inuse_space')['site_rallocx'], 3 * TOTAL)
            same('nothing is told to be missing', len(about_others(p)), 1)


def test_in_place_by_jemalloc():
    for _, preload in preloads('jemalloc'):
        with Program('xallocx', preload=preload) as t:
            p = t.profile()
            same('mallocx, then xallocx: in use', p.flat('inuse_space')['site_mallocx'], 0)
            near('xallocx', p.flat('inuse_space')['site_xallocx'], 1024 * 20000)
            near('what it could not do is not counted', p.flat('alloc_space')['site_xallocx'],
                 1024 * 20000)


def test_own_calls_of_tcmalloc_and_mimalloc():
    for name, preload in preloads('tcmalloc_minimal', 'mimalloc'):
        with Program(name, preload=preload) as t:
            p = t.profile()
            allocated, inuse = p.flat('alloc_space'), p.flat('inuse_space')
            for site in ('malloc', 'memalign', 'own_malloc', 'own_new', 'own_calloc'):
                near(f'{name}: {site}', allocated['site_' + site])
            for site in ('malloc', 'memalign', 'own_malloc', 'own_calloc'):
                same(f'{name}: {site}: in use', inuse['site_' + site], 0)
            near(f'{name}: own_new: in use', inuse['site_own_new'])
            near(f'{name}: realloc', allocated['site_own_realloc'], 3 * TOTAL)
            near(f'{name}: realloc: in use', inuse['site_own_realloc'], 1.5 * TOTAL)
            t.say()
            same(f'{name}: it ends well', t.finish().code, 0)


def test_reallocarray_of_every_allocator():
    for name, preload in [('libc', SHIM), *preloads(*ALL)]:
        with Program('grow', preload=preload) as t:
            p = t.profile()
            same(f'{name}: what was moved', p.flat('inuse_space')['site_malloc'], 0)
            cum = p.cum('inuse_space')['site_reallocarray']
            near(f'{name}: half was freed', cum, 1.5 * TOTAL)


def test_functions_without_a_hook_are_told():
    for name, preload in preloads('tcmalloc_minimal', 'mimalloc'):
        with Program('malloc', preload=preload) as t:
            p = t.profile()
            check(f'{name}: the comment says so', any('besides the standard' in c
                                                      for c in p.comments), p.comments)


# ---- objects that are bound past us

FREES_PLUGIN = r'''
#include <cstdlib>
extern "C" void plugin_free(void *p) { free(p); }
extern "C" int plugin_use() { void *volatile p = malloc(10); free(p); return p != nullptr; }
'''

POINTER_PLUGIN = r'''
#include <cstdio>
#include <cstdlib>
void (*its_free)(void *) = free;
extern "C" int plugin_use() { its_free = reinterpret_cast<void (*)(void *)>(puts); return 1; }
'''


def test_objects_that_are_bound_past_us_are_told():
    """By what they are bound to: in any way that is loaded, and not before they called something."""
    frees = built(FREES_PLUGIN, 'frees.so', '-shared', '-fPIC')
    lazy = built(FREES_PLUGIN, 'lazy.so', '-shared', '-fPIC', '-Wl,-z,lazy', '-fcf-protection=none')
    ibt = built(FREES_PLUGIN, 'ibt.so', '-shared', '-fPIC', '-Wl,-z,lazy', '-fcf-protection=full')
    data = built(POINTER_PLUGIN, 'data.so', '-shared', '-fPIC')
    script = ('import ctypes, os, sys\n'
              'l = ctypes.CDLL(None)\n'
              'l.dlopen.restype = l.dlmopen.restype = l.dlsym.restype = ctypes.c_void_p\n'
              'l.dlsym.argtypes = [ctypes.c_void_p, ctypes.c_char_p]\n'
              'l.dlmopen.argtypes = [ctypes.c_long, ctypes.c_char_p, ctypes.c_int]\n'
              'path, how, use = sys.argv[1].encode(), sys.argv[2], int(sys.argv[3])\n'
              'lazy, now, deep = os.RTLD_LAZY, os.RTLD_NOW, os.RTLD_DEEPBIND\n'
              'h = {"plain": lambda: l.dlopen(path, lazy), "deep": lambda: l.dlopen(path, lazy | deep),\n'
              '     "now": lambda: l.dlopen(path, now | deep), "apart": lambda: l.dlmopen(-1, path, now)}[how]()\n'
              'if use: ctypes.CFUNCTYPE(ctypes.c_int)(l.dlsym(h, b"plugin_use"))()\n'
              'print("ready", flush=True)\n'
              'sys.stdin.readline()\n')
    for plugin, how, use, told in ((frees, 'plain', 1, False), (frees, 'now', 0, True),
                                   (frees, 'apart', 0, True), (lazy, 'deep', 1, True),
                                   (lazy, 'deep', 0, False), (ibt, 'deep', 0, False),
                                   (ibt, 'deep', 1, True), (ibt, 'plain', 1, False),
                                   (data, 'deep', 1, False)):
        name = os.path.basename(plugin)
        with Program('-c', script, plugin, how, str(use), program='/usr/bin/python3') as t:
            comments = t.profile().comments
            same(f'{name}, {how}, used {use}: told',
                 any('bound past us' in c and name in c for c in comments), told)
            check(f'{name}, {how}: nobody else is', sum('libc.so' in c or 'python' in c
                                                        for c in comments) == 0, comments)
            t.say()
            same('it ends well', t.finish().code, 0)


# ---- before we are relocated

RESOLVER = r'''
#include <cstdlib>
#include <cstring>
#include <new>
#include <pthread.h>
#include <string>
#include <sys/mman.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int times;
static void count() { times++; }

/* What C++ does. */
static bool works()
{
	std::string text(100, 'x');
	int *some = new int[100], *one = new (std::nothrow) int;

	text += "y";
	some[99] = 0;
	delete[] some;
	delete one;
	for (int i = 0; i < 2; i++) {
		pthread_mutex_lock(&mutex);
		pthread_once(&once, count);
		pthread_mutex_unlock(&mutex);
	}
	return text.size() == 101 && times == 1;
}

static int plain() { return 1; }
static int fast() { return 2; }

extern "C" __attribute__((visibility("hidden"))) void *resolve()
{
	void *aligned = nullptr;
	char *one = static_cast<char *>(malloc(64)), *two = static_cast<char *>(calloc(8, 8));

	one = static_cast<char *>(memset(realloc(one, 100), 0, 100));
	int ok = posix_memalign(&aligned, 64, 64) == 0 && !one[99] && !two[63];
	void *pages = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ok = ok && pages != MAP_FAILED && munmap(pages, 8192) == 0;
	free(aligned);
	free(one);
	free(two);
	two = static_cast<char *>(malloc(0));
	free(two);
	return reinterpret_cast<void *>(ok && works() ? fast : plain);
}

static int picked() __attribute__((ifunc("resolve")));
extern "C" int pick() { return picked(); }
'''

PICKS = r'''
#include <cstdio>
#include <cstdlib>
extern "C" int pick();
static void *volatile keep;
int main()
{
	char line[16];
	for (int i = 0; i < 20000; i++)
		keep = malloc(1000);
	printf("pick %d\nready\n", pick());
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) ? 0 : 1;
}
'''


def test_a_resolver_that_allocates():
    """The loader asks it before we are relocated; as jemalloc and others we crashed there."""
    library = built(RESOLVER, 'libresolver.so', '-shared', '-fPIC')
    for now in ('-Wl,-z,lazy', '-Wl,-z,now'):
        program = built(PICKS, 'picks', '-Wl,--no-as-needed', '-Wl,-rpath,' + harness.work, now,
                        library)
        for prefix in ((), ('/lib64/ld-linux-x86-64.so.2', '--preload', SHIM)):
            with Program(*prefix[1:], *[program] * len(prefix[:1]),
                         program=prefix[0] if prefix else program) as t:
                check('it starts', t.wait_for('ready'), t.output(1))
                check('what it picks', 'pick 2' in t.output(), t.output())
                near('what the program allocates', t.profile().cum('inuse_space')['main'])
                t.say()
                same('it ends well', t.finish().code, 0)


# ---- one inside another

NESTED = r'''
#include <cstdlib>
#include <cstring>

extern "C" void *malloc(size_t n)
{
	void *p = calloc(1, n);

	if (p)
		memset(p, 0xff, n);
	return p;
}
'''


def test_an_allocation_inside_another_is_not_counted():
    wrapper = built(NESTED, 'nested.so', '-shared', '-fPIC', '-fno-builtin')
    for rate in (1, 4096):
        with Program('malloc', preload=f'{SHIM}:{wrapper}', rate=rate) as t:
            near(f'at rate {rate}', t.profile().cum('inuse_space')['site_malloc'])


if __name__ == '__main__':
    harness.run(test_blocks_of_no_bytes_are_objects,
        test_memory_of_the_process_is_told_beside_what_is_in_use,
        test_an_operator_new_of_the_program_itself_is_told,
        test_operator_new_of_every_allocator_is_counted_once,
        test_what_operator_delete_frees_is_freed, test_operator_new_fails_as_without_us,
        test_names_are_answered_as_without_us_where_nothing_is_counted,
        test_plugins_with_operators_of_their_own_keep_them, test_own_calls_of_jemalloc,
        test_in_place_by_jemalloc, test_own_calls_of_tcmalloc_and_mimalloc,
        test_reallocarray_of_every_allocator, test_functions_without_a_hook_are_told,
        test_objects_that_are_bound_past_us_are_told, test_a_resolver_that_allocates,
        test_an_allocation_inside_another_is_not_counted)
