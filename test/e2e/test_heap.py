#!/usr/bin/env python3
"""Compares heap profiles with what programs know about their own memory.

How far off may an estimate be?  Sampling by bytes at rate R takes a block of s bytes
with probability p = 1 - exp(-s/R), and a sampled one counts 1/p blocks.  So the
estimate of n blocks of size s has the mean n*s and the variance n*s^2*(1-p)/p.

Samples are few, so the tails are not those of a normal distribution: each
comparison here uses Chernoff's bound for exactly these sums of independent blocks,

        P(estimate >= t)  <=  min over x > 0 of  exp(-x*t) * product of E exp(x*block)

and the same below.  An estimate outside has a chance of at most CHANCE = 10^-7 for
each side (that is about 5.3 standard deviations); there are fewer than 500 sides,
so the file fails by chance less often than once in 20,000 runs.

At PPROF_HEAP_RATE=1 every block is sampled and everything is exact.
"""
import http.client
import json
import math
import os
import shutil
import signal
import subprocess
import threading
import time

import harness
import pprof_reader
from harness import Target, check, same

CHANCE = 1e-7
DEFAULT_RATE = 524288
COLUMNS = {'alloc_objects': ('total', 0), 'alloc_space': ('total', 1),
           'inuse_objects': ('live', 0), 'inuse_space': ('live', 1)}

skipped = []


def skip(what, why):
    skipped.append(what)
    harness.skip(what, why)


# ---- the mathematics

def log_mgf(blocks, x):
    """log E exp(x * estimate) for [(weight of a sampled one, its chance, how many)]."""
    total = 0.0
    for w, p, n in blocks:
        y = x * w
        if y > 700:
            return math.inf
        total += n * (y if p == 1 else math.log1p(p * math.expm1(y)))
    return total


def bounds(blocks):
    """The interval that an estimate leaves with probability CHANCE on either side."""
    blocks = [b for b in blocks if b[2]]
    if not blocks:
        return 0.0, 0.0
    limit = -math.log(CHANCE)
    largest = max(w for w, _, _ in blocks)
    steps = [10 ** (k / 20 - 9) / largest for k in range(220)]
    high = min((log_mgf(blocks, x) + limit) / x for x in steps)
    low = max((log_mgf(blocks, -x) + limit) / -x for x in steps)
    return max(low, 0.0), min(high, sum(w * n for w, _, n in blocks))


def sampled(sizes, rate, which, unit):
    """sizes: [size, total, live].  unit 0: objects, 1: bytes."""
    result = []
    for size, total, live in sizes:
        p = 1.0 if rate == 1 else -math.expm1(-size / rate)
        result.append(((size if unit else 1) / p, p, total if which == 'total' else live))
    return result


def minus(after, before):
    """The sizes of what happened in between."""
    old = {size: (total, live) for size, total, live in before}
    return [[size, total - old.get(size, (0, 0))[0], live - old.get(size, (0, 0))[1]]
            for size, total, live in after]


def compare_site(name, site, got, sizes, rate, unknown=None):
    """Four values of a site, each within its bounds.

    What is of an unknown stack, because a new stack came thousands of times before the
    listener had a turn, may belong to any site.
    """
    for column, (which, unit) in COLUMNS.items():
        low, high = bounds(sampled(sizes, rate, which, unit))
        true = sum((size if unit else 1) * (total if which == 'total' else live)
                   for size, total, live in sizes)
        if rate == 1:
            same(f'{name}: {site} {column}', got[column], true)
        else:
            slack = 1 + 2e-5 * true  # whole objects, and the weights' last places
            most = got[column] + (unknown[column] if unknown else 0)
            check(f'{name}: {site} {column}', low - slack <= most and got[column] <= high + slack,
                  f'got {got[column]}, {true} is true, {low:.0f} to {high:.0f} allowed')


# ---- fetching

class Heap(Target):
    """A target whose every profile is checked."""

    def profile(self, path='heap', delta=False, timeout=60):
        body = self.fetch(path, timeout)
        if not check(f'{path} is answered', body is not None):
            raise RuntimeError(path)
        return self.parsed(body, path, delta)

    def parsed(self, body, path, delta=False):
        p = pprof_reader.parse(body)
        problems = pprof_reader.check(p, delta, self.main_path())
        if not p.samples:
            problems = [x for x in problems if x != 'no mapping']  # there is nothing to map
        check(f'{path}: a valid profile', not problems, problems[:5])
        p.body = body
        return p

    def main_path(self):
        return os.path.realpath(f'/proc/{self.pid}/exe')

    def accounts(self, command=None):
        """What the program says it has allocated, after a command."""
        told = 0
        if command:
            self.accounts()  # it has started
            told = self.output().count('\n')
            self.say(command + '\n')
        if not harness.poll(lambda: self.output().count('\n') > told or self.p.poll() is not None,
                            60):
            raise RuntimeError('no answer to ' + str(command))
        return json.loads(self.output().splitlines()[-1])


def of_site(p, site):
    return {column: p.cum(column)[site] for column in COLUMNS}


def truth(rate, divisor=1, **options):
    env = {} if rate == DEFAULT_RATE else {'PPROF_HEAP_RATE': str(rate)}
    return Heap('heap_truth', divisor, env=env, **options)


def saved(p, name):
    path = os.path.join(harness.work, name)
    with open(path, 'wb') as f:
        f.write(p if isinstance(p, bytes) else p.body)
    return path


def go_tool(*args):
    if not shutil.which('go'):
        return None
    r = subprocess.run(['go', 'tool', 'pprof', *args], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=120,
                       env=dict(os.environ, PPROF_TMPDIR=harness.work))
    return r.stdout if r.returncode == 0 else 'FAILED: ' + r.stdout


# ---- truth

def compare_all(name, rate, divisor):
    with truth(rate, divisor) as t:
        if not check(f'{name}: the shim answers', t.wait_ready()):
            return
        first = t.accounts()
        t.profile()  # from here on all stacks are known
        accounts = t.accounts('go')
        p = t.profile()
        unknown = of_site(p, '[unknown stack]')
        if rate == 1:
            same(f'{name}: nothing of an unknown stack', unknown, dict.fromkeys(COLUMNS, 0))
        for site, account in accounts.items():
            compare_site(name, site, of_site(p, site), account['sizes'], rate, unknown)
        freed = t.accounts('free')
        compare_site(name + ', freed', 'large_blocks', of_site(t.profile(), 'large_blocks'),
                     freed['large_blocks']['sizes'], rate, unknown)
        for counter in ('heap_live_dropped', 'heap_stack_table_full', 'heap_skipped_in_handler'):
            same(f'{name}: {counter}', t.counter(counter), 0)
        check(f'{name}: before_main', first['before_main']['live_objects'] == 40)


def test_truth_at_the_default_rate():
    compare_all('default rate', DEFAULT_RATE, 1)


def test_truth_at_4096():
    compare_all('rate 4096', 4096, 1)


def test_truth_at_1_is_exact():
    compare_all('rate 1', 1, 100)


def test_a_site_is_its_function_line_and_stack():
    with truth(1, 100) as t:
        t.wait_ready()
        t.accounts()
        p = t.profile()
        stacks = [s.stack for s in p.samples if s.stack[0] == 'small_blocks']
        same('one stack of small_blocks, to the root', stacks,
             [['small_blocks', 'do_round', 'main', '__libc_start_call_main',
               '__libc_start_main_impl', '_start']] if stacks and len(stacks[0]) == 6 and
             stacks[0][4] == '__libc_start_main_impl' else
             [['small_blocks', 'do_round', 'main'] + (stacks[0][3:] if stacks else [])])
        check('its root is _start', stacks and stacks[0][-1] == '_start', stacks)
        threads = [s.stack for s in p.samples if s.stack[0] == 'in_threads']
        check('threads too have their whole stack',
              threads and all(s[1] == 'allocate_in_thread' and s[-1] != '[truncated]'
                              for s in threads), threads)


# ---- heap and allocs

def test_heap_and_allocs_carry_the_same_values():
    with truth(4096, 10) as t:
        t.wait_ready()
        t.accounts('go')
        heap, allocs = t.profile('heap'), t.profile('allocs')
        same('the same samples', heap.keys(), allocs.keys())
        same('sample types', [tuple(x) for x in heap.sample_types], pprof_reader.HEAP)
        same("heap's types are allocs' types", heap.sample_types, allocs.sample_types)
        same('heap shows what is in use', heap.sample_types[heap.index(None)].type, 'inuse_space')
        same('allocs shows what was allocated', allocs.default_sample_type, 'alloc_space')
        same('period', (heap.period, allocs.period), (4096, 4096))
        words = heap.comments[0].split()
        same('no comment but those of memory, of a rest where there is one', [c.split()[:3] for c in heap.comments],
             [['In', 'use', 'here:']] + [['RssAnon', 'has', 'also']] * (int(words[6]) > int(words[3])))
        check('and when that was', heap.comments[0].endswith(' UTC.') and ' Taken at ' in heap.comments[0], heap.comments)
        again = t.profile('heap?gc=1')
        same('gc=1 changes nothing', again.keys(), heap.keys())


def test_text_is_readable_by_pprof():
    with truth(4096, 10) as t:
        t.wait_ready()
        t.accounts('go')
        p = t.profile()
        text = t.fetch('heap?debug=1')
        values = '%d: %d [%d: %d]' % tuple(p.total(c) for c in ('inuse_objects', 'inuse_space',
                                                               'alloc_objects', 'alloc_space'))
        same('header', text.decode().splitlines()[0], f'heap profile: {values} @ heapprofile')
        check('the memory map follows', b'\nMAPPED_LIBRARIES:\n' in text)
        check('functions are named', b'\tsmall_blocks\t' in text)
        if not shutil.which('go'):
            return skip('go tool pprof', 'no go')
        out = os.path.join(harness.work, 'text.pb.gz')
        said = go_tool('-proto', '-symbolize=none', '-output', out, saved(text, 'heap.txt'))
        if not check('go tool pprof reads it', os.path.exists(out), said):
            return
        read = pprof_reader.load(out)
        for column in COLUMNS:
            # a line a stack there, and lines with the same addresses are added up
            same(f'{column} of the text', read.total(column), p.total(column))
        top = go_tool('-top', '-symbolize=none', '-unit=B', saved(p, 'heap.pb.gz'))
        check('go tool pprof shows the total of the file',
              f"of {p.total('inuse_space')}B total" in top, top[:300])


def test_a_delta_shows_only_what_happened():
    with truth(4096, 100) as t:
        t.wait_ready()
        t.accounts('go')
        before = t.accounts('free')
        c = t.open('heap?seconds=1')
        after = t.accounts('more')
        p = t.parsed(c.answer.read(), 'heap?seconds=1', delta=True)
        c.close()
        sizes = minus(after['grows_later']['sizes'], before['grows_later']['sizes'])
        compare_site('delta', 'grows_later', of_site(p, 'grows_later'), sizes, 4096)
        others = {s.stack[0]: s.values for s in p.samples
                  if any(s.values) and s.stack[0] != 'grows_later'}
        same('nothing else', others, {})
        check('its duration is a second or more', 1e9 <= p.duration_ns < 20e9, p.duration_ns)
        empty = t.profile('allocs?seconds=1', delta=True)
        same('a second without allocations is empty', [s.values for s in empty.samples
                                                       if any(s.values)], [])


def test_a_delta_shows_what_was_freed():
    with truth(4096, 100) as t:
        t.wait_ready()
        before = t.accounts('go')
        c = t.open('heap?seconds=1')
        t.accounts('free')
        p = t.parsed(c.answer.read(), 'heap?seconds=1', delta=True)
        c.close()
        same('21 blocks of 3 MiB', of_site(p, 'large_blocks'),
             {'alloc_objects': 0, 'alloc_space': 0, 'inuse_objects': -21,
              'inuse_space': -before['large_blocks']['live_bytes']})


def test_totals_are_monotone_under_load():
    with truth(4096, 100) as t:
        t.wait_ready()
        t.accounts('load')
        older = t.profile('allocs')
        for _ in range(20):
            p = t.profile('allocs')
            problems = pprof_reader.check_since(older, p)
            check('20 scrapes: nothing shrinks', not problems, problems[:3])
            check('20 scrapes: in use is never negative',
                  all(v >= 0 for s in p.samples for v in s.values))
            older = p
        check('there was load', older.cum('alloc_space')['busy_loop'] > 0)


# ---- ages

def young_enough(t, seconds):
    """`more`, and the profile of what is older, both within that time; None: not on this machine now."""
    began = time.monotonic()
    accounts = t.accounts('more')
    p = t.profile(f'heap?older={seconds}s')
    return (accounts, p) if time.monotonic() - began < seconds - 1 else None


def test_only_what_has_been_in_use_for_long():
    with truth(1, 100) as t:
        t.wait_ready()
        t.accounts()
        accounts = t.accounts('go')
        live = {site: a['live_bytes'] for site, a in accounts.items() if a['live_bytes']}

        def of_age(age):
            return {site: of_site(t.profile('heap?older=' + age), site)['inuse_space'] for site in live}
        check('all of it is old after a while', harness.poll(lambda: of_age('4s') == live, 30), (of_age('4'), live))
        same('nothing is an hour old', of_age('1h'), dict.fromkeys(live, 0))
        got = None
        for _ in range(5):
            got = got or young_enough(t, 4)
        if check('the machine gave us three seconds', got):
            accounts, p = got
            same('what came later is not in it', of_site(p, 'grows_later')['inuse_space'],
                 live.get('grows_later', 0))
            same('the rest is', of_site(p, 'small_blocks')['inuse_space'], accounts['small_blocks']['live_bytes'])
            check('nothing was allocated', sum(s.values[p.index('alloc_space')] for s in p.samples) == 0)
            same('it is told', p.comments, ['Only blocks that have been in use for 4 s and longer; '
                                            'what was allocated is not counted.'])
        p = t.profile('heap?ages=1')
        same('by age: nothing is missing', of_site(p, 'small_blocks')['inuse_space'],
             of_site(t.profile('heap'), 'small_blocks')['inuse_space'])
        ages = {l.number for labels in p.labels for l in labels if l.key == 'age' and l.unit == 'seconds'}
        check('by age: powers of two', ages and ages <= {1 << n for n in range(10)} and max(ages) >= 4, ages)
        same('by age: each has one', len([s for s in p.samples if 'age' not in s.labels]), 0)
        t.accounts('free')
        same('what was freed is not old', of_site(t.profile('heap?older=1'), 'large_blocks')['inuse_space'], 0)
        check('as text', b'small_blocks' in t.fetch('heap?older=1&format=text'))
        for query in 'heap?older=soon', 'heap?older=0', 'heap?older=1d', 'heap?older=-1', 'heap?older=2s&seconds=1', \
                'allocs?older=1s', 'block?older=1s', 'heap?older=999999999h', 'allocs?ages=1':
            c = t.open(query)
            same(f'{query}: refused', c.answer.status, 400)
            check(f'{query}: with a sentence', b'older' in c.answer.read())
            c.close()


def in_use(accounts):
    return sum(a['live_bytes'] for a in accounts.values())


def total_in_use(p):
    return sum(s.values[p.index('inuse_space')] for s in p.samples)


def test_when_most_was_in_use():
    with truth(1, 100) as t:
        t.wait_ready()
        accounts = t.accounts('go')
        p = t.profile('heap?peak=1')
        for site, a in accounts.items():
            same(f'{site}: as long as it is now', of_site(p, site)['inuse_space'], a['live_bytes'])
        before = of_site(p, 'large_blocks')
        t.accounts('free')
        p = t.profile('heap?peak=1')
        same('what was freed since is in it', of_site(p, 'large_blocks')['inuse_space'], before['inuse_space'])
        same('blocks, too', of_site(p, 'large_blocks')['inuse_objects'], before['inuse_objects'])
        check('nothing was allocated', sum(s.values[p.index('alloc_space')] for s in p.samples) == 0)
        check('it is told', len(p.comments) == 1 and p.comments[0].startswith('When most was in use: '), p.comments)
        check('by functions', b'large_blocks' in t.fetch('heap?peak=1&format=text'))
        for query in 'heap?peak=2', 'heap?peak=1&older=2s', 'heap?peak=1&seconds=1', 'allocs?peak=1', 'mutex?peak=1':
            c = t.open(query)
            same(f'{query}: refused', c.answer.status, 400)
            check(f'{query}: with a sentence', b'peak' in c.answer.read())
            c.close()


def test_the_peak_is_there_though_nobody_asked():
    """Within a tenth of the sum, and what the sum itself is off by at this rate."""
    with truth(16384, 1) as t:
        t.wait_ready()
        t.accounts()
        most = in_use(t.accounts('go'))
        check('a copy is made', harness.poll(lambda: t.counter('heap_peaks'), 10))
        t.shim_page()  # between two requests its thread looks: what was copied half-way is copied again
        t.accounts('free')
        same('they are not in use any more', of_site(t.profile(), 'large_blocks')['inuse_space'], 0)
        p = t.profile('heap?peak=1')
        check('within a tenth', most / 1.1 * 0.9 < total_in_use(p) < most * 1.1, (total_in_use(p), most))
        check('with what was freed', of_site(p, 'large_blocks')['inuse_space'] > 0)


def test_base_shows_the_leak():
    with truth(DEFAULT_RATE, 10) as t:
        t.wait_ready()
        t.accounts('go')
        base = saved(t.profile(), 'base.pb.gz')
        t.accounts('more')
        leaked = saved(t.profile(), 'leaked.pb.gz')
    if not shutil.which('go'):
        return skip('go tool pprof -base', 'no go')
    top = go_tool('-top', '-symbolize=none', '-base', base, leaked)
    rows = [line.split() for line in top.split('cum%\n')[-1].splitlines()]
    same('the leak is on top', rows[0][-1] if rows else top, 'grows_later')
    same('and nothing else of ours has grown', [r[-1] for r in rows[1:] if r[0] != '0'], [])


# ---- off, and hidden

def test_rate_0_is_off():
    with truth(0, 100) as t:
        t.wait_ready()
        accounts = t.accounts('go')
        check('the program works', accounts['small_blocks']['total_objects'] > 1000)
        for page in ('heap', 'allocs', 'heap?debug=1', 'heap?seconds=1'):
            c = t.open(page)
            same(f'{page} is refused', c.answer.status, 404)
            same(f'{page} says why', c.answer.read().decode().strip(),
                 'heap profiling is off: PPROF_HEAP_RATE is 0; it is on in a program that is started without that setting')
            c.close()
        check('the shim page says so', 'heap: off' in t.shim_page())


def test_a_malloc_of_the_program_itself_is_told():
    subprocess.run(['gcc', '-rdynamic', '-O1', '-fno-builtin', '-o', harness.work + '/own',
                    harness.ROOT + '/test/fixtures/heap_own_malloc.c'], check=True)
    for path in (harness.work + '/own', 'heap_own_malloc'):
        with Heap(path, env={'PPROF_HEAP_RATE': '1'}) as t:
            t.wait_ready()
            t.wait_for('\n')
            same('it works', t.output(), '1000 calls or more\n')
            p = t.profile()
            check('the comment says so', any('own malloc' in c for c in p.comments), p.comments)
            check('the shim page says so', "the program's own malloc hides ours" in t.shim_page())
            same('nothing pretends', p.cum('alloc_space')['own_blocks'], 0)
            t.say()
            same('it ends well', t.finish().code, 0)


# ---- C++

def cxx_truth(p, rate):
    for site, size, n in (('heap::new_arrays', 20000, 1000), ('heap::new_aligned', 4096, 1000)):
        # what the vector that holds them needs is in frames of its own
        got = {c: p.flat(c)[site] for c in COLUMNS}
        if not p.cum('alloc_objects')['[unknown stack]']:
            compare_site(f'C++ at {rate}', site, got, [[size, n, n]], rate)


class Scraper:
    """Takes heap profiles of a target one after the other for as long as the block lasts."""

    def __init__(self, target):
        self.target, self.running, self.profiles, self.problems = target, True, 0, []
        self.thread = threading.Thread(target=self.loop, daemon=True)

    def loop(self):
        while self.running and self.target.p.poll() is None:
            try:
                body = self.target.fetch('heap')
                p = pprof_reader.parse(body)
                self.problems += pprof_reader.check(p, False, self.target.main_path())
                self.problems += [s.stack for s in p.samples if min(s.values) < 0]
                self.profiles += 1
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.running = False
        self.thread.join(30)


def cxx_under_load(rate):
    """Plugins are loaded and used while four threads allocate, throw and free, and we scrape."""
    name = f'C++ under load at {rate}'
    plugin = os.path.join(harness.work, f'load{rate}.so')
    for copy in (plugin, plugin + '.deepbind'):
        shutil.copy(os.path.join(harness.FIXTURES, 'heap_cxx_plugin.so'), copy)
    with Heap('heap_cxx', plugin, 4, env={'PPROF_HEAP_RATE': str(rate)}) as t:
        t.wait_ready()
        with Scraper(t) as scraper:
            ready = t.wait_for('ready 2020\n', 60)
        if not check(f'{name}: it works', ready, t.output()):
            return
        check(f'{name}: profiles came', scraper.profiles > 0)
        same(f'{name}: all were valid', scraper.problems[:3], [])
        p = t.profile()
        unknown = of_site(p, '[unknown stack]')
        # the plugin loaded RTLD_DEEPBIND calls libc's malloc, past ours
        compare_site(name, 'plugin_malloc', of_site(p, 'plugin_malloc'),
                     [[30000, 500, 500], [5000, 500, 0]], rate, unknown if rate == 1 else None)
        churned = of_site(p, 'heap::churn_once')
        check(f'{name}: the load was there', churned['alloc_space'] > 0)
        same(f'{name}: nothing of it is left', churned['inuse_space'], 0)
        same(f'{name}: heap_live_dropped', t.counter('heap_live_dropped'), 0)
        t.say()
        r = t.finish()
        same(f'{name}: it ends well', (r.code, r.out), (0, 'ready 2020\ndone\n'))


def test_cxx_under_load():
    cxx_under_load(1)
    cxx_under_load(4096)


def run_cxx(rate):
    plugin = os.path.join(harness.work, f'cxx{rate}.so')
    for copy in (plugin, plugin + '.deepbind'):
        shutil.copy(os.path.join(harness.FIXTURES, 'heap_cxx_plugin.so'), copy)
    with Heap('heap_cxx', plugin, env={'PPROF_HEAP_RATE': str(rate)}) as t:
        t.wait_ready()
        if not check(f'C++ at {rate}: it works', t.wait_for('ready 2020\n'), t.output()):
            return
        p = t.profile()
        cxx_truth(p, rate)
        check(f'C++ at {rate}: no operator new at the leaf',
              not any(s.stack[0].startswith('operator new') for s in p.samples))
        used = p.cum('inuse_space')
        for site, least in (('heap::fill_map', 2000 * 1000),
                            ('heap::throw_and_keep', 500 * 4096)):
            low, _ = bounds(sampled([[1000, least // 1000, least // 1000]], rate, 'live', 1))
            check(f'C++ at {rate}: {site}', used[site] >= low, (used[site], low))
        same(f'C++ at {rate}: nothing of what was forgotten is in use',
             p.flat('inuse_space')['heap::throw_and_forget'], 0)
        by_plugin = {s.stack[0] for s in p.samples}
        if rate == 1:
            true = {'alloc_objects': 1000, 'alloc_space': 500 * 35000, 'inuse_objects': 500,
                    'inuse_space': 500 * 30000}
            for c, n in true.items():
                # what came faster than the listener learned is of an unknown stack
                got, unknown = p.cum(c)['plugin_malloc'], p.cum(c)['[unknown stack]']
                check(f'the RTLD_LOCAL plugin is exact, the RTLD_DEEPBIND one calls libc: {c}',
                      got <= n <= got + unknown, (got, unknown, n))
        check(f'C++ at {rate}: the plugin is named', 'plugin_malloc' in by_plugin)
        t.say()
        r = t.finish()
        same(f'C++ at {rate}: it ends well', (r.code, r.out), (0, 'ready 2020\ndone\n'))


def test_cxx_at_1():
    run_cxx(1)


def test_cxx_at_4096():
    run_cxx(4096)


# ---- programs of others

PYTHON = '''
import sys, threading
kept = []
def keep_blocks(n):
    for _ in range(n):
        kept.append(bytearray(1000000))
threads = [threading.Thread(target=keep_blocks, args=(50,)) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print('ready', flush=True)
sys.stdin.readline()
'''

NODE = '''
const kept = [];
for (let i = 0; i < 200; i++) kept.push(Buffer.alloc(1000000));
console.log('ready');
process.stdin.once('data', () => process.exit(0));
'''

def holds(name, t, blocks, extra):
    """200 MB in known blocks, and at most `extra` bytes of the program's own."""
    if not check(f'{name}: ready', t.wait_ready() and t.wait_for('ready'), t.output(1)[-300:]):
        return None
    p = t.profile()
    low, high = bounds(sampled([[size, n, n] for size, n in blocks], DEFAULT_RATE, 'live', 1))
    got = p.total('inuse_space')
    check(f'{name}: in use', low <= got <= high + extra, f'got {got}, {low:.0f} to {high:.0f}')
    t.say()
    same(f'{name}: it ends well', t.finish().code, 0)
    return p


def test_python_with_threads():
    if not os.path.exists('/usr/bin/python3'):
        return skip('python3', 'not installed')
    with Heap('/usr/bin/python3', '-c', PYTHON) as t:
        p = holds('python3', t, [(1000001, 200)], 40e6)
        check('python3: functions are named', p and
              any(f.startswith(('PyByteArray', 'bytearray')) for f in p.cum('inuse_space')))


def test_heap_of_node():
    if not shutil.which('node'):
        return skip('node', 'not installed')
    with Heap(os.path.realpath(shutil.which('node')), '-e', NODE) as t:
        holds('node', t, [(1000000, 200)], 60e6)


def rust_accounts(text):
    """{site: [[size, total, live], ...]} from the program's lines."""
    sites = {}
    for line in text.splitlines():
        site, *numbers = line.split()
        if numbers:
            n = [int(x) for x in numbers]
            sites[site] = [n[i:i + 3] for i in range(0, len(n), 3)]
    return sites


def of_rust_site(p, site):
    """By the last part of the name; what a site asked the standard library for is below it."""
    return {c: sum(s.values[p.index(c)] for s in p.samples
                   if any(f.split('::')[-1] == site for f in s.stack)) for c in COLUMNS}


def compare_rust(name, p, accounts, rate):
    unknown = of_site(p, '[unknown stack]')
    for site, sizes in accounts.items():
        compare_site(name, site, of_rust_site(p, site), sizes, rate, unknown)


def rust(rate, divisor):
    name = f'rust at {rate}'
    with Target('heap_rust', divisor, preload='') as t:
        t.say('go\ngo\n')
        expected = t.finish()
    with Heap('heap_rust', divisor, env={'PPROF_HEAP_RATE': str(rate)}) as t:
        if not check(f'{name}: it works', t.wait_ready() and t.wait_for('ready\n'), t.output()):
            return
        p = t.profile()
        if rate == 1:
            same(f'{name}: nothing of an unknown stack', p.cum('alloc_objects')['[unknown stack]'], 0)
        kept = rust_accounts(t.output())
        same(f'{name}: seven sites', len(kept), 7)
        compare_rust(name, p, kept, rate)
        t.say()
        check(f'{name}: it goes on', harness.poll(lambda: t.output().count('ready\n') == 2, 60))
        freed = rust_accounts(t.output().split('ready\n')[1])
        compare_rust(name + ', freed', t.profile(), freed, rate)
        t.say()
        same(f'{name}: it ends as without the shim', t.finish().seen(), expected.seen())


def test_heap_of_rust():
    rust(1, 10)
    rust(DEFAULT_RATE, 1)


def redis(port, *args):
    r = subprocess.run(['redis-cli', '-p', str(port), *map(str, args)], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=60)
    return r.stdout


def fill_redis(rate):
    """300,000 keys of 1 KB.  The sampling error is sqrt(rate / bytes): 4.1 % of 310 MB at the
    default rate, 0.7 % at 16384, where 5 % are seven standard deviations."""
    port = harness.free_port()
    with Heap('/usr/bin/redis-server', '--port', port, '--save', '', '--dir', harness.work,
              '--enable-debug-command', 'yes', env={'PPROF_HEAP_RATE': str(rate)}) as t:
        if not check('redis: the shim answers', t.wait_ready()) or \
                not harness.poll(lambda: 'PONG' in redis(port, 'ping')):
            return
        redis(port, 'debug', 'populate', 300000, 'key', 1016)
        info = redis(port, 'info', 'memory')
        true = int(info.split('allocator_allocated:')[1].split()[0])
        p = t.profile()
        off = p.total('inuse_space') / true - 1
        allowed = max(0.05, 5.5 * math.sqrt(rate / true))
        check(f'redis at {rate}: in use within {100 * allowed:.0f} % of allocator_allocated',
              abs(off) <= allowed, f'{100 * off:+.2f} % of {true}')
        print(f'ok: redis at {rate}: {100 * off:+.2f} % of {true}', flush=True)
        check('redis: it was filled', true > 300e6, true)
        check('redis: functions are named', p.cum('inuse_space')['debugCommand'] > true / 2 or
              p.cum('inuse_space')['dictAdd'] > 0)
        redis(port, 'flushall', 'sync')
        left = t.profile().total('inuse_space')
        true = int(redis(port, 'info', 'memory').split('allocator_allocated:')[1].split()[0])
        check('redis: empty again', left <= true * 1.5 + 30 * rate, (left, true))
        redis(port, 'shutdown', 'nosave')
        same('redis: it ends well', t.finish().code, 0)


def test_heap_of_redis():
    if not os.path.exists('/usr/bin/redis-server'):
        return skip('redis-server', 'not installed')
    fill_redis(16384)
    fill_redis(DEFAULT_RATE)


def test_heap_of_nginx():
    nginx = shutil.which('nginx') or '/usr/sbin/nginx'
    if not os.path.exists(nginx):
        return skip('nginx', 'not installed')
    port, folder = harness.free_port(), os.path.join(harness.work, 'nginx')
    os.makedirs(folder + '/logs', exist_ok=True)
    with open(folder + '/nginx.conf', 'w') as f:
        f.write(f'''daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{}} http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello"; }} }} }}''')
    with Heap(nginx, '-p', folder, '-c', folder + '/nginx.conf',
              env={'PPROF_HEAP_RATE': '64'}) as t:
        if not check('nginx: the shim answers', t.wait_ready(), t.output(1)):
            return
        t.profile()
        for _ in range(300):
            c = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
            c.request('GET', '/')
            check('nginx: it answers', c.getresponse().read() == b'hello')
            c.close()
        p = t.profile()
        total = p.cum('alloc_space')
        check('nginx: its pools are there', total['ngx_create_pool'] + total['ngx_memalign'] > 0,
              total.most_common(8))
        held = p.cum('inuse_objects')['ngx_http_wait_request_handler']
        check('nginx: requests leave nothing behind', held < 20, held)
        same('nginx: it ends well', t.finish(signal_first=signal.SIGQUIT).code, 0)


TESTS = (
    test_truth_at_the_default_rate, test_truth_at_4096, test_truth_at_1_is_exact,
    test_a_site_is_its_function_line_and_stack, test_heap_and_allocs_carry_the_same_values,
    test_text_is_readable_by_pprof, test_a_delta_shows_only_what_happened,
    test_a_delta_shows_what_was_freed, test_totals_are_monotone_under_load,
    test_only_what_has_been_in_use_for_long, test_when_most_was_in_use,
    test_the_peak_is_there_though_nobody_asked, test_base_shows_the_leak, test_rate_0_is_off, test_a_malloc_of_the_program_itself_is_told,
    test_cxx_at_1, test_cxx_at_4096, test_cxx_under_load, test_python_with_threads,
    test_heap_of_node, test_heap_of_rust, test_heap_of_redis, test_heap_of_nginx)

if __name__ == '__main__':
    harness.run(*TESTS)
