#!/usr/bin/env python3
"""pprof-attach --hooks: heap, block and mutex in a program that runs, by its import tables.

What the program did is known; the slots are read from outside, before, meanwhile and after.
"""
import glob
import os
import re
import resource
import shutil
import struct
import subprocess
import sys

import harness
import pprof_reader
import test_attach
from harness import FIXTURES, Target, check, poll, run, same, skip
from test_attach import attach, detach, ends_well, program, tool

NAME = 'hooked_later'
SOURCE = os.path.join(harness.ROOT, 'test/fixtures/hooked_later.c')
PLUGIN = os.path.join(FIXTURES, 'hooked_later_plugin.so')
RATE = {'PPROF_HEAP_RATE': '65536', 'PPROF_MUTEX_FRACTION': '1'}
KEPT, CHURNED, PLUGIN_KEPT, OLD = 20000 * 5000, 10000 * 15000, 2000 * 5000, 1000 * 20000
HELD = 8 * 25e6  # ns that the lock is held with somebody waiting


def ask(t, command):
    """The program's answer to a command."""
    before = len(t.output().splitlines())
    t.say(command + '\n')
    poll(lambda: len(t.output().splitlines()) > before or t.p.poll() is not None, 30)
    answer = t.output().splitlines()[before:]
    return answer[0] if answer else None


def ready(name=NAME, **options):
    t = program(name=name, **options)
    t.wait_for('ready')
    return t


def hooked(t, *args):
    return attach(t, '--hooks', *args, env=RATE)


def profile(t, page):
    return pprof_reader.parse(t.fetch(page))


def near(what, got, expected, share):
    check('%s: %d of %d' % (what, got, expected), abs(got - expected) <= share * expected)


# ---- the slots, as they are in the program's memory

def relocations(path):
    """Where the object has slots, and what for: the addresses in the file."""
    out = subprocess.run(['readelf', '-rW', path], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True).stdout
    return [(int(line.split()[0], 16), line.split()[4].split('@')[0]) for line in out.splitlines()
            if ('R_X86_64_JUMP_SLO' in line or 'R_X86_64_GLOB_DAT' in line) and len(line.split()) > 4]


def is_fixed(path):
    with open(path, 'rb') as f:
        return struct.unpack('<H', f.read(18)[16:])[0] == 2  # ET_EXEC


def slots(pid):
    """(object, name, address) -> what is there; and the mappings of each object."""
    ranges, found = {}, {}
    for line in harness.read('/proc/%d/maps' % pid).splitlines():
        words = line.split()
        if len(words) > 5 and words[5].startswith('/') and '/memfd:' not in words[5]:
            ranges.setdefault(words[5], []).append([int(x, 16) for x in words[0].split('-')])
    with open('/proc/%d/mem' % pid, 'rb', buffering=0) as memory:
        for path in ranges:
            if 'libpprofshim' in path or not os.path.exists(path):
                continue
            bias = 0 if is_fixed(path) else ranges[path][0][0]
            for offset, name in relocations(path):
                memory.seek(bias + offset)
                found[path, name, offset] = struct.unpack('<Q', memory.read(8))[0]
    return found, ranges


def is_in(ranges, part, at):
    return any(a <= at < b for path in ranges if part in path for a, b in ranges[path])


def pages(pid):
    """Of which objects which parts may be written to."""
    return sorted(re.sub(r' +', ' ', line).split(' ')[:2] + line.split()[5:] for line in
                  harness.read('/proc/%d/maps' % pid).splitlines() if '.so' in line or NAME in line)


def given_back(before, after, ranges, what):
    """All slots are what they were; those that waited for their first call may be bound."""
    def is_bound_since(key):
        return is_in(ranges, key[0], before[key]) and (is_in(ranges, '/libc', after[key]) or
                                                       is_in(ranges, '/ld-linux', after[key]))
    wrong = [(key, hex(before[key]), hex(after[key])) for key in before
             if after.get(key) != before[key] and not is_bound_since(key)]
    check('%s: slots as before' % what, not wrong, wrong[:4])
    left = [key for key, at in after.items() if is_in(ranges, 'libpprofshim', at)]
    check('%s: none leads to us' % what, not left, left[:4])


def test_slots_are_given_back():
    with ready() as t:
        before, _ = slots(t.pid)
        protections = [p for p in pages(t.pid)]
        hooked(t)
        during, ranges = slots(t.pid)
        ours = {key[1] for key, at in during.items() if is_in(ranges, 'libpprofshim', at)}
        check('names', {'malloc', 'free', 'realloc', 'calloc', 'pthread_mutex_lock', 'dlopen',
                        'dlsym', 'dlclose', 'pthread_create'} <= ours, ours)
        check('and no others', not ours & {'fork', 'waitpid', 'poll', 'nanosleep'}, ours)
        check('libc calls us too', any('libc' in key[0] for key, at in during.items()
                                       if is_in(ranges, 'libpprofshim', at)))
        detach(t)
        after, _ = slots(t.pid)
        given_back(before, after, ranges, t.what)
        same('protections', [p for p in pages(t.pid) if 'libpprofshim' not in p[-1]], protections)
        for _ in range(harness.rounds(10)):
            hooked(t)
            detach(t)
        again, _ = slots(t.pid)
        same('and again', again, after)
        same('no page more', [p for p in pages(t.pid) if 'libpprofshim' not in p[-1]], protections)
        same('it works', ask(t, 'churn'), 'done')
        ends_well(t)


# ---- what is measured

def work(t):
    for command in 'keep', 'churn':
        same(command, ask(t, command), 'done')
    same('load', ask(t, 'load ' + PLUGIN), 'loaded')
    return int(ask(t, 'contend')), int(ask(t, 'futex'))


def judge(t, waits):
    """Since it was attached to, or started: the same bounds."""
    p = profile(t, 'heap')
    use, total = p.cum('inuse_space'), p.cum('alloc_space')
    near(t.what + ': in use', use['keep_blocks'], KEPT, 0.15)
    near(t.what + ': allocated', total['churn_blocks'], CHURNED, 0.15)
    check(t.what + ': nothing of what was freed', use.get('churn_blocks', 0) < KEPT / 50, use)
    near(t.what + ': a plugin loaded later', use['plugin_allocate'], PLUGIN_KEPT, 0.4)
    waited, waited_at_word = waits
    near(t.what + ': futex', profile(t, 'block').cum('delay')['wait_at_word'], waited_at_word, 0.1)
    near(t.what + ': block', profile(t, 'block').cum('delay')['wait_long'], waited, 0.1)
    charged = profile(t, 'mutex').cum('delay')['hold_long']
    check(t.what + ': mutex', 0.9 * HELD <= charged <= 1.05 * waited, (HELD, charged, waited))
    same('drop', ask(t, 'drop'), 'done')
    same('old blocks', ask(t, 'old'), 'done')
    p = profile(t, 'heap')
    check(t.what + ': dropped', p.cum('inuse_space').get('keep_blocks', 0) < KEPT / 100)
    check(t.what + ': none below 0', all(v >= 0 for v in p.cum('inuse_space').values()))
    return p


def test_truth():
    with ready() as t:
        hooked(t)
        p = judge(t, work(t))
        check('old blocks are not in it', 'main' not in p.flat('alloc_space'), p.flat('alloc_space'))
        comments = '\n'.join(p.comments)
        check('the comment', re.search(r'since \d\d:\d\d:\d\d UTC. Allocations, waits and creators',
                                       comments), comments)
        check('memory of before is told of', 'allocated before the attach' in comments, comments)
        page = t.shim_page()
        check('the page', re.search(r'hooks: \d+ slots of import tables in \d+ objects', page), page[:600])
        same('unload', ask(t, 'unload'), 'done')
        check('cpu works too', t.fetch('profile?seconds=1&hz=1000'))
        detach(t)
        ends_well(t)


def test_a_preloaded_run_says_the_same():
    with Target(NAME, env=RATE) as t:
        t.what = 'preloaded'
        t.wait_ready()
        t.wait_for('ready')
        p = judge(t, work(t))
        near('with what was there at the start', p.cum('alloc_space')['main'], KEPT + CHURNED + OLD, 0.5)
        ends_well(t)


def test_each_attach_begins_anew():
    with ready() as t:
        hooked(t)
        ask(t, 'keep')
        detach(t)
        ask(t, 'drop')
        ask(t, 'keep')
        hooked(t)
        ask(t, 'churn')
        p = profile(t, 'heap')
        check('nothing of before', 'keep_blocks' not in p.cum('alloc_space') or not
              p.cum('alloc_space')['keep_blocks'], p.cum('alloc_space'))
        near('since then', p.cum('alloc_space')['churn_blocks'], CHURNED, 0.15)
        detach(t)
        attach(t)
        check('without hooks there is none', t.open('heap').answer.status == 404)
        check('and says how', '--hooks' in (t.open('heap').answer.read() or b'').decode())
        status, out, err = tool('--hooks', '--port', t.port, t.pid)
        check('later is too late', status == 0 and 'detach first' in err, (status, out, err))
        detach(t)
        ends_well(t)


def created(t):
    return profile(t, 'threadcreate').cum('threadcreate').get('begin_threads', 0)


def test_who_created_threads():
    """Those that began with hooks; they may end without, and others the other way round."""
    with ready() as t:
        ask(t, 'begin')
        hooked(t)
        same('of those that were there nobody knows', created(t), 0)
        ask(t, 'end')
        ask(t, 'begin')
        same('of others it is known', created(t), 4)
        detach(t)
        same('they end without', ask(t, 'end'), 'done')
        ask(t, 'begin')
        hooked(t)
        same('begun meanwhile', created(t), 0)
        same('they end with', ask(t, 'end'), 'done')
        detach(t)
        ends_well(t)


def test_locks_that_are_held_meanwhile():
    """Locked before the hooks and unlocked after, and the other way round."""
    with ready() as t:
        same('locked without', ask(t, 'hold'), 'done')
        hooked(t)
        same('unlocked with', ask(t, 'release'), 'done')
        same('locked with', ask(t, 'hold'), 'done')
        detach(t)
        same('unlocked without', ask(t, 'release'), 'done')
        ends_well(t)
    with program('wait', 'condition') as t:
        test_attach.again_and_again(t, harness.rounds(6), args=['--hooks'])
        ends_well(t)


def test_children():
    """They have the hooks and nothing behind them; one may be attached to all the same."""
    with ready() as t:
        hooked(t)
        ask(t, 'keep')
        same('a child of a hooked program', ask(t, 'fork'), 'child 7')
        detach(t)
        same('a child later', ask(t, 'fork'), 'child 7')
        ends_well(t)


FORKS = '''
import os, sys, time
print("ready", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        parent = os.getppid()
        kept = []
        while os.getppid() == parent:
            kept = [bytes(2000) for _ in range(2000)]
            time.sleep(0.01)
        os._exit(0)
    print(pid, flush=True)
'''


def test_a_child_that_is_attached_to():
    """With hooks and without, while its parent has them and after."""
    with program('-c', FORKS, name=sys.executable, what='python') as t:
        t.wait_for('ready')
        hooked(t)
        pid, port = int(ask(t, 'fork')), harness.free_port()
        for again in False, True:
            for hooks in ['--hooks'], []:
                status, out, err = tool(*hooks, '--port', port, pid, env=RATE)
                check('a child', status == 0, (status, out, err))
                found, ranges = slots(pid)
                ours = sum(is_in(ranges, 'libpprofshim', at) for at in found.values())
                check('has its hooks or none: %d' % ours, bool(ours) == bool(hooks))
                if hooks:
                    p = pprof_reader.parse(fetch(port, 'heap'))
                    poll(lambda: pprof_reader.parse(fetch(port, 'heap')).total('alloc_space') > 10 << 20)
                    p = pprof_reader.parse(fetch(port, 'heap'))
                    check('and its own heap', p.total('alloc_space') > 10 << 20, p.total('alloc_space'))
                status, out, err = tool('--detach', pid)
                check('left again', status == 0, (status, out, err))
            if not again:
                check('the parent goes on', t.fetch('heap') is not None)
                detach(t)
        t.p.stdin.close()
        same('it ends', t.finish().code, 0)


def fetch(port, page):
    c = harness.http.client.HTTPConnection('127.0.0.1', port, timeout=20)
    c.request('GET', '/debug/pprof/' + page, headers={'Authorization': 'Bearer ' + harness.KEY})
    return c.getresponse().read()


def test_without_descriptors():
    """What is mapped cannot be read then: no slot is touched, which is told."""
    with ready() as t:
        attach(t)
        detach(t)
        resource.prlimit(t.pid, resource.RLIMIT_NOFILE, (3, 3))
        status, out, err = tool('--hooks', '--port', t.port, t.pid, env=RATE)
        check('told', 'no import table' in err, (status, out, err))
        same('it goes on', ask(t, 'churn'), 'done')
        tool('--detach', t.pid)
        ends_well(t)


def test_a_filter_that_comes_later():
    """No call of ours is made on its threads from then on, and our own thread is gone."""
    with ready() as t:
        hooked(t)
        same('keep', ask(t, 'keep'), 'done')
        same('open', ask(t, 'open ' + PLUGIN), 'opened')
        same('filter', ask(t, 'filter'), 'filtered')
        same('our thread ends', len(harness.tasks(t.pid)), 1)
        for command, answer in (('find', 'found'), ('drop', 'done'), ('keep', 'done'), ('churn', 'done')):
            same(command + ' under a filter', ask(t, command), answer)
        ends_well(t)


def test_when_nobody_waits_at_the_end():
    """The hooks stay then, and only pass on; they are given back later."""
    with ready() as t:
        before, _ = slots(t.pid)
        hooked(t)
        t.say('spin\n')
        status, out, err = tool('--detach', t.pid)
        check('detached', status == 0 and 'only passes them on' in err, (status, out, err))
        for command in 'keep', 'drop', 'churn', 'fork':
            check(command, ask(t, command))
        status, out, err = tool('--detach', t.pid)
        check('and again', status == 0, (status, out, err))
        after, ranges = slots(t.pid)
        given_back(before, after, ranges, 'late')
        ends_well(t)


def test_programs_that_allocate_load_and_fork():
    for args in ['malloc'], ['dlopen', PLUGIN], ['small'], ['fork'], ['vfork'], ['signals']:
        with program(*args) as t:
            test_attach.again_and_again(t, harness.rounds(5), args=['--hooks'])
            ends_well(t)


# ---- ways of linking

def built(name, source, *how):
    path = os.path.join(harness.work, name)
    if not shutil.which('gcc'):
        skip(name, 'no gcc')
        return None
    done = subprocess.run(['gcc', '-O1', '-g', *how, '-o', path, source, '-pthread', '-ldl'],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        skip(name, done.stdout[-200:])
        return None
    return path


def test_ways_of_linking():
    for name, how, env in (('lazy', ['-Wl,-z,lazy'], {'LD_BIND_NOW': '1'}), ('no-plt', ['-fno-plt'], {}),
                           ('fixed', ['-no-pie', '-fno-pie', '-Wl,-z,lazy'], {}),
                           ('gold', ['-fuse-ld=gold'], {}), ('lld', ['-fuse-ld=lld', '-Wl,-z,now'], {})):
        path = built(name, SOURCE, *how)
        if not path:
            continue
        with ready(path, env=env) as t:
            before, _ = slots(t.pid)
            hooked(t)
            same(name + ' keep', ask(t, 'keep'), 'done')
            check(name + ' contend', ask(t, 'contend'))
            near(name, profile(t, 'heap').cum('inuse_space')['keep_blocks'], KEPT, 0.15)
            check(name + ' mutex', profile(t, 'mutex').cum('delay')['hold_long'] > 0.9 * HELD)
            detach(t)
            after, ranges = slots(t.pid)
            given_back(before, after, ranges, name)
            ends_well(t)


def test_an_allocator_of_another_library():
    found = glob.glob('/usr/lib/x86_64-linux-gnu/libjemalloc.so.2')
    if not found:
        return skip('jemalloc', 'not installed')
    with ready(env={'LD_PRELOAD': found[0]}) as t:
        hooked(t)
        ask(t, 'keep')
        near('jemalloc', profile(t, 'heap').cum('inuse_space')['keep_blocks'], KEPT, 0.15)
        ask(t, 'drop')
        check('dropped', profile(t, 'heap').cum('inuse_space').get('keep_blocks', 0) < KEPT / 100)
        detach(t)
        ends_well(t)


OWN = '''
#include <stddef.h>
#include <stdlib.h>
static char arena[1 << 20] __attribute__((aligned(16)));
static size_t used;
void *malloc(size_t n) { void *p = arena + used; used += (n + 31) & ~15UL; return used < sizeof arena ? p : NULL; }
int is_own(void *p) { return (char *)p >= arena && (char *)p < arena + sizeof arena; }
void free(void *p) { if (p && !is_own(p)) abort(); }
'''
DEEP = '''
#include <stdlib.h>
int is_own(void *p);
void plugin_allocate(void)
{
	for (int i = 0; i < 100; i++) {
		void *p = malloc(100);
		if (!is_own(p)) abort();
		free(p);
	}
}
'''


def test_an_object_with_an_allocator_of_its_own():
    """Loaded with RTLD_DEEPBIND and lazily: its first call comes after ours, and is not ours."""
    sources = {}
    for name, text in (('own', OWN), ('deep', DEEP)):
        sources[name] = os.path.join(harness.work, name + '.c')
        with open(sources[name], 'w') as f:
            f.write(text)
    own = built('libown.so', sources['own'], '-shared', '-fPIC', '-fno-builtin')
    deep = own and built('libdeep.so', sources['deep'], '-shared', '-fPIC', '-fno-builtin', '-Wl,-z,lazy',
                         '-Wl,--no-as-needed', own, '-Wl,-rpath,' + harness.work)
    if not deep:
        return
    for early in True, False:
        with ready() as t:
            if early:
                same('opened', ask(t, 'open ' + deep), 'opened')
            hooked(t)
            same('opened', ask(t, 'open ' + deep), 'opened')
            same('loaded', ask(t, 'load ' + deep), 'loaded')
            same('and again', ask(t, 'load ' + deep), 'loaded')
            detach(t)
            same('without hooks', ask(t, 'load ' + deep), 'loaded')
            ends_well(t)


LOCKS = '''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#define NEXT(name, type) ((int (*)type)dlsym(RTLD_NEXT, name))
int own_calls;
int pthread_mutex_lock(pthread_mutex_t *m) { own_calls++; return NEXT("pthread_mutex_lock", (void *))(m); }
int pthread_mutex_unlock(pthread_mutex_t *m) { own_calls++; return NEXT("pthread_mutex_unlock", (void *))(m); }
int pthread_once(pthread_once_t *o, void (*f)(void)) { own_calls++; return NEXT("pthread_once", (void *, void (*)(void)))(o, f); }
'''
LOCKING = '''
#include <pthread.h>
#include <stdlib.h>
extern int own_calls;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int inits;
static void init(void) { inits++; }
void plugin_allocate(void)
{
	int before = own_calls;

	for (int i = 0; i < 1000; i++) {
		pthread_mutex_lock(&mutex);
		pthread_once(&once, init);
		pthread_mutex_unlock(&mutex);
	}
	if (own_calls < before + 3000 || inits != 1) abort();
}
'''


def test_a_program_at_a_fixed_address_with_locks_of_its_own():
    """What is next lies where a library that is not relocated yet has its functions.

    Seen to fail: the first lock that the plugin took called address 0.
    """
    files = {}
    for name, text in (('locks', LOCKS), ('locking', LOCKING)):
        files[name] = os.path.join(harness.work, name + '.c')
        with open(files[name], 'w') as f:
            f.write(text)
    plugin = built('liblocking.so', files['locking'], '-shared', '-fPIC')
    path = plugin and built('fixed-locks', SOURCE, '-no-pie', '-fno-pie', '-rdynamic', files['locks'],
                            '-Wl,--no-as-needed', plugin)
    if not path:
        return
    with ready(path) as t:
        same('opened', ask(t, 'open ' + plugin), 'opened')
        hooked(t)
        same('with hooks', ask(t, 'load ' + plugin), 'loaded')
        detach(t)
        same('without hooks', ask(t, 'load ' + plugin), 'loaded')
        ends_well(t)


def test_a_program_with_its_own_malloc():
    """It calls that one without a table: half of what happens would be wrong."""
    with program(name='heap_own_malloc') as t:
        poll(lambda: harness.read('/proc/%d/syscall' % t.pid).startswith('0 '), 5)
        hooked(t)
        c = t.open('heap')
        check('says why', c.answer.status == 404 and 'own malloc' in c.answer.read().decode())
        check('block is there', t.fetch('block') is not None)
        detach(t)


def by_socket(path):
    """Status of the index; our user needs no key there."""
    return subprocess.run(['curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', '--unix-socket', path,
                           'http://localhost/debug/pprof/'], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True).stdout


def test_a_socket():
    """One for each attach, which goes with it."""
    first, second = (os.path.join(harness.work, name) for name in ('first.%p', 'second'))
    with ready() as t:
        here = first.replace('%p', str(t.pid))
        attach(t, env={'PPROF_SOCKET': first})
        same('its index', poll(lambda: by_socket(here) == '200' and '200'), '200')
        check('and by the port', t.fetch('') is not None)
        detach(t)
        check('it goes', not os.path.exists(here))
        attach(t, env={'PPROF_SOCKET': second})
        same('the next', poll(lambda: by_socket(second) == '200' and '200'), '200')
        detach(t)
        attach(t)
        check('and none', t.fetch('') is not None and not os.path.exists(here) and
              not os.path.exists(second))
        detach(t)
        ends_well(t)


def test_another_port_and_what_has_no_effect():
    with ready() as t:
        status, out, err = tool('--port', t.port, t.pid, env={'PPROF_OUT': '/tmp'})
        check('is told', status == 0 and 'PPROF_OUT has no' in err, err)
        status, out, err = tool('--port', harness.free_port(), t.pid)
        check('the old one stays, which is told', status == 0 and 'detach first' in err and str(t.port) in out,
              (status, out, err))
        detach(t)
        ends_well(t)


if __name__ == '__main__':
    run(test_slots_are_given_back, test_truth, test_a_preloaded_run_says_the_same,
        test_each_attach_begins_anew, test_who_created_threads, test_locks_that_are_held_meanwhile, test_children,
        test_a_child_that_is_attached_to, test_without_descriptors,
        test_a_filter_that_comes_later, test_when_nobody_waits_at_the_end, test_programs_that_allocate_load_and_fork,
        test_ways_of_linking, test_an_allocator_of_another_library,
        test_an_object_with_an_allocator_of_its_own,
        test_a_program_at_a_fixed_address_with_locks_of_its_own, test_a_program_with_its_own_malloc,
        test_a_socket, test_another_port_and_what_has_no_effect)
