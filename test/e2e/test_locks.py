#!/usr/bin/env python3
"""Block and mutex profiles, against programs that clock their own waits.

Every wait of lock_truth is bounded from both sides by its own clock readings (see
there), so what is exact here cannot fail by chance, however busy the machine is.
Where sampling decides, bounds are six standard deviations: one failure in 10^8.
"""
import json
import math
import os
import shutil
import socket
import subprocess
import threading

import harness
import pprof_reader
from harness import Target, check, same, skip

EXACT = {'PPROF_BLOCK_RATE': '1', 'PPROF_MUTEX_FRACTION': '1'}
# What pthread calls the leaf of each kind; the rest is pthread_mutex_lock.
LEAVES = {'timedlock': 'pthread_mutex_timedlock', 'clocklock': 'pthread_mutex_clocklock',
          'rdlock': 'pthread_rwlock_rdlock', 'wrlock': 'pthread_rwlock_wrlock',
          'timedrdlock': 'pthread_rwlock_timedrdlock', 'timedwrlock': 'pthread_rwlock_timedwrlock',
          'clockrdlock': 'pthread_rwlock_clockrdlock', 'clockwrlock': 'pthread_rwlock_clockwrlock',
          'mtx': 'mtx_lock', 'mtx_timed': 'mtx_timedlock', 'cond': 'pthread_cond_wait',
          'cond_timed': 'pthread_cond_timedwait', 'cond_clock': 'pthread_cond_clockwait',
          'cnd': 'cnd_wait', 'cnd_timed': 'cnd_timedwait', 'sem': 'sem_wait',
          'sem_timed': 'sem_timedwait', 'sem_clock': 'sem_clockwait',
          'barrier': 'pthread_barrier_wait', 'join': 'pthread_join',
          'join_timed': 'pthread_timedjoin_np', 'join_clock': 'pthread_clockjoin_np',
          'join_c11': 'thrd_join', 'futex': 'futex_wait', 'futex_bitset': 'futex_wait',
          'futex_pi': 'futex_lock_pi', 'futex_pi2': 'futex_lock_pi', 'futex_lock': 'futex_wait',
          'futex_waitv': 'futex_waitv', 'futex_requeue': 'futex_wait', 'once': 'pthread_once',
          'once_c11': 'call_once', 'ofd': 'fcntl',
          **{k: k for k in ('flock', 'fcntl', 'lockf', 'semop', 'semtimedop', 'msgrcv', 'msgsnd',
                            'mq_receive', 'mq_timedreceive', 'mq_send', 'mq_timedsend')}}
UNLOCKS = {'mtx': 'mtx_unlock', 'mtx_timed': 'mtx_unlock', 'futex_pi': 'futex_unlock_pi',
           'futex_pi2': 'futex_unlock_pi', 'futex_lock': 'futex_wake'}


class Locks(Target):
    """A target whose every profile is checked."""

    def profile(self, path, delta=False, timeout=60):
        body = self.fetch(path, timeout)
        if not check(f'{path} is answered', body is not None):
            raise RuntimeError(path)
        return self.parsed(body, path, delta)

    def parsed(self, body, path, delta=False):
        p = pprof_reader.parse(body)
        problems = pprof_reader.check(p, delta, os.path.realpath(f'/proc/{self.pid}/exe'))
        if not p.samples:
            problems = [x for x in problems if x != 'no mapping']
        check(f'{path}: a valid profile', not problems, problems[:5])
        p.body = body
        return p

    def account(self, command='go'):
        """What the program says it has waited, after a command."""
        told = self.output().count('\n')
        self.say(command + '\n')
        if not harness.poll(lambda: self.output().count('\n') > told or
                            self.p.poll() is not None, 60):
            raise RuntimeError('no answer to ' + command)
        return json.loads(self.output().splitlines()[-1])


def truth(rounds, nap_us, env):
    t = Locks('lock_truth', rounds, nap_us, env=env)
    if not t.wait_ready() or not t.wait_for('ready'):
        raise RuntimeError('lock_truth does not start')
    return t


def values(p, function):
    return p.cum('contentions')[function], p.cum('delay')[function]


def exactly(name, account, block, mutex):
    """Each site and each unlock: the count as told, the delay within its two bounds."""
    for place, lines in account.items():
        p = block if place.startswith('site_') else mutex
        count, delay = values(p, place)
        calls, inner, outer = (sum(column) for column in zip(*lines))
        same(f'{name}: {place} count', count, calls)
        check(f'{name}: {place} delay', inner <= delay <= outer, (inner, delay, outer))


def test_at_1_everything_is_exact():
    with truth(8, 1000, EXACT) as t:
        account = t.account()
        exactly('rate 1', account, t.profile('block'), t.profile('mutex'))
        check('no wait was lost', all(t.counter(c) == 0 for c in (
            'block_stack_table_full', 'block_stacks_unknown', 'mutex_stack_table_full',
            'mutex_stacks_unknown', 'mutex_waiter_table_full', 'waits_without_clock')))


def test_seconds_records_everything_of_that_time():
    """At rates that would record next to nothing."""
    with truth(5, 1000, {'PPROF_BLOCK_RATE': '100000000000',
                         'PPROF_MUTEX_FRACTION': '1000000'}) as t:
        t.account()
        before = t.counter('block_samples')
        check('before: hardly anything is recorded', before < 20, before)
        open_block, open_mutex = t.open('block?seconds=4'), t.open('mutex?seconds=4')
        account = t.account()
        block = t.parsed(open_block.answer.read(), 'block?seconds=4', True)
        mutex = t.parsed(open_mutex.answer.read(), 'mutex?seconds=4', True)
        exactly('seconds=4', account, block, mutex)
        check('a delta says how long it took', 3.9e9 < block.duration_ns < 60e9)
        at_end = t.counter('block_samples')
        t.account()
        after = t.counter('block_samples') - at_end
        check('after: hardly anything is recorded', after < 20, after)


def test_leaves_are_the_calls_as_written():
    with truth(1, 500, EXACT) as t:
        account = t.account()
        for path, places, leaf_of in (('block', 'site_', lambda k: LEAVES.get(
                k, 'pthread_mutex_lock')), ('mutex', 'release_', lambda k: UNLOCKS.get(
                    k, 'pthread_rwlock_unlock' if 'rdlock' in k or 'wrlock' in k
                    else 'pthread_mutex_unlock'))):
            p = t.profile(path)
            stacks = [s.stack for s in p.samples]
            for place in account:
                kind = place[len(places):]
                if place.startswith(places):
                    check(f'{path}: {place} is called by its leaf', any(
                        s[0] == leaf_of(kind) and place in s[1:4] for s in stacks),
                        [s[:3] for s in stacks if place in s])
            check(f'{path}: no frame of ours', not any(
                'contended' in f or 'watched' in f or 'pprofshim' in f for s in stacks for f in s))


def estimate(name, p, lines, rate, places):
    """Sums over all places against what sampling by length allows."""
    waits = [(inner, outer) for place in places for _, inner, outer in lines[place]]
    true = sum(outer for _, outer in waits)
    slack = sum(outer - inner for inner, outer in waits)
    variance = sum(w * max(0, rate - w) for w, _ in waits)
    got = sum(values(p, place)[1] for place in places)
    allowed = 6 * math.sqrt(variance)
    check(f'{name}: delay', true - slack - allowed <= got <= true + allowed,
          (got, true, slack, allowed))
    calls = sum(c for place in places for c, _, _ in lines[place])
    variance = sum(rate / w - 1 for w, _ in waits if w < rate)
    got = sum(values(p, place)[0] for place in places)
    # a wait is as long as it is, between the two bounds: so is what it counts as
    allowed = 6 * math.sqrt(variance) + len(places)
    check(f'{name}: count', abs(got - calls) <= allowed, (got, calls, allowed))
    return got


def test_sampled_sums_are_right():
    """Waits of 1 ms at 5 ms: one in five is recorded and counts five times."""
    with truth(60, 1000, {'PPROF_BLOCK_RATE': '5000000', 'PPROF_MUTEX_FRACTION': '5'}) as t:
        account = t.account()
        sites = [k for k in account if k.startswith('site_')]
        estimate('rate 5 ms', t.profile('block'), account, 5e6, sites)
        samples = t.counter('block_samples')
        check('rate 5 ms: a part is recorded', 0 < samples < 0.5 * 60 * len(sites), samples)
        # the mutex profile: one in five of about 1.1 ms
        releases = [k for k in account if k.startswith('release_') and k != 'release_ten']
        n = 60 * len(releases)
        got = sum(values(t.profile('mutex'), k)[0] for k in releases)
        check('one in 5: count', abs(got - n) <= 6 * math.sqrt(4 * n), (got, n))
        samples = t.counter('mutex_samples')
        check('one in 5: a part is recorded', 0 < samples < 0.5 * n, samples)


def test_the_default_rates():
    with truth(10, 1000, {}) as t:
        account = t.account()
        sites = [k for k in account if k.startswith('site_')]
        estimate('default', t.profile('block'), account, 1e5, sites)
        count, delay = values(t.profile('mutex'), 'release_ten')
        _, inner, outer = account['release_ten'][0]
        check('default: 100 ms at one unlock are never missed', count == 1 and
              inner <= delay <= outer, (count, inner, delay, outer))


def test_the_holder_is_blamed_and_not_the_victim():
    for name, env in (('exact', EXACT), ('default', {})):
        with truth(1, 100, env) as t:
            waited = t.account('blame')['victim']
            mutex, block = t.profile('mutex'), t.profile('block')
            long, short = values(mutex, 'hold_long')[1], values(mutex, 'hold_shortly')[1]
            check(f'{name}: the long holder is blamed', long > 0.9 * (long + short) > 0,
                  (long, short))
            check(f'{name}: for what the others waited', 0.5 * waited < long < 1.05 * waited,
                  (long, waited))
            check(f'{name}: the victims are who waited', values(block, 'hold_shortly')[1] >
                  0.8 * waited, (values(block, 'hold_shortly'), waited))


def blame(*scenes):
    """
    Of each scene: who is to blame, and for how much, as the program says itself.  A thread
    that lost its processor just before it began to wait is charged later: so half is enough.
    """
    with Locks('lock_blame', env=EXACT) as t:
        if not check('lock_blame starts', t.wait_ready() and t.wait_for('ready')):
            return
        for scene in scenes:
            for place, (inner, outer) in t.account(scene).items():
                got = values(t.profile('mutex'), place)[1]
                check(f'{scene}: {place} is charged with what others lost',
                      0.5 * inner <= got <= outer, (inner, got, outer))


def test_the_holder_is_charged_for_those_who_give_up():
    blame('timedlock', 'clocklock', 'mtx_timed', 'timedrdlock', 'timedwrlock')


def test_many_locks_at_once_are_all_charged():
    blame('many')


def test_who_has_the_mutex_when_a_condition_is_over_is_charged():
    blame('herd', 'c11_herd', 'signal', 'deadline')


def test_functions_that_end_in_a_jump_are_named():
    """`return pthread_mutex_unlock(&m);` is a jump, and leaves no frame of its own."""
    with Locks('lock_blame', env=EXACT) as t:
        if not check('lock_blame starts', t.wait_ready() and t.wait_for('ready')):
            return
        t.account('jumps')
        for path, stack in (('mutex', ['pthread_mutex_unlock', 'give_back', 'scene_jumps', 'main']),
                            ('block', ['pthread_mutex_lock', 'take', 'take_and_give'])):
            first, second = t.profile(path), t.profile(path)
            stacks, again = ([[f.split('.')[0] for f in s.stack] for s in p.samples]
                             for p in (first, second))
            check(f'{path}: {stack[1]} is between', stack in [s[:len(stack)] for s in stacks],
                  stacks)
            same(f'{path}: the same again', sorted(again), sorted(stacks))


def test_nobody_is_charged_for_idle_workers():
    with Locks('lock_blame', env=EXACT) as t:
        if check('lock_blame starts', t.wait_ready() and t.wait_for('ready')):
            t.account('idle')
            total = t.profile('mutex').total('delay')
            idle = t.profile('block').total('delay')
            check('idle workers are in block', idle > 8 * 490e6, idle)
            check('but cost nobody', total < idle / 4, (total, idle))


def test_the_mutex_profile_says_what_it_cannot_see():
    with Locks('lock_blame', env=EXACT) as t:
        if not check('lock_blame starts', t.wait_ready() and t.wait_for('ready')):
            return
        check('nothing is missing at first', not t.profile('mutex').comments)
        _, lost = t.account('processes')['wait_for_other']
        p = t.profile('mutex')
        got = values(p, 'wait_for_other')[1]
        check('nobody here is blamed for the other process', got < 0.2 * lost, (got, lost))
        check('the profile says so', any('other processes' in c for c in p.comments) and
              any('another process' in c for c in p.comments), p.comments)
        check('block has the wait', 0.9 * lost < values(t.profile('block'), 'wait_for_other')[1])


def test_0_is_off():
    for setting, path, other in (('PPROF_BLOCK_RATE', 'block', 'mutex'),
                                 ('PPROF_MUTEX_FRACTION', 'mutex', 'block')):
        with truth(2, 500, dict(EXACT, **{setting: '0'})) as t:
            t.account()
            c = t.open(path)
            body = c.answer.read().decode()
            same(f'{setting}=0: {path} is refused', (c.answer.status, setting in body), (404, True))
            check(f'{setting}=0: {other} goes on', t.profile(other).total('contentions') > 0)
            same(f'{setting}=0: nothing was recorded', t.counter(path + '_samples'), 0)
            check(f'{setting}=0: the page says so', f'\n{path}: off' in t.shim_page())


def go_tool(*args):
    r = subprocess.run(['go', 'tool', 'pprof', *args], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=120,
                       env=dict(os.environ, PPROF_TMPDIR=harness.work))
    return r.stdout if r.returncode == 0 else 'FAILED: ' + r.stdout


def test_text_is_readable_by_pprof():
    with truth(2, 500, EXACT) as t:
        t.account()
        for path, head in (('block', '--- contention:\ncycles/second=1000000000\n'),
                           ('mutex', '--- mutex:\ncycles/second=1000000000\nsampling period=1\n')):
            p = t.profile(path)
            text = t.fetch(path + '?debug=1')
            check(f'{path}: as Go writes it', text.decode().startswith(head), text[:80])
            if not shutil.which('go'):
                skip('go tool pprof', 'not installed')
                continue
            name = f'{harness.work}/{path}.txt'
            with open(name, 'wb') as f:
                f.write(text)
            raw = go_tool('-raw', name)
            check(f'{path}: pprof reads types', 'contentions/count delay/nanoseconds' in raw,
                  raw[:300])
            sums = [0, 0]
            for line in raw.split('Samples:')[-1].split('Locations')[0].splitlines():
                words = line.replace(':', ' ').split()
                if len(words) > 1 and words[0].isdigit() and words[1].isdigit():
                    sums = [sums[0] + int(words[0]), sums[1] + int(words[1])]
            same(f'{path}: pprof reads the same sums', sums,
                 [p.total('contentions'), p.total('delay')])


# ---- behaviour

SETTINGS = {'everything': EXACT, 'default': {}, 'off': {'PPROF_BLOCK_RATE': '0',
                                                        'PPROF_MUTEX_FRACTION': '0'}}


def test_every_operation_returns_what_it_would():
    """10^5 random operations on all kinds of lock: results and errno, with and without us."""
    for seed in 1, 101:  # 101 meets a dead owner with a deadline before 1970
        expected = harness.plain('lock_model', 100000, seed)
        check('lock_model runs', expected.code == 0 and expected.out.count('\n') > 80, expected)
        for name, env in SETTINGS.items():
            with Locks('lock_model', 100000, seed, env=env) as t:
                same(f'lock_model {seed}, {name}', t.finish().seen(), expected.seen())


def cancelled(times):
    with Locks('lock_cancel', times, env=EXACT) as t:
        if not check('lock_cancel starts', t.wait_ready() and t.wait_for('ready')):
            return
        account = t.account()
        same('cancellations', {k: v[0] for k, v in account.items()},
             {k: times for k in account})
        p = t.profile('block')
        for call, (_, waits, inner, outer) in account.items():
            if not waits:
                continue
            count, delay = values(p, 'after_' + call)
            check(f'after {times} cancellations, {call} is recorded',
                  count == 1 and inner <= delay <= outer, (count, inner, delay, outer))
        same('a second time', {k: v[0] for k, v in t.account().items()},
             {k: times for k in account})


def test_cancelled_calls_leave_nothing_behind():
    cancelled(100)


def test_children_of_fork_go_their_own_way():
    for name, env in SETTINGS.items():
        with Locks('lock_fork', 10, env=env) as t:
            check(f'{name}: all children end well', t.wait_for('failed 0'), t.output())
            if env is EXACT:
                check('the parent is profiled as before', values(
                    t.profile('block'), 'use_locks')[0] > 10)
            t.say()
            same(f'{name}: the parent ends well', t.finish().code, 0)


# ---- other languages

CXX = """
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <latch>
#include <mutex>
#include <semaphore>
#include <shared_mutex>
#include <thread>
#define STAY asm volatile("")  // what comes before it is no tail call
using namespace std::chrono_literals;
std::mutex m; std::timed_mutex tm; std::shared_mutex sm; std::condition_variable cv;
std::counting_semaphore<5> sem(0); std::atomic<int> word(0); bool flag;
__attribute__((noinline)) void wait_mutex() { std::lock_guard<std::mutex> l(m); }
__attribute__((noinline)) void wait_timed() { if (tm.try_lock_for(100s)) tm.unlock(); }
__attribute__((noinline)) void wait_shared() { std::shared_lock<std::shared_mutex> l(sm); }
__attribute__((noinline)) void wait_condition() {
    std::unique_lock<std::mutex> l(m); cv.wait(l, [] { return flag; }); }
__attribute__((noinline)) void wait_semaphore() { sem.acquire(); STAY; }
__attribute__((noinline)) void wait_atomic() { word.wait(0); STAY; }
std::atomic<int> taken(1); std::latch latch(1);
__attribute__((noinline)) void wait_taken() { while (taken.exchange(1)) taken.wait(1); STAY; }
__attribute__((noinline)) void give_taken() { taken = 0; taken.notify_one(); STAY; }
__attribute__((noinline)) void wait_latch() { latch.wait(); STAY; }
__attribute__((noinline)) void open_latch() { latch.count_down(); STAY; }
__attribute__((noinline)) void give_semaphore() { sem.release(); STAY; }
__attribute__((noinline)) void set_word() { word = 1; word.notify_all(); STAY; }
__attribute__((noinline)) void hold_mutex() {
    { std::lock_guard<std::mutex> l(m); std::this_thread::sleep_for(100ms); } STAY; }
template <class F> std::thread go(F f) { return std::thread(f); }
int main() {
    tm.lock(); sm.lock();
    std::thread holder(hold_mutex);
    std::this_thread::sleep_for(20ms);
    std::thread a(wait_mutex), b(wait_timed), c(wait_shared), e(wait_semaphore), f(wait_atomic);
    std::thread g(wait_taken), h(wait_latch);
    std::thread d([] { std::this_thread::sleep_for(150ms); wait_condition(); });
    std::this_thread::sleep_for(300ms);
    tm.unlock(); sm.unlock(); give_semaphore(); set_word(); give_taken(); open_latch();
    { std::lock_guard<std::mutex> l(m); flag = true; } cv.notify_all();
    for (std::thread *t : {&a, &b, &c, &d, &e, &f, &g, &h, &holder}) t->join();
    puts("done"); fflush(stdout); getchar();
}
"""

RUST = """
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::{thread, time::Duration};
fn ms(n: u64) { thread::sleep(Duration::from_millis(n)); }
#[inline(never)] fn wait_mutex(m: &Mutex<u32>) { *m.lock().unwrap() += 1; }
#[inline(never)] fn wait_rwlock(l: &RwLock<u32>) { *l.write().unwrap() += 1; }
#[inline(never)] fn wait_condvar(p: &(Mutex<bool>, Condvar)) {
    let mut g = p.0.lock().unwrap(); while !*g { g = p.1.wait(g).unwrap(); } }
#[inline(never)] fn give_mutex<T>(g: T) { drop(g); unsafe { std::ptr::read_volatile(&1) }; }
#[inline(never)] fn wake_condvar(p: &(Mutex<bool>, Condvar)) {
    *p.0.lock().unwrap() = true; p.1.notify_all(); unsafe { std::ptr::read_volatile(&1) }; }
#[inline(never)] fn wake_parked(t: &thread::Thread) { t.unpark(); unsafe { std::ptr::read_volatile(&1) }; }
#[inline(never)] fn wait_park() { thread::park(); unsafe { std::ptr::read_volatile(&1) }; }
fn main() {
    let m = Arc::new(Mutex::new(0)); let l = Arc::new(RwLock::new(0));
    let p = Arc::new((Mutex::new(false), Condvar::new()));
    let g = m.lock().unwrap(); let r = l.read().unwrap();
    let (m2, l2, p2) = (m.clone(), l.clone(), p.clone());
    let a = thread::spawn(move || wait_mutex(&m2));
    let b = thread::spawn(move || wait_rwlock(&l2));
    let c = thread::spawn(move || wait_condvar(&p2));
    let d = thread::spawn(|| wait_park());
    ms(300);
    give_mutex(g); drop(r); wake_condvar(&p); wake_parked(d.thread());
    for t in [a, b, c, d] { t.join().unwrap(); }
    println!("done");
    let mut s = String::new(); std::io::stdin().read_line(&mut s).unwrap();
}
"""


def delay_at(p, place):
    """Of all stacks with a frame of this name, mangled hashes and namespaces aside."""
    return sum(s.values[1] for s in p.samples if any(place in f for f in s.stack))


def compiled(name, source, *command):
    path = f'{harness.work}/{name}'
    with open(path, 'w') as f:
        f.write(source)
    program = path.rsplit('.', 1)[0]
    subprocess.run([*command, '-o', program, path], check=True)
    return program


def waits_of(program, places, mutex_places=(), not_in_mutex=()):
    with Locks(program, env=EXACT) as t:
        if not check(f'{program} runs', t.wait_ready() and t.wait_for('done')):
            return
        p = t.profile('block')
        for place, leaf in places.items():
            delay = delay_at(p, place)
            check(f'{place}: its wait is there', 100e6 < delay < 60e9, delay)
            leaves = {s.stack[0] for s in p.samples if any(place in f for f in s.stack)}
            check(f'{place}: {leaf}', set(leaf.split('|')) & leaves, leaves)
        p = t.profile('mutex')
        for place in mutex_places:
            check(f'{place} is blamed', delay_at(p, place) > 30e6, delay_at(p, place))
        for place in not_in_mutex:
            check(f'{place} is not blamed', delay_at(p, place) < 30e6, delay_at(p, place))
        t.say()
        t.finish()


def test_waits_of_cxx20_primitives():
    program = compiled('waits_cxx.cc', CXX, 'g++', '-std=c++20', '-O2', '-g', '-pthread')
    waits_of(program, {'wait_timed': 'pthread_mutex_clocklock',
                       'wait_shared': 'pthread_rwlock_rdlock', 'wait_condition':
                       'pthread_cond_wait', 'wait_semaphore': 'futex_wait|sem_wait',
                       'wait_atomic': 'futex_wait', 'wait_taken': 'futex_wait',
                       'wait_latch': 'futex_wait'},
             ['hold_mutex', 'give_taken', 'open_latch'], ['give_semaphore', 'set_word'])


def test_waits_of_rust_primitives():
    if not shutil.which('rustc'):
        return skip('rustc', 'not installed')
    program = compiled('waits_rust.rs', RUST, 'rustc', '-O', '-g')
    waits_of(program, dict.fromkeys(('wait_mutex', 'wait_rwlock', 'wait_condvar', 'wait_park'),
                                    'futex_wait'),
             ['give_mutex'], ['wake_condvar', 'wake_parked'])


# ---- versions of functions

OLD_CONDITIONS = """
#include <pthread.h>
#include <stdio.h>
#define OLD(f) __asm__(".symver " #f "," #f "@GLIBC_2.2.5");
OLD(pthread_cond_init) OLD(pthread_cond_wait) OLD(pthread_cond_timedwait)
OLD(pthread_cond_signal) OLD(pthread_cond_broadcast) OLD(pthread_cond_destroy)
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static struct { void *p; char fence[8]; } small = { 0, "unharmed" };  /* a pointer, in those days */
static int turn;
static void *play(void *arg) {
    pthread_cond_t *c = (pthread_cond_t *)&small.p;
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&m);
        while (turn != (arg != 0)) pthread_cond_wait(c, &m);
        turn = !turn;
        pthread_cond_broadcast(c);
        pthread_mutex_unlock(&m);
    }
    return 0;
}
int main(void) {
    pthread_t t[2];
    pthread_cond_init((pthread_cond_t *)&small.p, 0);
    for (long i = 0; i < 2; i++) pthread_create(&t[i], 0, play, (void *)i);
    for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
    printf("%.8s\\n", small.fence);
    return 0;
}
"""


def test_the_older_conditions_stay_the_older_ones():
    """A condition of GLIBC_2.2.5 is a pointer; the newer functions would write over its end."""
    program = compiled('old_conditions.c', OLD_CONDITIONS, 'gcc', '-O1', '-pthread', '-w')
    expected = harness.plain(program)
    same('it runs', expected.seen(), ('status 0', 'unharmed\n', ''))
    with Locks(program, env=EXACT) as t:
        same('with the shim', t.finish().seen(), expected.seen())


# ---- real programs

GIL = """
import sys, threading
def work():
    while not over: sum(range(1000))
over = False
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
print('ready', flush=True)
sys.stdin.readline()
over = True
for t in threads: t.join()
"""


def test_python_shows_who_waits_for_its_lock():
    """Four threads, and one global interpreter lock."""
    with Locks(shutil.which('python3'), '-c', GIL) as t:
        if not check('python: the shim answers', t.wait_ready() and t.wait_for('ready')):
            return
        # every thread but one waits all the time; how often it shows depends on the machine
        p = None
        for _ in range(10):
            p = t.profile('block?seconds=1', True)
            if p.flat('delay')['pthread_cond_timedwait'] > 1e9:
                break
        check('python: it waits for the interpreter lock',
              p.flat('delay')['pthread_cond_timedwait'] > 1e9, p.flat('delay').most_common(3))
        check('python: the evaluation loop is who waits', p.cum('delay').get(
            '_PyEval_EvalFrameDefault', 0) > 0.5e9, p.cum('delay').most_common(12))
        t.say()
        same('python ends well', t.finish().code, 0)


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(('127.0.0.1', port)) == 0


def hammer(port, stop):
    """One hot item, read and written by everybody."""
    request = b'get hot\r\n' * 30 + b'set hot 0 0 100\r\n' + b'x' * 100 + b'\r\n'
    with socket.create_connection(('127.0.0.1', port)) as s:
        while not stop.is_set():
            s.sendall(request)
            got = b''
            while not got.endswith(b'STORED\r\n'):
                got += s.recv(65536)


def test_memcached_with_one_hot_item():
    if not shutil.which('memcached'):
        return skip('memcached', 'not installed')
    port, stop = harness.free_port(), threading.Event()
    user = ['-u', 'root'] if os.geteuid() == 0 else []
    with Locks(shutil.which('memcached'), '-l', '127.0.0.1', '-p', port, '-t', 4, *user) as t:
        if not check('memcached: it and the shim answer', t.wait_ready() and
                     harness.poll(lambda: listens(port))):
            return
        clients = [threading.Thread(target=hammer, args=(port, stop)) for _ in range(6)]
        for c in clients:
            c.start()
        found = {}
        for _ in range(15):  # until there was contention, which is up to the machine
            for path in ('block', 'mutex'):
                p = t.profile(path + '?seconds=1', True)
                leaf = 'pthread_mutex_lock' if path == 'block' else 'pthread_mutex_unlock'
                callers = {s.stack[1] for s in p.samples if s.stack[0] == leaf}
                found.setdefault(path, set()).update(callers)
            if all(found.values()):
                break
        stop.set()
        for c in clients:
            c.join()
        for path, callers in found.items():
            check(f'memcached: {path} names the user of the lock',
                  callers and all('lock' not in c and 'libc' not in c for c in callers), callers)


if __name__ == '__main__':
    harness.run(*[f for name, f in list(globals().items()) if name.startswith('test_')])
